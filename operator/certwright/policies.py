"""Why a Certificate is issued again, and why it is or isn't Ready: pure checks in their order of precedence.

A check takes the :class:`Situation` and returns a :class:`Violation` or None. The chains at the end are lists; the first
violation wins, so the order decides which reason people see (API contract section 2.1). Reasons and messages are literal:
tools match on them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from certwright.api import Certificate, CertificateRequest, IssuerRef
from certwright.api.duration import parse_go_duration
from certwright.api.groups import (
    ANNOTATION_CERTIFICATE_NAME,
    ANNOTATION_ISSUER_GROUP,
    ANNOTATION_ISSUER_KIND,
    ANNOTATION_ISSUER_NAME,
    DEFAULT_ISSUER_GROUP,
    DEFAULT_ISSUER_KIND,
)
from certwright.csrspec import key_spec_of, request_spec_of
from certwright.secretfacts import SecretFacts
from certwright_issuers.csr import InvalidCSR, parse_csr_facts
from certwright_issuers.keys import key_kind_violations
from certwright_issuers.matching import certificate_matches_spec, request_matches_spec
from certwright_issuers.temporary import TEMPORARY_ISSUER


@dataclass(frozen=True, slots=True)
class Situation:
    """Everything the checks may know."""

    certificate: Certificate
    #: The Secret named by the spec; None if there is none.
    secret: SecretFacts | None
    #: The request of revision ``status.revision``, if it still exists.
    current_request: CertificateRequest | None
    now: datetime
    #: When the certificate in the Secret is due; None: never, or there is none.
    renewal_time: datetime | None = None


@dataclass(frozen=True, slots=True)
class Violation:
    """Reason and message of a condition."""

    reason: str
    message: str


Check = Callable[[Situation], Violation | None]


def secret_exists(situation: Situation) -> Violation | None:
    """1: there is a Secret."""
    if situation.secret is None:
        return Violation("DoesNotExist", "Issuing certificate as Secret does not exist")
    return None


def secret_has_data(situation: Situation) -> Violation | None:
    """2: the Secret holds a key and a certificate."""
    secret = _secret(situation)
    for present, what in (
        (secret.has_data, "any data"),
        (secret.has_key, "a private key"),
        (secret.has_certificate, "a certificate"),
    ):
        if not present:
            return Violation("MissingData", f"Issuing certificate as Secret does not contain {what}")
    return None


def secret_is_a_pair(situation: Situation) -> Violation | None:
    """3: both decode and belong together."""
    secret = _secret(situation)
    if secret.key is None:
        return Violation(
            "InvalidKeyPair", f"Issuing certificate as Secret contains invalid private key data: {secret.key_error}"
        )
    if secret.certificate is None:
        return Violation(
            "InvalidCertificate",
            f"Issuing certificate as Secret contains an invalid certificate: {secret.certificate_error}",
        )
    if secret.key.spki_sha256 != secret.certificate.spki_sha256:
        return Violation(
            "InvalidKeyPair",
            "Issuing certificate as Secret contains a private key that does not match the certificate",
        )
    return None


def certificate_is_not_temporary(situation: Situation) -> Violation | None:
    """The certificate is not one that only bridges the time until the real one is issued (contract section 5.10)."""
    certificate = _secret(situation).certificate
    if certificate is None or certificate.issuer != TEMPORARY_ISSUER:
        return None
    return Violation("TemporaryCertificate", "Issuing certificate as Secret contains a temporary certificate")


def secret_is_of_this_issuer(situation: Situation) -> Violation | None:
    """4: the Secret's annotations name the issuer of the spec; absent or empty kind and group are the defaults."""
    annotations = _secret(situation).annotations
    ref = situation.certificate.spec.issuer_ref
    name = annotations.get(ANNOTATION_ISSUER_NAME)
    kind = annotations.get(ANNOTATION_ISSUER_KIND) or DEFAULT_ISSUER_KIND
    group = annotations.get(ANNOTATION_ISSUER_GROUP) or DEFAULT_ISSUER_GROUP
    annotated = {ANNOTATION_ISSUER_NAME, ANNOTATION_ISSUER_KIND, ANNOTATION_ISSUER_GROUP} & annotations.keys()
    if (kind, group) == (ref.effective_kind, ref.effective_group) and (not annotated or name == ref.name):
        return None
    return Violation(
        "IncorrectIssuer",
        f'Issuing certificate as Secret was previously issued by "{kind}.{group}/{name or ""}"',
    )


def secret_is_of_this_certificate(situation: Situation) -> Violation | None:
    """5: the Secret's annotation names this Certificate, if it names one."""
    name = _secret(situation).annotations.get(ANNOTATION_CERTIFICATE_NAME)
    if name is None or name == situation.certificate.metadata.name:
        return None
    return Violation("IncorrectCertificate", conflicting_certificates(name))


def conflicting_certificates(owner: str) -> str:
    """What the loser of two Certificates with one Secret is told."""
    return (
        f'Secret was issued for "{owner}". If this message is not transient, you might have two conflicting '
        "Certificates pointing to the same secret."
    )


