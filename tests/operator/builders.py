"""Objects for tests, as small as they may be: what a test does not name is ordinary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from certwright.api import Certificate, CertificateRequest
from certwright.csrspec import request_spec_of
from certwright.secretfacts import Secret, SecretFacts, facts_of
from certwright_issuers.contract import SigningRequest
from certwright_issuers.csr import build_csr, parse_csr
from certwright_issuers.keys import KeySpec, PrivateKey, encode_key, generate_key
from certwright_issuers.leaf import Signer, sign_leaf

NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
UID = "11111111-1111-1111-1111-111111111111"
KEY = generate_key(KeySpec("ECDSA", 256))
OTHER_KEY = generate_key(KeySpec("ECDSA", 256))


def certificate(status: dict[str, Any] | None = None, **spec: Any) -> Certificate:
    """A Certificate named web for web.example.test by the Issuer ca, ECDSA."""
    body = {
        "metadata": {"name": "web", "namespace": "ns", "uid": UID, "generation": 1, "resourceVersion": "10"},
        "spec": {
            "secretName": "web-tls",
            "dnsNames": ["web.example.test"],
            "issuerRef": {"name": "ca"},
            "privateKey": {"algorithm": "ECDSA"},
            **spec,
        },
        "status": status or {},
    }
    return msgspec.convert(body, type=Certificate, strict=False)


def request(
    of: Certificate, key: PrivateKey = KEY, revision: int = 1, status: dict[str, Any] | None = None, **spec: Any
) -> CertificateRequest:
    """The CertificateRequest that certwright would make for ``of``."""
    body = {
        "metadata": {
            "name": f"web-{revision}",
            "namespace": "ns",
            "uid": f"22222222-{revision}",
            "resourceVersion": "20",
            "annotations": {"cert-manager.io/certificate-revision": str(revision)},
            "ownerReferences": [{"kind": "Certificate", "name": "web", "uid": UID, "controller": True}],
        },
        "spec": {
            "issuerRef": msgspec.to_builtins(of.spec.issuer_ref),
            "usages": list(of.spec.usages),
            **({"isCA": of.spec.is_ca} if of.spec.is_ca else {}),
            **({"duration": of.spec.duration} if of.spec.duration else {}),
            **spec,
        },
        "status": status or {},
    }
    made = msgspec.convert(body, type=CertificateRequest, strict=False)
    csr = build_csr(request_spec_of(of.spec), key)
    return msgspec.structs.replace(made, spec=msgspec.structs.replace(made.spec, request=csr))


def chain(
    of: Certificate, key: PrivateKey = KEY, begin: datetime = NOW, lifetime: timedelta = timedelta(days=90)
) -> bytes:
    """A certificate for ``of``, signed with its own key."""
    return sign_leaf(signing(of, key, begin, lifetime), Signer(key))[0].public_bytes(Encoding.PEM)


def signing(
    of: Certificate, key: PrivateKey, begin: datetime = NOW, lifetime: timedelta = timedelta(days=90)
) -> SigningRequest:
    """What an issuer is asked for ``of``."""
    return SigningRequest(
        csr=parse_csr(build_csr(request_spec_of(of.spec), key)).csr,
        duration=lifetime,
        is_ca=bool(of.spec.is_ca),
        usages=of.spec.usages or ("digital signature", "key encipherment"),
        now=begin,
    )


def secret(
    of: Certificate | None = None, key: PrivateKey = KEY, *, drop: tuple[str, ...] = (), **replaced: Any
) -> SecretFacts:
    """The facts of a Secret that was issued for ``of``; ``replaced`` data or metadata wins."""
    wanted = of or certificate()
    data = {"tls.key": encode_key(key, "PKCS1"), "tls.crt": chain(wanted, key)} | replaced.pop("data", {})
    annotations = {
        "cert-manager.io/certificate-name": "web",
        "cert-manager.io/issuer-name": "ca",
        "cert-manager.io/issuer-kind": "",
        "cert-manager.io/issuer-group": "",
    } | replaced.pop("annotations", {})
    body = {
        "metadata": {
            "name": "web-tls",
            "namespace": "ns",
            "uid": "33333333",
            "resourceVersion": "30",
            "annotations": {name: value for name, value in annotations.items() if value is not None},
            "labels": replaced.pop("labels", {"controller.cert-manager.io/fao": "true"}),
        },
        "type": "kubernetes.io/tls",
    }
    made = msgspec.convert(body, type=Secret, strict=False)
    return facts_of(
        msgspec.structs.replace(made, data={name: value for name, value in data.items() if name not in drop})
    )
