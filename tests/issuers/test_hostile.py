"""Hostile requests and Secrets: refused, or handled, in bounded time and memory."""

from __future__ import annotations

import re
import time
import tracemalloc
from collections.abc import Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers import der
from certwright_issuers.ca import build
from certwright_issuers.certificate import InvalidCertificate, parse_certificate_facts
from certwright_issuers.contract import RequestRejected
from certwright_issuers.csr import CSR_LIMIT, InvalidCSR, RequestSpec, build_csr, parse_csr, parse_csr_facts
from certwright_issuers.keys import InvalidKey, load_key
from certwright_issuers.names import Subject
from certwright_issuers.pem import CERTIFICATE, CERTIFICATE_REQUEST, CHAIN_LIMIT, KEY_LIMIT, join_pem
from tests.issuers.authority import KEY, ask, make_authority, sign

assert isinstance(KEY, ec.EllipticCurvePrivateKey)
SIGNING_KEY: ec.EllipticCurvePrivateKey = KEY
#: Per input; "no parse takes longer than this" of the reliability plan is 50 ms.
SECONDS = 0.05
BYTES = 20_000_000


def bounded(work: Callable[[], object], *refusals: type[Exception]) -> Exception | None:
    """Run within the limits; the refusal, if there was one."""
    tracemalloc.start()
    begin = time.process_time()
    try:
        work()
        refused = None
    except refusals as error:
        refused = error
    taken = time.process_time() - begin
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < BYTES
    # Tracing memory makes Python several times slower.
    assert taken < 5 * SECONDS
    return refused


def signed(subject: bytes, extensions: bytes = b"", spki: bytes | None = None) -> bytes:
    """A CSR of any content with a good signature, so that only its content can be the reason of a refusal."""
    from cryptography.hazmat.primitives.serialization import PublicFormat  # noqa: PLC0415

    spki = spki or SIGNING_KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    attribute = der.sequence(der.object_id("1.2.840.113549.1.9.14"), der.set_of([extensions]))
    info = der.sequence(der.integer(0), subject, spki, der.tlv(0xA0, attribute if extensions else b""))
    signature = SIGNING_KEY.sign(info, ec.ECDSA(hashes.SHA256()))
    algorithm = der.sequence(der.object_id("1.2.840.10045.4.3.2"))
    return der.sequence(info, algorithm, der.tlv(der.BIT_STRING, b"\0", signature))


def extension(oid: str, value: bytes) -> bytes:
    """One extension."""
    return der.sequence(der.object_id(oid), der.octet_string(value))


def names(*encoded: bytes) -> bytes:
    """A SAN extension, alone."""
    return der.sequence(extension("2.5.29.17", der.sequence(*encoded)))


def attribute(value: bytes, tag: int = der.UTF8_STRING) -> bytes:
    """A common name."""
    return der.sequence(der.object_id("2.5.4.3"), der.tlv(tag, value))


def critical(oid: str, value: bytes) -> bytes:
    """A critical extension, alone."""
    return der.sequence(der.sequence(der.object_id(oid), der.tlv(0x01, b"\xff"), der.octet_string(value)))


EMPTY = der.sequence()
SUBJECT = der.sequence(der.set_of([attribute(b"a")]))
DNS = der.tlv(0x82, b"a.example.com")


def test_the_helper_makes_good_requests() -> None:
    """What is refused below is refused for its content."""
    assert parse_csr(signed(SUBJECT, names(DNS))).facts.names.dns_names == ("a.example.com",)


