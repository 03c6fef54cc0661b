"""Certificates against a real API server: issued, kept, repaired, renewed, and what people are told."""

import base64
import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from devcluster import Cluster
from tests.e2e.harness import ROOT, USERNAME, Kubectl, Operator, condition, in_place_of, is_true

pytestmark = pytest.mark.usefixtures("operator")


def certificate(name: str = "web", issuer: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": name},
        "spec": {
            "secretName": f"{name}-tls",
            "dnsNames": [f"{name}.example.test"],
            "privateKey": {"algorithm": "ECDSA"},
            "issuerRef": issuer or {"name": "self-signed"},
            **spec,
        },
    }


SELF_SIGNED = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Issuer",
    "metadata": {"name": "self-signed"},
    "spec": {"selfSigned": {}},
}
ROOT_CA = certificate("root", isCA=True, commonName="Test Root", dnsNames=[], duration="8760h")
CA = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Issuer",
    "metadata": {"name": "ca"},
    "spec": {"ca": {"secretName": "root-tls", "crlDistributionPoints": ["http://pki.example.test/ca.crl"]}},
}


def data_of(secret: dict[str, Any], key: str) -> bytes:
    return base64.b64decode(secret["data"][key])


def secret_of(kubectl: Kubectl, name: str = "web") -> dict[str, Any]:
    found = kubectl.get("secret", f"{name}-tls")
    assert found is not None
    return found


def x509_of(secret: dict[str, Any]) -> x509.Certificate:
    return x509.load_pem_x509_certificate(data_of(secret, "tls.crt"))


def revision(obj: dict[str, Any]) -> int:
    return int(obj.get("status", {}).get("revision", 0))


def seconds_until_ready(kubectl: Kubectl, name: str, issuer: str = "self-signed") -> float:
    """How long a new Certificate takes."""
    began = time.monotonic()
    kubectl.apply(certificate(name, issuer={"name": issuer}))
    kubectl.wait_ready(name, seconds=40)
    return time.monotonic() - began


@pytest.fixture
def ca(kubectl: Kubectl) -> None:
    """A CA of the test's own, signed by itself."""
    kubectl.apply(SELF_SIGNED, ROOT_CA, CA)
    kubectl.wait_ready("ca", kind="issuer")


def writes_since(cluster: Cluster, position: int, namespace: str) -> list[tuple[str, str, int]]:
    """What certwright wrote in a namespace: verb, resource with subresource, status."""
    found: list[tuple[str, str, int]] = []
    with cluster.audit_log.open() as log:
        log.seek(position)
        for line in log:
            event = json.loads(line)
            ref = event.get("objectRef", {})
            if event["verb"] in {"get", "list", "watch"} or ref.get("namespace") != namespace:
                continue
            if event["user"]["username"] == USERNAME:
                resource = "/".join(filter(None, (ref["resource"], ref.get("subresource"))))
                found.append((event["verb"], resource, event["responseStatus"]["code"]))
    return found


@pytest.mark.usefixtures("ca")
def test_a_certificate_takes_four_writes_and_two_events(cluster: Cluster, kubectl: Kubectl, namespace: str) -> None:
    """Request, its status, Secret, Certificate status; no conflict, no temporary Secret, nothing else."""
    position = cluster.audit_log.stat().st_size
    kubectl.apply(certificate(issuer={"name": "ca"}))
    kubectl.wait_ready("web")
    kubectl.wait_event("web", "Issuing")
    expected = [
        ("create", "certificaterequests", 201),
        ("patch", "certificaterequests/status", 200),
        ("patch", "secrets", 201),
        ("patch", "certificates/status", 200),
    ]
    written = writes_since(cluster, position, namespace)
    assert [write for write in written if write[1] != "events"] == expected
    messages = [event["message"] for event in kubectl.events("web")]
    assert messages == ["Issuing certificate as Secret does not exist", "The certificate has been successfully issued"]


