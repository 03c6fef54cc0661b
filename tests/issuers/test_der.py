"""DER: what is written is read back, and what is not DER is refused."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers import der


@given(st.binary(max_size=70_000))
def test_a_value_survives(content: bytes) -> None:
    """Whatever its length."""
    element = der.read_one(der.octet_string(content), der.OCTET_STRING)
    assert element.content == content


@given(st.integers(0, 2), st.integers(0, 39), st.lists(st.integers(0, 2**40), max_size=5))
def test_object_identifiers_survive(first: int, second: int, rest: list[int]) -> None:
    """And are encoded as the library has them."""
    dotted = ".".join(map(str, (first, second, *rest)))
    encoded = der.object_id(dotted)
    assert der.dotted(der.read_one(encoded, der.OBJECT_ID).content) == dotted


def test_known_object_identifiers() -> None:
    """Examples with one and two octets per arc, and a large second arc below 2."""
    assert der.object_id("2.5.4.3").hex() == "0603550403"
    assert der.object_id("1.2.840.113549.1.9.14").hex() == "06092a864886f70d01090e"
    assert der.object_id("2.999.3").hex() == "0603883703"


@pytest.mark.parametrize(
    "dotted", ["", "1", "3.1", "1.40", "0.40.1", "1.2.", ".1.2", "1.-2", "1.2.x", "1.²", "1.2." + "9" * 60]
)
def test_what_is_no_object_identifier(dotted: str) -> None:
    """It is refused, in bounded time."""
    with pytest.raises(ValueError, match="object identifier"):
        der.object_id(dotted)


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\x04",
        b"\x04\x01",
        b"\x04\x80\x00\x00",
        b"\x04\x81\x01a",
        b"\x04\x82\x00\x80" + bytes(128),
        b"\x04\x85\x00\x00\x00\x00\x01a",
        b"\x1f\x1f\x00",
        b"\x04\x84\xff\xff\xff\xffa",
    ],
    ids=["nothing", "no length", "cut", "indefinite", "long 1", "leading zero", "five", "high tag", "four gigabytes"],
)
def test_what_is_not_der(encoded: bytes) -> None:
    """Cut off, indefinite, longer than needed, or beyond what is read here."""
    with pytest.raises(der.MalformedDER):
        der.read(encoded)


def test_trailing_bytes() -> None:
    """A value followed by another is not one value."""
    with pytest.raises(der.MalformedDER):
        der.read_one(der.NULL + b"\x00", der.NULL_TAG)


@given(st.binary(max_size=200))
def test_reading_is_total(data: bytes) -> None:
    """Any bytes are either values or malformed, and the values are all of them."""
    try:
        elements = der.read_all(data)
    except der.MalformedDER:
        return
    assert b"".join(element.encoded for element in elements) == data


def test_sets_are_sorted() -> None:
    """X.690 section 11.6: the library refuses sets in another order."""
    rdn = der.set_of(
        [der.sequence(der.object_id("2.5.4.3"), der.tlv(der.UTF8_STRING, name)) for name in (b"b", b"aa", b"a")]
    )
    assert [a.value for a in x509.Name.from_bytes(der.sequence(rdn))] == ["a", "b", "aa"]


@pytest.mark.parametrize(
    ("value", "encoded"), [(0, "020100"), (127, "02017f"), (128, "02020080"), (65537, "0203010001")]
)
def test_integers(value: int, encoded: str) -> None:
    """Without leading zeros, and never negative."""
    assert der.integer(value).hex() == encoded