REQUESTS = {
    "ten thousand names": (signed(EMPTY, names(*[DNS] * 10_000)), "larger than the limit"),
    "a name of 64 KiB": (signed(EMPTY, names(der.tlv(0x82, b"a" * 65_536))), "larger than the limit"),
    "a subject of 64 KiB": (signed(der.sequence(der.set_of([attribute(b"a" * 65_536)]))), "larger than the limit"),
    "a critical extension nobody knows": (
        signed(SUBJECT, critical("1.3.6.1.4.1.99999.1", b"\x05\x00")),
        "critical extensions that are not supported: 1.3.6.1.4.1.99999.1",
    ),
    "NUL in a name": (signed(EMPTY, names(der.tlv(0x82, b"a.com\0.b.com"))), "alternative name"),
    "an address of five bytes": (signed(EMPTY, names(der.tlv(0x87, b"12345"))), "alternative names are malformed"),
    "names twice": (signed(EMPTY, der.sequence(*[extension("2.5.29.17", der.sequence(DNS))] * 2)), "twice"),
    "names cut off": (signed(EMPTY, der.sequence(extension("2.5.29.17", b"\x30\x05\x82"))), "malformed"),
    "no extensions in the attribute": (signed(SUBJECT, der.NULL), "malformed"),
    "an unsorted subject": (
        signed(der.sequence(der.tlv(der.SET, attribute(b"b"), attribute(b"a")))),
        "cannot be decoded|is malformed",
    ),
    "equal values in the subject": (signed(der.sequence(der.tlv(der.SET, *[attribute(b"a")] * 2))), "is malformed"),
    "bytes that are no text": (signed(der.sequence(der.set_of([attribute(b"\xff")]))), "is malformed"),
    "an empty part": (signed(der.sequence(der.tlv(der.SET))), "is malformed"),
    "a huge object identifier": (
        signed(
            SUBJECT, der.sequence(der.sequence(der.tlv(der.OBJECT_ID, b"\x88" * 9000 + b"\1"), der.octet_string(b"")))
        ),
        "malformed",
    ),
    "a deep subject": (signed(bytes([0x30, 0x84, 0, 0, 0x40, 0]) + b"\x30\x80" * 8192), "malformed|decoded"),
}


@pytest.mark.parametrize("name", REQUESTS)
def test_hostile_requests(name: str) -> None:
    """Refused with a message, whether in DER or PEM."""
    encoded, says = REQUESTS[name]
    for data in (encoded, join_pem(CERTIFICATE_REQUEST, encoded)):
        refused = bounded(lambda data=data: parse_csr(data), InvalidCSR)  # type: ignore[misc]
        assert refused is not None
        assert re.search(says, str(refused)), refused


def test_an_extension_that_is_not_critical_is_dropped() -> None:
    """As in cert-manager: other clients ask for what they like."""
    encoded = signed(SUBJECT, der.sequence(extension("1.3.6.1.4.1.99999.1", b"\x05\x00")))
    assert parse_csr(encoded).facts.common_name == "a"


def test_requests_at_the_limit() -> None:
    """The largest request that is read at all: thousands of names, read, signed and compared."""
    count = 1400
    spec = RequestSpec(dns_names=tuple(f"h{n}.example.com" for n in range(count)))
    pem = build_csr(spec, KEY)
    assert CSR_LIMIT * 0.9 < len(pem) <= CSR_LIMIT
    assert bounded(lambda: parse_csr(pem), InvalidCSR) is None
    begin = time.process_time()
    sign(build({"secretName": "ca"}, {"ca": make_authority("x").secret()}), ask(spec))
    assert time.process_time() - begin < SECONDS


@pytest.mark.parametrize(("limits", "says"), [(70, "forbid"), (500, "too many")])
def test_many_names_and_many_constraints(limits: int, says: str) -> None:
    """Their product is bounded, not only each of them."""
    subtrees = x509.NameConstraints([x509.DNSName(f"d{n}.example.org") for n in range(limits)], None)
    issuer = build({"secretName": "ca"}, {"ca": make_authority("x", extensions=((subtrees, True),)).secret()})
    request = ask(RequestSpec(dns_names=tuple(f"h{n}.example.com" for n in range(1400))))
    begin = time.process_time()
    with pytest.raises(RequestRejected, match=says):
        sign(issuer, request)
    assert time.process_time() - begin < 4 * SECONDS


def test_deep_names() -> None:
    """A subject of a thousand parts is no problem."""
    many = signed(der.sequence(*[der.set_of([attribute(b"a%d" % n)]) for n in range(1000)]))
    assert bounded(lambda: parse_csr(many), InvalidCSR) is None


