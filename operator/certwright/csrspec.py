"""From the words of the Certificate API to the plain values of :mod:`certwright_issuers`."""

from __future__ import annotations

from certwright.api import CertificateSpec, NameConstraintItem, X509Subject
from certwright.api import NameConstraints as APINameConstraints
from certwright_issuers.csr import NameConstraints, RequestSpec
from certwright_issuers.keys import KeySpec
from certwright_issuers.names import Subject

#: What an empty privateKey means (API contract section 5.1).
DEFAULT_ALGORITHM = "RSA"
DEFAULT_ENCODING = "PKCS1"
DEFAULT_ROTATION = "Always"
DEFAULT_SIZES = {"RSA": 2048, "ECDSA": 256, "Ed25519": 0}


def key_spec_of(spec: CertificateSpec) -> KeySpec:
    """Algorithm and size of the private key; size 0 where the algorithm has only one."""
    wanted = spec.private_key
    algorithm = (wanted.algorithm if wanted else "") or DEFAULT_ALGORITHM
    default = DEFAULT_SIZES.get(algorithm, 0)
    size = (wanted.size if wanted else None) or default
    return KeySpec(algorithm, size if default else 0)


def encoding_of(spec: CertificateSpec) -> str:
    """PKCS1 or PKCS8."""
    return (spec.private_key.encoding if spec.private_key else "") or DEFAULT_ENCODING


def request_spec_of(spec: CertificateSpec) -> RequestSpec:
    """What the CSR asks for."""
    return RequestSpec(
        common_name=spec.common_name,
        subject=_subject(spec.subject) if spec.subject else Subject(),
        literal_subject=spec.literal_subject,
        dns_names=spec.dns_names,
        email_addresses=spec.email_addresses,
        ip_addresses=spec.ip_addresses,
        uris=spec.uris,
        other_names=None
        if spec.other_names is None
        else tuple((other.oid, other.utf8_value) for other in spec.other_names),
        usages=spec.usages,
        encode_usages=spec.encode_usages_in_request is not False,
        is_ca=bool(spec.is_ca),
        name_constraints=_name_constraints(spec.name_constraints) if spec.name_constraints else None,
        signature_algorithm=spec.signature_algorithm,
    )


def _subject(subject: X509Subject) -> Subject:
    return Subject(
        organizations=subject.organizations,
        organizational_units=subject.organizational_units,
        countries=subject.countries,
        provinces=subject.provinces,
        localities=subject.localities,
        street_addresses=subject.street_addresses,
        postal_codes=subject.postal_codes,
        serial_number=subject.serial_number,
    )


def _name_constraints(constraints: APINameConstraints) -> NameConstraints:
    permitted = constraints.permitted or NameConstraintItem()
    excluded = constraints.excluded or NameConstraintItem()
    return NameConstraints(
        critical=bool(constraints.critical),
        permitted_dns=permitted.dns_domains,
        permitted_ips=permitted.ip_ranges,
        permitted_emails=permitted.email_addresses,
        permitted_uris=permitted.uri_domains,
        excluded_dns=excluded.dns_domains,
        excluded_ips=excluded.ip_ranges,
        excluded_emails=excluded.email_addresses,
        excluded_uris=excluded.uri_domains,
    )
