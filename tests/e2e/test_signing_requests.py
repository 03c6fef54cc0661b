"""CertificateSigningRequests of certificates.k8s.io: approved by somebody, signed by our issuers, failures told."""

import base64
import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from certwright_issuers.csr import RequestSpec, build_csr
from certwright_issuers.keys import KeySpec, encode_key, generate_key
from devcluster import Cluster
from tests.e2e.harness import ROOT, Kubectl, Operator, in_place_of
from tests.e2e.test_certificates import CA, ROOT_CA, SELF_SIGNED, data_of, secret_of

GATE = "--feature-gates=ExperimentalCertificateSigningRequestControllers=true"
KEY = generate_key(KeySpec("ECDSA", 256))
KIND = "certificatesigningrequest"
CLUSTER_CA: dict[str, Any] = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "ClusterIssuer",
    "metadata": {"name": "everyone"},
    "spec": {"selfSigned": {}},
}
OTHER_USAGES = build_csr(RequestSpec(dns_names=("a.test",), usages=("client auth",)), KEY)
USAGES = ["digital signature", "key encipherment", "server auth"]


@pytest.fixture(scope="module", autouse=True)
def gated(
    cluster: Cluster, operator: Operator, operator_kubeconfig: Any, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """An operator that signs such requests, in place of the shared one."""
    cluster.kubectl("apply", "-f", str(ROOT / "deploy" / "options" / "signing-requests.yaml"))
    log = tmp_path_factory.mktemp("gated") / "log"
    with in_place_of(operator, cluster, operator_kubeconfig, log, GATE):
        yield


@pytest.fixture
def issuers(kubectl: Kubectl) -> None:
    """A CA and a self-signed issuer of the test's own."""
    kubectl.apply(SELF_SIGNED, ROOT_CA, CA)
    kubectl.wait_ready("ca", kind="issuer")


def signing_request(
    name: str, csr: bytes, signer: str, annotations: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    return {
        "apiVersion": "certificates.k8s.io/v1",
        "kind": "CertificateSigningRequest",
        "metadata": {"name": name, "annotations": annotations or {}},
        "spec": {"request": base64.b64encode(csr).decode(), "signerName": signer, **spec},
    }


def role(kind: str, name: str, group: str, resource: str, verb: str, **names: list[str]) -> dict[str, Any]:
    rule = {"apiGroups": [group], "resources": [resource], "verbs": [verb], **names}
    return {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": kind, "metadata": {"name": name}, "rules": [rule]}


class Asked:
    """A request of the test's own, made by the administrator."""

    def __init__(
        self, kubectl: Kubectl, signer: str = "", annotations: dict[str, str] | None = None, **spec: Any
    ) -> None:
        self.kubectl = kubectl
        self.name = f"csr-{kubectl.namespace}"
        usages = spec.get("usages", USAGES)
        csr = spec.pop("csr", None) or build_csr(
            RequestSpec(dns_names=("k8s.example.test",), usages=tuple(usages)), KEY
        )
        signer = signer or f"issuers.cert-manager.io/{kubectl.namespace}.ca"
        kubectl.apply(signing_request(self.name, csr, signer, annotations, **{**spec, "usages": usages}))

    def approve(self) -> "Asked":
        """As ``kubectl certificate approve`` does."""
        self.kubectl("certificate", "approve", self.name)
        return self

    def leaf(self) -> x509.Certificate:
        """The signed certificate, the first of the chain."""
        return x509.load_pem_x509_certificates(self.chain())[0]

    def chain(self) -> bytes:
        """What the status holds when it is signed."""
        done = self.kubectl.wait(KIND, self.name, lambda r: (r.get("status") or {}).get("certificate"))
        return base64.b64decode(done["status"]["certificate"])

    def failure(self) -> dict[str, Any]:
        """The Failed condition."""
        done = self.kubectl.wait(KIND, self.name, self._failed)
        assert "certificate" not in done["status"]
        return self._failed(done)

    @staticmethod
    def _failed(obj: dict[str, Any]) -> dict[str, Any]:
        conditions = (obj.get("status") or {}).get("conditions", [])
        return next((c for c in conditions if c["type"] == "Failed"), {})

    def event(self, reason: str) -> str:
        """The message of an Event about it; of cluster-scoped objects they are in namespace default."""
        return str(Kubectl(self.kubectl.cluster, "default").wait_event(self.name, reason)["message"])


@pytest.mark.usefixtures("issuers")
def test_an_approved_request_is_signed_by_a_ca(kubectl: Kubectl) -> None:
    """Only once it is approved; usages and lifetime as asked for, the chain without its root."""
    asked = Asked(kubectl, expirationSeconds=7200)
    assert asked.event("WaitingApproval") == "Waiting for the Approved condition before signing"
    assert "certificate" not in (kubectl.get(KIND, asked.name) or {}).get("status", {})
    leaf = asked.approve().leaf()
    root = x509.load_pem_x509_certificate(data_of(secret_of(kubectl, "root"), "tls.crt"))
    leaf.verify_directly_issued_by(root)
    assert len(x509.load_pem_x509_certificates(asked.chain())) == 1
    assert leaf.public_key() == KEY.public_key()
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(hours=2)
    assert list(leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value) == [
        ExtendedKeyUsageOID.SERVER_AUTH
    ]
    assert asked.event("CertificateIssued") == "Certificate fetched from issuer successfully"
    fetched = kubectl("get", KIND, asked.name, "-o", "jsonpath={.status.certificate}").stdout
    assert base64.b64decode(fetched) == asked.chain()


@pytest.mark.usefixtures("issuers")
def test_annotations_say_duration_and_ca(kubectl: Kubectl) -> None:
    """They win over expirationSeconds; without either it is 90 days."""
    annotations = {
        "experimental.cert-manager.io/request-duration": "5h",
        "experimental.cert-manager.io/request-is-ca": "true",
    }
    csr = build_csr(RequestSpec(common_name="sub", is_ca=True, usages=("cert sign",)), KEY)
    asked = Asked(kubectl, annotations=annotations, csr=csr, usages=["cert sign"], expirationSeconds=7200)
    leaf = asked.approve().leaf()
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(hours=5)
    assert leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_cluster_issuer_needs_no_reference(kubectl: Kubectl) -> None:
    """Self-signed with the key in the Secret that an annotation names, which is waited for."""
    kubectl.apply(CLUSTER_CA)
    secret = f"key-{kubectl.namespace}"
    annotations = {"experimental.cert-manager.io/private-key-secret-name": secret}
    asked = Asked(kubectl, "clusterissuers.cert-manager.io/everyone", annotations).approve()
    assert secret in asked.event("SecretNotFound")
    data = {"tls.key": encode_key(KEY, "PKCS8").decode()}
    key = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "stringData": data}
    theirs = Kubectl(kubectl.cluster, "kube-system")
    theirs("create", "secret", "generic", secret)
    assert secret in asked.event("ErrorParsingKey")
    theirs.apply(key)
    leaf = asked.leaf()
    leaf.verify_directly_issued_by(leaf)
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc == timedelta(days=90)


@pytest.mark.parametrize(
    ("signer", "annotations", "spec", "reason", "words"),
    [
        ("ca", {"request-duration": "5m"}, {}, "InvalidDuration", "5m"),
        ("ca", {"request-duration": "soon"}, {}, "ErrorParseDuration", "request-duration"),
        ("ca", {"request-is-ca": "true"}, {}, "SigningError", "does not match"),
        (
            "ca",
            {},
            {"csr": OTHER_USAGES},
            "SigningError",
            "usages",
        ),
        ("self-signed", {}, {}, "MissingAnnotation", "private-key-secret-name"),
        ("self-signed", {"private-key-secret-name": "other-key"}, {}, "ErrorKeyMatch", "not the one"),
    ],
    ids=["too short", "no duration", "CA without cert sign", "other usages", "no key named", "another key"],
)
@pytest.mark.usefixtures("issuers")
def test_a_request_that_can_not_be_signed_fails(
    kubectl: Kubectl, signer: str, annotations: dict[str, str], spec: dict[str, Any], reason: str, words: str
) -> None:
    """Final, with the reason in a condition and an Event."""
    other = encode_key(generate_key(KeySpec("ECDSA", 256)), "PKCS8").decode()
    kubectl.apply(
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "other-key"}, "stringData": {"tls.key": other}}
    )
    full = {f"experimental.cert-manager.io/{name}": value for name, value in annotations.items()}
    asked = Asked(kubectl, f"issuers.cert-manager.io/{kubectl.namespace}.{signer}", full, **dict(spec)).approve()
    failed = asked.failure()
    assert failed["reason"] == reason
    assert words in failed["message"]
    assert asked.event(reason) == failed["message"]


