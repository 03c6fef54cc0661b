"""Distinguished names: from the API's fields or an RFC 4514 string to X.509, and back to fields."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.name import _ASN1Type
from cryptography.x509.oid import NameOID, ObjectIdentifier

#: Characters of a PrintableString (X.680 section 41.4); Go encodes names that consist of them as one.
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*")
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")


class InvalidName(ValueError):
    """A subject that can't be encoded. The message names the place."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The parts of a subject that the API has fields for, besides the common name."""

    organizations: tuple[str, ...] = ()
    organizational_units: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    provinces: tuple[str, ...] = ()
    localities: tuple[str, ...] = ()
    street_addresses: tuple[str, ...] = ()
    postal_codes: tuple[str, ...] = ()
    serial_number: str = ""


#: Field of :class:`Subject` -> attribute, in the order Go encodes them (crypto/x509/pkix); CN and serialNumber follow.
_FIELDS: tuple[tuple[str, ObjectIdentifier], ...] = (
    ("countries", NameOID.COUNTRY_NAME),
    ("organizations", NameOID.ORGANIZATION_NAME),
    ("organizational_units", NameOID.ORGANIZATIONAL_UNIT_NAME),
    ("localities", NameOID.LOCALITY_NAME),
    ("provinces", NameOID.STATE_OR_PROVINCE_NAME),
    ("street_addresses", NameOID.STREET_ADDRESS),
    ("postal_codes", NameOID.POSTAL_CODE),
)
#: Attribute words of literalSubject, upper case only (API contract row 8.65).
_LITERAL_WORDS = {
    "C": NameOID.COUNTRY_NAME,
    "O": NameOID.ORGANIZATION_NAME,
    "OU": NameOID.ORGANIZATIONAL_UNIT_NAME,
    "CN": NameOID.COMMON_NAME,
    "SERIALNUMBER": NameOID.SERIAL_NUMBER,
    "L": NameOID.LOCALITY_NAME,
    "ST": NameOID.STATE_OR_PROVINCE_NAME,
    "STREET": NameOID.STREET_ADDRESS,
    "DC": NameOID.DOMAIN_COMPONENT,
    "UID": NameOID.USER_ID,
}
#: Longest literal subject that is parsed: far beyond what any CA signs.
LITERAL_LIMIT = 16_384


def subject_name(subject: Subject, common_name: str) -> x509.Name:
    """The X.509 name: one RDN per kind, several values of a kind in one multi-valued RDN."""
    rdns = [[_attribute(oid, value) for value in getattr(subject, field)] for field, oid in _FIELDS]
    rdns.append([_attribute(NameOID.COMMON_NAME, common_name)] if common_name else [])
    rdns.append([_attribute(NameOID.SERIAL_NUMBER, subject.serial_number)] if subject.serial_number else [])
    try:
        return x509.Name([x509.RelativeDistinguishedName(rdn) for rdn in rdns if rdn])
    except ValueError as error:
        raise InvalidName(f"spec.subject: {error}") from error


def subject_fields(name: x509.Name) -> Subject:
    """The parts of a name that the API knows; the rest is left out."""
    values = {field: tuple(_text(a) for a in name.get_attributes_for_oid(oid)) for field, oid in _FIELDS}
    serial = name.get_attributes_for_oid(NameOID.SERIAL_NUMBER)
    return Subject(**values, serial_number=_text(serial[0]) if serial else "")


def common_name_of(name: x509.Name) -> str:
    """The last common name, as Go takes it; empty if there is none."""
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return _text(found[-1]) if found else ""


def literal_name(text: str) -> x509.Name:
    """Parse an RFC 4514 string; the first RDN of the text is the last of the encoding. Raises InvalidName."""
    if len(text) > LITERAL_LIMIT:
        raise InvalidName(f"spec.literalSubject: longer than {LITERAL_LIMIT} characters")
    rdns: list[list[x509.NameAttribute[str]]] = []
    at, current = 0, list[x509.NameAttribute[str]]()
    while at < len(text):
        word, equals, _ = text[at:].partition("=")
        if not equals:
            raise InvalidName(f"spec.literalSubject: no '=' after position {at}")
        value, at, end = _literal_value(text, at + len(word) + 1)
        current.append(_attribute(_literal_oid(word.strip()), value))
        if end != "+":
            rdns.append(current)
            current = []
        if end and at >= len(text):
            raise InvalidName(f"spec.literalSubject: ends after {end!r}")
    if not rdns:
        raise InvalidName("spec.literalSubject: is empty")
    try:
        return x509.Name([x509.RelativeDistinguishedName(rdn) for rdn in reversed(rdns)])
    except ValueError as error:
        raise InvalidName(f"spec.literalSubject: {error}") from error


