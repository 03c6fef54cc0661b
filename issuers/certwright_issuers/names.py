"""Distinguished names: the spec's subject and literalSubject to DER, and DER back to the spec's fields.

Names are made and read here rather than by ``cryptography``: several values of one type go into one set (X.501
section 9.3), the RFC 4514 parser of the library lacks attribute types and quoting rules of this API, and a name that
breaks an upper bound of X.520 has to be readable all the same.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from typing import Final

from cryptography import x509

from certwright_issuers import der

COMMON_NAME: Final = "2.5.4.3"
SERIAL_NUMBER: Final = "2.5.4.5"

#: Fields of Subject with many values, in the order in which they stand in a name, by attribute type.
_LISTS: Final = {
    "countries": "2.5.4.6",
    "organizations": "2.5.4.10",
    "organizational_units": "2.5.4.11",
    "localities": "2.5.4.7",
    "provinces": "2.5.4.8",
    "street_addresses": "2.5.4.9",
    "postal_codes": "2.5.4.17",
}
_FIELD_OF: Final = {oid: name for name, oid in _LISTS.items()}

#: Attribute types of a literal subject; letter case counts. All others are written as dotted numbers.
LITERAL_KEYS: Final = {
    "C": "2.5.4.6",
    "O": "2.5.4.10",
    "OU": "2.5.4.11",
    "CN": COMMON_NAME,
    "SERIALNUMBER": SERIAL_NUMBER,
    "L": "2.5.4.7",
    "ST": "2.5.4.8",
    "STREET": "2.5.4.9",
    "DC": "0.9.2342.19200300.100.1.25",
    "UID": "0.9.2342.19200300.100.1.1",
}
_SHORT: Final = {oid: key for key, oid in LITERAL_KEYS.items()}

#: How the string types of X.520's DirectoryString and its relatives are encoded (X.680 section 41).
_ENCODINGS: Final = {
    der.UTF8_STRING: "utf-8",
    der.PRINTABLE_STRING: "ascii",
    der.IA5_STRING: "ascii",
    der.BMP_STRING: "utf-16-be",
    0x12: "ascii",  # NumericString
    0x14: "latin-1",  # TeletexString, as everybody reads it
    0x1A: "ascii",  # VisibleString
    0x1C: "utf-32-be",  # UniversalString
}
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,\-./:=?]*")
_ESCAPABLE: Final = frozenset(' "#+,;<=>\\')
#: A value of a record of RFC 4180 with and without quotes; doubled quotes inside stand for one.
_CSV_QUOTED: Final = re.compile(r'"([^"]*(?:""[^"]*)*)"')
_CSV_PLAIN: Final = re.compile(r'([^",\r\n]*)')


class InvalidName(ValueError):
    """A distinguished name that can't be encoded or decoded."""


@dataclass(frozen=True, slots=True)
class Subject:
    """The structured subject of a certificate, without its common name."""

    organizations: tuple[str, ...] = ()
    organizational_units: tuple[str, ...] = ()
    countries: tuple[str, ...] = ()
    provinces: tuple[str, ...] = ()
    localities: tuple[str, ...] = ()
    street_addresses: tuple[str, ...] = ()
    postal_codes: tuple[str, ...] = ()
    serial_number: str = ""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One type and value of a name: the type's dotted number."""

    oid: str
    value: str


def subject_der(subject: Subject, common_name: str) -> bytes:
    """The name in the order C, O, OU, L, ST, STREET, postalCode, CN, serialNumber; values of one type share a set."""
    groups = [(oid, getattr(subject, field)) for field, oid in _LISTS.items()]
    groups += [(COMMON_NAME, (common_name,) if common_name else ())]
    groups += [(SERIAL_NUMBER, (subject.serial_number,) if subject.serial_number else ())]
    # Equal members would make it no set; parsers refuse that.
    rdns = (der.set_of({_attribute_der(Attribute(oid, value)) for value in values}) for oid, values in groups if values)
    return der.sequence(*rdns)


def literal_der(literal: str) -> bytes:
    """The name that an RFC 4514 string describes. The last part of the string is the first of the name (section 2.1).

    Raises InvalidName.
    """
    return der.sequence(*map(_rdn_der, reversed(parse_literal(literal))))


