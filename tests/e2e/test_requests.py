"""CertificateRequests of anybody, approval, outside issuers, failures and issuers that can't sign."""

import base64
import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certwright_issuers.contract import SigningRequest
from certwright_issuers.csr import RequestSpec, build_csr, parse_csr
from certwright_issuers.keys import KeySpec, PrivateKey, encode_key, generate_key
from certwright_issuers.leaf import Signer, sign_leaf
from certwright_issuers.pem import CERTIFICATE_REQUEST, join_pem
from devcluster import Cluster
from tests.e2e.harness import Kubectl, Operator, condition, in_place_of, is_true
from tests.e2e.test_certificates import CA, ROOT_CA, SELF_SIGNED, certificate, data_of, revision, secret_of

KEY = generate_key(KeySpec("ECDSA", 256))
#: The CRD's own rule looks no further than the header.
GARBAGE = b"-----BEGIN CERTIFICATE REQUEST-----\nZ2FyYmFnZQ==\n-----END CERTIFICATE REQUEST-----\n"


@pytest.fixture(scope="module", autouse=True)
def impatient(
    cluster: Cluster, operator: Operator, operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Operator]:
    """An operator that retries failed issuances after two seconds, in place of the shared one."""
    log = tmp_path_factory.mktemp("impatient") / "log"
    flag = "--certificate-request-minimum-backoff-duration=2s"
    with in_place_of(operator, cluster, operator_kubeconfig, log, flag) as running:
        yield running


def request(
    name: str = "mine", issuer: dict[str, str] | None = None, csr: bytes | None = None, **spec: Any
) -> dict[str, Any]:
    made = csr if csr is not None else build_csr(RequestSpec(dns_names=("mine.example.test",)), KEY)
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "CertificateRequest",
        "metadata": {"name": name},
        "spec": {"request": base64.b64encode(made).decode(), "issuerRef": issuer or {"name": "ca"}, **spec},
    }


def ready_reason(obj: dict[str, Any]) -> str:
    found = condition(obj, "Ready")
    return str(found["reason"]) if found else ""


@pytest.fixture
def ca(kubectl: Kubectl) -> None:
    """A CA of the test's own."""
    kubectl.apply(SELF_SIGNED, ROOT_CA, CA)
    kubectl.wait_ready("ca", kind="issuer")


def set_condition(
    kubectl: Kubectl, name: str, type_: str, message: str = "by a test", reason: str = "Test", **status: Any
) -> None:
    """What an approver or an outside issuer writes."""
    found = kubectl.get("certificaterequest", name)
    assert found is not None
    others = [c for c in (found.get("status") or {}).get("conditions", []) if c["type"] != type_]
    value = status.pop("value", "True")
    new = {
        "type": type_,
        "status": value,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    patch = {"status": {"conditions": [*others, new], **status}}
    kubectl("patch", "certificaterequest", name, "--subresource=status", "--type=merge", "-p", json.dumps(patch))


@pytest.mark.usefixtures("ca")
def test_a_request_made_by_hand_is_approved_and_signed(kubectl: Kubectl) -> None:
    """Approved by default, signed with what the request asks for, certificate and CA in the status."""
    kubectl.apply(request(duration="5h", usages=["digital signature", "key encipherment"]))
    done = kubectl.wait("certificaterequest", "mine", lambda r: is_true(r, "Ready"))
    assert is_true(done, "Approved")
    leaf = x509.load_pem_x509_certificate(base64.b64decode(done["status"]["certificate"]))
    assert leaf.public_key() == KEY.public_key()
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(hours=5)
    assert base64.b64decode(done["status"]["ca"]) == data_of(secret_of(kubectl, "root"), "tls.crt")
    assert kubectl.wait_event("mine", "CertificateIssued")["message"] == "Certificate fetched from issuer successfully"
    told = [(event["reason"], event["message"]) for event in kubectl.events("mine")]
    assert told == [
        ("cert-manager.io", "Certificate request has been approved by cert-manager.io"),
        ("CertificateIssued", "Certificate fetched from issuer successfully"),
    ]


def exempt(kubectl: Kubectl) -> None:
    """Have the admission policies let everything through in this namespace."""
    kubectl.cluster.kubectl("label", "namespace", kubectl.namespace, "cert-manager.io/disable-validation=true")
    time.sleep(0.5)  # until the API server's own watch has seen the label


@pytest.mark.usefixtures("ca")
@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"csr": GARBAGE}, "Failed to decode CSR"),
        ({"usages": ["server auth"]}, "usages"),
        ({"isCA": True}, "usages"),
    ],
    ids=["no CSR", "other usages", "CA without cert sign"],
)
def test_a_request_that_contradicts_itself_fails_for_good(kubectl: Kubectl, change: dict[str, Any], words: str) -> None:
    """Where admission has let it through: InvalidRequest and Failed with the cause, once."""
    exempt(kubectl)
    kubectl.apply(request(**change))
    failed = kubectl.wait("certificaterequest", "mine", lambda r: ready_reason(r) == "Failed")
    invalid = condition(failed, "InvalidRequest")
    assert invalid is not None
    assert words in invalid["message"]
    assert failed["status"]["failureTime"]
    assert "certificate" not in failed["status"]


