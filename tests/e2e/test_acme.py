"""ACME against a real Pebble: accounts, Orders, Challenges, what people are told, and what is written."""

import base64
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from devcluster import Cluster
from tests.e2e.harness import Kubectl, Operator, condition, in_place_of
from tests.e2e.pebble import HTTP_PORT, Pebble
from tests.e2e.test_certificates import certificate, writes_since

#: CAs are on loopback here, and look for challenges at the operator itself: no Ingress controller takes part.
FLAGS = (
    "--issuer-egress-allow=127.0.0.0/8",
    f"--acme-http01-solver-listen-address=127.0.0.1:{HTTP_PORT}",
    "--acme-http01-solver-address=192.0.2.1:8089",
)

pytestmark = pytest.mark.usefixtures("direct")


@pytest.fixture(scope="module")
def pebble(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """A CA whose validations look at the operator itself."""
    with Pebble(cluster, tmp_path_factory.mktemp("pebble"), PEBBLE_WFE_NONCEREJECT="0") as running:
        yield running


@pytest.fixture(scope="module")
def direct(
    cluster: Cluster, operator: Operator, operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An operator of this module's own."""
    log = tmp_path_factory.mktemp("direct") / "certwright.log"
    with in_place_of(operator, cluster, operator_kubeconfig, log, *FLAGS) as running:
        yield running


def issuer(pebble: Pebble, name: str = "acme", wait: str | None = "0s", **spec: Any) -> dict[str, Any]:
    solver: dict[str, Any] = {"http01": {"ingress": {"ingressClassName": "none"}}}
    if wait is not None:
        solver["waitInsteadOfSelfCheck"] = wait
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": name},
        "spec": {
            "acme": {
                "server": "https://127.0.0.1:14000/dir",
                "caBundle": base64.b64encode(pebble.root).decode(),
                "email": "Ops@Example.com",
                "privateKeySecretRef": {"name": f"{name}-account"},
                "solvers": [solver],
                **spec,
            }
        },
    }


@pytest.fixture
def acme(kubectl: Kubectl, pebble: Pebble) -> dict[str, Any]:
    """An issuer that is Ready."""
    kubectl.apply(issuer(pebble))
    return kubectl.wait_ready("acme", kind="issuer")


ACME = {"name": "acme"}


def test_an_account_is_made_and_told_of(kubectl: Kubectl, acme: dict[str, Any]) -> None:
    """Key Secret, status and condition as in cert-manager."""
    found = condition(acme, "Ready")
    assert found is not None
    assert (found["reason"], found["message"]) == (
        "ACMEAccountRegistered",
        "The ACME account was registered with the ACME server",
    )
    status = acme["status"]["acme"]
    assert status["uri"].startswith("https://127.0.0.1:14000/my-account/")
    assert status["lastRegisteredEmail"] == "Ops@Example.com"
    secret = kubectl.get("secret", "acme-account")
    assert secret is not None
    assert secret["type"] == "Opaque"
    assert secret["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "cert-manager"}
    key = load_pem_private_key(base64.b64decode(secret["data"]["tls.key"]), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    assert b"BEGIN RSA PRIVATE KEY" in base64.b64decode(secret["data"]["tls.key"])
    der = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert status["lastPrivateKeyHash"] == base64.b64encode(hashlib.sha256(der).digest()).decode()


@pytest.mark.usefixtures("acme")
def test_a_certificate_is_issued_within_the_budget(
    cluster: Cluster, kubectl: Kubectl, namespace: str, pebble: Pebble
) -> None:
    """One name: at most 18 object writes, 6 Events, 9 signed requests; nothing of the way is left over."""
    position, said = cluster.audit_log.stat().st_size, pebble.log.stat().st_size
    kubectl.apply(certificate(issuer=ACME))
    kubectl.wait_ready("web")
    kubectl.wait_event("web-1", "CertificateIssued")
    written = writes_since(cluster, position, namespace)
    # One for each namespace and not for each certificate.
    shared = [write for write in written if write[1] in {"services", "endpointslices"}]
    events = [write for write in written if write[1] == "events"]
    assert len(written) - len(events) - len(shared) <= 18
    assert len(events) <= 6
    assert len([line for line in pebble.requests(said) if "POST" in line]) <= 9
