"""Annotated Ingresses against a real API server: their Certificates come, follow and go; bad annotations are told."""

import json
import statistics
import time
from typing import Any

import pytest

from devcluster import Cluster
from tests.e2e.harness import ROOT, Kubectl
from tests.e2e.test_certificates import CA, ROOT_CA, SELF_SIGNED, certificate, revision, writes_since

pytestmark = pytest.mark.usefixtures("operator")

ISSUER = "cert-manager.io/issuer"
ACME = "acme.cert-manager.io/http01-"
WEB = {"web-tls": ["web.example.test"]}


def ingress(
    annotations: dict[str, str] | None = None, tls: dict[str, list[str]] | None = None, name: str = "web", **meta: Any
) -> dict[str, Any]:
    """An Ingress of the Issuer self-signed; ``tls``: hosts by Secret."""
    given = {ISSUER: "self-signed"} if annotations is None else annotations
    key = {"cert-manager.io/private-key-algorithm": "ECDSA"}
    service = {"service": {"name": "web", "port": {"number": 80}}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "annotations": key | given, **meta},
        "spec": {
            "defaultBackend": service,
            "tls": [{"hosts": hosts, "secretName": secret} for secret, hosts in (WEB if tls is None else tls).items()],
        },
    }


def named_issuer(name: str) -> dict[str, Any]:
    return {**SELF_SIGNED, "metadata": {"name": name}}


def events_of(kubectl: Kubectl, name: str = "web") -> list[tuple[str, str, str]]:
    """Type, reason and message of the Events about an Ingress."""
    return [
        (event["type"], event["reason"], event["message"])
        for event in kubectl.events(name)
        if event["involvedObject"]["kind"] == "Ingress"
    ]


