"""Certificates as they are compared and shown: loading within limits, and facts without bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from cryptography import x509

from certwright_issuers import der
from certwright_issuers import extensions as ext
from certwright_issuers.algorithms import UNREADABLE
from certwright_issuers.names import Subject, display_name, subject_of
from certwright_issuers.pem import CERTIFICATE, CERTIFICATE_LIMIT, CHAIN_LIMIT, InvalidPEM, split_pem
from certwright_issuers.sans import SAN_OID, AltNames, read_alt_names
from certwright_issuers.usages import CERT_SIGN, read_key_usage

#: Of keyIdentifier, implicitly tagged [0], in an AuthorityKeyIdentifier.
KEY_ID_TAG = 0x80


class InvalidCertificate(ValueError):
    """Bytes that are no usable certificate; the message says why in one sentence."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """A certificate without its bytes. Times are aware, UTC. ``issuer`` and ``subject_name`` are for people."""

    not_before: datetime
    not_after: datetime
    spki_sha256: bytes
    common_name: str
    subject: Subject
    names: AltNames
    is_ca: bool
    serial: int
    issuer: str
    subject_name: str
    #: Key identifier of the issuer's key (RFC 5280 section 4.2.1.1), if the certificate names it.
    authority_key_id: bytes | None


@dataclass(frozen=True, slots=True)
class CAFacts:
    """What a certificate says of its holder as a CA."""

    is_ca: bool
    #: False only if there is a KeyUsage extension without the cert sign bit (RFC 5280 section 4.2.1.3).
    may_sign: bool
    path_length: int | None
    key_id: bytes | None
    #: DER of the name constraints; empty if there are none.
    name_constraints: bytes


def load_chain(pem: bytes, limit: int = CHAIN_LIMIT) -> list[x509.Certificate]:
    """All certificates, in their order; at least one. Raises InvalidCertificate."""
    try:
        blocks = split_pem(pem, CERTIFICATE, limit)
    except InvalidPEM as error:
        raise InvalidCertificate(str(error)) from error
    return [_load(block, number) for number, block in enumerate(blocks, 1)]


def _load(block: bytes, number: int) -> x509.Certificate:
    if len(block) > CERTIFICATE_LIMIT:
        raise InvalidCertificate(f"certificate {number} is larger than the limit of {CERTIFICATE_LIMIT} bytes")
    try:
        # Before the library sees it, some versions of which warn and later ones raise.
        if _has_positive_serial(block):
            return x509.load_der_x509_certificate(block)
    except UNREADABLE as error:
        raise InvalidCertificate(f"certificate {number} cannot be decoded") from error
    raise InvalidCertificate(f"certificate {number} has a serial number that is not positive")


def _has_positive_serial(block: bytes) -> bool:
    """RFC 5280 section 4.1.2.2. Raises MalformedDER."""
    signed = der.read(der.read_one(block, der.SEQUENCE).content)
    serial = der.read(signed.content)
    if serial.tag == 0xA0:
        serial = der.read(signed.content, len(serial.encoded))
    return bool(serial.content) and serial.content[0] < 0x80 and any(serial.content)


#: An issuance asks three times: when signed, when stored, and when the stored Secret comes back.
@lru_cache(maxsize=64)
def parse_certificate_facts(pem: bytes) -> CertificateFacts:
    """Facts of the first certificate of a chain that decodes as a whole. Raises InvalidCertificate."""
    return facts_of(load_chain(pem)[0])


def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    """Reduce a certificate to facts. Raises InvalidCertificate."""
    try:
        raw = ext.split_certificate(certificate)
        subject, common_name = subject_of(raw.subject)
        names = raw.extensions.get(SAN_OID)
        constraints = raw.extensions.get(ext.BASIC_CONSTRAINTS_OID)
        return CertificateFacts(
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            spki_sha256=hashlib.sha256(raw.spki).digest(),
            common_name=common_name,
            subject=subject,
            names=read_alt_names(names.value) if names is not None else AltNames(),
            is_ca=constraints is not None and ext.read_basic_constraints(constraints.value).is_ca,
            serial=certificate.serial_number,
            issuer=display_name(raw.issuer),
            subject_name=display_name(raw.subject),
            authority_key_id=_authority_key_id(raw.extensions),
        )
    except ValueError as error:
        raise InvalidCertificate(f"the certificate is malformed: {error}") from error


def _authority_key_id(extensions: ext.Extensions) -> bytes | None:
    """None also for a malformed one: nothing but the renewal information of a CA depends on it."""
    found = extensions.get(ext.AUTHORITY_KEY_ID_OID)
    if found is None:
        return None
    try:
        members = der.read_members(found.value, der.SEQUENCE)
    except der.MalformedDER:
        return None
    return next((member.content for member in members if member.tag == KEY_ID_TAG), None)


def ca_facts_of(certificate: x509.Certificate) -> CAFacts:
    """What a certificate says of its holder as a CA. Raises InvalidCertificate."""
    try:
        values = {oid: extension.value for oid, extension in ext.split_certificate(certificate).extensions.items()}
        basic = values.get(ext.BASIC_CONSTRAINTS_OID)
        constraints = ext.read_basic_constraints(basic) if basic is not None else ext.NO_CONSTRAINTS
        usage, key_id = values.get(ext.KEY_USAGE_OID), values.get(ext.SUBJECT_KEY_ID_OID)
        return CAFacts(
            is_ca=constraints.is_ca,
            may_sign=usage is None or CERT_SIGN in read_key_usage(usage),
            path_length=constraints.path_length,
            key_id=der.read_one(key_id, der.OCTET_STRING).content if key_id is not None else None,
            name_constraints=values.get(ext.NAME_CONSTRAINTS_OID, b""),
        )
    except ValueError as error:
        raise InvalidCertificate(f"the certificate is malformed: {error}") from error
