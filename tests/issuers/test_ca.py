"""The CA issuer: what its Secret must hold, what it says if that is not so, and what it refuses to sign."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509 import verification
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers.ca import build
from certwright_issuers.certificate import facts_of, load_chain
from certwright_issuers.contract import ConfigInvalid, Issued, Issuer, RequestRejected
from certwright_issuers.csr import RequestSpec
from certwright_issuers.keys import KeySpec, encode_key
from certwright_issuers.testing import KEY_SPECS, leaf_key
from tests.issuers.authority import (
    DAY,
    KEY,
    NO_CERT_SIGN,
    NOW,
    Authority,
    ask,
    make_authority,
    make_chain,
    openssl,
    pem,
    sign,
)

ROOT = make_authority("Root CA", key=KEY)
GOOD = ROOT.secret()
SERVER = RequestSpec(
    common_name="www.example.com", dns_names=("www.example.com",), usages=("digital signature", "server auth")
)
SUB = RequestSpec(common_name="Sub CA", is_ca=True, usages=("cert sign",))


def issuer_of(secret: Mapping[str, bytes], **config: list[str] | None) -> Issuer:
    """The issuer over a Secret."""
    return build({"secretName": "ca-key-pair", **config}, {"ca-key-pair": secret})


def leaf_of(issued: Issued) -> x509.Certificate:
    """The first certificate."""
    return load_chain(issued.chain_pem)[0]


def test_a_good_ca() -> None:
    """Ready, and looked at again when it ends."""
    health = asyncio.run(issuer_of(GOOD).check(NOW))
    assert (health.ready, health.reason, health.message) == (True, "KeyPairVerified", "Signing CA verified")
    assert health.recheck_after == 365 * DAY


NOT_A_CA = make_authority("x", extensions=((x509.BasicConstraints(ca=False, path_length=None), True),))
NO_SIGN = make_authority("x", extensions=((NO_CERT_SIGN, True),))
WEAK = make_authority("x", key=rsa.generate_private_key(65537, 1024))  # noqa: S505 - that is the point
ODD_CURVE = make_authority("x", key=ec.generate_private_key(ec.SECP224R1()))
TOO_DEEP = make_authority("low", make_authority("middle", make_authority("top", path_length=0)))
KEY_PEM = encode_key(KEY, "PKCS1")

BROKEN_SECRETS: dict[str, tuple[Mapping[str, bytes], str, str]] = {
    "empty": ({}, "ErrGetKeyPair", 'no data for "tls.crt" in secret "ca-key-pair"'),
    "no key": ({"tls.crt": GOOD["tls.crt"]}, "ErrGetKeyPair", 'no data for "tls.key" in secret "ca-key-pair"'),
    "no certificate": ({"tls.key": KEY_PEM, "tls.crt": b""}, "ErrGetKeyPair", 'no data for "tls.crt"'),
    "garbage": ({"tls.key": KEY_PEM, "tls.crt": b"x"}, "ErrGetKeyPair", "tls.crt: there is no PEM block"),
    "garbage in ca.crt": (GOOD | {"ca.crt": b"x"}, "ErrInvalidKeyPair", "ca.crt: there is no PEM block"),
    "garbage as key": (GOOD | {"tls.key": b"x"}, "ErrGetKeyPair", "tls.key: there is no private key in PEM"),
    "key among certificates": (GOOD | {"tls.crt": GOOD["tls.crt"] + KEY_PEM}, "ErrGetKeyPair", "'EC PRIVATE KEY'"),
    "another key": (
        GOOD | {"tls.key": encode_key(leaf_key(KEY_SPECS[2]), "PKCS8")},
        "ErrInvalidKeyPair",
        "tls.key is not the key of the first certificate in tls.crt",
    ),
    "no cert sign": (NO_SIGN.secret(), "ErrInvalidKeyPair", "its key usages do not include cert sign"),
    "short RSA key": (WEAK.secret(), "ErrInvalidKeyPair", "an RSA key of 1024 bits"),
    "odd curve": (ODD_CURVE.secret(), "ErrInvalidKeyPair", "curve secp224r1"),
    "chain too long": (TOO_DEEP.secret(), "ErrInvalidKeyPair", "longer than one of its path length constraints"),
    "root first": (
        {"tls.crt": pem(*reversed(make_chain(1, KEY).chain)), "tls.key": KEY_PEM},
        "ErrInvalidKeyPair",
        "the first certificate in tls.crt is not the lowest of its chain",
    ),
    "stranger in ca.crt": (
        GOOD | {"ca.crt": pem(make_authority("other").certificate)},
        "ErrInvalidKeyPair",
        "certificate chain is malformed or broken",
    ),
}


def test_the_message_of_a_certificate_that_is_no_ca() -> None:
    """Literal, nothing before and nothing after it (API contract section 3.2)."""
    with pytest.raises(ConfigInvalid) as caught:
        issuer_of(NOT_A_CA.secret())
    assert caught.value.reason == "ErrInvalidKeyPair"
    assert caught.value.message == "Error getting keypair for CA issuer: certificate is not a CA"


@pytest.mark.parametrize("name", BROKEN_SECRETS)
def test_broken_secrets(name: str) -> None:
    """The message begins as it always has, names the Secret, says what is wrong, and shows nothing of the key."""
    secret, reason, says = BROKEN_SECRETS[name]
    with pytest.raises(ConfigInvalid) as caught:
        issuer_of(secret)
    assert caught.value.reason == reason
    assert caught.value.message.startswith("Error getting keypair for CA issuer: ")
    assert says in caught.value.message
    assert "ca-key-pair" in caught.value.message
    assert KEY_PEM.decode().splitlines()[1] not in caught.value.message


def test_no_secret() -> None:
    """The name of the missing Secret is told."""
    with pytest.raises(ConfigInvalid, match='secret "absent" not found') as caught:
        build({"secretName": "absent"}, {})
    assert caught.value.reason == "ErrGetKeyPair"


@pytest.mark.parametrize(
    ("at", "says", "again"),
    [
        (-2 * DAY, 'the CA certificate "CN=Root CA" is not valid before 2030-01-01 03:04:05 UTC', DAY),
        (365 * DAY, 'the CA certificate "CN=Root CA" has expired on 2031-01-02 03:04:05 UTC', None),
    ],
)
def test_out_of_date(at: timedelta, says: str, again: timedelta | None) -> None:
    """Not ready before its time and after it, signs nothing, and is looked at again only if that can help."""
    issuer = issuer_of(GOOD)
    health = asyncio.run(issuer.check(NOW + at))
    assert (health.ready, health.reason, health.recheck_after) == (False, "ErrInvalidKeyPair", again)
    assert says in health.message
    assert "ca-key-pair" in health.message
    with pytest.raises(ConfigInvalid, match=r"CA certificate"):
        sign(issuer, ask(now=NOW + at))


def test_close_to_its_end() -> None:
    """A CA is ready up to its last second; what it signs ends with it, and the requester is told."""
    issuer = issuer_of(GOOD)
    now = NOW + 365 * DAY - timedelta(seconds=1)
    assert asyncio.run(issuer.check(now)).ready
    issued = sign(issuer, ask(now=now, duration=90 * DAY))
    assert facts_of(leaf_of(issued)).not_after == NOW + 365 * DAY
    (note,) = issued.notes
    assert note.reason == "LifetimeShortened"
    assert "ends with its CA on 2031-01-02 03:04:05 UTC, earlier than the 2160h asked for" in note.message


def test_an_intermediate_that_outlives_its_root() -> None:
    """The certificate that ends first decides, and is named."""
    root = make_authority("Old root", valid=(-DAY, 10 * DAY))
    issuer = issuer_of(make_authority("Sub", root).secret())
    assert facts_of(leaf_of(sign(issuer, ask(duration=90 * DAY)))).not_after == NOW + 10 * DAY
    assert '"CN=Old root" has expired' in asyncio.run(issuer.check(NOW + 11 * DAY)).message


@given(
    st.timedeltas(timedelta(seconds=1), timedelta(days=2000)),
    st.timedeltas(timedelta(), 365 * DAY - timedelta(seconds=1)),
)
def test_lifetimes(duration: timedelta, later: timedelta) -> None:
    """Whole seconds from now on, never longer than asked for or than the CA; a note if and only if it was cut."""
    issued = sign(issuer_of(GOOD), ask(now=NOW + later, duration=duration))
    facts = facts_of(leaf_of(issued))
    begin = (NOW + later).replace(microsecond=0)
    wanted = (begin + duration).replace(microsecond=0)
    assert facts.not_before == begin
    assert facts.not_after == min(wanted, NOW + 365 * DAY)
    assert bool(issued.notes) == (wanted > NOW + 365 * DAY)


@pytest.mark.parametrize("duration", [timedelta(), -DAY, timedelta(milliseconds=1), timedelta(days=999_999_999)])
def test_impossible_durations(duration: timedelta) -> None:
    """Refused for good."""
    with pytest.raises(RequestRejected, match="Error signing certificate") as caught:
        sign(issuer_of(GOOD), ask(duration=duration))
    assert caught.value.reason == "SigningError"


@pytest.mark.parametrize(
    ("ca", "chain", "authority"),
    [
        (make_chain(0), 1, "root"),
        (make_chain(1), 2, "root"),
        (make_chain(2), 3, "root"),
    ],
)
def test_chain_with_its_root(ca: Authority, chain: int, authority: str) -> None:
    """Leaf, intermediates, and the root by itself, whether it stands in tls.crt or in ca.crt."""
    secret = ca.secret()
    apart = ca.secret(with_root=False) | {"ca.crt": pem(ca.chain[-1], make_authority("unrelated").certificate)}
    for issued in (sign(issuer_of(secret), ask()), sign(issuer_of(apart), ask())):
        certificates = load_chain(issued.chain_pem)
        assert certificates[1:] == list(ca.chain[:-1])
        assert len(certificates) == chain
        assert [facts_of(c).common_name for c in load_chain(issued.ca_pem)] == [authority]


def test_chain_without_its_root() -> None:
    """The highest intermediate is both the end of the chain and the CA."""
    ca = make_chain(2)
    issued = sign(issuer_of(ca.secret(with_root=False)), ask())
    assert load_chain(issued.chain_pem)[1:] == list(ca.chain[:2])
    assert load_chain(issued.ca_pem) == [ca.chain[1]]


def test_urls() -> None:
    """Revocation lists, responders and the CA's own certificate, each where it belongs and only if configured."""
    issuer = issuer_of(
        GOOD,
        crlDistributionPoints=["http://crl/1", "http://crl/2"],
        ocspServers=["http://ocsp/"],
        issuingCertificateURLs=["http://ca/ca.crt"],
    )
    extensions = leaf_of(sign(issuer, ask())).extensions
    points = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert [point.full_name[0].value for point in points if point.full_name] == ["http://crl/1", "http://crl/2"]
    access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert [(a.access_method._name, a.access_location.value) for a in access] == [
        ("OCSP", "http://ocsp/"),
        ("caIssuers", "http://ca/ca.crt"),
    ]
    plain = {extension.oid for extension in leaf_of(sign(issuer_of(GOOD), ask())).extensions}
    assert not plain & {x509.CRLDistributionPoints.oid, x509.AuthorityInformationAccess.oid}


