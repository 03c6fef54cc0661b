"""Keystores opened by the programs they are made for: a JDK's keytool, and openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

from cryptography.hazmat.primitives.serialization import pkcs12

from tests.e2e.conformance.issued import Issued

#: Of PKCS#12 profiles: what openssl needs to be told. Modern2026 is not here: PBMAC1 came with OpenSSL 3.4 and Java 26,
#: and the programs that the registries of CI's system have are OpenSSL 3.0 and Java 17.
OPENSSL_OPTIONS = {"LegacyRC2": ("-legacy",), "LegacyDES": ("-legacy",), "Modern2023": ()}


def run(folder: Path, *command: str) -> str:
    """What a program says; the test fails with its words."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stdout}{done.stderr}"
    return done.stdout + done.stderr


def spread(issued: Issued, *names: str) -> None:
    """Write values of the Secret into files."""
    for name in names:
        (issued.folder / name).write_bytes(issued.data(name))


def open_jks(issued: Issued, password: str, alias: str) -> None:
    """keytool finds the key under its alias and takes it out; both stores trust the CA, if the issuer has one."""
    names = ["keystore.jks", *(["truststore.jks"] if issued.has_ca else [])]
    spread(issued, *names)
    listed = run(issued.folder, "keytool", "-list", "-storetype", "JKS", "-keystore", names[0], "-storepass", password)
    assert f"{alias.lower()}, " in listed
    assert "PrivateKeyEntry" in listed
    assert ("ca, " in listed) == issued.has_ca
    if issued.has_ca:
        listed = run(
            issued.folder, "keytool", "-list", "-storetype", "JKS", "-keystore", names[1], "-storepass", password
        )
        assert "trustedCertEntry" in listed
        assert "PrivateKeyEntry" not in listed
    run(
        issued.folder,
        *("keytool", "-importkeystore", "-noprompt", "-srckeystore", names[0], "-srcstoretype", "JKS"),
        *("-srcstorepass", password, "-srcalias", alias, "-destkeystore", "out.p12", "-deststoretype", "PKCS12"),
        *("-deststorepass", password),
    )
    holds_the_pair(issued, (issued.folder / "out.p12").read_bytes(), password)


def open_pkcs12(issued: Issued, password: str, profile: str) -> None:
    """The library, and openssl and keytool where they know the profile, open keystore and truststore."""
    holds_the_pair(issued, issued.data("keystore.p12"), password)
    names = ["keystore.p12", *(["truststore.p12"] if issued.has_ca else [])]
    spread(issued, *names)
    if issued.has_ca:
        trusted = pkcs12.load_pkcs12(issued.data("truststore.p12"), password.encode())
        assert trusted.key is None
        assert trusted.additional_certs
    if profile not in OPENSSL_OPTIONS:
        return
    for name in names:
        private = name == "keystore.p12"
        text = run(
            issued.folder,
            *("openssl", "pkcs12", "-in", name, "-passin", f"pass:{password}", "-nodes", *OPENSSL_OPTIONS[profile]),
        )
        assert "BEGIN CERTIFICATE" in text
        assert ("BEGIN PRIVATE KEY" in text) == private
        listed = run(
            issued.folder, "keytool", "-list", "-storetype", "PKCS12", "-keystore", name, "-storepass", password
        )
        assert ("PrivateKeyEntry" if private else "trustedCertEntry") in listed


def holds_the_pair(issued: Issued, store: bytes, password: str) -> None:
    """A PKCS#12 file holds the Secret's key and certificate."""
    found = pkcs12.load_pkcs12(store, password.encode())
    assert found.cert is not None
    assert found.cert.certificate == issued.leaf
    assert found.key is not None
    assert found.key.public_key() == issued.leaf.public_key()