def _rdn_der(attributes: tuple[Attribute, ...]) -> bytes:
    encoded = {_attribute_der(attribute) for attribute in attributes}
    if len(encoded) != len(attributes):
        raise InvalidName("a part of the name holds the same attribute twice")
    return der.set_of(encoded)


def _attribute_der(attribute: Attribute) -> bytes:
    """PrintableString where the value allows it, else UTF8String (RFC 5280 section 4.1.2.4)."""
    if "\0" in attribute.value:
        raise InvalidName("a value of the name holds a NUL character")
    tag = der.PRINTABLE_STRING if _PRINTABLE.fullmatch(attribute.value) else der.UTF8_STRING
    try:
        return der.sequence(der.object_id(attribute.oid), der.tlv(tag, attribute.value.encode()))
    except ValueError as error:
        raise InvalidName(str(error)) from error


def parse_literal(literal: str) -> list[tuple[Attribute, ...]]:
    """The parts of an RFC 4514 string, in its order. ``;`` separates as ``,`` does, as in RFC 2253.

    Raises InvalidName. Takes time linear in the string.
    """
    if not literal.strip():
        return []
    rdns: list[tuple[Attribute, ...]] = []
    attributes: list[Attribute] = []
    start = 0
    for end in _separators(literal):
        attributes.append(_parse_attribute(literal[start:end]))
        start = end + 1
        if literal[end : end + 1] != "+":
            rdns.append(tuple(attributes))
            attributes = []
    return rdns


def _separators(literal: str) -> Iterator[int]:
    """Where unescaped separators stand, and the end of the string."""
    for match in re.finditer(r"\\.|[,;+]", literal, re.DOTALL):
        if match[0][0] != "\\":
            yield match.start()
    yield len(literal)


def _parse_attribute(text: str) -> Attribute:
    key, equals, value = text.partition("=")
    key = key.strip(" ")
    if not equals or not key:
        raise InvalidName(f"{text.strip()!r} is not a type and a value joined by '='")
    oid = LITERAL_KEYS.get(key)
    if oid is None:
        if not key[0].isdigit():
            known = ", ".join(LITERAL_KEYS)
            raise InvalidName(f"{key!r} is not a known attribute type: use one of {known} or a dotted number")
        oid = key
    value = value.lstrip(" ")
    return Attribute(oid, _hex_value(value) if value.startswith("#") else _unescaped(value))


def _unescaped(value: str) -> str:
    """RFC 4514 section 3: a backslash before a special character or before two hexadecimal digits of UTF-8."""
    plain = bytearray()
    at = kept = 0
    while at < len(value):
        if value[at] != "\\":
            plain += value[at].encode("utf-8", "surrogatepass")
            at += 1
            kept = kept if value[at - 1] == " " else len(plain)
            continue
        escaped = value[at + 1 : at + 2]
        if escaped and escaped in _ESCAPABLE:
            plain += escaped.encode()
            at += 2
        else:
            plain += _hex(value[at + 1 : at + 3])
            at += 3
        kept = len(plain)
    # Trailing spaces belong to the value only where they are escaped.
    return _text(bytes(plain[:kept]))


def _hex(digits: str) -> bytes:
    if len(digits) < 2 or not re.fullmatch(r"([0-9a-fA-F]{2})+", digits):
        raise InvalidName("a backslash or '#' in the name is not followed by what may follow it")
    return bytes.fromhex(digits)


def _hex_value(value: str) -> str:
    """RFC 4514 section 2.4: ``#`` and the encoding of a string value."""
    try:
        element = der.read(_hex(value[1:].rstrip(" ")))
    except der.MalformedDER as error:
        raise InvalidName(f"a '#' value of the name is malformed: {error}") from error
    return _text(element.content)


def _text(octets: bytes) -> str:
    try:
        return octets.decode()
    except UnicodeDecodeError as error:
        raise InvalidName("a value of the name is not UTF-8") from error


