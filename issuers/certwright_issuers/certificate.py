"""Certificates as they are compared and shown: facts of the first one in a PEM chain."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.x509.oid import ExtensionOID

from certwright_issuers.digest import spki_digest
from certwright_issuers.names import Subject, common_name_of, subject_fields
from certwright_issuers.sans import AlternativeNames, alternative_names_of

#: Bytes of one certificate, and of a chain, that are looked at (API contract section 3.0).
CERTIFICATE_LIMIT = 36_500
CHAIN_LIMIT = 95_000
#: Certificates in a chain.
CHAIN_LENGTH = 1000
#: Found by one scan without back-tracking, so that no input costs more than its length (CVE-2024-12401).
_BLOCK = re.compile(rb"-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----")


class InvalidCertificate(ValueError):
    """Bytes that are no usable certificate; the message says why in one sentence."""


@dataclass(frozen=True, slots=True)
class CertificateFacts:
    """A certificate without its bytes. Times are aware, UTC."""

    not_before: datetime
    not_after: datetime
    spki_sha256: bytes
    common_name: str
    subject: Subject
    names: AlternativeNames
    is_ca: bool
    serial: int
    issuer: str

    @property
    def dns_names(self) -> tuple[str, ...]:
        """Shorthand."""
        return self.names.dns_names


def split_chain(pem: bytes, limit: int = CHAIN_LIMIT) -> list[bytes]:
    """The PEM blocks of a chain. Raises InvalidCertificate when it is too large or holds none."""
    if len(pem) > limit:
        raise InvalidCertificate(f"certificates of {len(pem)} bytes are larger than the limit of {limit}")
    blocks = [match.group() for match in _BLOCK.finditer(pem)]
    if not blocks:
        raise InvalidCertificate("no certificate in PEM can be found")
    if len(blocks) > CHAIN_LENGTH:
        raise InvalidCertificate(f"{len(blocks)} certificates are more than the limit of {CHAIN_LENGTH}")
    return blocks


def load_certificate(pem: bytes) -> x509.Certificate:
    """One certificate. Raises InvalidCertificate."""
    if len(pem) > CERTIFICATE_LIMIT:
        raise InvalidCertificate(f"certificate of {len(pem)} bytes is larger than the limit of {CERTIFICATE_LIMIT}")
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        certificate.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidCertificate(f"a certificate can't be decoded: {str(error)[:200]}") from error
    return certificate


def load_chain(pem: bytes, limit: int = CHAIN_LIMIT) -> list[x509.Certificate]:
    """All certificates of a chain. Raises InvalidCertificate."""
    return [load_certificate(block) for block in split_chain(pem, limit)]


def parse_certificate_facts(pem: bytes) -> CertificateFacts:
    """Facts of the first certificate. Raises InvalidCertificate."""
    return facts_of(load_certificate(split_chain(pem)[0]))


def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    """Reduce a certificate. Raises InvalidCertificate when its extensions can't be read."""
    try:
        sans = _extension(certificate, ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
        return CertificateFacts(
            not_before=certificate.not_valid_before_utc,
            not_after=certificate.not_valid_after_utc,
            spki_sha256=spki_digest(certificate.public_key()),
            common_name=common_name_of(certificate.subject),
            subject=subject_fields(certificate.subject),
            names=alternative_names_of(sans),
            is_ca=is_ca(certificate),
            serial=certificate.serial_number,
            issuer=certificate.issuer.rfc4514_string(),
        )
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise InvalidCertificate(f"a certificate's extensions can't be read: {str(error)[:200]}") from error


def is_ca(certificate: x509.Certificate) -> bool:
    """Whether the basic constraints say so (RFC 5280 section 4.2.1.9)."""
    basic = _extension(certificate, ExtensionOID.BASIC_CONSTRAINTS)
    return isinstance(basic, x509.BasicConstraints) and basic.ca


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether it is signed with its own key."""
    if certificate.subject != certificate.issuer:
        return False
    return is_issued_by(certificate, certificate)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether the names chain and the signature verifies."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm: all mean no)
        return False
    return True


def _extension(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> x509.ExtensionType | None:
    try:
        return certificate.extensions.get_extension_for_oid(oid).value
    except x509.ExtensionNotFound:
        return None
