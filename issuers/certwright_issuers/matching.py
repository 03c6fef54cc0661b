"""Whether a CSR or a certificate has what a spec asks for, and where a CSR contradicts the request around it."""

from __future__ import annotations

from collections.abc import Iterable

from certwright_issuers.certificate import CertificateFacts
from certwright_issuers.csr import CSRFacts, InvalidSpec, RequestSpec, name_der
from certwright_issuers.names import subject_of
from certwright_issuers.sans import AltNames, canonical_ip
from certwright_issuers.usages import bit_words, purpose_words, usage_set


def request_contradictions(facts: CSRFacts, usages: Iterable[str], *, is_ca: bool) -> tuple[str, ...]:
    """Where a CSR asks for something else than the request around it; empty if they agree.

    A CSR that says nothing agrees with everything. If it has one of KeyUsage and ExtendedKeyUsage, both are compared,
    the latter with its order (cert-manager API contract, CertificateRequest validation).
    """
    found: list[str] = []
    if facts.is_ca is not None and facts.is_ca != is_ca:
        found.append(f"the CSR has CA:{str(facts.is_ca).upper()}, spec.isCA is {str(is_ca).lower()}")
    if facts.key_usage is None and facts.extended_key_usage is None:
        return tuple(found)
    try:
        wanted = usage_set(usages, is_ca=is_ca)
    except ValueError as error:
        return (*found, str(error))
    bits = facts.key_usage or frozenset()
    purposes = tuple(dict.fromkeys(facts.extended_key_usage or ()))
    if bits != wanted.bits:
        found.append(f"the CSR's key usages are {bit_words(bits)}, those of spec.usages {bit_words(wanted.bits)}")
    if purposes != wanted.purposes:
        found.append(
            f"the CSR's extended key usages are {purpose_words(purposes)}, "
            f"those of spec.usages {purpose_words(wanted.purposes)}"
        )
    return tuple(found)


def request_matches_spec(facts: CSRFacts, spec: RequestSpec) -> tuple[str, ...]:
    """Field paths in which a CSR does not ask for what ``spec`` asks for; order and repetition don't count.

    Compared as the API does: names and subject, but neither usages, constraints, keys nor the signature algorithm.
    """
    fields = _differing_names(facts.names, spec)
    if not _same(facts.names.dns_names, spec.dns_names):
        fields.append("spec.dnsNames")
    if spec.other_names is not None and not _same(facts.names.other_names, spec.other_names):
        fields.append("spec.otherNames")
    if spec.literal_subject:
        return (*fields, *(() if _literal_or_none(spec) == facts.subject_der else ("spec.literalSubject",)))
    if facts.common_name != spec.common_name:
        fields.append("spec.commonName")
    if facts.subject.serial_number != spec.subject.serial_number:
        fields.append("spec.subject.serialNumber")
    for path, attribute in _SUBJECT_PATHS.items():
        if not _same(getattr(facts.subject, attribute), getattr(spec.subject, attribute)):
            fields.append(path)
    return tuple(fields)


#: Path in the API -> field of Subject, in the order of its messages, which have always called the postal codes so.
_SUBJECT_PATHS = {
    "spec.subject.organizations": "organizations",
    "spec.subject.countries": "countries",
    "spec.subject.localities": "localities",
    "spec.subject.organizationalUnits": "organizational_units",
    "spec.subject.postCodes": "postal_codes",
    "spec.subject.provinces": "provinces",
    "spec.subject.streetAddresses": "street_addresses",
}


def certificate_matches_spec(certificate: CertificateFacts, spec: RequestSpec) -> tuple[str, ...]:
    """Field paths in which a certificate does not have the names of ``spec``: for when its request is gone.

    Weaker than :func:`request_matches_spec`, because CAs move names between common name and DNS names, and write them
    in lower case: both together are one set, letter case does not count.
    """
    wanted = spec.common_name
    if spec.literal_subject:
        literal = _literal_or_none(spec)
        wanted = subject_of(literal)[1] if literal is not None else ""
    common_name, wanted = certificate.common_name.lower(), wanted.lower()
    dns_names, wanted_dns_names = (
        {name.lower() for name in names} for names in (certificate.names.dns_names, spec.dns_names)
    )
    have, want = dns_names | {common_name} - {""}, wanted_dns_names | {wanted} - {""}
    fields: list[str] = []
    if {wanted, common_name} - {""} - (have & want):
        fields.append("spec.commonName")
    if (dns_names | wanted_dns_names) - (have & want):
        fields.append("spec.dnsNames")
    return (*fields, *_differing_names(certificate.names, spec))


def _differing_names(names: AltNames, spec: RequestSpec) -> list[str]:
    """The kinds of names that both comparisons treat alike."""
    rows = (
        ("spec.ipAddresses", names.ip_addresses, map(_canonical_or_same, spec.ip_addresses)),
        ("spec.uris", names.uris, spec.uris),
        ("spec.emailAddresses", names.email_addresses, spec.email_addresses),
    )
    return [path for path, have, want in rows if not _same(have, want)]


def _same(have: Iterable[object], want: Iterable[object]) -> bool:
    return set(have) == set(want)


def _canonical_or_same(address: str) -> str:
    try:
        return canonical_ip(address)
    except ValueError:
        return address


def _literal_or_none(spec: RequestSpec) -> bytes | None:
    try:
        return name_der(spec)
    except InvalidSpec:
        return None
