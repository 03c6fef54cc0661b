"""The objects of a workload, and the bodies a bare client writes in an operator's place."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

ISSUER = "bench-ca"
#: Where operators look for the Secrets of ClusterIssuers by default, cert-manager included.
CLUSTER_RESOURCE_NAMESPACE = "kube-system"
API_VERSION = "cert-manager.io/v1"
CERTIFICATES = "/apis/cert-manager.io/v1/certificates"
REQUESTS = "/apis/cert-manager.io/v1/certificaterequests"
CLUSTER_ISSUER = f"/apis/cert-manager.io/v1/clusterissuers/{ISSUER}"
PEM = serialization.Encoding.PEM


def namespaced(namespace: str, plural: str) -> str:
    """The path of a namespace's collection of cert-manager.io objects."""
    return f"/apis/cert-manager.io/v1/namespaces/{namespace}/{plural}"


def core(namespace: str, plural: str) -> str:
    """The path of a namespace's collection of core objects."""
    return f"/api/v1/namespaces/{namespace}/{plural}"


def dns_name(namespace: str, name: str) -> str:
    """The name in a Certificate."""
    return f"{name}.{namespace}.example.test"


def certificate(namespace: str, name: str, algorithm: str) -> dict[str, Any]:
    """A Certificate as people write them: one DNS name, a key of the usual size."""
    size = {"ECDSA": 256, "RSA": 2048}[algorithm]
    return {
        "apiVersion": API_VERSION,
        "kind": "Certificate",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "secretName": f"{name}-tls",
            "dnsNames": [dns_name(namespace, name)],
            "privateKey": {"algorithm": algorithm, "size": size},
            "issuerRef": {"name": ISSUER, "kind": "ClusterIssuer", "group": "cert-manager.io"},
        },
    }


def ingress(namespace: str, name: str, algorithm: str) -> dict[str, Any]:
    """An annotated Ingress of one host, whose Certificate has the name of its Secret: ``name``."""
    wanted = certificate(namespace, name, algorithm)["spec"]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {
                "cert-manager.io/cluster-issuer": ISSUER,
                "cert-manager.io/private-key-algorithm": algorithm,
                "cert-manager.io/private-key-size": str(wanted["privateKey"]["size"]),
            },
        },
        "spec": {
            "tls": [{"hosts": wanted["dnsNames"], "secretName": name}],
            "defaultBackend": {"service": {"name": "web", "port": {"number": 80}}},
        },
    }


@dataclass(frozen=True)
class Authority:
    """An ECDSA P-256 root, and one leaf of it that a bare client stores again and again. PEM."""

    ca_pem: bytes
    ca_key_pem: bytes
    leaf_pem: bytes
    leaf_key_pem: bytes
    csr_pem: bytes

    @classmethod
    def make(cls) -> Authority:
        """A new one, valid for a year."""
        ca_key, leaf_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
        ca_name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Benchmark CA")])
        ca = _signed(ca_name, ca_name, ca_key, ca_key, None)
        names = x509.SubjectAlternativeName([x509.DNSName("w1-00000.bench-000.example.test")])
        leaf = _signed(x509.Name([]), ca_name, leaf_key, ca_key, names)
        request = (
            x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).add_extension(names, critical=True)
        )
        return cls(
            ca_pem=ca.public_bytes(PEM),
            ca_key_pem=_key_pem(ca_key),
            leaf_pem=leaf.public_bytes(PEM),
            leaf_key_pem=_key_pem(leaf_key),
            csr_pem=request.sign(leaf_key, hashes.SHA256()).public_bytes(PEM),
        )

    def secret(self) -> dict[str, Any]:
        """The Secret of the ClusterIssuer."""
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": ISSUER, "namespace": CLUSTER_RESOURCE_NAMESPACE},
            "type": "kubernetes.io/tls",
            "data": {"tls.crt": _base64(self.ca_pem), "tls.key": _base64(self.ca_key_pem)},
        }


def cluster_issuer(acme: Mapping[str, object] | None = None) -> dict[str, Any]:
    """The ClusterIssuer that all Certificates name: a CA, or an account at an ACME CA."""
    return {
        "apiVersion": API_VERSION,
        "kind": "ClusterIssuer",
        "metadata": {"name": ISSUER},
        "spec": {"acme": acme} if acme else {"ca": {"secretName": ISSUER}},
    }