EVERYONE = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "ClusterIssuer",
    "metadata": {"name": "requests-everyone"},
    "spec": {"selfSigned": {}},
}


def key_secret(name: str, key: PrivateKey) -> dict[str, Any]:
    data = {"tls.key": encode_key(key, "PKCS8").decode()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def with_key(obj: dict[str, Any], secret: str) -> dict[str, Any]:
    annotations = {"cert-manager.io/private-key-secret-name": secret}
    return {**obj, "metadata": {**obj["metadata"], "annotations": annotations}}


def test_a_self_signed_request_names_its_key(kubectl: Kubectl) -> None:
    """A Secret of the request's own namespace, even for a ClusterIssuer; without one, or with another's key, it fails."""
    ref = {"name": "requests-everyone", "kind": "ClusterIssuer"}
    kubectl.apply(EVERYONE, key_secret("right", KEY), key_secret("wrong", generate_key(KeySpec("ECDSA", 256))))
    kubectl.apply(
        with_key(request("signed", ref), "right"), request("unnamed", ref), with_key(request("other", ref), "wrong")
    )
    done = kubectl.wait("certificaterequest", "signed", lambda r: is_true(r, "Ready"))
    leaf = x509.load_pem_x509_certificate(base64.b64decode(done["status"]["certificate"]))
    leaf.verify_directly_issued_by(leaf)
    for name, reason in {"unnamed": "MissingAnnotation", "other": "ErrorKeyMatch"}.items():
        failed = kubectl.wait("certificaterequest", name, lambda r: ready_reason(r) == "Failed")
        assert failed["status"]["failureTime"]
        assert kubectl.wait_event(name, reason)["message"] == condition(failed, "Ready")["message"]  # type: ignore[index]


def test_a_missing_key_is_waited_for_and_told_once(kubectl: Kubectl) -> None:
    """Pending, one Event; the Ready reason is one of four words. Each change of the Secret is noticed at once."""
    kubectl.apply(SELF_SIGNED, with_key(request(issuer={"name": "self-signed"}), "late"))
    pending = kubectl.wait("certificaterequest", "mine", lambda r: "late" in str(condition(r, "Ready")))
    assert ready_reason(pending) == "Pending"
    assert "failureTime" not in pending["status"]
    kubectl.wait_event("mine", "MissingSecret")
    kubectl("label", "certificaterequest", "mine", "look=again")
    time.sleep(1)
    assert kubectl.wait_event("mine", "MissingSecret").get("count", 1) == 1
    kubectl("create", "secret", "generic", "late")
    kubectl.wait("certificaterequest", "mine", lambda r: "tls.key" in condition(r, "Ready")["message"], seconds=5)  # type: ignore[index]
    kubectl.apply(key_secret("late", KEY))
    kubectl.wait("certificaterequest", "mine", lambda r: is_true(r, "Ready"), seconds=5)


def test_the_secrets_of_a_cluster_issuer(kubectl: Kubectl) -> None:
    """A ClusterIssuer's CA is in the cluster resource namespace, whoever asks."""
    name = f"ca-{kubectl.namespace}"
    secret = {**ca_secret(pair("cluster")), "metadata": {"name": name}}
    Kubectl(kubectl.cluster, "kube-system").apply(secret)
    issuer = {**EVERYONE, "metadata": {"name": name}, "spec": {"ca": {"secretName": name}}}
    kubectl.apply(issuer, request(issuer={"name": name, "kind": "ClusterIssuer"}))
    done = kubectl.wait("certificaterequest", "mine", lambda r: is_true(r, "Ready"))
    assert base64.b64decode(done["status"]["ca"]) == secret["stringData"]["tls.crt"].encode()
    kubectl("delete", "clusterissuer", name)


@pytest.mark.usefixtures("ca")
def test_a_csr_with_a_wrong_signature_is_not_signed(kubectl: Kubectl) -> None:
    """Proof of possession is checked."""
    der = bytearray(
        x509.load_pem_x509_csr(build_csr(RequestSpec(dns_names=("a.test",)), KEY)).public_bytes(Encoding.DER)
    )
    der[-1] ^= 1
    kubectl.apply(request(csr=join_pem(CERTIFICATE_REQUEST, bytes(der))))
    failed = kubectl.wait("certificaterequest", "mine", lambda r: ready_reason(r) == "Failed")
    assert "signature" in str(condition(failed, "Ready"))


def test_denied_wins_even_over_approved(kubectl: Kubectl) -> None:
    """Where admission does not keep the two apart: never signed; the Certificate backs off and tries again."""
    exempt(kubectl)
    kubectl.apply(SELF_SIGNED, certificate(issuer={"name": "ca"}))
    kubectl.wait("certificaterequest", "web-1", lambda r: ready_reason(r) == "Pending")
    set_condition(kubectl, "web-1", "Denied", message="not this one", reason="Policy")
    failed = kubectl.wait("certificate", "web", lambda c: c["status"].get("failedIssuanceAttempts") == 1)
    issuing = condition(failed, "Issuing")
    assert issuing is not None
    assert (issuing["status"], issuing["reason"]) == ("False", "Policy")
    assert issuing["message"] == "The certificate request has failed to complete and will be retried: not this one"
    assert failed["status"]["lastFailureTime"]
    denied = kubectl.get("certificaterequest", "web-1")
    assert denied is not None
    assert ready_reason(denied) == "Denied"
    assert denied["status"]["failureTime"]
    kubectl.apply(ROOT_CA, CA)
    again = kubectl.wait_ready("web")
    assert "failedIssuanceAttempts" not in again["status"]
    assert "lastFailureTime" not in again["status"]
    assert revision(again) == 1


def test_a_missing_issuer_is_told_and_waited_for(kubectl: Kubectl) -> None:
    """The cause is on the Certificate; everything goes on by itself when the issuer appears."""
    kubectl.apply(certificate())
    told = kubectl.wait("certificate", "web", lambda c: "does not exist" in str(condition(c, "Issuing")))
    assert condition(told, "Issuing")["message"] == (  # type: ignore[index]
        'Issuing certificate as Secret does not exist. Waiting: Issuer "self-signed" does not exist'
    )
    pending = kubectl.wait("certificaterequest", "web-1", lambda r: ready_reason(r) == "Pending")
    assert condition(pending, "Ready")["message"] == (  # type: ignore[index]
        'Referenced "Issuer" not found: issuer.cert-manager.io "self-signed" not found'
    )
    assert kubectl.wait_event("web-1", "IssuerNotFound")
    kubectl.apply(SELF_SIGNED)
    ready = kubectl.wait_ready("web", seconds=5)
    assert condition(ready, "Issuing") is None
    assert [s["metadata"]["name"] for s in kubectl.all("secret")] == ["web-tls"]


def pair(common_name: str, *, ca: bool = True, days: int = 10, key: Any = None) -> dict[str, str]:
    """Data of a CA Secret."""
    own = key or generate_key(KeySpec("ECDSA", 256))
    csr = parse_csr(build_csr(RequestSpec(common_name=common_name, is_ca=ca), own)).csr
    begin = datetime.now(UTC) - timedelta(days=20)
    signing = SigningRequest(csr, timedelta(days=20 + days), is_ca=ca, usages=("cert sign",), now=begin)
    chain = sign_leaf(signing, Signer(own))[0].public_bytes(Encoding.PEM)
    return {"tls.crt": chain.decode(), "tls.key": encode_key(own, "PKCS8").decode()}


def ca_secret(data: dict[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "root-tls"}, "stringData": data}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, 'secret "root-tls" not found'),
        ({"tls.crt": "x"}, "tls.key"),
        ({"tls.crt": "garbage", "tls.key": "garbage"}, "root-tls"),
        (pair("no CA", ca=False), "certificate is not a CA"),
        (pair("expired", days=-1), "expired"),
        (pair("a") | {"tls.key": encode_key(KEY, "PKCS8").decode()}, "key"),
    ],
    ids=["missing", "no key", "unreadable", "not a CA", "expired", "other key"],
)
def test_a_ca_that_can_not_sign_says_why_and_heals(kubectl: Kubectl, data: dict[str, str] | None, words: str) -> None:
    """Ready=False with the cause; mended, it is Ready at once, and so is the Certificate that waited."""
    if data is not None:
        kubectl.apply(ca_secret(data))
    kubectl.apply(CA, certificate(issuer={"name": "ca"}))
    broken = kubectl.wait("issuer", "ca", lambda i: condition(i, "Ready"))
    ready = condition(broken, "Ready")
    assert ready is not None
    assert ready["status"] == "False"
    assert ready["reason"] in {"ErrGetKeyPair", "ErrInvalidKeyPair"}
    assert words in ready["message"]
    assert kubectl.wait_event("ca", ready["reason"])["message"] == ready["message"]
    assert kubectl.wait_event("ca", "ErrInitIssuer")["message"] == f"Error initializing issuer: {ready['message']}"
    waiting = kubectl.wait("certificate", "web", lambda c: "is not ready" in str(condition(c, "Issuing")))
    assert words in condition(waiting, "Issuing")["message"]  # type: ignore[index]
    kubectl.apply(ca_secret(pair("good")))
    kubectl.wait_ready("ca", kind="issuer", seconds=5)
    kubectl.wait_ready("web", seconds=5)


