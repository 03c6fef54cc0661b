"""cert-manager's own command line against certwright: what its users type (API contract section 7.1)."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from devcluster import Cluster, binaries
from tests.e2e.harness import Kubectl, condition, is_true
from tests.e2e.test_certificates import CA, ROOT_CA, SELF_SIGNED, certificate, revision

pytestmark = pytest.mark.usefixtures("operator")

Cmctl = Callable[..., str]
#: Of an API that certwright may not approve for, so that its requests wait for a person.
REF = {"name": "nobody", "kind": "NobodyIssuer", "group": "nobody.example.test"}


@pytest.fixture
def cmctl(cluster: Cluster, namespace: str, tmp_path: Path) -> Cmctl:
    """Runs it in the test's namespace; what it printed, of a command that must succeed."""
    program = binaries.ensure(["cmctl"])["cmctl"]

    def run(*args: str, fails: bool = False) -> str:
        done = subprocess.run(
            [str(program), *args, "-n", namespace],
            cwd=tmp_path,
            env=os.environ | {"KUBECONFIG": str(cluster.kubeconfig)},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_the_api_is_ready(cmctl: Cmctl) -> None:
    """On trial, a good request is told who made it and a bad one is refused: what the chart's startupapicheck waits for."""
    assert "The cert-manager API is ready" in cmctl("check", "api")


def test_the_version_is_told(cmctl: Cmctl) -> None:
    """From the labels of the CRDs."""
    assert "crdLabelVersion" in cmctl("version")


def test_status_and_secret_of_a_certificate(cmctl: Cmctl, kubectl: Kubectl) -> None:
    """Each stage of an issuance, its Events, the issuer, the Secret and the request."""
    kubectl.apply(SELF_SIGNED, ROOT_CA, certificate(issuer={"name": "ca"}, commonName="web.example.test"))
    kubectl.wait_ready("root")
    kubectl.wait_event("web-1", "IssuerNotFound")
    told = cmctl("status", "certificate", "web")
    for words in (
        "Issuing: True, Reason: DoesNotExist",
        'error when getting Issuer: issuers.cert-manager.io "ca" not found',
        'error when finding Secret "web-tls"',
        "CertificateRequest:\n  Name: web-1",
        "Ready: False, Reason: Pending",
        "Not After: <none>",
    ):
        assert words in told, told
    kubectl.apply(CA)
    kubectl.wait_ready("web")
    told = cmctl("status", "certificate", "web")
    for words in (
        "Ready: True, Reason: Ready, Message: Certificate is up to date and has not expired",
        "DNS Names:\n- web.example.test",
        "Ready: True, Reason: KeyPairVerified",
        "Issuer Common Name: Test Root",
        "Key Usage: Digital Signature, Key Encipherment",
        "No CertificateRequest found for this Certificate",
    ):
        assert words in told, told
    told = cmctl("inspect", "secret", "web-tls")
    for words in (
        "- web.example.test",
        "Common Name:\tTest Root",
        "Is a CA certificate: false",
        "http://pki.example.test",
    ):
        assert words in told, told


def test_a_renewal_by_hand(cmctl: Cmctl, kubectl: Kubectl) -> None:
    """One by name, all by --all; the condition is gone afterwards."""
    kubectl.apply(SELF_SIGNED, certificate(), certificate("other"))
    for name in ("web", "other"):
        kubectl.wait_ready(name)
    assert "Manually triggered issuance of Certificate" in cmctl("renew", "web")
    renewed = kubectl.wait("certificate", "web", lambda o: revision(o) == 2)
    assert condition(renewed, "Issuing") is None
    assert is_true(renewed, "Ready")
    cmctl("renew", "--all")
    kubectl.wait("certificate", "web", lambda o: revision(o) == 3)
    kubectl.wait("certificate", "other", lambda o: revision(o) == 2)


def test_requests_made_by_hand(cmctl: Cmctl, kubectl: Kubectl, tmp_path: Path) -> None:
    """Signed by a CA and fetched; for an issuer of another API, approved or denied, each once."""
    kubectl.apply(SELF_SIGNED, ROOT_CA, CA)
    kubectl.wait_ready("ca", kind="issuer")
    ours, others = tmp_path / "ours.yaml", tmp_path / "others.yaml"
    ours.write_text(yaml.safe_dump(certificate(issuer={"name": "ca"})))
    others.write_text(yaml.safe_dump(certificate(issuer=REF)))
    create = ("create", "certificaterequest")
    told = cmctl(*create, "mine", "--from-certificate-file", str(ours), "--fetch-certificate")
    assert "has been signed" in told
    assert "BEGIN CERTIFICATE" in (tmp_path / "mine.crt").read_text()
    for name in ("good", "bad"):
        cmctl(*create, name, "--from-certificate-file", str(others))
    assert "Approved CertificateRequest" in cmctl("approve", "good")
    assert "Denied CertificateRequest" in cmctl("deny", "bad", "--reason", "Policy", "--message", "not here")
    assert "already approved" in cmctl("deny", "good", fails=True)
    assert "already denied" in cmctl("approve", "bad", fails=True)
    good, bad = kubectl.get("certificaterequest", "good"), kubectl.get("certificaterequest", "bad")
    assert good is not None
    assert bad is not None
    assert condition(good, "Approved")["reason"] == "KubectlCertManager"  # type: ignore[index]
    assert condition(bad, "Denied")["message"] == "not here"  # type: ignore[index]
