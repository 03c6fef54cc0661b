"""Keystores and output formats in the Secret: made, repaired, removed, and what a missing password holds up."""

import base64
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import pkcs12

from devcluster import Cluster
from tests.e2e.harness import NO_PORTS, Kubectl, Operator, condition, is_true
from tests.e2e.test_certificates import CA, ROOT_CA, SELF_SIGNED, certificate, data_of, revision, secret_of, x509_of
from tests.e2e.test_reissue_rules import OUTSIDE, sign_outside

pytestmark = pytest.mark.usefixtures("operator")

STORES = {"keystore.jks", "truststore.jks", "keystore.p12", "truststore.p12"}
BOTH = {
    "jks": {"create": True, "password": "changeit"},
    "pkcs12": {"create": True, "password": "changeit", "profile": "Modern2023"},
}
WAITING_FOR = {"jks": {"create": True, "passwordSecretRef": {"name": "pass", "key": "word"}}}
MISSING = "KeystorePasswordSecretNotFound"


def store_password(kubectl: Kubectl, key: str = "word") -> None:
    data = {key: base64.b64encode(b"changeit").decode()}
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pass"}, "data": data})


def keys_of(kubectl: Kubectl, name: str = "web") -> set[str]:
    return set(secret_of(kubectl, name)["data"])


def next_keys(kubectl: Kubectl) -> list[dict[str, Any]]:
    return kubectl.all("secret", "-l", "cert-manager.io/next-private-key=true")


@pytest.fixture
def ca(kubectl: Kubectl) -> None:
    """A CA of the test's own."""
    kubectl.apply(SELF_SIGNED, ROOT_CA, CA)
    kubectl.wait_ready("ca", kind="issuer")


@pytest.mark.usefixtures("ca")
def test_a_missing_password_holds_up_its_certificate_and_nothing_else(kubectl: Kubectl) -> None:
    """Contract row 8.63: signed once, not stored, no failure counted; stored within seconds once there is a password."""
    kubectl.apply(certificate(issuer={"name": "ca"}, keystores=WAITING_FOR))
    told = kubectl.wait("certificate", "web", lambda c: "does not exist" in str(condition(c, "Issuing")))
    issuing = condition(told, "Issuing")
    assert issuing is not None
    assert issuing["status"] == "True"
    assert 'spec.keystores.jks.passwordSecretRef: Secret "pass" does not exist' in issuing["message"]
    event = kubectl.wait_event("web", MISSING)
    assert (event["type"], event["message"]) == (
        "Warning",
        'spec.keystores.jks.passwordSecretRef: Secret "pass" does not exist',
    )
    signed = kubectl.wait("certificaterequest", "web-1", lambda r: is_true(r, "Ready"))
    assert kubectl.get("secret", "web-tls") is None
    kubectl.apply(certificate("other", issuer={"name": "ca"}))
    kubectl.wait_ready("other")
    still = kubectl.get("certificate", "web")
    assert still is not None
    assert "failedIssuanceAttempts" not in still["status"]

    store_password(kubectl)
    began = time.monotonic()
    kubectl.wait_ready("web")
    assert time.monotonic() - began < 5
    assert keys_of(kubectl) == {"tls.key", "tls.crt", "ca.crt", "keystore.jks", "truststore.jks"}
    assert [r["metadata"]["uid"] for r in kubectl.all("certificaterequest") if r["metadata"]["name"] == "web-1"] == [
        signed["metadata"]["uid"]
    ]
    assert data_of(secret_of(kubectl), "tls.crt") == base64.b64decode(signed["status"]["certificate"])
    assert next_keys(kubectl) == []


@pytest.mark.usefixtures("ca")
def test_a_password_secret_without_the_key_is_told(kubectl: Kubectl) -> None:
    """The message names Secret and key; an update of the Secret is enough."""
    store_password(kubectl, key="other")
    kubectl.apply(certificate(issuer={"name": "ca"}, keystores=WAITING_FOR))
    kubectl.wait("certificate", "web", lambda c: 'no data for key "word"' in str(condition(c, "Issuing")))
    store_password(kubectl)
    kubectl.wait_ready("web", seconds=5)