@pytest.mark.parametrize("field", ["crlDistributionPoints", "ocspServers", "issuingCertificateURLs"])
def test_urls_that_are_none(field: str) -> None:
    """One that can't be encoded is the issuer's fault, not that of each request; null is as good as none."""
    with pytest.raises(ConfigInvalid, match=field):
        issuer_of(GOOD, **{field: ["http://ok/", "http://ö"]})
    sign(issuer_of(GOOD, **{field: None}), ask())


def test_what_the_csr_may_not_decide() -> None:
    """Of its extensions only the names are taken: usages and CA flag are those of the request."""
    spec = replace(SERVER, is_ca=True, encode_basic_constraints=True, usages=("cert sign", "any"))
    request = replace(ask(spec), is_ca=False, usages=("client auth",))
    extensions = leaf_of(sign(issuer_of(GOOD), request)).extensions
    assert not extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert {extension.oid for extension in extensions} == {
        x509.BasicConstraints.oid,
        x509.ExtendedKeyUsage.oid,
        x509.SubjectAlternativeName.oid,
        x509.AuthorityKeyIdentifier.oid,
    }


def test_path_length() -> None:
    """A CA that allows none below it signs leaves but no CA, wherever in its chain that is said."""
    for ca in (make_authority("x", path_length=0), make_authority("y", make_authority("x", path_length=1))):
        issuer = issuer_of(ca.secret())
        sign(issuer, ask(SERVER))
        with pytest.raises(RequestRejected, match="allows no CA below it") as caught:
            sign(issuer, ask(SUB))
        assert caught.value.reason == "SigningError"
    sign(issuer_of(make_authority("x", path_length=1).secret()), ask(SUB))


