"""Alternative names: to DER, back, and against the library's reading."""

from __future__ import annotations

import contextlib
import ipaddress

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers import der
from certwright_issuers.sans import AltNames, InvalidAltName, canonical_ip, encode_alt_names, read_alt_names

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=20)
IPS = st.ip_addresses().map(str).map(canonical_ip)
OTHERS = st.tuples(st.sampled_from(["1.3.6.1.4.1.311.20.2.3", "2.999"]), st.text(st.characters(codec="utf-8")))


def tuples(of: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """A few."""
    return st.lists(of, max_size=3).map(tuple)


NAMES = st.builds(
    AltNames, tuples(VISIBLE), tuples(VISIBLE), tuples(IPS), tuples(VISIBLE), st.lists(OTHERS, max_size=2).map(tuple)
)


@given(NAMES)
def test_names_survive(wanted: AltNames) -> None:
    """All five kinds, in their order."""
    assert read_alt_names(encode_alt_names(wanted)) == wanted


def test_order_of_kinds() -> None:
    """DNS, email, IP, URI, otherName, as the library reads them."""
    wanted = AltNames(("b", "a"), ("m@x",), ("192.0.2.1", "::1"), ("u:1",), (("1.2.3", "ö"),))
    value = encode_alt_names(wanted)
    encoded = der.sequence(der.object_id("2.5.29.17"), der.octet_string(value))
    assert encoded
    library = x509.SubjectAlternativeName(
        [
            x509.DNSName("b"),
            x509.DNSName("a"),
            x509.RFC822Name("m@x"),
            x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
            x509.IPAddress(ipaddress.ip_address("::1")),
            x509.UniformResourceIdentifier("u:1"),
            x509.OtherName(x509.ObjectIdentifier("1.2.3"), der.tlv(der.UTF8_STRING, "ö".encode())),
        ]
    )
    assert library.public_bytes() == value


@pytest.mark.parametrize(
    ("names", "field"),
    [
        (AltNames(dns_names=("",)), "spec.dnsNames"),
        (AltNames(dns_names=("a b",)), "spec.dnsNames"),
        (AltNames(dns_names=("bücher.example",)), "xn--"),
        (AltNames(dns_names=("a\0.example",)), "spec.dnsNames"),
        (AltNames(email_addresses=("a@b\n",)), "spec.emailAddresses"),
        (AltNames(uris=("http://a b",)), "spec.uris"),
        (AltNames(ip_addresses=("1.2.3",)), "spec.ipAddresses"),
        (AltNames(ip_addresses=("fe80::1%eth0",)), "spec.ipAddresses"),
        (AltNames(ip_addresses=("01.2.3.4",)), "spec.ipAddresses"),
        (AltNames(other_names=(("1", "x"),)), "spec.otherNames"),
        (AltNames(other_names=(("1.2.3", "\ud800"),)), "spec.otherNames"),
    ],
)
def test_names_that_can_not_be(names: AltNames, field: str) -> None:
    """The message begins with the field at fault, or says what to write instead."""
    with pytest.raises(InvalidAltName, match=field):
        encode_alt_names(names)


@pytest.mark.parametrize(
    ("text", "canonical"), [("::FFFF:192.0.2.1", "192.0.2.1"), ("2001:DB8:0::1", "2001:db8::1"), ("::1", "::1")]
)
def test_canonical_addresses(text: str, canonical: str) -> None:
    """One form for each address, so that another spelling is no change of the spec."""
    assert canonical_ip(text) == canonical


@pytest.mark.parametrize(
    "content",
    [
        der.tlv(0x82, b"a\0b"),
        der.tlv(0x82, b""),
        der.tlv(0x82, b"a b"),
        der.tlv(0x82, b"\xff"),
        der.tlv(0x87, b"123"),
        der.tlv(0x8A, b"x"),
        der.tlv(0xA0, b"x"),
        der.tlv(0xA0, der.object_id("1.2.3")),
        der.tlv(0xA0, der.object_id("1.2.3"), der.explicit(0, der.NULL, der.NULL)),
        b"\x82\x05a",
    ],
)
def test_hostile_names(content: bytes) -> None:
    """NUL, spaces, wrong lengths and unknown kinds are refused before anything is signed."""
    with pytest.raises(InvalidAltName):
        read_alt_names(der.sequence(content))


def test_unusual_kinds() -> None:
    """Directory names, registered identifiers and other names that are no text are seen."""
    content = (
        der.tlv(0xA4, der.sequence()),
        der.tlv(0x88, b"\x2a\x03"),
        der.tlv(0xA0, der.object_id("1.2.3"), der.explicit(0, der.integer(5))),
    )
    names = read_alt_names(der.sequence(*content))
    assert names == AltNames(other_names=(("1.2.3", "#020105"),), directory_names=(der.sequence(),), foreign=1)
    assert names


@given(st.binary(max_size=80))
def test_reading_is_total(data: bytes) -> None:
    """Any bytes are names or an InvalidAltName."""
    with contextlib.suppress(InvalidAltName):
        read_alt_names(data)
