"""Requests: made of a spec, read, compared with a spec and with the request around them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers import csr
from certwright_issuers.certificate import parse_certificate_facts
from certwright_issuers.csr import (
    InvalidCSR,
    InvalidSpec,
    NameConstraints,
    RequestSpec,
    build_csr,
    parse_csr,
    parse_csr_facts,
)
from certwright_issuers.keys import KeySpec, generate_key, spki_sha256
from certwright_issuers.matching import certificate_matches_spec, request_contradictions, request_matches_spec
from certwright_issuers.names import Subject
from certwright_issuers.registry import ISSUER_TYPES
from certwright_issuers.sans import AltNames, canonical_ip
from certwright_issuers.testing import KEY_SPECS, leaf_key
from tests.issuers.authority import KEY, ask, openssl, sign

VISIBLE = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=15)
TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12)
FULL = RequestSpec(
    common_name="a.example.com",
    subject=Subject(("O",), ("OU",), ("DE",), ("ST",), ("L",), ("Street",), ("80000",), "SN"),
    dns_names=("a.example.com", "b.example.com"),
    email_addresses=("a@example.com",),
    ip_addresses=("192.0.2.1", "2001:db8::1"),
    uris=("spiffe://example.com/a",),
    other_names=(("1.3.6.1.4.1.311.20.2.3", "upn@example.com"),),
    usages=("server auth", "digital signature"),
)


def several(of: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    """None to three."""
    return st.lists(of, max_size=3).map(tuple)


SPECS = st.builds(
    RequestSpec,
    common_name=TEXT,
    subject=st.builds(Subject, *[several(TEXT)] * 7, serial_number=st.just("") | TEXT),
    dns_names=several(VISIBLE),
    email_addresses=several(VISIBLE),
    ip_addresses=several(st.ip_addresses().map(str)),
    uris=several(VISIBLE),
    other_names=st.none() | st.lists(st.tuples(st.just("1.2.3"), TEXT), max_size=2).map(tuple),
    encode_usages=st.booleans(),
    is_ca=st.booleans(),
)


@given(SPECS)
def test_a_request_matches_its_spec(spec: RequestSpec) -> None:
    """Whatever a spec asks for, its request is acceptable, asks for the same, and needs no re-issue."""
    facts = parse_csr(build_csr(spec, KEY)).facts
    assert request_matches_spec(facts, spec) == ()
    assert facts.common_name == spec.common_name
    assert facts.names == AltNames(
        spec.dns_names,
        spec.email_addresses,
        tuple(map(canonical_ip, spec.ip_addresses)),
        spec.uris,
        spec.other_names or (),
    )
    assert facts.spki_sha256 == spki_sha256(KEY)
    assert (facts.key_usage is None) == (not spec.encode_usages)


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"dns_names": ("b.example.com", "a.example.com")}, ()),
        ({"dns_names": ("a.example.com", "b.example.com", "b.example.com")}, ()),
        ({"ip_addresses": ("2001:DB8:0::1", "::ffff:192.0.2.1")}, ()),
        ({"other_names": None}, ()),
        ({"usages": ("client auth",)}, ()),
        ({"encode_usages": False}, ()),
        ({"signature_algorithm": "ECDSAWithSHA512"}, ()),
        ({"name_constraints": NameConstraints(permitted_dns=("x",))}, ()),
        ({"is_ca": True}, ()),
        ({"other_names": ()}, ("spec.otherNames",)),
        ({"dns_names": ("a.example.com",)}, ("spec.dnsNames",)),
        ({"dns_names": ("A.example.com", "b.example.com")}, ("spec.dnsNames",)),
        ({"ip_addresses": ("192.0.2.1", "junk")}, ("spec.ipAddresses",)),
        ({"uris": (), "email_addresses": ()}, ("spec.uris", "spec.emailAddresses")),
        ({"common_name": "b.example.com"}, ("spec.commonName",)),
        ({"subject": replace(FULL.subject, organizations=("O", "P"))}, ("spec.subject.organizations",)),
        ({"subject": replace(FULL.subject, organizational_units=())}, ("spec.subject.organizationalUnits",)),
        ({"subject": replace(FULL.subject, countries=("AT",))}, ("spec.subject.countries",)),
        ({"subject": replace(FULL.subject, provinces=("x",))}, ("spec.subject.provinces",)),
        ({"subject": replace(FULL.subject, localities=("x",))}, ("spec.subject.localities",)),
        ({"subject": replace(FULL.subject, street_addresses=("x",))}, ("spec.subject.streetAddresses",)),
        ({"subject": replace(FULL.subject, postal_codes=("x",))}, ("spec.subject.postCodes",)),
        ({"subject": replace(FULL.subject, serial_number="x")}, ("spec.subject.serialNumber",)),
        (
            {"common_name": "b.example.com", "subject": Subject()},
            (
                "spec.commonName",
                "spec.subject.serialNumber",
                "spec.subject.organizations",
                "spec.subject.countries",
                "spec.subject.localities",
                "spec.subject.organizationalUnits",
                "spec.subject.postCodes",
                "spec.subject.provinces",
                "spec.subject.streetAddresses",
            ),
        ),
    ],
)
def test_what_needs_a_new_request(change: dict[str, object], fields: tuple[str, ...]) -> None:
    """Order, repetition and spelling of addresses don't; neither do usages, constraints and algorithms."""
    facts = parse_csr_facts(build_csr(FULL, KEY))
    assert request_matches_spec(facts, replace(FULL, **change)) == fields  # type: ignore[arg-type]