def test_an_issuer_type_that_is_not_served_is_told(kubectl: Kubectl) -> None:
    """Manifests of all types are taken; what can't be done with one is on the issuer."""
    venafi = {"zone": "z", "cloud": {"apiTokenSecretRef": {"name": "token", "key": "key"}}}
    kubectl.apply({**CA, "metadata": {"name": "venafi"}, "spec": {"venafi": venafi}})
    ready = condition(kubectl.wait("issuer", "venafi", lambda i: condition(i, "Ready")), "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "UnsupportedIssuerType")
    assert "issuer type 'venafi' is not served" in ready["message"]


def test_no_leaf_outlives_its_ca(kubectl: Kubectl) -> None:
    """90 days asked of a CA that ends in 10: the leaf ends with it, and an Event says so."""
    kubectl.apply(ca_secret(pair("short", days=10)), CA, certificate(issuer={"name": "ca"}))
    kubectl.wait_ready("web")
    secret = secret_of(kubectl)
    leaf, root = (x509.load_pem_x509_certificate(data_of(secret, key)) for key in ("tls.crt", "ca.crt"))
    assert leaf.not_valid_after_utc == root.not_valid_after_utc
    assert "earlier than the 2160h asked for" in kubectl.wait_event("web", "LifetimeShortened")["message"]