@pytest.mark.usefixtures("ca")
def test_secret_and_request_look_as_tools_expect(kubectl: Kubectl) -> None:
    """Type, keys, annotations, labels, owner, conditions; openssl accepts the chain."""
    kubectl.apply(certificate(issuer={"name": "ca"}, commonName="web.example.test", ipAddresses=["10.1.2.3"]))
    ready = kubectl.wait_ready("web")
    secret = secret_of(kubectl)
    assert secret["type"] == "kubernetes.io/tls"
    assert set(secret["data"]) == {"tls.key", "tls.crt", "ca.crt"}
    assert secret["metadata"]["labels"] == {"controller.cert-manager.io/fao": "true"}
    assert secret["metadata"]["annotations"] == {
        "cert-manager.io/alt-names": "web.example.test",
        "cert-manager.io/certificate-name": "web",
        "cert-manager.io/common-name": "web.example.test",
        "cert-manager.io/ip-sans": "10.1.2.3",
        "cert-manager.io/issuer-group": "",
        "cert-manager.io/issuer-kind": "",
        "cert-manager.io/issuer-name": "ca",
        "cert-manager.io/uri-sans": "",
    }
    assert "ownerReferences" not in secret["metadata"]
    request = kubectl.get("certificaterequest", "web-1")
    assert request is not None
    assert request["metadata"]["annotations"]["cert-manager.io/certificate-revision"] == "1"
    owner = request["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Certificate", "web", True)
    for type_, reason, message in (
        ("Approved", "cert-manager.io", "Certificate request has been approved by cert-manager.io"),
        ("Ready", "Issued", "Certificate fetched from issuer successfully"),
    ):
        found = condition(request, type_)
        assert found is not None
        assert (found["status"], found["reason"], found["message"]) == ("True", reason, message)
    assert base64.b64decode(request["status"]["certificate"]) == data_of(secret, "tls.crt")
    assert revision(ready) == 1
    assert condition(ready, "Issuing") is None