def test_literal_subjects() -> None:
    """They are compared as encoded: another order is another subject, and an unreadable one matches nothing."""
    spec = RequestSpec(literal_subject="CN=a,OU=b,O=c", dns_names=("a",))
    facts = parse_csr(build_csr(spec, KEY)).facts
    assert request_matches_spec(facts, spec) == ()
    assert facts.common_name == "a"
    for other in ("CN=a,O=c,OU=b", "CN=a", "cn=a"):
        assert request_matches_spec(facts, replace(spec, literal_subject=other)) == ("spec.literalSubject",)


@pytest.mark.parametrize(
    ("spec", "field"),
    [
        (RequestSpec(), "spec: there must be a commonName"),
        (RequestSpec(subject=Subject(("O",))), "spec: there must be a commonName"),
        (RequestSpec(literal_subject="O=x"), "spec: there must be a commonName"),
        (RequestSpec(literal_subject="XX=x"), r"spec\.literalSubject: 'XX'"),
        (RequestSpec(common_name="a\0b"), r"spec\.subject: "),
        (RequestSpec(dns_names=("ä",)), r"spec\.dnsNames: "),
        (RequestSpec(ip_addresses=("x",)), r"spec\.ipAddresses: "),
        (RequestSpec(common_name="a", usages=("x",)), r"spec\.usages: "),
        (RequestSpec(common_name="a", signature_algorithm="SHA256WithRSA"), r"spec\.signatureAlgorithm: "),
        (RequestSpec(common_name="a", signature_algorithm="MD5"), r"spec\.signatureAlgorithm: "),
        (
            RequestSpec(common_name="a", name_constraints=NameConstraints(permitted_ips=("x",))),
            r"spec\.nameConstraints\.permitted\.ipRanges: ",
        ),
        (
            RequestSpec(common_name="a", name_constraints=NameConstraints(excluded_dns=("ä",))),
            r"spec\.nameConstraints\.excluded\.dnsDomains: ",
        ),
        (RequestSpec(dns_names=tuple(f"host-{n}.example.com" for n in range(2000))), "spec: the names make a request"),
    ],
)
def test_specs_without_a_request(spec: RequestSpec, field: str) -> None:
    """The message begins with the field at fault."""
    with pytest.raises(InvalidSpec, match=f"^{field}"):
        build_csr(spec, KEY)


@pytest.mark.parametrize(
    ("key", "word", "hash_"),
    [
        (KeySpec("RSA", 2048), "", "sha256"),
        (KeySpec("RSA", 2048), "SHA512WithRSA", "sha512"),
        (KeySpec("ECDSA", 256), "", "sha256"),
        (KeySpec("ECDSA", 384), "", "sha384"),
        (KeySpec("ECDSA", 521), "", "sha512"),
        (KeySpec("ECDSA", 521), "ECDSAWithSHA256", "sha256"),
        (KeySpec("Ed25519"), "", None),
        (KeySpec("Ed25519"), "PureEd25519", None),
    ],
)
def test_signature_hash(key: KeySpec, word: str, hash_: str | None) -> None:
    """By the size of the key, unless the spec names one."""
    pem = build_csr(RequestSpec(common_name="a", signature_algorithm=word), leaf_key(key))
    used = parse_csr(pem).csr.signature_hash_algorithm
    assert (used.name if used else None) == hash_


