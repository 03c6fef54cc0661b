"""Temporary certificates: what a server can start with while the real certificate is waited for."""

from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from tests.e2e.harness import Kubectl, condition, is_true
from tests.e2e.test_certificates import CA, ROOT_CA, SELF_SIGNED, certificate, data_of, revision, secret_of, x509_of
from tests.e2e.test_requests import set_condition

pytestmark = pytest.mark.usefixtures("operator")

ANNOTATION = "cert-manager.io/issue-temporary-certificate"


def temporary(**spec: Any) -> dict[str, Any]:
    """A Certificate that asks for one, by a CA that does not exist yet."""
    made = certificate(issuer={"name": "ca"}, **spec)
    made["metadata"]["annotations"] = {ANNOTATION: "true"}
    return made


def issuer_name(certificate: x509.Certificate) -> str:
    return str(certificate.issuer.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def test_a_temporary_certificate_bridges_the_wait(kubectl: Kubectl) -> None:
    """Contract row 8.62: a pair for the spec's names, no issuer annotations, no CA, not Ready; then the real one."""
    kubectl.apply(temporary(additionalOutputFormats=[{"type": "CombinedPEM"}]))
    kubectl.wait("secret", "web-tls", lambda s: "tls.crt" in s["data"])
    secret = secret_of(kubectl)
    assert set(secret["data"]) == {"tls.crt", "tls.key", "tls-combined.pem"}
    assert secret["type"] == "kubernetes.io/tls"
    annotations = secret["metadata"]["annotations"]
    assert annotations["cert-manager.io/certificate-name"] == "web"
    assert not [name for name in annotations if name.startswith("cert-manager.io/issuer-")]
    leaf = x509_of(secret)
    assert issuer_name(leaf) == "cert-manager.local"
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["web.example.test"]
    assert load_pem_private_key(data_of(secret, "tls.key"), None).public_key() == leaf.public_key()
    waiting = kubectl.wait("certificate", "web", lambda c: "TemporaryCertificate" in str(condition(c, "Ready")))
    assert not is_true(waiting, "Ready")
    assert is_true(waiting, "Issuing")
    assert revision(waiting) == 0
    assert "Issued temporary certificate" in [event["message"] for event in kubectl.events("web")]

    kubectl.apply(SELF_SIGNED, ROOT_CA, CA)
    kubectl.wait_ready("web")
    real = secret_of(kubectl)
    assert issuer_name(x509_of(real)) == "Test Root"
    assert real["data"]["tls.key"] == secret["data"]["tls.key"]
    assert "ca.crt" in real["data"]
    assert real["metadata"]["annotations"]["cert-manager.io/issuer-name"] == "ca"


def test_a_temporary_certificate_survives_a_failure_and_is_never_taken_for_the_real_one(kubectl: Kubectl) -> None:
    """After a failed issuance the Certificate is still not Ready, and still to be issued."""
    kubectl.apply(temporary())
    kubectl.wait("secret", "web-tls", lambda s: "tls.crt" in s["data"])
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    set_condition(kubectl, "web-1", "Ready", value="False", reason="Failed", failureTime=now)
    failed = kubectl.wait("certificate", "web", lambda c: (condition(c, "Issuing") or {}).get("status") == "False")
    ready = condition(failed, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "TemporaryCertificate")
    kubectl.apply(SELF_SIGNED, ROOT_CA, CA)
    kubectl.apply(temporary(dnsNames=["new.example.test"]))
    kubectl.wait_ready("web")
    assert issuer_name(x509_of(secret_of(kubectl))) == "Test Root"


def test_no_temporary_certificate_without_the_annotation_or_over_a_valid_pair(kubectl: Kubectl) -> None:
    """The Secret is left alone."""
    kubectl.apply(SELF_SIGNED, certificate("old"), certificate("plain", issuer={"name": "ca"}))
    kubectl.wait_ready("old")
    pair = secret_of(kubectl, "old")["data"]
    copy = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "web-tls"}, "data": pair}
    kubectl.apply({**copy, "type": "kubernetes.io/tls"}, temporary())
    kubectl.wait("certificaterequest", "web-1", lambda r: condition(r, "Ready"))
    kubectl.wait("certificaterequest", "plain-1", lambda r: condition(r, "Ready"))
    assert secret_of(kubectl)["data"] == pair
    assert kubectl.get("secret", "plain-tls") is None
