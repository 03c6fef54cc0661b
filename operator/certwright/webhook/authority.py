"""The webhook's own CA and serving certificate: nothing has to issue them, no volume has to hold them.

The CA lies in a Secret that all replicas share; whoever finds it missing or old makes a new one, and the bundle keeps the
old certificate until that ends, so that replicas change over one by one. The serving certificate lives in memory.
"""

from __future__ import annotations

import base64
import logging
import ssl
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certwright.errors import AlreadyExists, Conflict, NotFound
from certwright.kube import SECRETS, KubeClient
from certwright.secretfacts import Secret
from certwright_issuers.ca import CA_CRT, TLS_CRT, TLS_KEY
from certwright_issuers.ca import build as build_ca
from certwright_issuers.certificate import InvalidCertificate, load_chain
from certwright_issuers.contract import ConfigInvalid, SigningRequest
from certwright_issuers.csr import RequestSpec, build_csr, parse_csr
from certwright_issuers.keys import KeySpec, PrivateKey, encode_key, generate_key
from certwright_issuers.leaf import Signer, sign_leaf

logger = logging.getLogger(__name__)

CA_LIFETIME = timedelta(days=365)
LEAF_LIFETIME = timedelta(days=7)
#: Both are replaced when less than this share of their lifetime is left.
RENEW_SHARE = 1 / 3
FIELD_MANAGER = "certwright-webhook"
TRIES = 5


@dataclass(frozen=True, slots=True)
class Keys:
    """A certificate and its key, in PEM. Never printed."""

    certificate: bytes
    key: bytes


class Authority:
    """Keeps the Secret and the serving certificate fresh."""

    def __init__(self, kube: KubeClient, namespace: str, secret_name: str, dns_names: tuple[str, ...]) -> None:
        self._kube = kube
        self._namespace = namespace
        self._secret_name = secret_name
        self._dns_names = dns_names
        self._leaf_ends = datetime.min.replace(tzinfo=UTC)
        self._signed_by = b""
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2

    async def refresh(self) -> bytes:
        """Make what is missing or old; the bundle of CAs to trust, in PEM. Raises KubeError."""
        now = datetime.now(UTC)
        secret = await self._secret(now)
        if secret[TLS_CRT] != self._signed_by or _is_old(self._leaf_ends, LEAF_LIFETIME, now):
            leaf = await self._issue(secret, now)
            self._load(leaf)
            self._leaf_ends = now + LEAF_LIFETIME
            self._signed_by = secret[TLS_CRT]
            logger.info("serves with a new certificate until %s", f"{self._leaf_ends:%Y-%m-%dT%H:%M:%SZ}")
        return secret[CA_CRT]

    async def _secret(self, now: datetime) -> dict[str, bytes]:
        """The data of a Secret with a CA that is good for a while."""
        path = SECRETS.path(self._namespace, self._secret_name)
        for _ in range(TRIES):
            try:
                found = await self._kube.get(path, Secret)
            except NotFound:
                found = None
            if found is not None and _is_usable(found.data, now):
                return found.data
            data = _new_ca(now, found.data.get(CA_CRT, b"") if found else b"")
            try:
                await self._write(found, data)
            except (AlreadyExists, Conflict):
                continue
            logger.info("made a new CA in Secret %s/%s", self._namespace, self._secret_name)
            return data
        raise Conflict(f"Secret {self._namespace}/{self._secret_name} keeps changing")

    async def _write(self, found: Secret | None, data: dict[str, bytes]) -> None:
        encoded = {name: base64.b64encode(value).decode() for name, value in data.items()}
        if found is not None:
            patch = {"metadata": {"resourceVersion": found.metadata.resource_version}, "data": encoded}
            await self._kube.merge_patch(SECRETS.path(self._namespace, self._secret_name), patch, dict[str, Any])
            return
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self._secret_name}, "data": encoded}
        await self._kube.create(SECRETS.path(self._namespace), body, dict[str, Any])

    async def _issue(self, secret: dict[str, bytes], now: datetime) -> Keys:
        key = generate_key(KeySpec("ECDSA", 256))
        spec = RequestSpec(dns_names=self._dns_names, usages=("digital signature", "server auth"))
        signing = _signing(spec, key, LEAF_LIFETIME, now)
        issued = await build_ca({"secretName": "ca"}, {"ca": {name: secret[name] for name in (TLS_CRT, TLS_KEY)}}).sign(
            signing
        )
        return Keys(issued.chain_pem, encode_key(key, "PKCS8"))

    def _load(self, leaf: Keys) -> None:
        """Into the running server: connections made from now on get it."""
        # The ssl module reads keys from files alone; this one is readable by its owner and gone at once.
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "serving.pem")
            path.touch(mode=0o600)
            path.write_bytes(leaf.certificate + leaf.key)
            self.context.load_cert_chain(path)


def _is_usable(data: dict[str, bytes], now: datetime) -> bool:
    """Whether the CA can sign and lasts, and is in the bundle."""
    try:
        build_ca({"secretName": "ca"}, {"ca": {name: data.get(name, b"") for name in (TLS_CRT, TLS_KEY)}})
        certificate = load_chain(data[TLS_CRT])[0]
        trusted = load_chain(data.get(CA_CRT, b""))
    except (ConfigInvalid, InvalidCertificate, KeyError):
        return False
    return certificate in trusted and not _is_old(certificate.not_valid_after_utc, CA_LIFETIME, now)


def _is_old(end: datetime, lifetime: timedelta, now: datetime) -> bool:
    return end - now < lifetime * RENEW_SHARE


def _new_ca(now: datetime, old_bundle: bytes) -> dict[str, bytes]:
    key = generate_key(KeySpec("ECDSA", 384))
    spec = RequestSpec(common_name="certwright-webhook-ca", is_ca=True, usages=("cert sign",))
    certificate, _ = sign_leaf(_signing(spec, key, CA_LIFETIME, now), Signer(key))
    pem = certificate.public_bytes(Encoding.PEM)
    return {TLS_CRT: pem, TLS_KEY: encode_key(key, "PKCS8"), CA_CRT: pem + _unexpired(old_bundle, now)}


def _unexpired(bundle: bytes, now: datetime) -> bytes:
    try:
        old = load_chain(bundle) if bundle else []
    except InvalidCertificate:
        return b""
    kept: list[x509.Certificate] = [certificate for certificate in old if certificate.not_valid_after_utc > now]
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in kept[:2])


def _signing(spec: RequestSpec, key: PrivateKey, lifetime: timedelta, now: datetime) -> SigningRequest:
    csr = parse_csr(build_csr(spec, key)).csr
    return SigningRequest(csr, lifetime, is_ca=spec.is_ca, usages=spec.usages, now=now)


def trust_patch(kind: str, configuration: dict[str, Any], bundle: bytes) -> dict[str, Any] | None:
    """What to apply so that the API server trusts the bundle; None if it does already, or there are no webhooks."""
    encoded = base64.b64encode(bundle).decode()
    webhooks: list[dict[str, Any]] = configuration.get("webhooks") or []
    if not webhooks or all(webhook["clientConfig"].get("caBundle") == encoded for webhook in webhooks):
        return None
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": kind,
        "metadata": {"name": configuration["metadata"]["name"]},
        "webhooks": [{"name": webhook["name"], "clientConfig": {"caBundle": encoded}} for webhook in webhooks],
    }
