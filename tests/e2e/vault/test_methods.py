"""Every way to log in to a real Vault, from Issuer to Secret."""

import base64
import json
from typing import Any

import pytest
from cryptography import x509

from certwright_issuers.chain import is_issued_by
from certwright_issuers.csr import RequestSpec, build_csr
from certwright_issuers.testing import KEY_SPECS, leaf_key
from devcluster import Cluster
from tests.e2e.harness import Kubectl, condition
from tests.e2e.test_certificates import certificate, data_of, secret_of, writes_since
from tests.e2e.vault.setup import (
    METHODS,
    SERVICE_ACCOUNT,
    VaultSetup,
    account_manifests,
    app_role,
    kubernetes_account,
    wait_until,
)

pytestmark = pytest.mark.usefixtures("operator")

WEB = {"name": "vault"}


def ready_message(kubectl: Kubectl, name: str = "vault", kind: str = "issuer") -> str:
    """What the Ready condition of an issuer says."""
    found = kubectl.get(kind, name)
    ready = condition(found, "Ready") if found else None
    return str(ready["message"]) if ready else ""


def verify(kubectl: Kubectl, vault: VaultSetup, name: str = "web") -> x509.Certificate:
    """The chain in a Secret, up to Vault's root; the leaf."""
    secret = secret_of(kubectl, name)
    leaf, intermediate = x509.load_pem_x509_certificates(data_of(secret, "tls.crt"))
    root = x509.load_pem_x509_certificate(vault.root.encode())
    assert x509.load_pem_x509_certificates(data_of(secret, "ca.crt")) == [root]
    assert is_issued_by(leaf, intermediate)
    assert is_issued_by(intermediate, root)
    return leaf


@pytest.mark.parametrize("method", METHODS)
def test_a_certificate_by_each_method(kubectl: Kubectl, vault: VaultSetup, method: str) -> None:
    """Ready with the contract's words; leaf and intermediate in tls.crt, the root in ca.crt."""
    kubectl.apply(METHODS[method](vault, kubectl))
    issuer = kubectl.wait_ready("vault", kind="issuer")
    ready = condition(issuer, "Ready")
    assert ready is not None
    assert (ready["reason"], ready["message"]) == ("VaultVerified", "Vault verified")
    kubectl.apply(certificate(issuer=WEB, commonName="web.example.test", duration="3h"))
    kubectl.wait_ready("web")
    leaf = verify(kubectl, vault)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["web.example.test"]
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() == 3 * 3600 + 30


def test_a_cluster_issuer(cluster: Cluster, kubectl: Kubectl, vault: VaultSetup, namespace: str) -> None:
    """Its ServiceAccount is in the cluster resource namespace, its audience has no namespace."""
    system = Kubectl(cluster, "kube-system")
    system.apply(*account_manifests())
    auth = {"kubernetes": {"role": "certwright", "serviceAccountRef": {"name": SERVICE_ACCOUNT}}}
    kubectl.apply(vault.issuer(auth, name=namespace, kind="ClusterIssuer"))
    try:
        kubectl.wait_ready(namespace, kind="clusterissuer")
        kubectl.apply(certificate(issuer={"name": namespace, "kind": "ClusterIssuer"}))
        kubectl.wait_ready("web")
        verify(kubectl, vault)
    finally:
        cluster.kubectl("delete", "clusterissuer", namespace)


def test_the_audiences_of_a_service_account_token(kubectl: Kubectl, vault: VaultSetup, namespace: str) -> None:
    """The API server made it for those given, the issuer and the server, for ten minutes."""
    path = "auth/kubernetes/role/certwright"
    role = vault.vault.call("GET", path)["data"]
    kubectl.apply(kubernetes_account(vault, kubectl))
    kubectl.wait_ready("vault", kind="issuer")
    try:
        for audience, role_of_pki in ((f"vault://{namespace}/vault", "picky"), ("extra", "open")):
            vault.vault.call("POST", path, {**role, "audience": audience})
            # A change of the issuer makes it log in again.
            patch = json.dumps({"spec": {"vault": {"path": f"pki_int/sign/{role_of_pki}"}}})
            kubectl("patch", "issuer", "vault", "--type=merge", "-p", patch)
            kubectl.wait_ready("vault", kind="issuer")
    finally:
        vault.vault.call("POST", path, role)


def test_the_steps_of_an_issuance(cluster: Cluster, kubectl: Kubectl, vault: VaultSetup, namespace: str) -> None:
    """The key is durable before the CSR leaves, the approval before Vault is asked; nothing is written twice."""
    kubectl.apply(app_role(vault, kubectl))
    kubectl.wait_ready("vault", kind="issuer")
    position = cluster.audit_log.stat().st_size
    kubectl.apply(certificate(issuer=WEB))
    kubectl.wait_ready("web")
    wait_until("the temporary key is gone", lambda: len(kubectl.all("secret")) == 2, 5)
    written = [(verb, what) for verb, what, _ in writes_since(cluster, position, namespace) if what != "events"]
    assert written == [
        ("create", "secrets"),
        ("patch", "certificates/status"),
        ("create", "certificaterequests"),
        ("patch", "certificaterequests/status"),
        ("patch", "certificaterequests/status"),
        ("patch", "secrets"),
        ("patch", "certificates/status"),
        ("delete", "secrets"),
    ]
    request = kubectl.get("certificaterequest", "web-1")
    assert request is not None
    assert [event["reason"] for event in kubectl.events("web-1")] == ["cert-manager.io", "CertificateIssued"]
    assert base64.b64decode(request["status"]["ca"]).decode().strip() == vault.root.strip()


def test_a_raw_request(kubectl: Kubectl, vault: VaultSetup) -> None:
    """CertificateRequests of others are signed as well."""
    kubectl.apply(app_role(vault, kubectl))
    csr = build_csr(RequestSpec(dns_names=("raw.example.test",)), leaf_key(KEY_SPECS[1]))
    raw: dict[str, Any] = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "CertificateRequest",
        "metadata": {"name": "raw"},
        "spec": {"request": base64.b64encode(csr).decode(), "issuerRef": WEB},
    }
    kubectl.apply(raw)
    done = kubectl.wait_ready("raw", kind="certificaterequest")
    assert base64.b64decode(done["status"]["certificate"]).count(b"BEGIN CERTIFICATE") == 2
