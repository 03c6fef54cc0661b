"""Extensions as raw bytes, of requests and of certificates.

``cryptography`` decodes all extensions at once or none, and refuses some that this API allows (encipherOnly without
keyAgreement) or only wants copied (the subject alternative names). Here they are split, and read one by one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cryptography import x509

from certwright_issuers import der

KEY_USAGE_OID: Final = "2.5.29.15"
EXTENDED_KEY_USAGE_OID: Final = "2.5.29.37"
BASIC_CONSTRAINTS_OID: Final = "2.5.29.19"
NAME_CONSTRAINTS_OID: Final = "2.5.29.30"
SUBJECT_KEY_ID_OID: Final = "2.5.29.14"
AUTHORITY_KEY_ID_OID: Final = "2.5.29.35"

#: RFC 2985 section 5.4.2.
_EXTENSION_REQUEST_OID: Final = "1.2.840.113549.1.9.14"
#: Tags of an extension's members; the flag may be left out.
_SHAPES: Final = ([der.OBJECT_ID, der.OCTET_STRING], [der.OBJECT_ID, der.BOOLEAN, der.OCTET_STRING])


class InvalidExtension(ValueError):
    """Extensions, or one of them, that can't be decoded."""


@dataclass(frozen=True, slots=True)
class RawExtension:
    """Criticality, and the DER inside the OCTET STRING."""

    critical: bool
    value: bytes


Extensions = dict[str, RawExtension]


@dataclass(frozen=True, slots=True)
class BasicConstraints:
    """RFC 5280 section 4.2.1.9."""

    is_ca: bool
    path_length: int | None


#: What a certificate without the extension says.
NO_CONSTRAINTS: Final = BasicConstraints(is_ca=False, path_length=None)


@dataclass(frozen=True, slots=True)
class RawRequest:
    """The parts of a CertificationRequestInfo (RFC 2986 section 4.1), in DER."""

    subject: bytes
    spki: bytes
    extensions: Extensions


@dataclass(frozen=True, slots=True)
class RawCertificate:
    """The parts of a TBSCertificate (RFC 5280 section 4.1.2), in DER."""

    issuer: bytes
    subject: bytes
    spki: bytes
    extensions: Extensions


def split_request(csr: x509.CertificateSigningRequest) -> RawRequest:
    """Take a request apart. Raises InvalidExtension."""
    asked: list[bytes] = []
    try:
        _, subject, spki, attributes = der.read_members(csr.tbs_certrequest_bytes, der.SEQUENCE)
        for attribute in der.read_all(attributes.content):
            oid, values = der.read_members(attribute.encoded, der.SEQUENCE)
            if der.dotted(oid.content) == _EXTENSION_REQUEST_OID:
                asked += [value.encoded for value in der.read_members(values.encoded, der.SET)]
    except ValueError as error:
        raise InvalidExtension("the attributes of the request are malformed") from error
    if len(asked) > 1:
        raise InvalidExtension("the request asks for extensions twice")
    return RawRequest(subject.encoded, spki.encoded, _split(asked[0]) if asked else {})


def split_certificate(certificate: x509.Certificate) -> RawCertificate:
    """Take a certificate apart. Raises InvalidExtension."""
    try:
        parts = der.read_members(certificate.tbs_certificate_bytes, der.SEQUENCE)
        # The version is left out in certificates of version 1.
        parts = parts[1:] if parts[0].tag == 0xA0 else parts
        _, _, issuer, _, subject, spki, *rest = parts
    except (ValueError, IndexError) as error:
        raise InvalidExtension("the certificate is malformed") from error
    extensions = next((part.content for part in rest if part.tag == 0xA3), b"")
    return RawCertificate(issuer.encoded, subject.encoded, spki.encoded, _split(extensions) if extensions else {})


def _split(encoded: bytes) -> Extensions:
    """Extensions by dotted type; one of each type at most (RFC 5280 section 4.2)."""
    extensions: Extensions = {}
    try:
        for member in der.read_members(encoded, der.SEQUENCE):
            name, extension = _read_extension(der.read_members(member.encoded, der.SEQUENCE))
            if extensions.setdefault(name, extension) is not extension:
                raise InvalidExtension(f"the extension {name} is there twice")
    except der.MalformedDER as error:
        raise InvalidExtension("the extensions are malformed") from error
    return extensions


def _read_extension(members: list[der.Element]) -> tuple[str, RawExtension]:
    if [member.tag for member in members] not in _SHAPES:
        raise InvalidExtension("an extension is malformed")
    critical = len(members) == 3 and members[1].content != b"\0"
    return der.dotted(members[0].content), RawExtension(critical, members[-1].content)


def read_basic_constraints(encoded: bytes) -> BasicConstraints:
    """Raises InvalidExtension."""
    try:
        members = der.read_members(encoded, der.SEQUENCE)
    except der.MalformedDER as error:
        raise InvalidExtension("the BasicConstraints extension is malformed") from error
    tags = [member.tag for member in members]
    if tags not in ([], [der.BOOLEAN], [der.INTEGER], [der.BOOLEAN, der.INTEGER]):
        raise InvalidExtension("the BasicConstraints extension is malformed")
    by_tag = {member.tag: member.content for member in members}
    length = by_tag.get(der.INTEGER)
    return BasicConstraints(
        is_ca=by_tag.get(der.BOOLEAN, b"\0") != b"\0",
        path_length=None if length is None else int.from_bytes(length, "big"),
    )


def basic_constraints_der(*, is_ca: bool) -> bytes:
    """Without a path length, as this API has always had it."""
    return der.sequence(der.TRUE) if is_ca else der.sequence()


def read_purposes(encoded: bytes) -> tuple[str, ...]:
    """The dotted numbers of an ExtendedKeyUsage extension, in their order. Raises InvalidExtension."""
    try:
        return tuple(der.dotted(member.content) for member in der.read_members(encoded, der.SEQUENCE))
    except der.MalformedDER as error:
        raise InvalidExtension("the ExtendedKeyUsage extension is malformed") from error


def purposes_der(purposes: tuple[str, ...]) -> bytes:
    """The ExtendedKeyUsage extension's value."""
    return der.sequence(*map(der.object_id, purposes))
