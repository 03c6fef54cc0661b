"""Certificate."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

import msgspec

from certwright.api.keystores import Keystores
from certwright.api.meta import (
    CONDITION_LIST,
    DURATION,
    SPEC_PRESENT,
    Condition,
    Doc,
    IssuerRef,
    Model,
    ObjectMeta,
    Rule,
)

KEY_USAGES = (
    "signing",
    "digital signature",
    "content commitment",
    "key encipherment",
    "key agreement",
    "data encipherment",
    "cert sign",
    "crl sign",
    "encipher only",
    "decipher only",
    "any",
    "server auth",
    "client auth",
    "code signing",
    "email protection",
    "s/mime",
    "ipsec end system",
    "ipsec tunnel",
    "ipsec user",
    "timestamping",
    "ocsp signing",
    "microsoft sgc",
    "netscape sgc",
)

_SUBDOMAIN = "'^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$'"


def _at_least(name: str, shortest: str) -> Rule:
    return Rule(
        f"self.matches({DURATION}) && duration(self) >= duration('{shortest}')",
        f"{name} must be written like 2160h or 1h30m, and be at least {shortest}",
    )


class AdditionalOutputFormat(Model, frozen=True, kw_only=True):
    """spec.additionalOutputFormats[]."""

    type: Annotated[
        str,
        Doc(
            "DER adds `key.der`, the private key in DER. CombinedPEM adds `tls-combined.pem`, key and chain in one file.",
            required=True,
            schema={"enum": ["DER", "CombinedPEM"]},
        ),
    ] = ""


class NameConstraintItem(Model, frozen=True, kw_only=True):
    """spec.nameConstraints.permitted and .excluded."""

    dns_domains: Annotated[tuple[str, ...], Doc("DNS domains with all their subdomains.")] = ()
    email_addresses: Annotated[tuple[str, ...], Doc("Mailboxes, or hosts or domains of mailboxes.")] = ()
    ip_ranges: Annotated[tuple[str, ...], Doc("IP ranges in CIDR notation.")] = ()
    uri_domains: Annotated[tuple[str, ...], Doc("Domains of URIs.")] = ()


class NameConstraints(Model, frozen=True, kw_only=True):
    """spec.nameConstraints."""

    critical: Annotated[
        bool | None, Doc("Whether verifiers that do not know the extension must reject the certificate.")
    ] = None
    excluded: Annotated[
        NameConstraintItem | None, Doc("Names that may not occur below this CA, whatever permitted says.")
    ] = None
    permitted: Annotated[
        NameConstraintItem | None, Doc("Names that may occur below this CA; none of a kind means all of it.")
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.permitted) || has(self.excluded)",
            "nameConstraints needs permitted or excluded",
            reason="FieldValueRequired",
        ),
    )


class OtherName(Model, frozen=True, kw_only=True):
    """spec.otherNames[]."""

    oid: Annotated[
        str, Doc("Type of the name as a dotted object identifier, e.g. 1.3.6.1.4.1.311.20.2.3 for a UPN.")
    ] = ""
    utf8_value: Annotated[str, Doc("Value, encoded as a UTF8String.")] = msgspec.field(default="", name="utf8Value")


class PrivateKey(Model, frozen=True, kw_only=True):
    """spec.privateKey."""

    algorithm: Annotated[str, Doc("RSA when empty.", schema={"enum": ["RSA", "ECDSA", "Ed25519"]})] = ""
    encoding: Annotated[
        str,
        Doc(
            "How `tls.key` is encoded; PKCS1 when empty. Ed25519 keys are always PKCS8.",
            schema={"enum": ["PKCS1", "PKCS8"]},
        ),
    ] = ""
    rotation_policy: Annotated[
        str,
        Doc(
            "Always (the default) makes a new key at each issuance; Never keeps the key in the Secret as long as it fits.",
            schema={"enum": ["Never", "Always"]},
        ),
    ] = ""
    size: Annotated[
        int | None,
        Doc("Bits. RSA: 2048 (default) to 8192. ECDSA: 256 (default), 384 or 521. Ed25519: ignored."),
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.?algorithm.orValue('RSA') != 'RSA' || self.?size.orValue(0) == 0"
            " || (self.size >= 2048 && self.size <= 8192)",
            "privateKey.size must be 2048 to 8192 for RSA",
            ".size",
        ),
        Rule(
            "self.?algorithm.orValue('') != 'ECDSA' || self.?size.orValue(0) in [0, 256, 384, 521]",
            "privateKey.size must be 256, 384 or 521 for ECDSA",
            ".size",
        ),
    )


class RenewalWindow(Model, frozen=True, kw_only=True):
    """spec.renewal.windows[]."""

    cron: Annotated[
        str,
        Doc(
            "When the window opens: five cron fields, or a word such as @daily.", required=True, schema={"minLength": 1}
        ),
    ] = ""
    timezone: Annotated[str, Doc("IANA time zone of the schedule; UTC when empty.", schema={"minLength": 1})] = ""
    window_duration: Annotated[
        str,
        Doc(
            "How long it stays open, e.g. 4h.",
            required=True,
            schema={"pattern": r"^([0-9]+(\.[0-9]+)?(s|m|h))+$"},
        ),
    ] = ""


class CertificateRenewal(Model, frozen=True, kw_only=True):
    """spec.renewal."""

    policy: Annotated[
        str,
        Doc(
            "RenewBefore renews by time; Disabled never does, while changes of the spec and lost Secrets still re-issue.",
            schema={"enum": ["RenewBefore", "Disabled"]},
        ),
    ] = ""
    windows: Annotated[tuple[RenewalWindow, ...], Doc("Maintenance windows that renewals are moved into.")] = ()

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule("has(self.policy)", "renewal.policy must be RenewBefore or Disabled", ".policy", "FieldValueRequired"),
        Rule(
            "self.?policy.orValue('') != 'Disabled' || self.?windows.orValue([]).size() == 0",
            "renewal.windows cannot be used when renewal.policy is Disabled",
            ".windows",
            "FieldValueForbidden",
        ),
    )


class SecretTemplate(Model, frozen=True, kw_only=True):
    """spec.secretTemplate."""

    annotations: Annotated[
        dict[str, str], Doc("Annotations for the Secret; those that are removed here go from it, too.")
    ] = msgspec.field(default={})
    labels: Annotated[dict[str, str], Doc("Labels for the Secret; those that are removed here go from it, too.")] = (
        msgspec.field(default={})
    )


class X509Subject(Model, frozen=True, kw_only=True):
    """spec.subject."""

    countries: Annotated[tuple[str, ...], Doc("C: two-letter codes.")] = ()
    localities: Annotated[tuple[str, ...], Doc("L: cities.")] = ()
    organizational_units: Annotated[tuple[str, ...], Doc("OU.")] = ()
    organizations: Annotated[tuple[str, ...], Doc("O.")] = ()
    postal_codes: Annotated[tuple[str, ...], Doc("Postal codes.")] = ()
    provinces: Annotated[tuple[str, ...], Doc("ST: states or provinces.")] = ()
    serial_number: Annotated[str, Doc("The serialNumber attribute of the subject, not the certificate's serial.")] = ""
    street_addresses: Annotated[tuple[str, ...], Doc("STREET.")] = ()


#: The fields of subject that are lists.
_SUBJECT_LISTS = tuple(
    field.encode_name for field in msgspec.structs.fields(X509Subject) if field.name != "serial_number"
)


class CertificateSpec(Model, frozen=True, kw_only=True):
    """What is wanted."""

    additional_output_formats: Annotated[
        tuple[AdditionalOutputFormat, ...],
        Doc(
            "Further encodings kept in the same Secret, each at most once.",
            rules=(
                # There are two types, so that nothing longer can be free of repetition.
                Rule(
                    "self.size() < 2 || (self.size() == 2 && self[0].type != self[1].type)",
                    "additionalOutputFormats must not repeat a type",
                ),
            ),
        ),
    ] = ()
    common_name: Annotated[
        str,
        Doc(
            "Common name of the subject, at most 64 bytes. Verifiers look at dnsNames, not here.",
            # RFC 5280 appendix A, ub-common-name.
            rules=(
                Rule(
                    "bytes(self).size() <= 64",
                    "commonName must be at most 64 bytes",
                ),
            ),
        ),
    ] = ""
    dns_names: Annotated[tuple[str, ...], Doc("DNS names the certificate is valid for; `*.` begins a wildcard.")] = ()
    duration: Annotated[
        str,
        Doc(
            "Lifetime asked for as a Go duration, at least 1h; 2160h (90 days) when absent. Issuers may shorten it.",
            rules=(_at_least("duration", "1h"),),
        ),
    ] = ""
    email_addresses: Annotated[tuple[str, ...], Doc("Bare e-mail addresses the certificate is valid for.")] = ()
    encode_usages_in_request: Annotated[
        bool | None, Doc("Whether the CSR itself carries the usages; true when absent.")
    ] = None
    ip_addresses: Annotated[tuple[str, ...], Doc("IP addresses the certificate is valid for.")] = ()
    is_ca: Annotated[bool | None, Doc("Ask for a CA certificate, which may sign others.")] = msgspec.field(
        default=None, name="isCA"
    )
    issuer_ref: Annotated[IssuerRef, Doc("Who signs.", required=True)] = msgspec.field(default_factory=IssuerRef)
    keystores: Annotated[Keystores | None, Doc("Java and PKCS#12 stores kept in the same Secret.")] = None
    literal_subject: Annotated[
        str, Doc("The whole subject as an RFC 4514 string, encoded as written. Excludes commonName and subject.")
    ] = ""
    name_constraints: Annotated[NameConstraints | None, Doc("Which names a CA may sign; only with isCA.")] = None
    other_names: Annotated[tuple[OtherName, ...] | None, Doc("Subject alternative names of other types.")] = None
    private_key: Annotated[PrivateKey | None, Doc("How private keys are made and stored.")] = None
    renew_before: Annotated[
        str,
        Doc(
            "Renew this long before expiry, at least 5m and less than duration; a third of the lifetime when absent, or "
            "when the issuer made the lifetime shorter than this.",
            rules=(_at_least("renewBefore", "5m"),),
        ),
    ] = ""
    renew_before_percentage: Annotated[
        int | None,
        Doc(
            "Renew when this percentage of the certificate's lifetime remains, 1 to 99: 25 renews a certificate of 8 days "
            "2 days before it expires. Excludes renewBefore.",
            schema={"format": "int32"},
        ),
    ] = None
    renewal: Annotated[CertificateRenewal | None, Doc("Whether and in which windows renewals happen.")] = None
    revision_history_limit: Annotated[
        int | None,
        Doc(
            "How many issued CertificateRequests are kept, at least 1; 1 when absent.",
            schema={"format": "int32"},
            rules=(Rule("self >= 1", "revisionHistoryLimit must be at least 1"),),
        ),
    ] = None
    secret_name: Annotated[
        str,
        Doc(
            "Secret of the same namespace that receives `tls.key`, `tls.crt` and, where the issuer gives its CA, `ca.crt`. "
            "It is created when missing, and kept when this object is deleted.",
            required=True,
            rules=(
                Rule(
                    f"self.size() <= 253 && self.matches({_SUBDOMAIN})",
                    "secretName must be the name of a Secret: at most 253 of a-z, 0-9, - and ., and a letter or digit at "
                    "each end",
                ),
            ),
        ),
    ] = ""
    secret_template: Annotated[SecretTemplate | None, Doc("Labels and annotations for the Secret.")] = None
    signature_algorithm: Annotated[
        str,
        Doc(
            "Signature algorithm of the CSR; chosen by the key when empty.",
            schema={
                "enum": [
                    "SHA256WithRSA",
                    "SHA384WithRSA",
                    "SHA512WithRSA",
                    "ECDSAWithSHA256",
                    "ECDSAWithSHA384",
                    "ECDSAWithSHA512",
                    "PureEd25519",
                ]
            },
        ),
    ] = ""
    subject: Annotated[X509Subject | None, Doc("Parts of the subject besides the common name.")] = None
    uris: Annotated[tuple[str, ...], Doc("URIs the certificate is valid for, e.g. SPIFFE IDs.")] = ()
    usages: Annotated[
        tuple[str, ...],
        Doc(
            "What the key may be used for; digital signature and key encipherment when empty.",
            schema={"items": {"enum": list(KEY_USAGES)}},
        ),
    ] = ()

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "self.?commonName.orValue('') != '' || self.?dnsNames.orValue([]).size() > 0"
            " || self.?uris.orValue([]).size() > 0 || self.?emailAddresses.orValue([]).size() > 0"
            " || self.?ipAddresses.orValue([]).size() > 0 || self.?otherNames.orValue([]).size() > 0"
            " || (has(self.literalSubject) && self.literalSubject.matches('(^|[,+;]) *(CN|2[.]5[.]4[.]3) *= *[^ ,+;]'))",
            "at least one of commonName (or CN in literalSubject), dnsNames, uris, emailAddresses, ipAddresses and "
            "otherNames must be set",
            reason="FieldValueRequired",
        ),
        Rule(
            "self.?literalSubject.orValue('') == '' || self.?commonName.orValue('') == ''",
            "commonName cannot be used with literalSubject: write CN in literalSubject",
            ".commonName",
            "FieldValueForbidden",
        ),
        Rule(
            "self.?literalSubject.orValue('') == '' || (self.?subject.?serialNumber.orValue('') == '' && "
            + " && ".join(f"self.?subject.?{name}.orValue([]).size() == 0" for name in _SUBJECT_LISTS)
            + ")",
            "subject cannot be used with literalSubject: write all of it in literalSubject",
            ".subject",
            "FieldValueForbidden",
        ),
        Rule(
            "!(has(self.renewBefore) && has(self.renewBeforePercentage))",
            "renewBefore and renewBeforePercentage exclude each other",
            ".renewBeforePercentage",
        ),
        Rule(
            f"!has(self.renewBefore) || !self.renewBefore.matches({DURATION})"
            " || (has(self.duration)"
            f" ? !self.duration.matches({DURATION}) || duration(self.renewBefore) < duration(self.duration)"
            " : duration(self.renewBefore) < duration('2160h'))",
            "renewBefore must be less than duration (2160h when absent)",
            ".renewBefore",
        ),
        # As in cert-manager, a percentage is only looked at next to a duration, and it is the complement, the time before
        # the renewal, that must last 5 minutes.
        Rule(
            f"!has(self.renewBeforePercentage) || !has(self.duration) || !self.duration.matches({DURATION})"
            " || (self.renewBeforePercentage > 0"
            " && duration(self.duration).getSeconds() * (100 - self.renewBeforePercentage) >= 30000)",
            "renewBeforePercentage must be 1 to 99, and the certificate must be at least 5m old at its renewal",
            ".renewBeforePercentage",
        ),
        Rule(
            "!has(self.signatureAlgorithm) || {'RSA': self.signatureAlgorithm.endsWith('WithRSA'),"
            " 'ECDSA': self.signatureAlgorithm.startsWith('ECDSAWith'),"
            " 'Ed25519': self.signatureAlgorithm == 'PureEd25519'}[self.?privateKey.?algorithm.orValue('RSA')]",
            "signatureAlgorithm does not suit privateKey.algorithm (RSA when absent)",
            ".signatureAlgorithm",
        ),
        Rule(
            "!has(self.nameConstraints) || self.?isCA.orValue(false)",
            "nameConstraints can only be used when isCA is true",
            ".nameConstraints",
            "FieldValueForbidden",
        ),
    )


class ARIWindow(Model, frozen=True, kw_only=True):
    """status.acme.ari.suggestedWindow."""

    end: Annotated[datetime | None, Doc("End of the window.", required=True)] = None
    start: Annotated[datetime | None, Doc("Begin of the window.", required=True)] = None


class ARIStatus(Model, frozen=True, kw_only=True):
    """status.acme.ari."""

    explanation_url: Annotated[str, Doc("Page of the CA that says why the window was chosen.")] = msgspec.field(
        default="", name="explanationURL"
    )
    last_checked: Annotated[datetime | None, Doc("When the CA was asked last.")] = None
    last_error: Annotated[str, Doc("Why the CA could not be asked the last time.")] = ""
    next_check: Annotated[datetime | None, Doc("When the CA is asked next.")] = None
    suggested_window: Annotated[ARIWindow | None, Doc("When the CA suggests to renew.")] = None


class CertificateACMEStatus(Model, frozen=True, kw_only=True):
    """status.acme."""

    ari: Annotated[ARIStatus | None, Doc("Renewal information of the CA (RFC 9773).")] = None


class CertificateStatus(Model, frozen=True, kw_only=True):
    """What is."""

    acme: Annotated[CertificateACMEStatus | None, Doc("What an ACME CA has said.")] = None
    conditions: Annotated[
        tuple[Condition, ...],
        Doc(
            "Ready: the Secret holds what the spec asks for. Issuing: an issuance is under way.", schema=CONDITION_LIST
        ),
    ] = ()
    failed_issuance_attempts: Annotated[
        int | None, Doc("Failed issuances since the last success; the pause doubles with each.")
    ] = None
    last_failure_time: Annotated[datetime | None, Doc("When an issuance failed last; empty after a success.")] = None
    next_private_key_secret_name: Annotated[str, Doc("Temporary Secret with the key of the issuance under way.")] = ""
    not_after: Annotated[datetime | None, Doc("When the certificate in the Secret expires.")] = None
    not_before: Annotated[datetime | None, Doc("When the certificate in the Secret becomes valid.")] = None
    renewal_time: Annotated[datetime | None, Doc("When it will be renewed.")] = None
    revision: Annotated[int | None, Doc("How often this Certificate has been issued.")] = None


class Certificate(Model, frozen=True, kw_only=True):
    """A certificate to be kept valid in a Secret."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: Annotated[CertificateSpec, Doc("What is wanted.")] = msgspec.field(default_factory=CertificateSpec)
    status: Annotated[CertificateStatus, Doc("What is.")] = msgspec.field(default_factory=CertificateStatus)

    RULES: ClassVar[tuple[Rule, ...]] = (SPEC_PRESENT,)
