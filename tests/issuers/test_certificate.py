"""Certificates: facts, limits, and what is wrong with the rest."""

from __future__ import annotations

import contextlib
from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers import der
from certwright_issuers import extensions as ext
from certwright_issuers.certificate import (
    CAFacts,
    InvalidCertificate,
    ca_facts_of,
    facts_of,
    load_chain,
    parse_certificate_facts,
)
from certwright_issuers.pem import CERTIFICATE, CHAIN_LIMIT, join_pem
from tests.issuers.authority import DAY, KEY, NO_CERT_SIGN, NOW, make_authority, pem

CA = make_authority("A CA", path_length=3)


def test_facts() -> None:
    """Of the first certificate, with aware times and names for people."""
    below = make_authority("below", CA)
    facts = parse_certificate_facts(pem(below.certificate, CA.certificate))
    assert (facts.common_name, facts.issuer, facts.subject_name) == ("below", "CN=A CA", "CN=below")
    assert (facts.not_before, facts.not_after) == (NOW - DAY, NOW + 365 * DAY)
    assert (facts.is_ca, facts.serial) == (True, below.certificate.serial_number)
    assert not facts.names


def test_ca_facts() -> None:
    """Flag, key usage, path length, key identifier."""
    identifier = x509.SubjectKeyIdentifier.from_public_key(CA.key.public_key()).digest
    assert ca_facts_of(CA.certificate) == CAFacts(True, True, 3, identifier, b"")  # noqa: FBT003 - all fields, in order
    assert not ca_facts_of(make_authority("x", extensions=((NO_CERT_SIGN, True),)).certificate).may_sign


def test_a_certificate_without_extensions() -> None:
    """No flag means no CA; no key usage means every usage."""
    name = CA.certificate.subject
    builder = x509.CertificateBuilder(name, name, KEY.public_key(), 1, NOW, NOW + timedelta(days=1))
    facts = ca_facts_of(builder.sign(KEY, hashes.SHA256()))
    assert facts == CAFacts(False, True, None, None, b"")  # noqa: FBT003


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no PEM block"),
        (b"garbage", "no PEM block"),
        (join_pem(CERTIFICATE, b"garbage"), "certificate 1 cannot be decoded"),
        (pem(CA.certificate) + join_pem(CERTIFICATE, b"garbage"), "certificate 2 cannot be decoded"),
        (pem(CA.certificate) + join_pem("PRIVATE KEY", b"garbage"), "block of type 'PRIVATE KEY'"),
        (pem(CA.certificate).replace(b"CERTIFICATE", b"TRUSTED CERTIFICATE"), "'TRUSTED CERTIFICATE'"),
        (join_pem(CERTIFICATE, b"x" * 40_000), "larger than the limit of 36500"),
        (b"x" * 10_000_000, f"larger than the limit of {CHAIN_LIMIT}"),
    ],
)
def test_what_is_no_chain(data: bytes, says: str) -> None:
    """The message says which certificate is at fault and how."""
    with pytest.raises(InvalidCertificate, match=says):
        parse_certificate_facts(data)


@pytest.mark.parametrize("serial", [b"\x80", b"\xff\x01", b"\0"])
def test_serial_numbers_that_are_not_positive(serial: bytes) -> None:
    """RFC 5280 forbids them and the library is about to."""
    head, tail = der.tlv(0xA0, der.integer(2)), der.sequence()
    certificate = der.sequence(der.sequence(head, der.tlv(der.INTEGER, serial), tail), tail)
    with pytest.raises(InvalidCertificate, match="serial number that is not positive"):
        load_chain(join_pem(CERTIFICATE, certificate))


@given(st.integers(0, 600), st.integers(1, 255))
def test_damaged_certificates(at: int, flip: int) -> None:
    """A damaged certificate still has facts or is invalid; nothing else happens."""
    encoded = bytearray(CA.certificate.public_bytes(Encoding.DER))
    encoded[at % len(encoded)] ^= flip
    with contextlib.suppress(InvalidCertificate):
        for certificate in load_chain(join_pem(CERTIFICATE, bytes(encoded))):
            facts_of(certificate)
            ca_facts_of(certificate)


@given(st.binary(max_size=80))
def test_reading_extensions_is_total(data: bytes) -> None:
    """Any bytes are an extension's value or an InvalidExtension."""
    with contextlib.suppress(ext.InvalidExtension):
        ext.read_basic_constraints(data)
    with contextlib.suppress(ext.InvalidExtension):
        ext.read_purposes(data)


@pytest.mark.parametrize(
    ("encoded", "is_ca", "path_length"),
    [("3000", False, None), ("30030101ff", True, None), ("30060101ff020103", True, 3), ("3003010100", False, None)],
)
def test_basic_constraints(encoded: str, is_ca: bool, path_length: int | None) -> None:  # noqa: FBT001
    """Absent means false and unlimited."""
    assert ext.read_basic_constraints(bytes.fromhex(encoded)) == ext.BasicConstraints(is_ca, path_length)
