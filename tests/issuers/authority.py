"""Certificate authorities for tests, made by ``cryptography`` alone, so that nothing is tested against itself."""

from __future__ import annotations

import asyncio
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certwright_issuers.algorithms import hash_for
from certwright_issuers.contract import Issued, Issuer, SigningRequest
from certwright_issuers.csr import RequestSpec
from certwright_issuers.keys import PrivateKey, encode_key
from certwright_issuers.testing import KEY_SPECS, leaf_key, signing_request

NOW = datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
DAY = timedelta(days=1)
#: The cheapest key to make and use.
KEY = leaf_key(KEY_SPECS[1])


@dataclass(frozen=True)
class Authority:
    """A certificate with its key, and those above it: the root last."""

    certificate: x509.Certificate
    key: PrivateKey = field(repr=False)
    above: tuple[x509.Certificate, ...] = ()

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """From this one to the root."""
        return (self.certificate, *self.above)

    def secret(self, *, with_root: bool = True) -> dict[str, bytes]:
        """The data of a Secret with this CA."""
        certificates = self.chain if with_root else self.chain[:-1] or self.chain
        return {"tls.crt": pem(*certificates), "tls.key": encode_key(self.key, "PKCS8")}


def make_authority(
    name: str,
    parent: Authority | None = None,
    *,
    key: PrivateKey | None = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] | None = None,
    valid: tuple[timedelta, timedelta] = (-DAY, 365 * DAY),
    path_length: int | None = None,
    with_key_id: bool = True,
) -> Authority:
    """A CA; ``valid`` is relative to NOW. ``extensions`` are added to, or instead of, the usual ones."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signing = parent.key if parent else key
    builder = x509.CertificateBuilder(
        parent.certificate.subject if parent else subject,
        subject,
        key.public_key(),
        x509.random_serial_number(),
        NOW + valid[0],
        NOW + valid[1],
    )
    usual: list[tuple[x509.ExtensionType, bool]] = [
        (x509.BasicConstraints(ca=True, path_length=path_length), True),
        (_usage(cert_sign=True), True),
    ]
    if with_key_id:
        usual.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
    usual.append((x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), False))
    replaced = {extension.oid for extension, _ in extensions or ()}
    for extension, critical in [row for row in usual if row[0].oid not in replaced] + list(extensions or ()):
        builder = builder.add_extension(extension, critical)
    return Authority(builder.sign(signing, hash_for(signing)), key, parent.chain if parent else ())


def _usage(*, cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=cert_sign,
        crl_sign=cert_sign,
        encipher_only=False,
        decipher_only=False,
    )


#: What a certificate says whose key may not sign others.
NO_CERT_SIGN = _usage(cert_sign=False)


def make_chain(depth: int, key: PrivateKey | None = None) -> Authority:
    """A root, ``depth`` intermediates below it, and the key of the lowest."""
    authority = make_authority("root", key=None if depth else key)
    for level in range(1, depth + 1):
        authority = make_authority(f"intermediate {level}", authority, key=key if level == depth else None)
    return authority


def pem(*certificates: x509.Certificate) -> bytes:
    """The certificates, one after the other."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def ask(
    spec: RequestSpec | None = None, *, key: PrivateKey = KEY, duration: timedelta = DAY, now: datetime = NOW
) -> SigningRequest:
    """A request, by default for one host name."""
    spec = spec or RequestSpec(common_name="www.example.com", dns_names=("www.example.com",))
    return signing_request(spec, key, now, duration=duration)


def sign(issuer: Issuer, request: SigningRequest) -> Issued:
    """What an issuer that never waits answers."""
    issued = asyncio.run(issuer.sign(request))
    assert isinstance(issued, Issued)
    return issued


def openssl(directory: Path, *arguments: str, check: bool = True) -> str:
    """What the program says."""
    done = subprocess.run(
        ["openssl", *arguments], cwd=directory, capture_output=True, text=True, errors="replace", check=False
    )
    output = done.stdout + done.stderr
    assert done.returncode == 0 or not check, output
    return output