@pytest.mark.usefixtures("ca")
def test_a_certificate_that_waits_for_a_password_outlives_the_process(
    cluster: Cluster, kubectl: Kubectl, operator: Operator, operator_kubeconfig: Path, tmp_path: Path
) -> None:
    """Contract row 8.63: another process stores what the first had signed; nothing is signed twice."""
    kubectl.apply(certificate(issuer={"name": "ca"}, keystores=WAITING_FOR))
    signed = kubectl.wait("certificaterequest", "web-1", lambda r: is_true(r, "Ready"))
    kubectl.wait("certificate", "web", lambda c: "does not exist" in str(condition(c, "Issuing")))
    os.kill(operator.process.pid, signal.SIGSTOP)
    try:
        cluster.kubectl("-n", "kube-system", "delete", "lease", "cert-manager-controller")
        other = Operator(cluster, operator_kubeconfig, tmp_path / "log", *NO_PORTS)
        other.wait_for_log("is held by this process")
        store_password(kubectl)
        kubectl.wait_ready("web")
        other.stop()
    finally:
        os.kill(operator.process.pid, signal.SIGCONT)
    assert data_of(secret_of(kubectl), "tls.crt") == base64.b64decode(signed["status"]["certificate"])
    operator.wait_for_log("is held by this process")


@pytest.mark.usefixtures("ca")
def test_a_renewal_that_waits_for_a_password_leaves_what_is_there(kubectl: Kubectl) -> None:
    """The old certificate and its stores stay in the Secret until both can be replaced together."""
    store_password(kubectl)
    kubectl.apply(certificate(issuer={"name": "ca"}, keystores=WAITING_FOR))
    kubectl.wait_ready("web")
    before = secret_of(kubectl)["data"]
    kubectl("delete", "secret", "pass")
    kubectl.apply(certificate(issuer={"name": "ca"}, keystores=WAITING_FOR, dnsNames=["new.example.test"]))
    kubectl.wait("certificaterequest", "web-2", lambda r: is_true(r, "Ready"))
    kubectl.wait_event("web", MISSING)
    assert secret_of(kubectl)["data"] == before
    store_password(kubectl)
    kubectl.wait("certificate", "web", lambda c: revision(c) == 2 and is_true(c, "Ready"))
    after = secret_of(kubectl)["data"]
    assert all(after[name] != before[name] for name in ("tls.crt", "tls.key", "keystore.jks"))


@pytest.mark.usefixtures("ca")
def test_stores_are_repaired_added_and_removed_without_a_new_issue(kubectl: Kubectl) -> None:
    """Presence is kept up; what the spec no longer asks for goes; what others put there stays."""
    kubectl.apply(certificate(issuer={"name": "ca"}))
    kubectl.wait_ready("web")
    first = secret_of(kubectl)["data"]
    kubectl("patch", "secret", "web-tls", "--type=merge", "-p", '{"data":{"foreign":"eA==","key.der":"eA=="}}')
    kubectl.apply(certificate(issuer={"name": "ca"}, keystores=BOTH))
    kubectl.wait("secret", "web-tls", lambda s: set(s["data"]) >= STORES)
    made = secret_of(kubectl)["data"]

    kubectl("patch", "secret", "web-tls", "--type=merge", "-p", '{"data":{"keystore.jks":null}}')
    kubectl.wait("secret", "web-tls", lambda s: "keystore.jks" in s["data"])
    repaired = secret_of(kubectl)["data"]
    assert all(repaired[name] == made[name] for name in ("keystore.p12", "truststore.p12"))

    kubectl("patch", "secret", "web-tls", "--type=merge", "-p", '{"data":{"truststore.p12":"eA=="}}')
    kubectl.wait("secret", "web-tls", lambda s: len(s["data"]["truststore.p12"]) > 100)

    kubectl.apply(certificate(issuer={"name": "ca"}, keystores={"jks": {"create": False, "password": "x"}}))
    kubectl.wait("secret", "web-tls", lambda s: not STORES & set(s["data"]))
    last = secret_of(kubectl)["data"]
    assert last == {**first, "foreign": "eA==", "key.der": "eA=="}
    assert revision(kubectl.wait_ready("web")) == 1