def _literal_oid(word: str) -> ObjectIdentifier:
    if word in _LITERAL_WORDS:
        return _LITERAL_WORDS[word]
    if _OID.fullmatch(word):
        try:
            return ObjectIdentifier(word)
        except ValueError as error:
            raise InvalidName(f"spec.literalSubject: {word} is not an object identifier") from error
    known = ", ".join(_LITERAL_WORDS)
    raise InvalidName(f"spec.literalSubject: unknown attribute {word[:40]!r}; known are {known} and dotted OIDs")


def _literal_value(text: str, at: int) -> tuple[str, int, str]:
    """The value that begins at ``at``, where the next attribute begins, and which separator ended it ("" at the end)."""
    out = bytearray()
    kept = 0  # bytes up to the last one that must stay: trailing spaces go unless escaped (RFC 4514 section 2.4)
    while at < len(text) and text[at] == " ":
        at += 1
    if at < len(text) and text[at] == "#":
        raise InvalidName("spec.literalSubject: values in hexadecimal are not supported")
    while at < len(text):
        char = text[at]
        if char in ",;+":
            return _decoded(out[:kept]), at + 1, char
        if char == "\\":
            byte, at = _escaped(text, at + 1)
            out += byte
            kept = len(out)
            continue
        out += char.encode()
        if char != " ":
            kept = len(out)
        at += 1
    return _decoded(out[:kept]), at, ""


def _escaped(text: str, at: int) -> tuple[bytes, int]:
    """What a backslash stands for: the next character, or a byte in two hexadecimal digits."""
    if at >= len(text):
        raise InvalidName("spec.literalSubject: ends in a backslash")
    if text[at] in ' ",;+#=<>\\':
        return text[at].encode(), at + 1
    try:
        return bytes([int(text[at : at + 2], 16)]), at + 2
    except ValueError as error:
        raise InvalidName(f"spec.literalSubject: \\{text[at : at + 2]} is not an escape") from error


def _decoded(value: bytearray | bytes) -> str:
    try:
        text = bytes(value).decode()
    except UnicodeDecodeError as error:
        raise InvalidName("spec.literalSubject: a value is not UTF-8") from error
    if not text:
        raise InvalidName("spec.literalSubject: an attribute has no value")
    return text


def _attribute(oid: ObjectIdentifier, value: str) -> x509.NameAttribute[str]:
    """An attribute encoded as Go does: PrintableString where possible, else UTF8String (DC: IA5String by RFC 4519)."""
    if not value:
        raise InvalidName(f"spec.subject: an attribute of type {oid.dotted_string} is empty")
    kind = _ASN1Type.PrintableString if _PRINTABLE.fullmatch(value) else _ASN1Type.UTF8String
    if oid == NameOID.DOMAIN_COMPONENT:
        kind = _ASN1Type.IA5String if value.isascii() else _ASN1Type.UTF8String
    with warnings.catch_warnings():
        # Lengths are the API's business (admission), not the encoder's; country codes of other lengths exist.
        warnings.simplefilter("ignore", UserWarning)
        return x509.NameAttribute(oid, value, kind, _validate=False)


def _text(attribute: x509.NameAttribute[str | bytes]) -> str:
    value = attribute.value
    return value if isinstance(value, str) else value.hex()


def csv_line(values: Iterable[str]) -> str:
    """One record as Go's encoding/csv writes it, without the line end: how annotations list values."""
    out = io.StringIO()
    fields = list(values)
    if not fields:
        return ""
    csv.writer(out, lineterminator="").writerow(fields)
    return out.getvalue()
