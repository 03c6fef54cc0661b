"""Certificate."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from certwright.api.meta import Condition, Doc, IssuerRef, Model, ObjectMeta, SecretKeySelector

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


class AdditionalOutputFormat(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """spec.additionalOutputFormats[]."""

    type: Annotated[
        str,
        Doc(
            "DER adds `key.der`, the private key in DER. CombinedPEM adds `tls-combined.pem`, key and chain in one file.",
            required=True,
            schema={"enum": ["DER", "CombinedPEM"]},
        ),
    ] = ""


class JKSKeystore(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """spec.keystores.jks."""

    alias: Annotated[str, Doc("Alias of the key entry; `certificate` when empty.")] = ""
    create: Annotated[
        bool, Doc("Whether to write `keystore.jks`, and `truststore.jks` when the CA is known.", required=True)
    ] = False
    password: Annotated[str, Doc("The password itself. Exactly one of password and passwordSecretRef is set.")] = ""
    password_secret_ref: Annotated[
        SecretKeySelector | None, Doc("A Secret in the same namespace with the password.")
    ] = None


class PKCS12Keystore(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """spec.keystores.pkcs12."""

    create: Annotated[
        bool, Doc("Whether to write `keystore.p12`, and `truststore.p12` when the CA is known.", required=True)
    ] = False
    password: Annotated[str, Doc("The password itself. Exactly one of password and passwordSecretRef is set.")] = ""
    password_secret_ref: Annotated[
        SecretKeySelector | None, Doc("A Secret in the same namespace with the password.")
    ] = None
    profile: Annotated[
        str,
        Doc(
            "Which algorithms encrypt the store. LegacyRC2 (the default) is read by everything and protects little; "
            "Modern2023 suits any Java or OpenSSL of this decade; Modern2026 needs OpenSSL 3.4 or Java 26.",
            schema={"enum": ["LegacyRC2", "LegacyDES", "Modern2023", "Modern2026"]},
        ),
    ] = ""


class Keystores(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """spec.keystores."""

    jks: Annotated[JKSKeystore | None, Doc("Java keystore.")] = None
    pkcs12: Annotated[PKCS12Keystore | None, Doc("PKCS#12 keystore.")] = None


class NameConstraintItem(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """spec.nameConstraints.permitted and .excluded."""

    dns_domains: Annotated[tuple[str, ...], Doc("DNS domains with all their subdomains.")] = ()
    email_addresses: Annotated[tuple[str, ...], Doc("Mailboxes, or hosts or domains of mailboxes.")] = ()
    ip_ranges: Annotated[tuple[str, ...], Doc("IP ranges in CIDR notation.")] = ()
    uri_domains: Annotated[tuple[str, ...], Doc("Domains of URIs.")] = ()


class NameConstraints(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
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


class OtherName(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """spec.otherNames[]."""

    oid: Annotated[
        str, Doc("Type of the name as a dotted object identifier, e.g. 1.3.6.1.4.1.311.20.2.3 for a UPN.")
    ] = ""
    utf8_value: Annotated[str, Doc("Value, encoded as a UTF8String.")] = msgspec.field(default="", name="utf8Value")


class PrivateKey(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
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


class RenewalWindow(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
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


class CertificateRenewal(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """spec.renewal."""

    policy: Annotated[
        str,
        Doc(
            "RenewBefore renews by time; Disabled never does, while changes of the spec and lost Secrets still re-issue.",
            schema={"enum": ["RenewBefore", "Disabled"]},
        ),
    ] = ""
    windows: Annotated[tuple[RenewalWindow, ...], Doc("Maintenance windows that renewals are moved into.")] = ()


class SecretTemplate(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """spec.secretTemplate."""

    annotations: Annotated[
        dict[str, str], Doc("Annotations for the Secret; those that are removed here go from it, too.")
    ] = msgspec.field(default_factory=dict)
    labels: Annotated[dict[str, str], Doc("Labels for the Secret; those that are removed here go from it, too.")] = (
        msgspec.field(default_factory=dict)
    )


class X509Subject(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """spec.subject."""

    countries: Annotated[tuple[str, ...], Doc("C: two-letter codes.")] = ()
    localities: Annotated[tuple[str, ...], Doc("L: cities.")] = ()
    organizational_units: Annotated[tuple[str, ...], Doc("OU.")] = ()
    organizations: Annotated[tuple[str, ...], Doc("O.")] = ()
    postal_codes: Annotated[tuple[str, ...], Doc("Postal codes.")] = ()
    provinces: Annotated[tuple[str, ...], Doc("ST: states or provinces.")] = ()
    serial_number: Annotated[str, Doc("The serialNumber attribute of the subject, not the certificate's serial.")] = ""
    street_addresses: Annotated[tuple[str, ...], Doc("STREET.")] = ()


class CertificateSpec(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """What is wanted."""

    additional_output_formats: Annotated[
        tuple[AdditionalOutputFormat, ...], Doc("Further encodings kept in the same Secret.")
    ] = ()
    common_name: Annotated[
        str, Doc("Common name of the subject, at most 64 bytes. Verifiers look at dnsNames, not here.")
    ] = ""
    dns_names: Annotated[tuple[str, ...], Doc("DNS names the certificate is valid for; `*.` begins a wildcard.")] = ()
    duration: Annotated[
        str, Doc("Lifetime asked for, at least 1h; 2160h (90 days) when empty. Issuers may shorten it.")
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
        str, Doc("Renew this long before expiry, at least 5m; a third of the lifetime when empty.")
    ] = ""
    renew_before_percentage: Annotated[
        int | None,
        Doc("Renew when this percentage of the lifetime remains. Excludes renewBefore.", schema={"format": "int32"}),
    ] = None
    renewal: Annotated[CertificateRenewal | None, Doc("Whether and in which windows renewals happen.")] = None
    revision_history_limit: Annotated[
        int | None, Doc("How many issued CertificateRequests are kept; 1 when absent.", schema={"format": "int32"})
    ] = None
    secret_name: Annotated[
        str,
        Doc(
            "Secret that receives key and certificate; created when missing, kept when this object is deleted.",
            required=True,
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


class ARIWindow(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """status.acme.ari.suggestedWindow."""

    end: Annotated[datetime | None, Doc("End of the window.", required=True)] = None
    start: Annotated[datetime | None, Doc("Begin of the window.", required=True)] = None


class ARIStatus(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """status.acme.ari."""

    explanation_url: Annotated[str, Doc("Page of the CA that says why the window was chosen.")] = msgspec.field(
        default="", name="explanationURL"
    )
    last_checked: Annotated[datetime | None, Doc("When the CA was asked last.")] = None
    last_error: Annotated[str, Doc("Why the CA could not be asked the last time.")] = ""
    next_check: Annotated[datetime | None, Doc("When the CA is asked next.")] = None
    suggested_window: Annotated[ARIWindow | None, Doc("When the CA suggests to renew.")] = None


class CertificateACMEStatus(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """status.acme."""

    ari: Annotated[ARIStatus | None, Doc("Renewal information of the CA (RFC 9773).")] = None


class CertificateStatus(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """What is."""

    acme: Annotated[CertificateACMEStatus | None, Doc("What an ACME CA has said.")] = None
    conditions: Annotated[
        tuple[Condition, ...], Doc("Ready: the Secret holds what the spec asks for. Issuing: an issuance is under way.")
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


class Certificate(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """A certificate to be kept valid in a Secret."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: Annotated[CertificateSpec, Doc("What is wanted.")] = msgspec.field(default_factory=CertificateSpec)
    status: Annotated[CertificateStatus, Doc("What is.")] = msgspec.field(default_factory=CertificateStatus)