@pytest.mark.usefixtures("ca")
def test_password_profile_and_alias_wait_for_the_next_issue(kubectl: Kubectl) -> None:
    """Contract row 8.6: changing them re-issues nothing and rewrites nothing; the next issuance uses them."""
    kubectl.apply(certificate(issuer={"name": "ca"}, keystores=BOTH))
    kubectl.wait_ready("web")
    before = secret_of(kubectl)["data"]
    changed = {
        "jks": {"create": True, "password": "another", "alias": "other"},
        "pkcs12": {"create": True, "password": "another", "profile": "LegacyDES"},
    }
    template = {"labels": {"seen": "1"}}
    kubectl.apply(certificate(issuer={"name": "ca"}, keystores=changed, secretTemplate=template))
    kubectl.wait("secret", "web-tls", lambda s: s["metadata"]["labels"].get("seen") == "1")
    assert secret_of(kubectl)["data"] == before
    assert revision(kubectl.wait_ready("web")) == 1
    kubectl.apply(
        certificate(issuer={"name": "ca"}, keystores=changed, secretTemplate=template, dnsNames=["b.example.test"])
    )
    kubectl.wait("certificate", "web", lambda c: revision(c) == 2 and is_true(c, "Ready"))
    secret = secret_of(kubectl)
    found = pkcs12.load_pkcs12(data_of(secret, "keystore.p12"), b"another")
    assert found.cert is not None
    assert found.cert.certificate == x509_of(secret)


@pytest.mark.usefixtures("ca")
def test_a_repair_without_the_password_does_the_rest(kubectl: Kubectl) -> None:
    """Labels come back and stores that are there stay; the missing store follows when the password is back."""
    store_password(kubectl)
    kubectl.apply(certificate(issuer={"name": "ca"}, keystores={**BOTH, **WAITING_FOR}))
    kubectl.wait_ready("web")
    before = secret_of(kubectl)["data"]
    kubectl("delete", "secret", "pass")
    kubectl("patch", "secret", "web-tls", "--type=merge", "-p", '{"data":{"keystore.jks":null}}')
    kubectl.wait_event("web", MISSING)
    kubectl("label", "secret", "web-tls", "controller.cert-manager.io/fao-")
    kubectl.wait("secret", "web-tls", lambda s: "controller.cert-manager.io/fao" in s["metadata"].get("labels", {}))
    now = secret_of(kubectl)["data"]
    assert now == {name: value for name, value in before.items() if name != "keystore.jks"}
    store_password(kubectl)
    kubectl.wait("secret", "web-tls", lambda s: "keystore.jks" in s["data"])
    assert secret_of(kubectl)["data"]["keystore.p12"] == before["keystore.p12"]


def test_output_formats_are_added_repaired_and_removed_without_a_new_issue(kubectl: Kubectl) -> None:
    """key.der and tls-combined.pem follow the spec and come back when somebody changes them."""
    formats = [{"type": "DER"}, {"type": "CombinedPEM"}]
    kubectl.apply(SELF_SIGNED, certificate())
    kubectl.wait_ready("web")
    kubectl.apply(certificate(additionalOutputFormats=formats))
    kubectl.wait("secret", "web-tls", lambda s: {"key.der", "tls-combined.pem"} <= set(s["data"]))
    made = secret_of(kubectl)
    assert data_of(made, "tls-combined.pem") == data_of(made, "tls.key") + b"\n" + data_of(made, "tls.crt")
    kubectl("patch", "secret", "web-tls", "--type=merge", "-p", json.dumps({"data": {"tls-combined.pem": "eA=="}}))
    kubectl.wait("secret", "web-tls", lambda s: s["data"]["tls-combined.pem"] == made["data"]["tls-combined.pem"])
    kubectl.apply(certificate(additionalOutputFormats=formats[:1]))
    kubectl.wait("secret", "web-tls", lambda s: "tls-combined.pem" not in s["data"])
    assert "key.der" in keys_of(kubectl)
    assert revision(kubectl.wait_ready("web")) == 1


def test_a_ca_that_no_keystore_can_hold_is_told(kubectl: Kubectl) -> None:
    """What an outside issuer gives as its CA is no certificate: the cause is on the Certificate, and nothing is stored
    by halves. Without the keystore it is stored as it is."""
    kubectl.apply(certificate(issuer=OUTSIDE, keystores=BOTH))
    sign_outside(kubectl, "web-1", ca=base64.b64encode(b"garbage").decode())
    told = kubectl.wait("certificate", "web", lambda c: "the store can't be made" in str(condition(c, "Issuing")))
    assert "spec.keystores.jks" in str(condition(told, "Issuing"))
    assert kubectl.wait_event("web", "KeystoreFailed")["type"] == "Warning"
    assert kubectl.get("secret", "web-tls") is None
    kubectl.apply(certificate(issuer=OUTSIDE))
    kubectl.wait_ready("web")
    assert data_of(secret_of(kubectl), "ca.crt") == b"garbage"