def key_fits_the_spec(situation: Situation) -> Violation | None:
    """6: algorithm and size of the stored key are those of the spec."""
    key = _secret(situation).key
    violations = key_kind_violations(key, key_spec_of(situation.certificate.spec)) if key else ()
    if not violations:
        return None
    return Violation("SecretMismatch", f"Existing private key is not up to date for spec: [{' '.join(violations)}]")


def key_fits_the_request(situation: Situation) -> Violation | None:
    """7: the stored key is the one of the current request, if that still exists."""
    request, key = situation.current_request, _secret(situation).key
    if request is None or key is None:
        return None
    try:
        facts = parse_csr_facts(request.spec.request)
    except InvalidCSR as error:
        return Violation("InvalidCertificateRequest", f"Failed to decode current CertificateRequest: {error}")
    if facts.spki_sha256 != key.spki_sha256:
        return Violation(
            "SecretMismatch", "Secret contains a private key that does not match the current CertificateRequest"
        )
    return None


def request_fits_the_spec(situation: Situation) -> Violation | None:
    """8: the current request asks for what the spec asks for; without one, the names in the certificate are compared."""
    request, spec = situation.current_request, situation.certificate.spec
    if request is not None:
        fields = request_violations(request, situation.certificate)
        if fields:
            return Violation(
                "RequestChanged",
                f"Fields on existing CertificateRequest resource not up to date: [{' '.join(fields)}]",
            )
        return None
    stored = _secret(situation).certificate
    fields = certificate_matches_spec(stored, request_spec_of(spec)) if stored else ()
    if not fields:
        return None
    return Violation(
        "SecretMismatch",
        f"Issuing certificate as Existing issued Secret is not up to date for spec: [{' '.join(fields)}]",
    )


def renewal_is_not_due(situation: Situation) -> Violation | None:
    """9: the renewal time lies ahead."""
    due = situation.renewal_time
    if due is None or situation.now < due:
        return None
    return Violation("Renewing", f"Renewing certificate as renewal was scheduled at {go_time(due)}")


def certificate_is_unexpired(situation: Situation) -> Violation | None:
    """9': notAfter lies ahead."""
    stored = _secret(situation).certificate
    if stored is None or situation.now < stored.not_after:
        return None
    expired = stored.not_after.astimezone(UTC)
    return Violation("Expired", f"Certificate expired on {expired:%a, %d %b %Y %H:%M:%S} UTC")


#: A server can start with what the Secret holds.
USABLE: Final[Sequence[Check]] = (secret_exists, secret_has_data, secret_is_a_pair)
#: Both other chains begin alike.
_COMMON: Final[Sequence[Check]] = (
    *USABLE,
    certificate_is_not_temporary,
    secret_is_of_this_issuer,
    secret_is_of_this_certificate,
    key_fits_the_spec,
    key_fits_the_request,
    request_fits_the_spec,
)
TRIGGER: Final[Sequence[Check]] = (*_COMMON, renewal_is_not_due)
READINESS: Final[Sequence[Check]] = (*_COMMON, certificate_is_unexpired)


def first_violation(chain: Sequence[Check], situation: Situation) -> Violation | None:
    """The first check of the chain that fails decides."""
    return next((violation for check in chain if (violation := check(situation)) is not None), None)


def request_violations(request: CertificateRequest, certificate: Certificate) -> tuple[str, ...]:
    """Field paths in which a request no longer asks for what the Certificate asks for (contract: RequestMatchesSpec).

    Raises nothing: a CSR that does not decode counts as ``spec.request``.
    """
    spec = certificate.spec
    try:
        fields = list(request_matches_spec(parse_csr_facts(request.spec.request), request_spec_of(spec)))
    except InvalidCSR:
        return ("spec.request",)
    if bool(request.spec.is_ca) != bool(spec.is_ca):
        fields.append("spec.isCA")
    if sorted(request.spec.usages) != sorted(spec.usages):
        fields.append("spec.usages")
    if request.spec.duration and spec.duration and not _same_duration(request.spec.duration, spec.duration):
        fields.append("spec.duration")
    if _effective(request.spec.issuer_ref) != _effective(spec.issuer_ref):
        fields.append("spec.issuerRef")
    return tuple(fields)


def go_time(when: datetime) -> str:
    """A time as Go prints it, which is what messages of this API have always shown."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} +0000 UTC"


def _effective(ref: IssuerRef) -> tuple[str, str, str]:
    return ref.name, ref.effective_kind, ref.effective_group


def _same_duration(a: str, b: str) -> bool:
    try:
        return parse_go_duration(a) == parse_go_duration(b)
    except ValueError:
        return a == b


def _secret(situation: Situation) -> SecretFacts:
    """The Secret, for checks behind :func:`secret_exists`."""
    if situation.secret is None:
        raise AssertionError("checks on the Secret's content come after the check that it exists")
    return situation.secret
