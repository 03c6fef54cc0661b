"""The little of DER (ITU-T X.690) that the library has no words for.

``cryptography`` builds and parses certificates; this module serves where bytes must be kept or made exactly: names with
several values per type, raw extensions, and PKCS#12 files. Reading is strict (definite, shortest lengths; no trailing
bytes), never recurses, and takes time linear in the input.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

BOOLEAN, INTEGER, BIT_STRING, OCTET_STRING, NULL_TAG, OBJECT_ID = 0x01, 0x02, 0x03, 0x04, 0x05, 0x06
UTF8_STRING, PRINTABLE_STRING, IA5_STRING, BMP_STRING = 0x0C, 0x13, 0x16, 0x1E
SEQUENCE, SET = 0x30, 0x31

NULL = b"\x05\x00"
TRUE = b"\x01\x01\xff"

#: Bytes of an object identifier's content that are decoded; real ones have fewer than 20.
_OID_LIMIT = 64


class MalformedDER(ValueError):
    """Bytes that are not DER, or not of the expected shape."""


class Element(NamedTuple):
    """One value: its tag octet, its content, and the whole encoding. A tuple, because thousands are made."""

    tag: int
    content: bytes
    encoded: bytes


def tlv(tag: int, *parts: bytes) -> bytes:
    """Tag, length, and the parts as content."""
    content = b"".join(parts)
    length = len(content)
    if length < 0x80:
        return bytes((tag, length)) + content
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + content


def sequence(*parts: bytes) -> bytes:
    """SEQUENCE of the parts."""
    return tlv(SEQUENCE, *parts)


def set_of(parts: Iterable[bytes]) -> bytes:
    """SET OF: ascending by encoding (X.690 section 11.6)."""
    return tlv(SET, *sorted(parts))


def integer(value: int) -> bytes:
    """INTEGER, not negative."""
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def octet_string(content: bytes) -> bytes:
    """OCTET STRING."""
    return tlv(OCTET_STRING, content)


def explicit(number: int, *parts: bytes) -> bytes:
    """[number] EXPLICIT, constructed."""
    return tlv(0xA0 | number, *parts)


@lru_cache(maxsize=256)
def object_id(dotted: str) -> bytes:
    """OBJECT IDENTIFIER. Raises ValueError for anything but two or more decimal arcs of at most 28 digits each."""
    arcs = dotted.split(".")
    if len(arcs) < 2 or not all(arc.isascii() and arc.isdigit() and len(arc) <= 28 for arc in arcs):
        raise ValueError(f"{dotted!r} is not an object identifier")
    first, second, *rest = (int(arc) for arc in arcs)
    if first > 2 or (first < 2 and second > 39):
        raise ValueError(f"{dotted!r} is not an object identifier")
    content = b"".join(_base128(arc) for arc in (40 * first + second, *rest))
    if len(content) > _OID_LIMIT:
        raise ValueError("the object identifier is too long")
    return tlv(OBJECT_ID, content)


def _base128(arc: int) -> bytes:
    septets = [arc & 0x7F]
    while arc := arc >> 7:
        septets.append(0x80 | (arc & 0x7F))
    return bytes(reversed(septets))


@lru_cache(maxsize=256)
def dotted(content: bytes) -> str:
    """The dotted form of an OBJECT IDENTIFIER's content. Raises MalformedDER."""
    if not content or len(content) > _OID_LIMIT or content[-1] & 0x80:
        raise MalformedDER("an object identifier is malformed")
    arcs: list[int] = []
    arc = 0
    for octet in content:
        arc = arc << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(arc)
            arc = 0
    first = min(arcs[0] // 40, 2)
    return ".".join(map(str, (first, arcs[0] - 40 * first, *arcs[1:])))


def read(data: bytes, at: int = 0) -> Element:
    """The value that begins at offset ``at``. Raises MalformedDER."""
    if at + 2 > len(data):
        raise MalformedDER("a value is cut off")
    tag, length, start = data[at], data[at + 1], at + 2
    if tag & 0x1F == 0x1F:
        raise MalformedDER("a tag number is above 30")
    if length >= 0x80:
        octets = length & 0x7F
        if not 1 <= octets <= 4:
            raise MalformedDER("a length is indefinite or too large")
        start += octets
        length = int.from_bytes(data[at + 2 : start], "big")
        if length < 0x80 or length >> (8 * (octets - 1)) == 0:
            raise MalformedDER("a length is not in its shortest form")
    end = start + length
    if end > len(data):
        raise MalformedDER("a value is cut off")
    return Element(tag, data[start:end], data[at:end])


def read_all(data: bytes) -> list[Element]:
    """The values that fill ``data``. Raises MalformedDER."""
    elements: list[Element] = []
    at = 0
    while at < len(data):
        element = read(data, at)
        elements.append(element)
        at += len(element.encoded)
    return elements


def read_one(data: bytes, tag: int) -> Element:
    """The one value, with that tag, that fills ``data``. Raises MalformedDER."""
    element = read(data)
    if element.tag != tag or len(element.encoded) != len(data):
        raise MalformedDER(f"expected one value with tag {tag:#04x}")
    return element


def read_members(data: bytes, tag: int) -> list[Element]:
    """The members of the one SEQUENCE or SET that fills ``data``. Raises MalformedDER."""
    return read_all(read_one(data, tag).content)
