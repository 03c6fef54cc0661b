"""Private keys: made, encoded, loaded within bounds, compared."""

from __future__ import annotations

import subprocess
import time

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

from certwright_issuers import der, keys
from certwright_issuers.keys import InvalidKey, KeySpec, encode_key, generate_key, load_key
from certwright_issuers.pem import KEY_LIMIT, join_pem
from certwright_issuers.testing import KEY_SPECS, leaf_key


@pytest.mark.parametrize("encoding", ["PKCS1", "PKCS8"])
@pytest.mark.parametrize("spec", KEY_SPECS, ids=str)
def test_keys_survive(spec: KeySpec, encoding: str) -> None:
    """Each kind in each encoding is the same key again, trusted or not."""
    key = leaf_key(spec)
    pem = encode_key(key, encoding)
    for trusted in (True, False):
        facts = keys.key_facts(load_key(pem, trusted=trusted))
        assert facts == keys.key_facts(key)
        assert (facts.algorithm, facts.size) == (spec.algorithm, spec.size)


@pytest.mark.parametrize(
    ("spec", "encoding", "label"),
    [
        (KEY_SPECS[0], "PKCS1", "RSA PRIVATE KEY"),
        (KEY_SPECS[0], "PKCS8", "PRIVATE KEY"),
        (KEY_SPECS[1], "PKCS1", "EC PRIVATE KEY"),
        (KEY_SPECS[1], "PKCS8", "PRIVATE KEY"),
        (KEY_SPECS[4], "PKCS1", "PRIVATE KEY"),
        (KEY_SPECS[4], "PKCS8", "PRIVATE KEY"),
    ],
)
def test_labels(spec: KeySpec, encoding: str, label: str) -> None:
    """PKCS1 means SEC 1 for elliptic curves, and PKCS8 for Ed25519, which has nothing else."""
    assert encode_key(leaf_key(spec), encoding).startswith(f"-----BEGIN {label}-----\n".encode())


@pytest.mark.parametrize(
    "spec",
    [KeySpec("RSA", 2047), KeySpec("RSA", 8193), KeySpec("ECDSA", 255), KeySpec("DSA", 2048), KeySpec("rsa", 2048)],
)
def test_sizes_that_are_not_made(spec: KeySpec) -> None:
    """The message names the field."""
    with pytest.raises(ValueError, match=r"^spec\.privateKey\."):
        generate_key(spec)


@pytest.mark.parametrize(
    ("wanted", "violations"),
    [
        (KeySpec("ECDSA", 256), ()),
        (KeySpec("ECDSA"), ()),
        (KeySpec("ECDSA", 384), ("spec.privateKey.size",)),
        (KeySpec("RSA", 256), ("spec.privateKey.algorithm",)),
        (KeySpec("Ed25519"), ("spec.privateKey.algorithm",)),
    ],
)
def test_what_a_key_does_not_fit(wanted: KeySpec, violations: tuple[str, ...]) -> None:
    """The field at fault; a size of 0 asks for nothing."""
    assert keys.key_kind_violations(keys.key_facts(leaf_key(KeySpec("ECDSA", 256))), wanted) == violations


def pkcs8(key: PrivateKeyTypes) -> bytes:
    """Any key of the library in PEM."""
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def rsa_pem(**changes: int) -> bytes:
    """An RSA key in PKCS#1 with some numbers replaced."""
    key = leaf_key(KEY_SPECS[0])
    assert isinstance(key, rsa.RSAPrivateKey)
    numbers = key.private_numbers()
    parts = {
        "version": 0,
        "n": numbers.public_numbers.n,
        "e": numbers.public_numbers.e,
        **{name: getattr(numbers, name) for name in ("d", "p", "q", "dmp1", "dmq1", "iqmp")},
    }
    parts |= {name: value if name in {"e", "p"} else parts[name] + value for name, value in changes.items()}
    return join_pem("RSA PRIVATE KEY", der.sequence(*map(der.integer, parts.values())))


@pytest.mark.parametrize(
    "changes",
    [
        {"d": 2},
        {"n": 2},
        {"q": 2},
        {"dmp1": 2},
        {"dmq1": 2},
        {"iqmp": 1},
        {"e": 3},
        {"e": 2**31 + 1},
        {"p": 1},
        {"p": 0},
    ],
)
def test_parts_that_do_not_belong_together(changes: dict[str, int]) -> None:
    """A wrong number anywhere in an RSA key of somebody else is found without a primality test."""
    load_key(rsa_pem(), trusted=False)
    with pytest.raises(InvalidKey, match="do not belong together"):
        load_key(rsa_pem(**changes), trusted=False)


def openssl_key(*arguments: str) -> bytes:
    """What the program prints."""
    return subprocess.run(["openssl", *arguments], capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        (b"", "no private key in PEM"),
        (b"garbage", "no private key in PEM"),
        (b"-----BEGIN PRIVATE KEY-----\n", "cannot be decoded"),
        (b"-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n", "cannot be decoded"),
        (b"-----BEGIN PRIVATE KEY-----\n" * 480, "larger than the limit|cannot be decoded"),
        (b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "is encrypted"),
        (b"x" * (KEY_LIMIT + 1), "larger than the limit"),
        (pkcs8(ed448.Ed448PrivateKey.generate()), "unsupported kind"),
        (pkcs8(ec.generate_private_key(ec.SECP256K1())), "curve secp256k1"),
    ],
)
def test_refused_keys(pem: bytes, says: str) -> None:
    """Missing, malformed, encrypted, too large, of another kind: each is told apart."""
    for trusted in (True, False):
        with pytest.raises(InvalidKey, match=says) as caught:
            load_key(pem, trusted=trusted)
        assert "AAAA" not in str(caught.value)


@pytest.mark.slow
def test_keys_of_other_programs() -> None:
    """OpenSSL's parameters before the key are skipped, its password protection is recognised, DSA is refused."""
    ec_key = openssl_key("ecparam", "-name", "secp384r1", "-genkey")
    assert b"EC PARAMETERS" in ec_key
    assert keys.size_of(load_key(ec_key, trusted=False)) == 384
    encrypted = openssl_key("genrsa", "-traditional", "-aes128", "-passout", "pass:x", "2048")
    with pytest.raises(InvalidKey, match="is encrypted"):
        load_key(encrypted, trusted=True)
    with pytest.raises(InvalidKey, match="unsupported kind"):
        load_key(pkcs8(dsa.generate_private_key(2048)), trusted=True)


@pytest.mark.slow
def test_loading_is_quick() -> None:
    """No key of 4096 bits holds the event loop for more than 10 ms, and a known one not even for one."""
    pem = encode_key(generate_key(KeySpec("RSA", 4096)), "PKCS1")
    times: list[float] = []
    for _ in range(2):
        begin = time.process_time()
        load_key(pem, trusted=False)
        times.append(time.process_time() - begin)
    assert times[0] < 0.01
    assert times[1] < 0.001


def test_tried_keys_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest go, those in use stay."""
    monkeypatch.setattr(keys, "_CACHED", 2)
    monkeypatch.setattr(keys, "_tried", type(keys._tried)())
    first, second, third = (encode_key(generate_key(KeySpec("Ed25519")), "PKCS8") for _ in range(3))
    kept = load_key(first, trusted=False)
    load_key(second, trusted=False)
    assert load_key(first, trusted=False) is kept
    load_key(third, trusted=False)
    assert len(keys._tried) == 2
    assert load_key(first, trusted=False) is kept