def wait_gone(kubectl: Kubectl, kind: str, name: str, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while kubectl.get(kind, name) is not None:
        assert time.monotonic() < deadline, f"{kind}/{name} is still there after {seconds} s"
        time.sleep(0.1)


def settled(cluster: Cluster, namespace: str, quiet: float = 1.5) -> int:
    """Wait until nothing is written in the namespace any more; where the audit log ends then."""
    position = cluster.audit_log.stat().st_size
    while True:
        time.sleep(quiet)
        end = cluster.audit_log.stat().st_size
        if not writes_since(cluster, position, namespace):
            return end
        position = end


def test_an_ingress_gets_its_certificate(cluster: Cluster, kubectl: Kubectl, namespace: str) -> None:
    """Owned by the Ingress, with its labels, ready; the Ingress itself is not written to."""
    position = cluster.audit_log.stat().st_size
    kubectl.apply(SELF_SIGNED, ingress(labels={"app": "web"}))
    ready = kubectl.wait_ready("web-tls")
    owner = kubectl.get("ingress", "web")
    assert owner is not None
    assert ready["metadata"]["ownerReferences"] == [
        {
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "name": "web",
            "uid": owner["metadata"]["uid"],
            "controller": True,
            "blockOwnerDeletion": True,
        }
    ]
    assert ready["metadata"]["labels"] == {"app": "web"}
    assert ready["spec"] == {
        "secretName": "web-tls",
        "dnsNames": ["web.example.test"],
        "usages": ["digital signature", "key encipherment"],
        "privateKey": {"algorithm": "ECDSA"},
        "issuerRef": {"name": "self-signed", "kind": "Issuer", "group": "cert-manager.io"},
    }
    kubectl.wait_event("web", "CreateCertificate")
    assert events_of(kubectl) == [("Normal", "CreateCertificate", "Created Certificate web-tls")]
    assert "finalizers" not in owner["metadata"]
    settled(cluster, namespace)
    written = writes_since(cluster, position, namespace)
    assert written.count(("create", "certificates", 201)) == 1
    assert [write for write in written if write[1].startswith("ingresses")] == []


def test_nothing_is_written_when_nothing_changes(cluster: Cluster, kubectl: Kubectl, namespace: str) -> None:
    """Changes of an Ingress that are none of ours cost no write, and no read."""
    kubectl.apply(SELF_SIGNED, ingress())
    kubectl.wait_ready("web-tls")
    position = settled(cluster, namespace)
    kubectl("annotate", "ingress", "web", "nginx.example.test/snippet=deny all;")
    patch = {"status": {"loadBalancer": {"ingress": [{"ip": "10.1.2.3"}]}}}
    kubectl("patch", "ingress", "web", "--subresource=status", "--type=merge", "-p", json.dumps(patch))
    # A change that does matter comes through the same watch later, so the others have been seen when it shows.
    kubectl("annotate", "ingress", "web", "cert-manager.io/common-name=web.example.test")
    kubectl.wait("certificate", "web-tls", lambda c: revision(c) == 2)
    settled(cluster, namespace)
    written = writes_since(cluster, position, namespace)
    assert [write for write in written if write[1] in {"certificates", "ingresses"}] == [("patch", "certificates", 200)]


def test_entries_and_annotations_follow(kubectl: Kubectl) -> None:
    """One Certificate an entry; changed, added and removed with it."""
    kubectl.apply(
        SELF_SIGNED, ingress(tls={"a-tls": ["a1.example.test", "a2.example.test"], "b-tls": ["b.example.test"]})
    )
    a = kubectl.wait_ready("a-tls")
    kubectl.wait_ready("b-tls")
    assert a["spec"]["dnsNames"] == ["a1.example.test", "a2.example.test"]
    annotations = {ISSUER: "self-signed", "cert-manager.io/subject-organizations": '"Example, Inc."'}
    kubectl.apply(ingress(annotations, {"a-tls": ["a1.example.test"], "c-tls": ["c.example.test", "10.1.2.3"]}))
    wait_gone(kubectl, "certificate", "b-tls")
    a = kubectl.wait("certificate", "a-tls", lambda c: revision(c) == 2)
    assert a["spec"]["dnsNames"] == ["a1.example.test"]
    assert a["spec"]["subject"] == {"organizations": ["Example, Inc."]}
    c = kubectl.wait_ready("c-tls")
    assert (c["spec"]["dnsNames"], c["spec"]["ipAddresses"]) == (["c.example.test"], ["10.1.2.3"])
    kubectl.wait_event("web", "DeleteCertificate")
    kubectl.wait_event("web", "UpdateCertificate")
    told = {(reason, message) for _, reason, message in events_of(kubectl)}
    assert ("DeleteCertificate", "Deleted Certificate b-tls, as no entry of spec.tls names its Secret any more") in told
    assert ("UpdateCertificate", "Updated Certificate a-tls: dnsNames, subject") in told
    assert kubectl.get("secret", "b-tls") is not None


def test_certificates_go_with_their_ingress(kubectl: Kubectl) -> None:
    """By garbage collection; an Ingress of the same name made anew gets a new one and keeps the Secret's certificate."""
    kubectl.apply(SELF_SIGNED, ingress())
    first = kubectl.wait_ready("web-tls")
    secret = kubectl.get("secret", "web-tls")
    kubectl("delete", "ingress", "web")
    kubectl.apply(ingress())
    again = kubectl.wait(
        "certificate", "web-tls", lambda c: c["metadata"]["uid"] != first["metadata"]["uid"] and c.get("status")
    )
    kubectl.wait_ready("web-tls")
    now = kubectl.get("secret", "web-tls")
    assert secret is not None
    assert now is not None
    assert now["data"] == secret["data"]
    assert again["metadata"]["ownerReferences"][0]["name"] == "web"


def test_an_ingress_puts_its_certificate_back(kubectl: Kubectl) -> None:
    """Deleted or changed by hand, it comes back; what no annotation decides may be set by hand."""
    kubectl.apply(SELF_SIGNED, ingress())
    first = kubectl.wait_ready("web-tls")
    kubectl("delete", "certificate", "web-tls")
    kubectl.wait("certificate", "web-tls", lambda c: c["metadata"]["uid"] != first["metadata"]["uid"])
    patch = {"spec": {"commonName": "wrong", "additionalOutputFormats": [{"type": "DER"}]}}
    kubectl("patch", "certificate", "web-tls", "--type=merge", "-p", json.dumps(patch))
    fixed = kubectl.wait("certificate", "web-tls", lambda c: "commonName" not in c["spec"])
    assert fixed["spec"]["additionalOutputFormats"] == [{"type": "DER"}]
    kubectl.wait("secret", "web-tls", lambda s: "key.der" in s["data"])


def test_certificates_of_others_are_not_touched(kubectl: Kubectl) -> None:
    """Neither made by hand nor another Ingress's; when the other goes, the waiting one gets its own."""
    kubectl.apply(SELF_SIGNED, certificate(secretName="web-tls", dnsNames=["other.example.test"]))
    kubectl("wait", "--for=condition=Ready", "certificate/web")
    kubectl.apply(certificate("web-tls", secretName="web-tls", dnsNames=["*.example.test"]), ingress(name="first"))
    kubectl.apply(ingress(name="second", tls={"shared-tls": ["a.example.test"]}))
    kubectl.wait_ready("shared-tls")
    kubectl.apply(ingress(name="third", tls={"shared-tls": ["a.example.test", "b.example.test"]}))
    event = kubectl.wait_event("third", "BadConfig")
    assert "lacks b.example.test" in event["message"]
    mine = kubectl.get("certificate", "web-tls")
    assert mine is not None
    assert mine["spec"]["dnsNames"] == ["*.example.test"]
    assert "ownerReferences" not in mine["metadata"]
    assert events_of(kubectl, "first") == []
    kubectl("delete", "ingress", "second")
    shared = kubectl.wait(
        "certificate", "shared-tls", lambda c: c["metadata"]["ownerReferences"][0]["name"] == "third", seconds=30
    )
    assert shared["spec"]["dnsNames"] == ["a.example.test", "b.example.test"]


BAD: list[tuple[str, dict[str, Any], list[str]]] = [
    (
        "both issuers",
        ingress({ISSUER: "self-signed", "cert-manager.io/cluster-issuer": "x"}),
        ["cert-manager.io/issuer can't be used together with cert-manager.io/cluster-issuer"],
    ),
    ("no issuer name", ingress({ISSUER: ""}), ["no issuer is named"]),
    (
        "bad values",
        ingress({ISSUER: "self-signed", "cert-manager.io/duration": "90d", "cert-manager.io/usages": "fly"}),
        ["cert-manager.io/duration: '90d' is not a duration", "cert-manager.io/usages: 'fly' is not a key usage"],
    ),
    (
        "refused by admission",
        ingress({ISSUER: "self-signed", "cert-manager.io/renew-before": "1h", "cert-manager.io/duration": "1h"}),
        ["renewBefore must be less than duration"],
    ),
    (
        "a kind without its group",
        ingress({ISSUER: "x", "cert-manager.io/issuer-kind": "AWSPCAIssuer"}),
        ["issuerRef.kind must be Issuer or ClusterIssuer"],
    ),
]


@pytest.mark.parametrize(("bad", "words"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_annotation_is_told_and_changes_nothing(kubectl: Kubectl, bad: dict[str, Any], words: list[str]) -> None:
    """On an Ingress that has its Certificate, and on a new one; mended, the Certificate follows."""
    kubectl.apply(SELF_SIGNED, ingress())
    before = kubectl.wait_ready("web-tls")
    new = {**bad, "metadata": {**bad["metadata"], "name": "new"}, "spec": ingress(tls={"new-tls": ["n.test"]})["spec"]}
    kubectl.apply(bad, new)
    for name in ("web", "new"):
        kubectl.wait_event(name, "BadConfig")
        deadline = time.monotonic() + 5
        while True:
            told = [message for type_, reason, message in events_of(kubectl, name) if type_ == "Warning"]
            if all(any(word in message for message in told) for word in words):
                break
            assert time.monotonic() < deadline, f"not told: {words}; told: {told}"
            time.sleep(0.1)
    after = kubectl.get("certificate", "web-tls")
    assert after is not None
    assert after["spec"] == before["spec"]
    assert kubectl.get("certificate", "new-tls") is None
    kubectl.apply(ingress({ISSUER: "self-signed"}, {"new-tls": ["n.test"]}, "new"))
    kubectl.wait_ready("new-tls")


def test_a_secret_named_twice_is_told(kubectl: Kubectl) -> None:
    """Nothing is made of any entry."""
    doubled = ingress(tls={"other-tls": ["o.example.test"]})
    doubled["spec"]["tls"] += [{"hosts": [f"{name}.example.test"], "secretName": "x-tls"} for name in "ab"]
    kubectl.apply(SELF_SIGNED, doubled)
    assert "x-tls more than once" in kubectl.wait_event("web", "BadConfig")["message"]
    assert kubectl.all("certificates") == []


def test_an_entry_without_hosts_is_skipped(kubectl: Kubectl) -> None:
    """The others get their Certificates."""
    kubectl.apply(SELF_SIGNED, ingress(tls={"empty-tls": [], **WEB}))
    kubectl.wait_ready("web-tls")
    assert kubectl.wait_event("web", "BadConfig")["message"] == "spec.tls[0] is skipped, because it has no hosts"
    assert kubectl.get("certificate", "empty-tls") is None


def test_tls_acme_takes_the_default_issuer(kubectl: Kubectl) -> None:
    """And what --extra-certificate-annotations lists comes along; false asks for nothing."""
    annotations = {"kubernetes.io/tls-acme": "true", "example.test/team": "a", "example.test/other": "b"}
    off = ingress({"kubernetes.io/tls-acme": "false"}, name="off", tls={"off-tls": ["o.test"]})
    kubectl.apply(named_issuer("house"), off, ingress(annotations))
    ready = kubectl.wait_ready("web-tls")
    assert ready["spec"]["issuerRef"] == {"name": "house", "kind": "Issuer", "group": "cert-manager.io"}
    assert ready["metadata"]["annotations"] == {"example.test/team": "a"}
    kubectl("annotate", "ingress", "web", "example.test/team-")
    kubectl.wait("certificate", "web-tls", lambda c: not c["metadata"].get("annotations"))
    assert kubectl.get("certificate", "off-tls") is None


def test_acme_annotations_reach_the_certificate(kubectl: Kubectl) -> None:
    """edit-in-place as the name of the Ingress and a temporary certificate; the classes as overrides; and back."""
    kubectl.apply(SELF_SIGNED, ingress({ISSUER: "self-signed", f"{ACME}edit-in-place": "true"}))
    made = kubectl.wait_ready("web-tls")
    assert made["metadata"]["annotations"] == {
        f"{ACME}override-ingress-name": "web",
        "cert-manager.io/issue-temporary-certificate": "true",
    }
    kubectl.apply(ingress({ISSUER: "self-signed", f"{ACME}ingress-ingressclassname": "contour"}))
    expected = {f"{ACME}override-ingress-ingressclassname": "contour"}
    kubectl.wait("certificate", "web-tls", lambda c: c["metadata"].get("annotations") == expected)


def test_a_removed_annotation_leaves_the_certificate(kubectl: Kubectl) -> None:
    """An Ingress that asks for nothing any more is let go, and so is its Certificate."""
    kubectl.apply(SELF_SIGNED, ingress())
    kubectl.wait_ready("web-tls")
    kubectl("annotate", "ingress", "web", f"{ISSUER}-")
    kubectl("patch", "ingress", "web", "--type=json", "-p", '[{"op": "remove", "path": "/spec/tls"}]')
    kubectl.apply(ingress(name="later", tls={"later-tls": ["later.example.test"]}))
    kubectl.wait_ready("later-tls")
    assert kubectl.get("certificate", "web-tls") is not None


def test_a_secret_of_another_origin_is_warned_of(kubectl: Kubectl) -> None:
    """It is replaced, as by any Certificate, but not silently."""
    kubectl("create", "secret", "generic", "web-tls", "--from-literal=password=x")
    kubectl.apply(SELF_SIGNED, ingress())
    kubectl.wait_ready("web-tls")
    assert kubectl.wait_event("web", "ReplacesSecret")["message"].startswith("Secret web-tls was there before")


def test_the_example_works(kubectl: Kubectl) -> None:
    """One Certificate for each entry, named and timed by the annotations."""
    kubectl("apply", "-f", str(ROOT / "examples" / "07-ingress" / "manifests.yaml"))
    store = kubectl.wait_ready("store-tls")
    assert store["spec"]["dnsNames"] == ["store.example.test", "www.store.example.test"]
    assert store["spec"]["duration"] == "720h0m0s"
    kubectl.wait_ready("store-api-tls")


def test_an_ingress_is_served_within_a_second(kubectl: Kubectl) -> None:
    """From kubectl's view, an idle cluster and a CA issuer; ``make bench W=w7`` has the exact figures."""
    kubectl.apply(SELF_SIGNED, ROOT_CA, CA)
    kubectl.wait_ready("ca", kind="issuer")
    seconds: list[float] = []
    for number in range(5):
        name = f"web-{number}"
        kubectl.apply(ingress({ISSUER: "ca"}, {f"{name}-tls": [f"{name}.example.test"]}, name))
        began = time.monotonic()
        kubectl.wait("secret", f"{name}-tls", lambda s: s["data"].get("tls.crt"))
        seconds.append(time.monotonic() - began)
    assert statistics.median(seconds) < 1, seconds
