"""Roots, client certificate and server name from memory; what does not prove who it is gets no token (V7)."""

from __future__ import annotations

import ssl
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from certwright_issuers.contract import ConfigInvalid, Issued, Unavailable
from certwright_issuers.keys import encode_key
from tests.issuers.authority import DAY, Authority, make_authority, pem
from tests.issuers.vault.conftest import SECRETS, encoded, issuer_for, request
from tests.issuers.vault.fakevault import AROUND_NOW, FakeVault

_SIGNATURES = x509.KeyUsage(
    digital_signature=True,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=False,
    crl_sign=False,
    encipher_only=False,
    decipher_only=False,
)
ROOT = make_authority("TLS Root", valid=AROUND_NOW)
OTHER = make_authority("Other Root", valid=AROUND_NOW)


def end_entity(*names: str, valid: tuple[timedelta, timedelta] = AROUND_NOW) -> Authority:
    """A certificate below ROOT for a server or a client."""
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_SIGNATURES, True),
        (x509.SubjectAlternativeName([x509.DNSName(name) for name in names]), False),
    )
    return make_authority(names[0], ROOT, extensions=extensions, valid=valid)


def context(tmp_path: Path, holder: Authority, *, mutual: bool = False) -> ssl.SSLContext:
    """A server's."""
    file = tmp_path / "server.pem"
    file.write_bytes(encode_key(holder.key, "PKCS8") + pem(holder.certificate))
    made = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=pem(ROOT.certificate).decode())
    made.load_cert_chain(file)
    if mutual:
        made.verify_mode = ssl.CERT_REQUIRED
    return made


SERVER = end_entity("vault.example.com", "localhost")
CLIENT = end_entity("client")
CLIENT_SECRET = {"tls.crt": pem(CLIENT.certificate), "tls.key": encode_key(CLIENT.key, "PKCS8")}
TRUSTED: dict[str, Any] = {"caBundle": encoded(pem(ROOT.certificate)), "serverName": "vault.example.com"}


async def test_roots_and_server_name(tmp_path: Path) -> None:
    """From the specification or from a Secret; the URL's own name where no other is given."""
    async with FakeVault(tls=context(tmp_path, SERVER)) as fake:
        assert isinstance(await issuer_for(fake.url, **TRUSTED).sign(request()), Issued)
        secrets = {**SECRETS, "ca": {"ca.crt": pem(ROOT.certificate)}}
        by_secret = issuer_for(
            fake.url, secrets=secrets, caBundleSecretRef={"name": "ca"}, serverName="vault.example.com"
        )
        assert isinstance(await by_secret.sign(request()), Issued)
        by_name = issuer_for(fake.url.replace("127.0.0.1", "localhost"), caBundle=TRUSTED["caBundle"])
        assert isinstance(await by_name.sign(request()), Issued)


@pytest.mark.parametrize(
    ("name", "roots", "words"),
    [
        ("vault.example.com", OTHER, "self-signed certificate in certificate chain"),
        ("vault.example.com", None, "self-signed certificate in certificate chain"),
        ("other.example.com", ROOT, "Hostname mismatch"),
        ("", ROOT, "IP address mismatch"),
    ],
)
async def test_a_server_that_is_not_trusted(tmp_path: Path, name: str, roots: Authority | None, words: str) -> None:
    """Unknown CA, wrong name: not a byte of a request is sent."""
    bundle: dict[str, Any] = {"caBundle": encoded(pem(roots.certificate))} if roots else {}
    async with FakeVault(tls=context(tmp_path, SERVER)) as fake:
        with pytest.raises(Unavailable) as caught:
            await issuer_for(fake.url, serverName=name, **bundle).sign(request())
        assert caught.value.reason == "TLSFailed"
        assert words in caught.value.message
        assert fake.seen == []


async def test_an_expired_certificate(tmp_path: Path) -> None:
    """Told as what it is."""
    old = end_entity("vault.example.com", valid=(AROUND_NOW[0], AROUND_NOW[0] + DAY))
    async with FakeVault(tls=context(tmp_path, old)) as fake:
        with pytest.raises(Unavailable, match="certificate has expired"):
            await issuer_for(fake.url, **TRUSTED).sign(request())


async def test_a_client_certificate_for_everything(tmp_path: Path) -> None:
    """Without it Vault's listener refuses; the refusal is told."""
    secrets = {**SECRETS, "client": CLIENT_SECRET}
    refs: dict[str, Any] = {"clientCertSecretRef": {"name": "client"}, "clientKeySecretRef": {"name": "client"}}
    async with FakeVault(tls=context(tmp_path, SERVER, mutual=True)) as fake:
        assert isinstance(await issuer_for(fake.url, secrets=secrets, **refs, **TRUSTED).sign(request()), Issued)
        by_certificate = issuer_for(fake.url, {"clientCertificate": {"name": "r"}}, secrets, **refs, **TRUSTED)
        assert isinstance(await by_certificate.sign(request()), Issued)
        assert fake.seen[-2].body == {"name": "r"}
        assert fake.paths()[-2] == "auth/cert/login"
        with pytest.raises(Unavailable):
            await issuer_for(fake.url, **TRUSTED).sign(request())


async def test_a_client_certificate_for_the_login(tmp_path: Path) -> None:
    """secretName of the method: shown at the login."""
    secrets = {**SECRETS, "client": CLIENT_SECRET}
    async with FakeVault(tls=context(tmp_path, SERVER)) as fake:
        auth = {"clientCertificate": {"secretName": "client", "mountPath": "/v1/auth/tls"}}
        assert isinstance(await issuer_for(fake.url, auth, secrets, **TRUSTED).sign(request()), Issued)
        assert (fake.paths()[0], fake.seen[0].body) == ("auth/tls/login", {})


@pytest.mark.parametrize(
    "secret",
    [
        {**CLIENT_SECRET, "tls.key": encode_key(OTHER.key, "PKCS8")},
        {**CLIENT_SECRET, "tls.key": b"no key"},
        {**CLIENT_SECRET, "tls.crt": b"no certificate"},
    ],
)
def test_client_certificates_that_are_none(secret: dict[str, bytes]) -> None:
    """Told at once, without a word of the key."""
    with pytest.raises(ConfigInvalid) as caught:
        issuer_for("https://v", {"clientCertificate": {"secretName": "client"}}, {"client": secret})
    assert "can't be used" in caught.value.message
    assert "no key" not in caught.value.message


def test_an_encrypted_key_does_not_ask_the_terminal() -> None:
    """It is refused."""
    key = CLIENT.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    with pytest.raises(ConfigInvalid, match="can't be used"):
        issuer_for(
            "https://v",
            {"clientCertificate": {"secretName": "client"}},
            {"client": {**CLIENT_SECRET, "tls.key": key}},
        )