@pytest.mark.slow
@pytest.mark.parametrize(("size", "hash_"), [(3072, "sha384"), (4096, "sha512")])
def test_signature_hash_of_large_keys(size: int, hash_: str) -> None:
    """Larger RSA keys, stronger hash."""
    used = parse_csr(build_csr(FULL, generate_key(KeySpec("RSA", size)))).csr.signature_hash_algorithm
    assert used is not None
    assert used.name == hash_


def test_extensions_as_the_library_sees_them() -> None:
    """Usages are critical, purposes are not; alternative names only where there is no subject."""
    spec = replace(FULL, encode_basic_constraints=True, is_ca=True, usages=("cert sign", "server auth"))
    extensions = parse_csr(build_csr(spec, KEY)).csr.extensions
    assert {extension.oid: extension.critical for extension in extensions} == {
        ExtensionOID.BASIC_CONSTRAINTS: True,
        ExtensionOID.KEY_USAGE: True,
        ExtensionOID.EXTENDED_KEY_USAGE: False,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME: False,
    }
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    bare = parse_csr(build_csr(RequestSpec(dns_names=("a",), encode_usages=False), KEY)).csr.extensions
    assert [(extension.oid, extension.critical) for extension in bare] == [
        (ExtensionOID.SUBJECT_ALTERNATIVE_NAME, True)
    ]


@pytest.mark.slow
def test_openssl_reads_it(tmp_path: Path) -> None:
    """Another implementation verifies the signature and sees the same names."""
    spec = replace(FULL, subject=Subject(("Ä", "B"), countries=("DE",)), usages=("encipher only", "any"), is_ca=True)
    spec = replace(
        spec,
        name_constraints=NameConstraints(critical=True, permitted_dns=("example.com",), excluded_ips=("10.0.0.0/8",)),
    )
    (tmp_path / "csr").write_bytes(build_csr(spec, KEY))
    text = openssl(tmp_path, "req", "-in", "csr", "-noout", "-text", "-verify", "-nameopt", "utf8")
    for part in (
        "self-signature verify OK",
        "DNS:a.example.com, DNS:b.example.com, email:a@example.com, IP Address:192.0.2.1",
        "UPN::upn@example.com",
        "Certificate Sign, Encipher Only",
        "Any Extended Key Usage",
        "DNS:example.com",
        "IP:10.0.0.0/255.0.0.0",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("usages", "is_ca", "request_usages", "request_is_ca", "contradictions"),
    [
        (("server auth", "digital signature"), False, ("digital signature", "server auth"), False, 0),
        (("server auth", "signing"), False, ("digital signature", "server auth"), False, 0),
        ((), False, (), False, 0),
        ((), False, ("digital signature", "key encipherment"), False, 0),
        ((), True, (), True, 0),
        (("server auth", "client auth"), False, ("client auth", "server auth"), False, 1),
        (("server auth",), False, (), False, 2),
        (("digital signature",), False, ("key encipherment",), False, 1),
        ((), True, (), False, 2),
        ((), False, ("bogus",), False, 1),
    ],
)
def test_request_and_csr(
    usages: tuple[str, ...],
    is_ca: bool,  # noqa: FBT001 - a column of the table above
    request_usages: tuple[str, ...],
    request_is_ca: bool,  # noqa: FBT001
    contradictions: int,
) -> None:
    """Key usages as sets, purposes with their order, the CA flag: what the CSR says must be what is asked for."""
    spec = RequestSpec(common_name="a", usages=usages, is_ca=is_ca, encode_basic_constraints=True)
    facts = parse_csr_facts(build_csr(spec, KEY))
    assert len(request_contradictions(facts, request_usages, is_ca=request_is_ca)) == contradictions