def test_name_constraints() -> None:
    """Names that the CA or one above it may not certify are refused, and told."""
    limits = x509.NameConstraints([x509.DNSName("example.com")], [x509.DNSName("secret.example.com")])
    top = make_authority("top", extensions=((limits, True),))
    for ca in (top, make_authority("below", top)):
        issuer = issuer_of(ca.secret())
        sign(issuer, ask(SERVER))
        names = ("www.example.org", "a.secret.example.com", "www.example.com")
        with pytest.raises(RequestRejected) as caught:
            sign(issuer, ask(RequestSpec(dns_names=names)))
        assert caught.value.reason == "SigningError"
        assert caught.value.message.endswith("forbid www.example.org, a.secret.example.com")


def test_a_ca_without_key_identifier() -> None:
    """The authority key identifier is then made from its key."""
    ca = make_authority("x", with_key_id=False)
    found = leaf_of(sign(issuer_of(ca.secret()), ask())).extensions.get_extension_for_class(x509.AuthorityKeyIdentifier)
    assert found.value == x509.AuthorityKeyIdentifier.from_issuer_public_key(ca.key.public_key())


@pytest.mark.parametrize("ca_key", KEY_SPECS[:4], ids=str)
def test_the_library_verifies_it(ca_key: KeySpec) -> None:
    """A server certificate, and one below an intermediate that this CA made, pass the rules of the web."""
    root = make_authority("Root", key=leaf_key(ca_key))
    issuer = issuer_of(root.secret())
    sub_request = ask(SUB, key=leaf_key(KEY_SPECS[2]))
    sub = sign(issuer, sub_request)
    below = issuer_of(
        {"tls.crt": sub.chain_pem, "ca.crt": sub.ca_pem, "tls.key": encode_key(leaf_key(KEY_SPECS[2]), "PKCS8")}
    )
    verifier = (
        verification.PolicyBuilder()
        .store(verification.Store([root.certificate]))
        .time(NOW + timedelta(hours=1))
        .build_server_verifier(x509.DNSName("www.example.com"))
    )
    for issued, length in ((sign(issuer, ask(SERVER)), 2), (sign(below, ask(SERVER)), 3)):
        leaf, *rest = load_chain(issued.chain_pem)
        assert len(verifier.verify(leaf, rest)) == length
        assert load_chain(issued.ca_pem) == [root.certificate]


@pytest.mark.parametrize("ca_key", KEY_SPECS, ids=str)
def test_openssl_verifies_it(tmp_path: Path, ca_key: KeySpec) -> None:
    """A leaf of every kind of CA, through an intermediate, under OpenSSL's strict rules."""
    ca = make_chain(1, leaf_key(ca_key))
    issued = sign(issuer_of(ca.secret()), ask(SERVER))
    (tmp_path / "chain").write_bytes(issued.chain_pem)
    (tmp_path / "ca").write_bytes(issued.ca_pem)
    at = str(int(NOW.timestamp()))
    arguments = ("-x509_strict", "-purpose", "sslserver", "-verify_hostname", "www.example.com", "-attime", at)
    said = openssl(tmp_path, "verify", *arguments, "-CAfile", "ca", "-untrusted", "chain", "chain")
    assert "chain: OK" in said


def test_nothing_shows_the_key() -> None:
    """Neither the issuer nor what it is made of, nor a request with its key."""
    issuer = issuer_of(GOOD)
    secret = str(KEY.private_numbers().private_value) if isinstance(KEY, ec.EllipticCurvePrivateKey) else ""
    shown = repr(vars(issuer)) + repr(ask())
    assert secret not in shown
    assert "PrivateKey" not in shown
