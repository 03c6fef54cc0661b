"""Account keys: what is accepted, that they are parsed once, and that their signatures verify elsewhere."""

from __future__ import annotations

import json

import pytest
from acme import jws
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from certwright_issuers.acme import base64url, keys
from certwright_issuers.acme.nonces import MAX_AGE, SIZE, NoncePool
from certwright_issuers.contract import ConfigInvalid


@pytest.mark.parametrize("elliptic", [True, False])
def test_signatures_verify_with_the_acme_package(*, elliptic: bool) -> None:
    """RSA and P-256 keys, generated, written as cert-manager writes them, and read back, sign valid requests."""
    made = keys.generate(elliptic=elliptic)
    pem = made.pem()
    assert pem.startswith(b"-----BEGIN EC PRIVATE KEY-----" if elliptic else b"-----BEGIN RSA PRIVATE KEY-----")
    key = keys.load(pem)
    assert key.thumbprint == made.thumbprint
    nonce = base64url.encode(b"nonce")
    by_url = json.loads(key.sign("https://ca.example/x", b"{}", nonce=nonce, account_url="https://ca.example/a"))
    by_key = json.loads(key.sign("https://ca.example/x", b"", nonce=nonce))
    for sent in (by_url, by_key):
        assert jws.JWS.from_json(sent).verify(key._jwk.public_key())
    first, second = (json.loads(base64url.decode(sent["protected"])) for sent in (by_url, by_key))
    algorithm = "ES256" if elliptic else "RS256"
    assert first == {"alg": algorithm, "kid": "https://ca.example/a", "nonce": nonce, "url": "https://ca.example/x"}
    assert second["jwk"] == key.public_jwk()
    assert "d" not in second["jwk"]
    assert (by_url["payload"], by_key["payload"]) == ("e30", "")


def test_a_key_is_parsed_once() -> None:
    """Loading RSA costs 30 ms with the lock held; the same text gives the same object."""
    pem = keys.generate().pem()
    assert keys.load(pem) is keys.load(pem)


def _pem(
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey, password: bytes = b""
) -> bytes:
    lock = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


def test_keys_that_no_ca_takes_are_refused() -> None:
    """Too short, too exotic, encrypted, no key at all, or endless: the message never holds the text."""
    short = rsa.generate_private_key(65537, 1024)  # noqa: S505 - that is the point
    locked = _pem(ec.generate_private_key(ec.SECP256R1()), b"password")
    texts = [_pem(short), _pem(ed25519.Ed25519PrivateKey.generate()), _pem(ec.generate_private_key(ec.SECP521R1()))]
    for text in [*texts, locked, b"", b"\xff\x00", b"x" * 20_000]:
        with pytest.raises(ConfigInvalid) as refused:
            keys.load(text)
        assert refused.value.reason == "InvalidAccountKey"
        assert len(refused.value.message) < 100


def test_p384_and_pkcs8_are_accepted() -> None:
    """Keys made by other clients go on working."""
    assert keys.load(_pem(ec.generate_private_key(ec.SECP384R1()))).thumbprint


@pytest.mark.parametrize("text", [b"_-8", b"_-8=", b"/+8=", b" _-8\n"])
def test_mac_keys_are_read_in_all_forms_that_cas_print(text: bytes) -> None:
    """Base64url without padding is the contract; padding, the other alphabet and white space are tolerated."""
    assert keys.decode_mac_key(text) == b"\xff\xef"


@pytest.mark.parametrize("text", [b"", b"  ", b"not base64!", b"\xff", b"a"])
def test_mac_keys_that_are_none_are_refused(text: bytes) -> None:
    """A wrong Secret is told at once, not by the CA's refusal."""
    with pytest.raises(ConfigInvalid, match="the MAC key"):
        keys.decode_mac_key(text)


def test_the_newest_nonce_is_taken_and_old_ones_are_dropped() -> None:
    """Last in, first out; none is older than five minutes; the pool is bounded."""
    pool = NoncePool()
    for index in range(SIZE + 10):
        pool.add(base64url.encode(b"%d" % index), float(index))
    assert len(pool) == SIZE
    assert pool.take(100.0) == base64url.encode(b"%d" % (SIZE + 9))
    assert pool.take(100.0 + MAX_AGE) is None
    assert len(pool) == 0
    pool.add("not base64url!", 0.0)
    pool.add(None, 0.0)
    assert len(pool) == 0