@pytest.mark.parametrize(
    ("bits", "exponent"),
    [(16_384, 65_537), (12_288, 65_537), (4096, 2**31 + 1), (2048, 2**2000 + 1), (4096, 2**4000 + 1)],
)
def test_hostile_public_keys(bits: int, exponent: int) -> None:
    """Large moduli and exponents are refused before they are used."""
    numbers = rsa.RSAPublicNumbers(exponent, (1 << (bits - 1)) | 1)
    algorithm = der.sequence(der.object_id("1.2.840.113549.1.1.1"), der.NULL)
    key = der.sequence(der.integer(numbers.n), der.integer(numbers.e))
    encoded = signed(SUBJECT, spki=der.sequence(algorithm, der.tlv(der.BIT_STRING, b"\0", key)))
    refused = bounded(lambda: parse_csr(encoded), InvalidCSR)
    assert "public key is not acceptable" in str(refused)


PIECES = [
    b"-----BEGIN CERTIFICATE-----\n",
    b"-----BEGIN CERTIFICATE REQUEST-----\n",
    b"-----BEGIN PRIVATE KEY-----\n",
    b"-----BEGIN RSA PRIVATE KEY-----\nA",
    b"-----BEGIN -----END ",
    b"\n\n\n\n-",
    b"-----BEGIN CERTIFICATE-----\nMII=\n-----END CERTIFICATE-----\n",
    bytes(10),
    b"\x30\x80",
    b"\x30\x82\xff\xff",
]


@pytest.mark.parametrize("piece", PIECES)
def test_bombs(piece: bytes) -> None:
    """Inputs like those of CVE-2024-12401, as large as is looked at, and larger."""
    for parse, limit, refusal in (
        (parse_certificate_facts, CHAIN_LIMIT, InvalidCertificate),
        (parse_csr, CSR_LIMIT, InvalidCSR),
        (parse_csr_facts, CSR_LIMIT, InvalidCSR),
        (lambda pem: load_key(pem, trusted=False), KEY_LIMIT, InvalidKey),
    ):
        for size in (limit, 10_000_000):
            data = (piece * (size // len(piece) + 1))[:size]
            assert bounded(lambda parse=parse, data=data: parse(data), refusal) is not None  # type: ignore[misc]


@given(st.binary(max_size=300), st.integers(0, 400), st.binary(min_size=1, max_size=4))
def test_damaged_input(data: bytes, at: int, damage: bytes) -> None:
    """Anything, and good input with damage anywhere, is read or refused with the right kind of error."""
    spec = RequestSpec(common_name="a", subject=Subject(("x", "y")), dns_names=("a",), usages=("any", "cert sign"))
    good = parse_csr(build_csr(spec, KEY)).csr.public_bytes(Encoding.DER)
    certificate = make_authority("x", key=KEY).certificate.public_bytes(Encoding.DER)
    for parse, refusal, inputs in (
        (parse_csr, InvalidCSR, (data, join_pem(CERTIFICATE_REQUEST, data), damaged(good, at, damage))),
        (
            parse_certificate_facts,
            InvalidCertificate,
            (data, join_pem(CERTIFICATE, data), join_pem(CERTIFICATE, damaged(certificate, at, damage))),
        ),
        (lambda pem: load_key(pem, trusted=False), InvalidKey, (data, join_pem("PRIVATE KEY", data))),
    ):
        for given_ in inputs:
            try:
                parse(given_)
            except refusal:
                continue


def damaged(good: bytes, at: int, damage: bytes) -> bytes:
    """Some bytes replaced."""
    at %= len(good)
    return good[:at] + damage + good[at + len(damage) :]


def test_versions_that_do_not_exist() -> None:
    """The library has an error of its own for them, which no caller knows."""
    request = join_pem(CERTIFICATE_REQUEST, signed(b"\x30\x00").replace(b"\x02\x01\x00", b"\x02\x01\x2d", 1))
    for parse in (parse_csr, parse_csr_facts):
        with pytest.raises(InvalidCSR, match="cannot be decoded"):
            parse(request)
    encoded = make_authority("x").certificate.public_bytes(Encoding.DER)
    with pytest.raises(InvalidCertificate, match="cannot be decoded"):
        parse_certificate_facts(
            join_pem(CERTIFICATE, encoded.replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x2d", 1))
        )