@pytest.mark.usefixtures("ca")
def test_openssl_verifies_the_chain(kubectl: Kubectl, tmp_path: Path) -> None:
    """The leaf chains to ca.crt and carries the CRL's URL."""
    kubectl.apply(certificate(issuer={"name": "ca"}))
    kubectl.wait_ready("web")
    secret = secret_of(kubectl)
    (tmp_path / "ca.pem").write_bytes(data_of(secret, "ca.crt"))
    (tmp_path / "chain.pem").write_bytes(data_of(secret, "tls.crt"))
    result = subprocess.run(
        ["openssl", "verify", "-CAfile", str(tmp_path / "ca.pem"), str(tmp_path / "chain.pem")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    points = x509_of(secret).extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert "http://pki.example.test/ca.crl" in str(points)


@pytest.mark.parametrize(
    ("key", "kind", "pem"),
    [
        ({}, rsa.RSAPrivateKey, b"BEGIN RSA PRIVATE KEY"),
        ({"encoding": "PKCS8", "size": 3072}, rsa.RSAPrivateKey, b"BEGIN PRIVATE KEY"),
        ({"size": 2050}, rsa.RSAPrivateKey, b"BEGIN RSA PRIVATE KEY"),
        ({"size": 8192}, rsa.RSAPrivateKey, b"BEGIN RSA PRIVATE KEY"),
        ({"algorithm": "ECDSA", "size": 521}, ec.EllipticCurvePrivateKey, b"BEGIN EC PRIVATE KEY"),
        ({"algorithm": "ECDSA", "encoding": "PKCS8"}, ec.EllipticCurvePrivateKey, b"BEGIN PRIVATE KEY"),
        ({"algorithm": "Ed25519"}, ed25519.Ed25519PrivateKey, b"BEGIN PRIVATE KEY"),
    ],
    ids=["default", "RSA PKCS8", "RSA of any size", "RSA 8192", "P-521", "P-256 PKCS8", "Ed25519"],
)
def test_keys_are_of_the_kind_asked_for(kubectl: Kubectl, key: dict[str, Any], kind: Any, pem: bytes) -> None:
    """RSA 2048 in PKCS#1 unless the spec says otherwise; key and certificate belong together."""
    kubectl.apply(SELF_SIGNED, certificate(privateKey=key))
    # An RSA key of 8192 bits takes 2 to 20 s of a core.
    kubectl.wait_ready("web", seconds=90 if key.get("size") == 8192 else 20)
    secret = secret_of(kubectl)
    stored = data_of(secret, "tls.key")
    assert pem in stored
    private = load_pem_private_key(stored, None)
    assert isinstance(private, kind)
    assert private.public_key() == x509_of(secret).public_key()
    if isinstance(private, rsa.RSAPrivateKey):
        assert private.key_size == key.get("size", 2048)


def test_cluster_issuers_read_their_secrets_in_the_cluster_resource_namespace(
    cluster: Cluster, kubectl: Kubectl, namespace: str
) -> None:
    """A ClusterIssuer's CA is in kube-system and signs for every namespace."""
    kubectl.apply(SELF_SIGNED, ROOT_CA)
    kubectl.wait_ready("root")
    secret = secret_of(kubectl, "root")
    copy = {**secret, "metadata": {"name": f"ca-{namespace}", "namespace": "kube-system"}}
    issuer = {
        **CA,
        "kind": "ClusterIssuer",
        "metadata": {"name": namespace},
        "spec": {"ca": {"secretName": f"ca-{namespace}"}},
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(copy))
    cluster.kubectl("apply", "-f", "-", input=json.dumps(issuer))
    kubectl.apply(certificate(issuer={"name": namespace, "kind": "ClusterIssuer"}))
    kubectl.wait_ready("web")
    assert data_of(secret_of(kubectl), "ca.crt") == data_of(secret, "tls.crt")
    cluster.kubectl("delete", "clusterissuer", namespace)


@pytest.mark.parametrize("example", sorted(path.parent.name for path in (ROOT / "examples").glob("*/manifests.yaml")))
def test_examples_become_ready(kubectl: Kubectl, example: str) -> None:
    """Every folder of examples/ works as it is; those for CAs outside have no manifests.yaml (tried where those are)."""
    kubectl("apply", "-f", str(ROOT / "examples" / example / "manifests.yaml"))
    kubectl("wait", "--for=condition=Ready", "certificate", "--all", "--timeout=30s")


def test_a_name_of_253_characters_works(kubectl: Kubectl) -> None:
    """Long names are cut where objects are named after them."""
    name = ".".join(["a" * 61] * 4) + "bcdef"
    assert len(name) == 252
    kubectl.apply(SELF_SIGNED, certificate(name, secretName="long-tls", dnsNames=["long.example.test"]))
    kubectl.wait_ready(name)


@pytest.mark.parametrize(
    "damage",
    [
        ("delete", "secret", "web-tls"),
        ("patch", "secret", "web-tls", "--type=merge", "-p", json.dumps({"data": {"tls.crt": "Z2FyYmFnZQ=="}})),
        ("patch", "secret", "web-tls", "--type=merge", "-p", json.dumps({"data": {"tls.key": ""}})),
    ],
    ids=["deleted", "certificate damaged", "key emptied"],
)
def test_a_lost_or_damaged_secret_is_issued_again(kubectl: Kubectl, damage: tuple[str, ...]) -> None:
    """Found by the watch within seconds, issued once, revision 2."""
    kubectl.apply(SELF_SIGNED, certificate())
    kubectl.wait_ready("web")
    kubectl(*damage)
    again = kubectl.wait("certificate", "web", lambda c: revision(c) == 2 and is_true(c, "Ready"))
    secret = secret_of(kubectl)
    assert load_pem_private_key(data_of(secret, "tls.key"), None).public_key() == x509_of(secret).public_key()
    assert revision(again) == 2


def test_changed_metadata_is_restored_without_a_new_issue(kubectl: Kubectl) -> None:
    """Our labels and annotations come back, the template's follow it, foreign ones stay, the certificate too."""
    kubectl.apply(
        SELF_SIGNED, certificate(secretTemplate={"labels": {"team": "a", "old": "x"}, "annotations": {"note": "1"}})
    )
    kubectl.wait_ready("web")
    before = data_of(secret_of(kubectl), "tls.crt")
    kubectl("label", "secret", "web-tls", "controller.cert-manager.io/fao-", "foreign=1")
    kubectl("annotate", "--overwrite", "secret", "web-tls", "cert-manager.io/alt-names=wrong", "note=2")
    fixed = kubectl.wait(
        "secret",
        "web-tls",
        lambda s: (
            s["metadata"]["labels"].get("controller.cert-manager.io/fao") == "true"
            and s["metadata"]["annotations"].get("note") == "1"
            and s["metadata"]["annotations"]["cert-manager.io/alt-names"] == "web.example.test"
        ),
    )
    assert fixed["metadata"]["labels"] == {
        "controller.cert-manager.io/fao": "true",
        "team": "a",
        "old": "x",
        "foreign": "1",
    }
    kubectl.apply(certificate(secretTemplate={"labels": {"team": "b"}}))
    fixed = kubectl.wait("secret", "web-tls", lambda s: s["metadata"]["labels"].get("team") == "b")
    assert "old" not in fixed["metadata"]["labels"]
    assert "note" not in fixed["metadata"]["annotations"]
    assert fixed["metadata"]["labels"]["foreign"] == "1"
    assert data_of(fixed, "tls.crt") == before
    assert revision(kubectl.wait_ready("web")) == 1


def test_a_changed_spec_is_issued_again_and_a_changed_policy_is_not(kubectl: Kubectl) -> None:
    """New names make revision 2; renewBefore and key encoding do not."""
    kubectl.apply(SELF_SIGNED, certificate())
    kubectl.wait_ready("web")
    kubectl.apply(certificate(dnsNames=["web.example.test", "www.example.test"]))
    kubectl.wait("certificate", "web", lambda c: revision(c) == 2 and is_true(c, "Ready"))
    sans = x509_of(secret_of(kubectl)).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert sans.get_values_for_type(x509.DNSName) == ["web.example.test", "www.example.test"]
    kubectl.apply(
        certificate(
            dnsNames=["www.example.test", "web.example.test"],
            renewBefore="240h",
            privateKey={"algorithm": "ECDSA", "encoding": "PKCS8"},
        )
    )
    still = kubectl.wait_ready("web")
    assert revision(still) == 2
    not_after = x509_of(secret_of(kubectl)).not_valid_after_utc
    kubectl.wait("certificate", "web", lambda c: c["status"]["renewalTime"] < not_after.strftime("%Y-%m-%dT%H:%M:%SZ"))


def test_issuing_set_by_a_client_issues_again(kubectl: Kubectl) -> None:
    """What cmctl renew does: Issuing=True on the status is enough, and is removed when done."""
    kubectl.apply(SELF_SIGNED, certificate())
    ready = kubectl.wait_ready("web")
    issuing = {
        "type": "Issuing",
        "status": "True",
        "reason": "ManuallyTriggered",
        "message": "Certificate re-issuance manually triggered",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    patch = {"status": {"conditions": [*ready["status"]["conditions"], issuing]}}
    kubectl("patch", "certificate", "web", "--subresource=status", "--type=merge", "-p", json.dumps(patch))
    again = kubectl.wait("certificate", "web", lambda c: revision(c) == 2 and condition(c, "Issuing") is None)
    assert is_true(again, "Ready")


def test_renewal_keeps_ready_and_prunes_requests(kubectl: Kubectl) -> None:
    """A short-lived certificate renews by itself; Ready never leaves True, and only the last request is kept."""
    kubectl.apply(SELF_SIGNED, certificate(duration="1h", renewBefore="59m57s"))
    kubectl.wait_ready("web")
    watch = subprocess.Popen(
        [
            str(kubectl.cluster.programs["kubectl"]),
            f"--kubeconfig={kubectl.cluster.kubeconfig}",
            "-n",
            kubectl.namespace,
            *("get", "certificate", "web", "--watch", "-o"),
            'jsonpath={.status.revision} {.status.conditions[?(@.type=="Ready")].status}{"\\n"}',
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    kubectl.wait("certificate", "web", lambda c: revision(c) >= 3, seconds=20)
    kubectl.wait("certificaterequest", "web-3", lambda r: is_true(r, "Ready"))
    watch.terminate()
    seen = watch.communicate()[0].splitlines()
    assert len(seen) >= 2
    assert all(line.endswith(" True") for line in seen), seen
    assert kubectl.get("certificaterequest", "web-1") is None


def test_rotation_policies(kubectl: Kubectl) -> None:
    """Contract row 8.22: Never keeps the key, Always makes another; one that must not be replaced is told and left alone."""
    kubectl.apply(SELF_SIGNED, certificate(privateKey={"algorithm": "ECDSA", "rotationPolicy": "Never"}))
    kubectl.wait_ready("web")
    first = data_of(secret_of(kubectl), "tls.key")
    kubectl.apply(
        certificate(privateKey={"algorithm": "ECDSA", "rotationPolicy": "Never"}, dnsNames=["b.example.test"])
    )
    kubectl.wait("certificate", "web", lambda c: revision(c) == 2)
    assert data_of(secret_of(kubectl), "tls.key") == first
    told = kubectl.wait_event("web", "Reused")
    assert told["message"] == 'Reusing private key stored in existing Secret resource "web-tls"'
    kubectl.apply(
        certificate(privateKey={"algorithm": "ECDSA", "rotationPolicy": "Always"}, dnsNames=["c.example.test"])
    )
    kubectl.wait("certificate", "web", lambda c: revision(c) == 3)
    second = data_of(secret_of(kubectl), "tls.key")
    assert second != first
    kubectl.apply(certificate(privateKey={"algorithm": "ECDSA", "size": 384, "rotationPolicy": "Never"}))
    event = kubectl.wait_event("web", "CannotRegenerateKey")
    assert "spec.privateKey.size" in event["message"]
    assert data_of(secret_of(kubectl), "tls.key") == second


def test_an_existing_secret_keeps_its_type(kubectl: Kubectl) -> None:
    """Contract row 8.25: an Opaque Secret that was there first stays Opaque, and keeps what others put there."""
    kubectl("create", "secret", "generic", "web-tls", "--from-literal=other=1")
    kubectl.apply(SELF_SIGNED, certificate())
    kubectl.wait_ready("web")
    secret = secret_of(kubectl)
    assert secret["type"] == "Opaque"
    assert set(secret["data"]) == {"other", "tls.key", "tls.crt", "ca.crt"}


def test_an_immutable_secret_is_told(kubectl: Kubectl) -> None:
    """Nothing is lost, the cause is on the Certificate, and it goes on when the Secret is gone."""
    kubectl("create", "secret", "generic", "web-tls", "--from-literal=other=1")
    kubectl("patch", "secret", "web-tls", "--type=merge", "-p", '{"immutable":true}')
    kubectl.apply(SELF_SIGNED, certificate())
    told = kubectl.wait("certificate", "web", lambda c: "immutable" in str(condition(c, "Issuing")))
    assert condition(told, "Issuing")["status"] == "True"  # type: ignore[index]
    kubectl("delete", "secret", "web-tls")
    kubectl.wait_ready("web")


def test_two_certificates_with_one_secret(kubectl: Kubectl) -> None:
    """Contract row 8.24: the older one owns it, the other is told, and takes over when the first is deleted."""
    kubectl.apply(SELF_SIGNED, certificate("first", secretName="shared"))
    kubectl.wait_ready("first")
    kubectl.apply(certificate("second", secretName="shared"))
    told = kubectl.wait("certificate", "second", lambda c: condition(c, "Ready"))
    ready = condition(told, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "IncorrectCertificate")
    assert ready["message"].startswith('Secret was issued for "first".')
    assert kubectl.wait_event("second", "IncorrectCertificate")["type"] == "Warning"
    assert kubectl.all("certificaterequest", "-l", "!none")[0]["metadata"]["name"] == "first-1"
    kubectl("delete", "certificate", "first")
    kubectl.wait_ready("second")
    assert kubectl.get("secret", "shared")["metadata"]["annotations"]["cert-manager.io/certificate-name"] == "second"  # type: ignore[index]


def test_secrets_outlive_their_certificates(kubectl: Kubectl) -> None:
    """Contract row 8.29: deleting a Certificate leaves the Secret; its requests go."""
    kubectl.apply(SELF_SIGNED, certificate())
    kubectl.wait_ready("web")
    kubectl("delete", "certificate", "web")
    assert kubectl.get("secret", "web-tls") is not None


def test_secrets_go_with_their_certificates_where_that_is_asked_for(
    cluster: Cluster, kubectl: Kubectl, operator: Operator, operator_kubeconfig: Path, tmp_path: Path
) -> None:
    """--enable-certificate-owner-ref: an owner reference, on older Secrets too; without the flag it is taken back."""
    kubectl.apply(SELF_SIGNED, certificate())
    uid = kubectl.wait_ready("web")["metadata"]["uid"]
    flag = "--enable-certificate-owner-ref"
    with in_place_of(operator, cluster, operator_kubeconfig, tmp_path / "log", flag):
        owned = kubectl.wait("secret", "web-tls", lambda s: s["metadata"].get("ownerReferences"))
        (owner,) = owned["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["uid"], owner["controller"]) == ("Certificate", uid, True)
        kubectl.apply(certificate("new"))
        kubectl.wait("secret", "new-tls", lambda s: s["metadata"].get("ownerReferences"))
    kubectl.wait("secret", "web-tls", lambda s: "ownerReferences" not in s["metadata"], seconds=30)
    assert revision(kubectl.wait_ready("web")) == 1


def test_nothing_of_a_key_is_logged(kubectl: Kubectl, operator: Operator) -> None:
    """No line of any private key occurs in the log, in Events or in conditions."""
    kubectl.apply(SELF_SIGNED, certificate(), certificate("other", issuer={"name": "missing"}))
    kubectl.wait_ready("web")
    kubectl.wait("certificate", "other", lambda c: is_true(c, "Issuing"))
    keys = [data_of(secret, "tls.key") for secret in kubectl.all("secret") if "tls.key" in secret["data"]]
    assert len(keys) >= 2
    sinks = operator.log.read_text() + json.dumps(kubectl.all("events")) + json.dumps(kubectl.all("certificates"))
    for key in keys:
        for line in key.decode().splitlines()[1:-1]:
            assert line not in sinks
            assert base64.b64encode(line.encode()).decode() not in sinks