def test_a_csr_that_says_nothing() -> None:
    """It agrees with every request."""
    facts = parse_csr_facts(build_csr(RequestSpec(common_name="a", encode_usages=False), KEY))
    assert request_contradictions(facts, ("client auth",), is_ca=True) == ()


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({}, ()),
        ({"common_name": ""}, ()),
        ({"common_name": "B.example.com"}, ()),
        ({"subject": Subject(), "usages": (), "other_names": ()}, ()),
        ({"dns_names": ("B.EXAMPLE.COM", "a.example.com")}, ()),
        ({"dns_names": ("b.example.com",)}, ()),
        ({"common_name": "c.example.com"}, ("spec.commonName",)),
        ({"common_name": "", "dns_names": ("b.example.com",)}, ("spec.commonName", "spec.dnsNames")),
        ({"common_name": "c.example.com", "uris": ()}, ("spec.commonName", "spec.uris")),
        ({"dns_names": ("a.example.com", "b.example.com", "c.example.com")}, ("spec.dnsNames",)),
        ({"uris": ()}, ("spec.uris",)),
        ({"ip_addresses": ("192.0.2.1",)}, ("spec.ipAddresses",)),
        ({"email_addresses": ("b@example.com",)}, ("spec.emailAddresses",)),
        ({"common_name": "", "subject": Subject(), "literal_subject": "CN=a.example.com"}, ()),
        ({"common_name": "", "subject": Subject(), "literal_subject": "CN=x"}, ("spec.commonName",)),
    ],
)
def test_certificate_and_spec(change: dict[str, object], fields: tuple[str, ...]) -> None:
    """Without a request only names count; common name and DNS names are one set, in any letter case."""
    issuer = ISSUER_TYPES["selfSigned"].build({}, {})
    facts = parse_certificate_facts(sign(issuer, ask(FULL)).chain_pem)
    assert certificate_matches_spec(facts, replace(FULL, **change)) == fields  # type: ignore[arg-type]


def raw_csr(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, **options: padding.PSS) -> bytes:
    """A request as other programs make them."""
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "a")])
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    return builder.sign(key, hashes.SHA256(), rsa_padding=options.get("pss")).public_bytes(Encoding.PEM)


def test_forms_of_requests() -> None:
    """PEM with either label, DER, and RSA-PSS signatures are read."""
    pem = build_csr(FULL, KEY)
    facts = parse_csr(pem).facts
    assert parse_csr(pem.replace(b"BEGIN C", b"BEGIN NEW C").replace(b"END C", b"END NEW C")).facts == facts
    assert parse_csr(parse_csr(pem).csr.public_bytes(Encoding.DER)).facts == facts
    rsa_key = leaf_key(KEY_SPECS[0])
    assert isinstance(rsa_key, rsa.RSAPrivateKey)
    parse_csr(raw_csr(rsa_key, pss=padding.PSS(padding.MGF1(hashes.SHA256()), 32)))


def test_keys_nothing_is_signed_for() -> None:
    """Short RSA keys and curves that are not made here are refused, and the message says which are accepted."""
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    for key in (short, ec.generate_private_key(ec.SECP224R1())):
        with pytest.raises(InvalidCSR, match="are accepted"):
            parse_csr(raw_csr(key))


def test_a_wrong_signature() -> None:
    """A request that its key did not sign is nobody's; its facts can be read all the same."""
    encoded = bytearray(parse_csr(build_csr(FULL, KEY)).csr.public_bytes(Encoding.DER))
    at = encoded.index(b"a.example.com")
    encoded[at] ^= 3
    with pytest.raises(InvalidCSR, match="signature does not fit"):
        parse_csr(bytes(encoded))
    assert parse_csr_facts(bytes(encoded)).subject == FULL.subject


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no PEM block"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "only 'CERTIFICATE REQUEST'"),
        (b"\x30\x00", "cannot be decoded"),
        (b"x" * (csr.CSR_LIMIT + 1), "larger than the limit"),
        (build_csr(FULL, KEY) * 2, "2 CSRs where one is expected"),
    ],
)
def test_what_is_no_request(data: bytes, says: str) -> None:
    """The message says what there is instead."""
    with pytest.raises(InvalidCSR, match=says):
        parse_csr(data)


def test_lifetime_in_facts() -> None:
    """Facts of a certificate carry aware times."""
    issuer = ISSUER_TYPES["selfSigned"].build({}, {})
    facts = parse_certificate_facts(sign(issuer, ask(FULL, duration=timedelta(hours=2))).chain_pem)
    assert facts.not_after - facts.not_before == timedelta(hours=2)
    assert facts.not_after.tzinfo is not None
