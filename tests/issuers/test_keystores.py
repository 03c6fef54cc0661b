"""Keystores, opened by the programs they are for."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, load_der_private_key, pkcs12

from certwright_issuers import rc2
from certwright_issuers.ca import build
from certwright_issuers.certificate import load_chain
from certwright_issuers.jks import KeyEntry, write_jks
from certwright_issuers.keys import InvalidKey, KeySpec, encode_key, key_facts, load_key, spki_sha256
from certwright_issuers.keystores import Content, combined_pem, jks_files, key_der, pkcs12_files
from certwright_issuers.pkcs12 import PROFILES, derive
from certwright_issuers.testing import KEY_SPECS, leaf_key
from tests.issuers.authority import NOW, ask, make_authority, make_chain, openssl, sign

PASSWORD = "pässword 密"
#: What OpenSSL's and Java's command lines take without doubt about encodings.
PLAIN = "changeit"
needs_keytool = pytest.mark.skipif(shutil.which("keytool") is None, reason="Java's keytool is not installed")


def content(spec: KeySpec = KEY_SPECS[1], depth: int = 1, *, encoding: str = "PKCS1") -> Content:
    """A key with its chain and root."""
    key = leaf_key(spec)
    issuer = build({"secretName": "ca"}, {"ca": make_chain(depth).secret()})
    issued = sign(issuer, ask(key=key))
    return Content(encode_key(key, encoding), issued.chain_pem, issued.ca_pem)


def keytool(directory: Path, *arguments: str) -> str:
    """What the program says."""
    done = subprocess.run(
        ["keytool", *arguments], cwd=directory, capture_output=True, text=True, errors="replace", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("spec", KEY_SPECS, ids=str)
def test_pkcs12_by_the_library(profile: str, spec: KeySpec) -> None:
    """Every profile with every kind of key: key, leaf and the rest come back, the password being any text."""
    made = content(spec)
    files = pkcs12_files(made, PASSWORD, profile)
    assert list(files) == ["keystore.p12", "truststore.p12"]
    found = pkcs12.load_pkcs12(files["keystore.p12"], PASSWORD.encode())
    assert found.key is not None
    assert found.cert is not None
    assert spki_sha256(found.key) == spki_sha256(leaf_key(spec))  # type: ignore[arg-type]
    leaf, intermediate = load_chain(made.chain_pem)
    assert found.cert.certificate == leaf
    assert [c.certificate for c in found.additional_certs] == [intermediate, *load_chain(made.ca_pem)]
    trusted = pkcs12.load_pkcs12(files["truststore.p12"], PASSWORD.encode())
    assert [c.certificate for c in trusted.additional_certs] == load_chain(made.ca_pem)
    assert [c.friendly_name for c in trusted.additional_certs] == [b"CN=root"]


@pytest.mark.parametrize("profile", PROFILES)
def test_pkcs12_with_another_password(profile: str) -> None:
    """It does not open."""
    with pytest.raises(ValueError, match=r"(?i)password"):
        pkcs12.load_pkcs12(pkcs12_files(content(), PASSWORD, profile)["keystore.p12"], b"wrong")


def test_the_default_profile() -> None:
    """Contract row 8.64: RC2 with 40 bits, as no profile at all always has been."""
    object_id = bytes.fromhex("060b2a864886f70d010c010600")[:-1]
    assert object_id[2:] in pkcs12_files(content(), PLAIN, "")["keystore.p12"]
    assert object_id[2:] not in pkcs12_files(content(), PLAIN, "LegacyDES")["keystore.p12"]


def test_stores_without_a_ca() -> None:
    """Contract row 8.64: there is then nothing to trust, and no file for it."""
    made = content()
    alone = Content(made.key_pem, made.chain_pem)
    assert list(pkcs12_files(alone, PLAIN, "Modern2023")) == ["keystore.p12"]
    assert list(jks_files(alone, PLAIN, "", NOW)) == ["keystore.jks"]


def test_a_chain_that_ends_with_its_ca() -> None:
    """The certificate that is both is stored once."""
    issuer = build({"secretName": "ca"}, {"ca": make_chain(1).secret(with_root=False)})
    issued = sign(issuer, ask())
    made = Content(encode_key(leaf_key(KEY_SPECS[1]), "PKCS8"), issued.chain_pem, issued.ca_pem)
    found = pkcs12.load_pkcs12(pkcs12_files(made, PLAIN, "Modern2023")["keystore.p12"], PLAIN.encode())
    assert len(found.additional_certs) == 1


def test_equal_names_in_a_truststore() -> None:
    """Java keeps one certificate of each name, so equal ones are numbered."""
    made = content()
    roots = b"".join(make_authority("Same").certificate.public_bytes(Encoding.PEM) for _ in range(3))
    files = pkcs12_files(Content(made.key_pem, made.chain_pem, roots), PLAIN, "Modern2023")
    trusted = pkcs12.load_pkcs12(files["truststore.p12"], PLAIN.encode()).additional_certs
    assert [c.friendly_name for c in trusted] == [b"CN=Same", b"CN=Same (2)", b"CN=Same (3)"]


def test_what_is_refused() -> None:
    """An empty password, an unknown profile, something that is no key."""
    made = content()
    with pytest.raises(ValueError, match="needs a password"):
        pkcs12_files(made, "", "Modern2023")
    with pytest.raises(ValueError, match="needs a password"):
        jks_files(made, "", "", NOW)
    with pytest.raises(ValueError, match="'Modern2000' is not one of"):
        pkcs12_files(made, PLAIN, "Modern2000")
    with pytest.raises(InvalidKey):
        jks_files(Content(b"x", made.chain_pem), PLAIN, "", NOW)
    with pytest.raises(ValueError, match="alias"):
        jks_files(made, PLAIN, "a" * 70_000, NOW)


def test_nothing_shows_the_key() -> None:
    """Neither what goes into a store nor an entry of it."""
    made = content()
    shown = repr(made) + repr(KeyEntry("a", key_der(made.key_pem), ()))
    assert made.key_pem.decode().splitlines()[1] not in shown
    assert repr(key_der(made.key_pem)) not in shown


@pytest.mark.slow
@pytest.mark.parametrize("profile", ["LegacyRC2", "LegacyDES", "Modern2023"])
def test_pkcs12_by_openssl(tmp_path: Path, profile: str) -> None:
    """OpenSSL 3.0 opens all but Modern2026, whose PBMAC1 it knows from 3.4 on; the old ciphers need ``-legacy``."""
    made = content(KEY_SPECS[0], 2)
    for name, stored in pkcs12_files(made, PLAIN, profile).items():
        (tmp_path / name).write_bytes(stored)
    legacy = ("-legacy",) if profile.startswith("Legacy") else ()
    text = openssl(tmp_path, "pkcs12", "-in", "keystore.p12", "-passin", f"pass:{PLAIN}", "-nodes", *legacy)
    at = text.index("-----BEGIN PRIVATE KEY")
    assert key_facts(load_key(text[at:].encode(), trusted=False)) == key_facts(leaf_key(KEY_SPECS[0]))
    assert text.count("BEGIN CERTIFICATE") == 4
    text = openssl(tmp_path, "pkcs12", "-in", "truststore.p12", "-passin", f"pass:{PLAIN}", "-nokeys", *legacy)
    assert "friendlyName: CN=root" in text
    assert "2.16.840.1.113894.746875.1.1" in text


@needs_keytool
@pytest.mark.slow
@pytest.mark.parametrize("profile", ["LegacyRC2", "LegacyDES", "Modern2023"])
def test_pkcs12_by_java(tmp_path: Path, profile: str) -> None:
    """Java 17 opens all but Modern2026, which it knows from 26 on, and takes the CA for a trust anchor."""
    for name, stored in pkcs12_files(content(), PLAIN, profile).items():
        (tmp_path / name).write_bytes(stored)
    options = ("-storetype", "PKCS12", "-storepass", PLAIN)
    assert "PrivateKeyEntry" in keytool(tmp_path, "-list", "-keystore", "keystore.p12", *options)
    assert "trustedCertEntry" in keytool(tmp_path, "-list", "-keystore", "truststore.p12", *options)


@needs_keytool
@pytest.mark.slow
def test_jks_by_java(tmp_path: Path) -> None:
    """Aliases in lower case, the chain with the key, CAs as trusted; the key itself comes out as it went in."""
    made = content(KEY_SPECS[0], 2)
    two = Content(
        made.key_pem, made.chain_pem, made.ca_pem + make_authority("other").certificate.public_bytes(Encoding.PEM)
    )
    for name, stored in jks_files(two, PLAIN, "MyAlias", NOW).items():
        (tmp_path / name).write_bytes(stored)
    options = ("-storetype", "JKS", "-storepass", PLAIN)
    listed = keytool(tmp_path, "-list", "-keystore", "keystore.jks", *options)
    assert "Your keystore contains 3 entries" in listed
    for entry in ("myalias, Jan 2, 2030, PrivateKeyEntry", "ca, Jan 2, 2030, trustedCertEntry", "ca-1, "):
        assert entry in listed
    assert "contains 2 entries" in keytool(tmp_path, "-list", "-keystore", "truststore.jks", *options)
    keytool(
        tmp_path,
        *("-importkeystore", "-noprompt", "-srckeystore", "keystore.jks", "-srcstoretype", "JKS"),
        *("-srcstorepass", PLAIN, "-srcalias", "myalias", "-destkeystore", "out.p12", "-deststoretype", "PKCS12"),
        *("-deststorepass", PLAIN),
    )
    found = pkcs12.load_pkcs12((tmp_path / "out.p12").read_bytes(), PLAIN.encode())
    assert spki_sha256(found.key) == spki_sha256(leaf_key(KEY_SPECS[0]))  # type: ignore[arg-type]
    assert len(found.additional_certs) == 2


def test_an_alias_that_is_taken() -> None:
    """The key is never replaced by a CA of the same name."""
    stored = jks_files(content(), PLAIN, "CA", NOW)["keystore.jks"]
    assert stored.count(b"\x00\x02ca\x00\x00") == 1
    assert stored.count(b"\x00\x04ca-1\x00\x00") == 1


def test_java_strings() -> None:
    """NUL takes two bytes and characters beyond 16 bits are two surrogates, as DataOutput.writeUTF has them."""
    stored = write_jks([KeyEntry("\0ä😀", b"k", ())], PLAIN, NOW)
    assert b"\x00\x0a\xc0\x80\xc3\xa4\xed\xa0\xbd\xed\xb8\x80" in stored


@pytest.mark.parametrize("encoding", ["PKCS1", "PKCS8"])
@pytest.mark.parametrize("spec", KEY_SPECS, ids=str)
def test_key_der(spec: KeySpec, encoding: str) -> None:
    """The bytes inside the PEM, whatever its encoding."""
    encoded = key_der(encode_key(leaf_key(spec), encoding))
    assert spki_sha256(load_der_private_key(encoded, None)) == spki_sha256(leaf_key(spec))  # type: ignore[arg-type]
    with pytest.raises(InvalidKey):
        key_der(b"-----BEGIN PRIVATE KEY-----\n" * 2)


def test_combined_pem() -> None:
    """Key, line end, chain."""
    assert combined_pem(b"key\n", b"chain\n") == b"key\n\nchain\n"


def test_rc2() -> None:
    """The ciphertext OpenSSL 3.0 makes with -rc2-40-cbc; keys, IVs and texts of other sizes are refused."""
    plaintext = b"0123456789abcdef" * 2
    ciphertext = rc2.encrypt_cbc(b"\1\2\3\4\5", b"abcdefgh", plaintext)
    assert ciphertext.hex() == "beed73fecaf37ea9070aa9671260f978177cef377bcb847e182d7ebac8220520"
    for wrong in ((b"1234", b"12345678", b""), (b"12345", b"1", b""), (b"12345", b"12345678", b"1")):
        with pytest.raises(ValueError, match="RC2 wants"):
            rc2.encrypt_cbc(*wrong)


def test_derivation_is_deterministic() -> None:
    """Each purpose has a secret of its own, and a longer one begins with the shorter."""
    secrets = [derive("sha1", PLAIN, b"saltsalt", purpose, 50) for purpose in (1, 2, 3)]
    assert len(set(secrets)) == 3
    assert derive("sha1", PLAIN, b"saltsalt", 1, 24) == secrets[0][:24]