def request(owner: dict[str, Any], authority: Authority) -> dict[str, Any]:
    """The CertificateRequest of a Certificate's first revision."""
    name = owner["metadata"]["name"]
    return {
        "apiVersion": API_VERSION,
        "kind": "CertificateRequest",
        "metadata": {
            "name": f"{name}-1",
            "namespace": owner["metadata"]["namespace"],
            "annotations": {
                "cert-manager.io/certificate-name": name,
                "cert-manager.io/certificate-revision": "1",
                "cert-manager.io/private-key-secret-name": f"{name}-xxxxx",
            },
            "ownerReferences": [
                {
                    "apiVersion": API_VERSION,
                    "kind": "Certificate",
                    "name": name,
                    "uid": owner["metadata"]["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ],
        },
        "spec": {"request": _base64(authority.csr_pem), "issuerRef": owner["spec"]["issuerRef"]},
    }


def request_status(of: dict[str, Any], authority: Authority, now: datetime) -> dict[str, Any]:
    """Approval, certificate and readiness in one merge patch."""
    signed = {"certificate": _base64(authority.leaf_pem), "ca": _base64(authority.ca_pem)}
    conditions = [_condition("Approved", "cert-manager.io", now), _condition("Ready", "Issued", now)]
    return _status_patch(of, {"conditions": conditions, **signed})


def secret(owner: dict[str, Any], authority: Authority) -> dict[str, Any]:
    """The target Secret, for server-side apply."""
    name, namespace = owner["metadata"]["name"], owner["metadata"]["namespace"]
    annotations = {
        "alt-names": f"{name}.{namespace}.example.test",
        "certificate-name": name,
        "common-name": "",
        "ip-sans": "",
        "issuer-group": "cert-manager.io",
        "issuer-kind": "ClusterIssuer",
        "issuer-name": ISSUER,
        "uri-sans": "",
    }
    data = {"tls.crt": authority.leaf_pem, "tls.key": authority.leaf_key_pem, "ca.crt": authority.ca_pem}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": f"{name}-tls",
            "namespace": namespace,
            "labels": {"controller.cert-manager.io/fao": "true"},
            "annotations": {f"cert-manager.io/{key}": value for key, value in annotations.items()},
        },
        "type": "kubernetes.io/tls",
        "data": {key: _base64(value) for key, value in data.items()},
    }


def certificate_status(of: dict[str, Any], now: datetime) -> dict[str, Any]:
    """Ready, revision and times in one merge patch."""
    times = {"notBefore": now, "notAfter": now + timedelta(days=90), "renewalTime": now + timedelta(days=60)}
    condition = {**_condition("Ready", "Ready", now), "observedGeneration": 1}
    return _status_patch(
        of, {"conditions": [condition], "revision": 1, **{name: _time(at) for name, at in times.items()}}
    )


def event(about: dict[str, Any], number: int, message: str, now: datetime) -> dict[str, Any]:
    """A core/v1 Event about a Certificate."""
    meta = about["metadata"]
    return {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": f"{meta['name']}.{number}", "namespace": meta["namespace"]},
        "involvedObject": {
            "apiVersion": API_VERSION,
            "kind": "Certificate",
            "namespace": meta["namespace"],
            "name": meta["name"],
            "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"],
        },
        "type": "Normal",
        "reason": "Issuing",
        "message": message,
        "count": 1,
        "firstTimestamp": _time(now),
        "lastTimestamp": _time(now),
        "source": {"component": "bench"},
        "reportingComponent": "bench",
        "reportingInstance": "bench",
    }


def _status_patch(of: dict[str, Any], status: dict[str, Any]) -> dict[str, Any]:
    meta = of["metadata"]
    return {"metadata": {"resourceVersion": meta["resourceVersion"], "uid": meta["uid"]}, "status": status}


def _condition(type_: str, reason: str, now: datetime) -> dict[str, Any]:
    message = "Certificate is up to date and has not expired"
    return {"type": type_, "status": "True", "reason": reason, "message": message, "lastTransitionTime": _time(now)}


def _time(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%SZ")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())


def _signed(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    issuer_key: ec.EllipticCurvePrivateKey,
    names: x509.SubjectAlternativeName | None,
) -> x509.Certificate:
    """A leaf if it has names, else a CA."""
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.BasicConstraints(ca=names is None, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
    )
    if names is not None:
        builder = builder.add_extension(names, critical=True)
    return builder.sign(issuer_key, hashes.SHA256())
