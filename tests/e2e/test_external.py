"""An issuer of another API, in a process of its own that knows nothing of certwright but the API."""

import base64
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509

from devcluster import Cluster
from tests.e2e.harness import Kubectl, Operator, condition, in_place_of, is_true
from tests.e2e.test_certificates import certificate, data_of, revision, secret_of
from tests.e2e.test_requests import ready_reason, request, set_condition
from tests.e2e.thirdparty import GROUP, IMPATIENT, REF, ThirdParty, failed_once, sample, third_party


@pytest.fixture(scope="module")
def issuer(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ThirdParty]:
    """The external issuer."""
    with third_party(cluster, "issuer", tmp_path_factory.mktemp("issuer")) as running:
        yield running


@pytest.fixture(scope="module", autouse=True)
def impatient(
    cluster: Cluster, operator: Operator, operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An operator that retries failed issuances after two seconds, in place of the shared one."""
    log = tmp_path_factory.mktemp("impatient") / "log"
    with in_place_of(operator, cluster, operator_kubeconfig, log, IMPATIENT) as running:
        yield running


def test_an_external_issuer_signs(kubectl: Kubectl, issuer: ThirdParty) -> None:
    """Requested, approved, waited for; chain and CA go into the Secret as written, the temporary key goes away."""
    kubectl.apply(sample(delay=2), certificate(issuer=REF))
    pending = kubectl.wait("certificaterequest", "web-1", lambda r: ready_reason(r) == "Pending")
    assert is_true(pending, "Approved")
    assert condition(pending, "Approved")["reason"] == "cert-manager.io"  # type: ignore[index]
    waiting = kubectl.get("certificate", "web")
    assert waiting is not None
    assert is_true(waiting, "Issuing")
    temporary = kubectl.get("secret", waiting["status"]["nextPrivateKeySecretName"])
    assert temporary is not None
    assert temporary["metadata"]["labels"]["cert-manager.io/next-private-key"] == "true"
    kubectl.wait_ready("web")
    secret = secret_of(kubectl)
    leaf = x509.load_pem_x509_certificate(data_of(secret, "tls.crt"))
    root = x509.load_pem_x509_certificate(data_of(secret, "ca.crt"))
    leaf.verify_directly_issued_by(root)
    annotations = secret["metadata"]["annotations"]
    assert {key: annotations[f"cert-manager.io/issuer-{key}"] for key in ("name", "kind", "group")} == REF
    done = kubectl.get("certificaterequest", "web-1")
    assert done is not None
    assert data_of(secret, "tls.crt") == base64.b64decode(done["status"]["certificate"])
    assert kubectl.get("secret", waiting["status"]["nextPrivateKeySecretName"]) is None


@pytest.mark.usefixtures("issuer")
def test_a_request_by_hand_for_an_external_issuer(kubectl: Kubectl) -> None:
    """Approved by certwright, and otherwise left alone: Ready, certificate and CA are the issuer's."""
    kubectl.apply(sample(), request(issuer=REF))
    done = kubectl.wait("certificaterequest", "mine", lambda r: is_true(r, "Ready"))
    assert condition(done, "Ready")["message"] == "signed"  # type: ignore[index]
    managed = kubectl("get", "certificaterequest", "mine", "--show-managed-fields", "-o", "json").stdout
    entries = json.loads(managed)["metadata"]["managedFields"]
    writers = {entry["manager"] for entry in entries if "f:certificate" in str(entry)}
    assert writers == {"OpenAPI-Generator"}


@pytest.mark.parametrize(
    ("answer", "reason", "words"),
    [
        ("Fail", "Failed", "the sample issuer says no"),
        ("Invalid", "SampleRule", "wants another name"),
        ("Garbage", "InvalidCertificate", ""),
        ("Empty", "InvalidCertificate", ""),
        ("OtherKey", "InvalidCertificate", "another public key"),
        ("Expired", "InvalidCertificate", "already expired"),
    ],
)
@pytest.mark.usefixtures("issuer")
def test_a_wrong_answer_is_told_and_tried_again(kubectl: Kubectl, answer: str, reason: str, words: str) -> None:
    """The failure is on the Certificate, no Secret is made, and a better answer later is taken, on the same revision."""
    kubectl.apply(sample(answer), certificate(issuer=REF))
    failed = kubectl.wait("certificate", "web", failed_once)
    issuing = condition(failed, "Issuing")
    assert issuing is not None
    assert (issuing["status"], issuing["reason"]) == ("False", reason)
    assert issuing["message"].startswith("The certificate request has failed to complete and will be retried: ")
    assert words in issuing["message"]
    assert kubectl.wait_event("web", reason)["type"] == "Warning"
    assert kubectl.get("secret", "web-tls") is None
    kubectl.apply(sample())
    again = kubectl.wait_ready("web")
    assert revision(again) == 1
    assert "failedIssuanceAttempts" not in again["status"]


def test_an_issuer_that_was_killed_goes_on(kubectl: Kubectl, issuer: ThirdParty) -> None:
    """The same request waits for it, however late; nothing is asked twice."""
    issuer.kill()
    try:
        kubectl.apply(sample(), certificate(issuer=REF))
        before = kubectl.wait("certificaterequest", "web-1", lambda r: is_true(r, "Approved"))
        time.sleep(3)
        assert condition(kubectl.get("certificate", "web") or {}, "Issuing")["status"] == "True"  # type: ignore[index]
    finally:
        issuer.start()
    kubectl.wait_ready("web")
    after = kubectl.get("certificaterequest", "web-1")
    assert after is not None
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def test_who_is_waited_for_is_told_on_the_certificate(kubectl: Kubectl, issuer: ThirdParty) -> None:
    """The issuer's own words, or that nobody answers."""
    kubectl.apply(sample("Hold"), certificate("held", issuer=REF))
    kubectl.wait("certificaterequest", "held-1", lambda r: ready_reason(r) == "Pending")
    issuer.kill()
    try:
        kubectl.apply(certificate("dead", issuer=REF))
        told = {
            "held": '"held-1": the sample issuer has not decided yet',
            "dead": f'"dead-1" has not been answered by the controller of SampleIssuer "sample" of {GROUP}',
        }
        for name, words in told.items():
            waiting = kubectl.wait("certificate", name, lambda c: "Waiting:" in str(condition(c, "Issuing")))
            assert condition(waiting, "Issuing")["message"].endswith(f". Waiting: CertificateRequest {words}")  # type: ignore[index]
    finally:
        kubectl.apply(sample())
        issuer.start()
    kubectl.wait_ready("dead")


@pytest.mark.usefixtures("issuer")
def test_an_answer_to_an_outdated_request_is_not_used(kubectl: Kubectl) -> None:
    """The spec changes while the issuer takes its time: the answer that counts is the one to the new request."""
    kubectl.apply(sample(delay=3), certificate(issuer=REF))
    old = kubectl.wait("certificaterequest", "web-1", lambda r: ready_reason(r) == "Pending")
    kubectl.apply(certificate(issuer=REF, dnsNames=["new.example.test"]))
    kubectl.wait_ready("web")
    leaf = x509.load_pem_x509_certificate(data_of(secret_of(kubectl), "tls.crt"))
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["new.example.test"]
    new = kubectl.get("certificaterequest", "web-1")
    assert new is not None
    assert new["metadata"]["uid"] != old["metadata"]["uid"]


@pytest.mark.usefixtures("issuer")
def test_denied_is_reported_by_the_external_issuer_alone(kubectl: Kubectl) -> None:
    """certwright has no permission for this kind, so nobody approves; a denial ends it, and the Certificate says so."""
    ref = {**REF, "kind": "OtherIssuer"}
    kubectl.apply(certificate(issuer=ref))
    told = kubectl.wait_event("web-1", "WaitingForApproval")["message"]
    assert told.startswith("Not signing CertificateRequest until it is Approved")
    assert f"otherissuers.{GROUP}/*" in told
    assert condition(kubectl.get("certificaterequest", "web-1") or {}, "Approved") is None
    set_condition(kubectl, "web-1", "Denied", message="not this one", reason="Policy")
    failed = kubectl.wait("certificate", "web", failed_once)
    assert condition(failed, "Issuing")["reason"] == "Policy"  # type: ignore[index]
    assert "Forbidden" not in {event["reason"] for event in kubectl.events("web")}