@pytest.mark.usefixtures("issuers")
def test_who_may_not_reference_an_issuer_gets_nothing(kubectl: Kubectl) -> None:
    """The verb reference on signers in the issuer's namespace, for the one who made the request, by name or for all."""
    cluster, namespace = kubectl.cluster, kubectl.namespace
    maker = f"make-{namespace}"
    kubectl.apply(role("ClusterRole", maker, "certificates.k8s.io", "certificatesigningrequests", "create"))
    csr = build_csr(RequestSpec(dns_names=("a.test",), usages=tuple(USAGES)), KEY)
    answers: dict[str, str] = {}
    for user, name in {"nobody": "", "other": "cb", "one": "ca", "all": "*"}.items():
        cluster.kubectl(
            "create", "clusterrolebinding", f"{user}-{namespace}", f"--clusterrole={maker}", f"--user={user}"
        )
        if name:
            kubectl.apply(role("Role", user, "cert-manager.io", "signers", "reference", resourceNames=[name]))
            kubectl("create", "rolebinding", user, f"--role={user}", f"--user={user}")
        made = signing_request(f"by-{user}-{namespace}", csr, f"issuers.cert-manager.io/{namespace}.ca", usages=USAGES)
        cluster.kubectl("create", "-f", "-", f"--as={user}", input=json.dumps(made))
        cluster.kubectl("certificate", "approve", f"by-{user}-{namespace}")
    for user in ("nobody", "other", "one", "all"):
        done = kubectl.wait(
            KIND,
            f"by-{user}-{namespace}",
            lambda r: r["status"].get("certificate") or len(r["status"]["conditions"]) > 1,
        )
        failed = [c["reason"] for c in done["status"]["conditions"] if c["type"] == "Failed"]
        answers[user] = failed[0] if failed else "signed"
    assert answers == {"nobody": "DeniedReference", "other": "DeniedReference", "one": "signed", "all": "signed"}


