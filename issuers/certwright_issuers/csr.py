"""Certificate signing requests (RFC 2986): made from a spec, and read into facts."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import lru_cache

from cryptography import x509
from cryptography.hazmat.primitives import serialization

from certwright_issuers import extensions as ext
from certwright_issuers.algorithms import UNREADABLE, hash_for, hash_named, require_acceptable
from certwright_issuers.constraints import Domains, constraints_der
from certwright_issuers.keys import PrivateKey
from certwright_issuers.names import Subject, library_name, literal_der, subject_der, subject_of
from certwright_issuers.pem import CERTIFICATE_LIMIT, CERTIFICATE_REQUEST, InvalidPEM, split_pem
from certwright_issuers.sans import SAN_OID, AltNames, encode_alt_names, read_alt_names
from certwright_issuers.usages import key_usage_der, read_key_usage, usage_set

#: Bytes of a request, in PEM or DER, that are looked at: as of a certificate, which a request becomes.
CSR_LIMIT = CERTIFICATE_LIMIT

_CRITICAL = True
#: Extensions of a request that are honoured; others are dropped unless they are critical.
_UNDERSTOOD = frozenset(
    (
        ext.BASIC_CONSTRAINTS_OID,
        ext.KEY_USAGE_OID,
        ext.EXTENDED_KEY_USAGE_OID,
        ext.NAME_CONSTRAINTS_OID,
        SAN_OID,
    )
)
#: The name of an empty subject.
EMPTY_NAME = b"\x30\x00"


class InvalidSpec(ValueError):
    """A spec no CSR can be made of. The message begins with the field at fault."""


class InvalidCSR(ValueError):
    """Bytes that are no acceptable CSR. The message never repeats them."""


@dataclass(frozen=True, slots=True)
class NameConstraints:
    """What the names under a CA must and must not be. IP ranges in CIDR form."""

    critical: bool = False
    permitted_dns: tuple[str, ...] = ()
    permitted_ips: tuple[str, ...] = ()
    permitted_emails: tuple[str, ...] = ()
    permitted_uris: tuple[str, ...] = ()
    excluded_dns: tuple[str, ...] = ()
    excluded_ips: tuple[str, ...] = ()
    excluded_emails: tuple[str, ...] = ()
    excluded_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """What a CSR is to ask for: the words of the API as plain values."""

    common_name: str = ""
    subject: Subject = field(default_factory=Subject)
    #: RFC 4514; if not empty, ``common_name`` and ``subject`` are empty.
    literal_subject: str = ""
    dns_names: tuple[str, ...] = ()
    email_addresses: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    #: Dotted type and UTF-8 value; None is not compared with a request, an empty tuple is.
    other_names: tuple[tuple[str, str], ...] | None = None
    usages: tuple[str, ...] = ()
    encode_usages: bool = True
    is_ca: bool = False
    encode_basic_constraints: bool = False
    name_constraints: NameConstraints | None = None
    #: A word of ``algorithms.SIGNATURE_ALGORITHMS``; empty: by the size of the key.
    signature_algorithm: str = ""


@dataclass(frozen=True, slots=True)
class CSRFacts:
    """What a CSR asks for, in comparable form. None: the CSR says nothing of it."""

    #: DER.
    subject_der: bytes
    common_name: str
    subject: Subject
    names: AltNames
    is_ca: bool | None
    #: Bits by position, RFC 5280 section 4.2.1.3.
    key_usage: frozenset[int] | None
    #: Dotted numbers in their order.
    extended_key_usage: tuple[str, ...] | None
    #: SHA-256 of the SubjectPublicKeyInfo.
    spki_sha256: bytes


@dataclass(frozen=True, slots=True)
class ParsedCSR:
    """A CSR whose own signature holds, and what it asks for."""

    csr: x509.CertificateSigningRequest
    facts: CSRFacts


def build_csr(spec: RequestSpec, key: PrivateKey) -> bytes:
    """The CSR for ``spec``, signed by ``key``, in PEM. Raises InvalidSpec."""
    try:
        subject = name_der(spec)
        builder = x509.CertificateSigningRequestBuilder().subject_name(library_name(subject))
        for oid, extension in _extensions(spec, subject).items():
            value = x509.UnrecognizedExtension(x509.ObjectIdentifier(oid), extension.value)
            builder = builder.add_extension(value, extension.critical)
        hash_ = hash_named(spec.signature_algorithm, key) if spec.signature_algorithm else hash_for(key)
    except ValueError as error:
        raise InvalidSpec(str(error)) from error
    encoded = builder.sign(key, hash_).public_bytes(serialization.Encoding.PEM)
    if len(encoded) > CSR_LIMIT:
        raise InvalidSpec(f"spec: the names make a request of {len(encoded)} bytes; the limit is {CSR_LIMIT}")
    return encoded


def name_der(spec: RequestSpec) -> bytes:
    """The subject of ``spec``. Raises InvalidSpec."""
    field = "spec.literalSubject" if spec.literal_subject else "spec.subject"
    try:
        if spec.literal_subject:
            return literal_der(spec.literal_subject)
        return subject_der(spec.subject, spec.common_name)
    except ValueError as error:
        raise InvalidSpec(f"{field}: {error}") from error


def _extensions(spec: RequestSpec, subject: bytes) -> ext.Extensions:
    """In this order: BasicConstraints, KeyUsage, ExtendedKeyUsage, SAN, NameConstraints."""
    wanted: ext.Extensions = {}
    if spec.encode_basic_constraints:
        wanted[ext.BASIC_CONSTRAINTS_OID] = ext.RawExtension(_CRITICAL, ext.basic_constraints_der(is_ca=spec.is_ca))
    if spec.encode_usages:
        usages = usage_set(spec.usages, is_ca=spec.is_ca)
        if usages.bits:
            wanted[ext.KEY_USAGE_OID] = ext.RawExtension(_CRITICAL, key_usage_der(usages.bits))
        if usages.purposes:
            wanted[ext.EXTENDED_KEY_USAGE_OID] = ext.RawExtension(not _CRITICAL, ext.purposes_der(usages.purposes))
    names = _alt_names(spec)
    if names:
        wanted[SAN_OID] = ext.RawExtension(subject == EMPTY_NAME, encode_alt_names(names))
    elif not subject_of(subject)[1]:
        raise InvalidSpec(
            "spec: there must be a commonName, or at least one of dnsNames, uris, emailAddresses, ipAddresses, otherNames"
        )
    limits = spec.name_constraints
    if limits is not None and (encoded := _constraints_der(limits)):
        wanted[ext.NAME_CONSTRAINTS_OID] = ext.RawExtension(limits.critical, encoded)
    return wanted


def _constraints_der(limits: NameConstraints) -> bytes:
    return constraints_der(
        Domains(limits.permitted_dns, limits.permitted_ips, limits.permitted_emails, limits.permitted_uris),
        Domains(limits.excluded_dns, limits.excluded_ips, limits.excluded_emails, limits.excluded_uris),
    )


def _alt_names(spec: RequestSpec) -> AltNames:
    return AltNames(
        dns_names=spec.dns_names,
        email_addresses=spec.email_addresses,
        ip_addresses=spec.ip_addresses,
        uris=spec.uris,
        other_names=spec.other_names or (),
    )


def parse_csr(data: bytes) -> ParsedCSR:
    """A CSR in PEM or DER that can be signed: its own signature verified, its key of an accepted kind and size.

    Hostile input is refused before it costs much: by size, then by key, then by structure. Raises InvalidCSR.
    """
    csr = _load(data)
    try:
        key = csr.public_key()
        require_acceptable(key)
    except UNREADABLE as error:
        raise InvalidCSR(f"the CSR's public key is not acceptable: {error}") from error
    facts = _facts(csr)
    _require_understood(csr)
    try:
        library_name(facts.subject_der)
        valid = csr.is_signature_valid
    except UNREADABLE as error:
        raise InvalidCSR(f"the CSR is not acceptable: {error}") from error
    if not valid:
        raise InvalidCSR("the CSR's signature does not fit its public key")
    return ParsedCSR(csr, facts)


def _require_understood(csr: x509.CertificateSigningRequest) -> None:
    """Refuse a CSR that asks for a critical extension which no certificate made here would have.

    Left out, the certificate would lack what its requester calls indispensable (RFC 5280 section 4.2).
    """
    strange = [
        oid for oid, value in ext.split_request(csr).extensions.items() if value.critical and oid not in _UNDERSTOOD
    ]
    if strange:
        raise InvalidCSR(f"the CSR asks for critical extensions that are not supported: {', '.join(strange)[:200]}")


#: One look at a Certificate asks several times; the largest facts take a quarter of a megabyte.
@lru_cache(maxsize=64)
def parse_csr_facts(data: bytes) -> CSRFacts:
    """What a CSR asks for, whoever signed it: for comparing, where signing was or will be checked elsewhere.

    Raises InvalidCSR.
    """
    return _facts(_load(data))


def _load(data: bytes) -> x509.CertificateSigningRequest:
    if len(data) > CSR_LIMIT:
        raise InvalidCSR(f"a CSR of {len(data)} bytes is larger than the limit of {CSR_LIMIT}")
    try:
        if data[:1] != b"\x30":
            # RFC 7468 section 7: older programs say NEW.
            blocks = split_pem(
                data.replace(b" NEW CERTIFICATE REQUEST", b" CERTIFICATE REQUEST"), CERTIFICATE_REQUEST, CSR_LIMIT
            )
            if len(blocks) != 1:
                raise InvalidCSR(f"{len(blocks)} CSRs where one is expected")
            data = blocks[0]
        return x509.load_der_x509_csr(data)
    except InvalidPEM as error:
        raise InvalidCSR(str(error)) from error
    except UNREADABLE as error:
        if isinstance(error, InvalidCSR):
            raise
        raise InvalidCSR("the CSR cannot be decoded") from error


def _facts(csr: x509.CertificateSigningRequest) -> CSRFacts:
    try:
        raw = ext.split_request(csr)
        subject, common_name = subject_of(raw.subject)
        values = {oid: extension.value for oid, extension in raw.extensions.items()}
        constraints = values.get(ext.BASIC_CONSTRAINTS_OID)
        usage = values.get(ext.KEY_USAGE_OID)
        purposes = values.get(ext.EXTENDED_KEY_USAGE_OID)
        names = values.get(SAN_OID)
        return CSRFacts(
            subject_der=raw.subject,
            common_name=common_name,
            subject=subject,
            names=AltNames() if names is None else read_alt_names(names),
            is_ca=None if constraints is None else ext.read_basic_constraints(constraints).is_ca,
            key_usage=None if usage is None else read_key_usage(usage),
            extended_key_usage=None if purposes is None else ext.read_purposes(purposes),
            spki_sha256=hashlib.sha256(raw.spki).digest(),
        )
    except ValueError as error:
        raise InvalidCSR(f"the CSR is malformed: {error}") from error