def read_name(encoded: bytes) -> tuple[tuple[Attribute, ...], ...]:
    """The parts of a name in DER, in its order; values that are no strings are left out. Raises InvalidName."""
    try:
        return tuple(
            tuple(_read_attributes(der.read_all(_expect(rdn, der.SET))))
            for rdn in der.read_members(encoded, der.SEQUENCE)
        )
    except ValueError as error:
        raise InvalidName("the distinguished name is malformed") from error


def _read_attributes(members: Iterable[der.Element]) -> Iterator[Attribute]:
    for member in members:
        oid, value = der.read_all(_expect(member, der.SEQUENCE))
        encoding = _ENCODINGS.get(value.tag)
        if encoding is not None:
            yield Attribute(der.dotted(_expect(oid, der.OBJECT_ID)), value.content.decode(encoding))


def _expect(element: der.Element, tag: int) -> bytes:
    if element.tag != tag:
        raise der.MalformedDER(f"expected a value with tag {tag:#04x}")
    return element.content


def subject_of(encoded: bytes) -> tuple[Subject, str]:
    """A name in DER as the API's fields, and its common name; of several the last. Raises InvalidName."""
    values: dict[str, list[str]] = {}
    single = {COMMON_NAME: "", SERIAL_NUMBER: ""}
    for attributes in read_name(encoded):
        for attribute in attributes:
            if attribute.oid in single:
                single[attribute.oid] = attribute.value
            elif attribute.oid in _FIELD_OF:
                values.setdefault(_FIELD_OF[attribute.oid], []).append(attribute.value)
    lists = {field.name: tuple(values.get(field.name, ())) for field in fields(Subject) if field.name in _LISTS}
    return Subject(**lists, serial_number=single[SERIAL_NUMBER]), single[COMMON_NAME]


def display_name(encoded: bytes) -> str:
    """A name for people, in the order of RFC 4514: ``CN=a,O=b``. Raises InvalidName."""
    parts = (
        "+".join(f"{_SHORT.get(a.oid, a.oid)}={_escaped(a.value)}" for a in attributes)
        for attributes in read_name(encoded)
    )
    return ",".join(reversed(list(parts)))


def _escaped(value: str) -> str:
    escaped = re.sub(r'([,+"\\<>;])', r"\\\1", value)
    return "".join(char if char.isprintable() else "?" for char in escaped)


def library_name(encoded: bytes) -> x509.Name:
    """The name as the library's builders want it, byte for byte. Raises InvalidName."""
    with warnings.catch_warnings():
        # X.520's upper bounds (CN 64, C 2) are the API's business; the library only warns.
        warnings.simplefilter("ignore", UserWarning)
        try:
            name = x509.Name.from_bytes(encoded)
            if name.public_bytes() == encoded:
                return name
        except ValueError as error:
            raise InvalidName("the distinguished name is malformed") from error
    raise InvalidName("the distinguished name has an unusual encoding")


def csv_line(values: Iterable[str]) -> str:
    """One record of RFC 4180 as Go writes it, without line end: how annotations of this API list values."""
    return ",".join(_csv_field(value) for value in values)


def _csv_field(value: str) -> str:
    # What Python takes for spaces besides those of Unicode, Go does not: four separators among the control characters.
    if not re.search(r'[,"\r\n]|^[^\S\x1c-\x1f]|^\\\.$', value):
        return value
    return '"' + value.replace('"', '""') + '"'


def read_csv_line(text: str) -> tuple[str, ...]:
    """The values of one record of RFC 4180, as Go reads it: quotes only around a whole value, spaces are part of it.

    Raises ValueError for misplaced quotes and for more than one line. Takes time linear in the text.
    """
    text = text.removesuffix("\n").removesuffix("\r")
    if not text:
        return ()
    values: list[str] = []
    at = 0
    while True:
        match = _CSV_QUOTED.match(text, at) or _CSV_PLAIN.match(text, at)
        if match is None or text[match.end() : match.end() + 1] not in {"", ","}:
            raise ValueError(f"{text!r} is not one line of values with commas between and quotes around whole ones")
        values.append(match[1].replace('""', '"'))
        at = match.end() + 1
        if at > len(text):
            return tuple(values)