def test_a_missing_or_broken_issuer_is_told_and_waited_for(kubectl: Kubectl) -> None:
    """IssuerNotFound, IssuerNotReady, and then the certificate, without another approval."""
    asked = Asked(kubectl).approve()
    assert "not found" in asked.event("IssuerNotFound")
    kubectl.apply(CA)
    assert asked.event("IssuerNotReady") == "Referenced issuer does not have a Ready status condition"
    kubectl.apply(SELF_SIGNED, ROOT_CA)
    assert asked.leaf().public_key() == KEY.public_key()


@pytest.mark.usefixtures("issuers")
def test_other_signers_and_denied_requests_are_left_alone(kubectl: Kubectl) -> None:
    """Nothing is written to them, and no Event either."""
    asked = Asked(kubectl)
    kubectl("certificate", "deny", asked.name)
    other = Asked(Kubectl(kubectl.cluster, f"{kubectl.namespace}"[:-1]), "example.test/other").approve()
    last = Asked(
        Kubectl(kubectl.cluster, f"{kubectl.namespace}"[:-2]), f"issuers.cert-manager.io/{kubectl.namespace}.ca"
    )
    assert last.approve().leaf()
    for left in (asked, other):
        found = kubectl.get(KIND, left.name)
        assert found is not None
        assert "certificate" not in found["status"]
        assert len(found["status"]["conditions"]) == 1
    events = Kubectl(kubectl.cluster, "default").events(other.name)
    assert events == []
