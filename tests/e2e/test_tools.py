"""What GitOps tools make of our objects, at each version of them: the health rules of Argo CD, and whose fields we write."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from devcluster import Cluster
from tests.e2e.harness import USERNAME, Kubectl, condition, is_true
from tests.e2e.test_certificates import CA, ROOT_CA, SELF_SIGNED, certificate, revision

pytestmark = pytest.mark.usefixtures("operator")


def argo_health(obj: dict[str, Any]) -> str:
    """Argo CD's built-in rule for Certificates and issuers: Issuing is looked at first."""
    if obj["metadata"].get("deletionTimestamp") or (condition(obj, "Issuing") or {}).get("status") == "True":
        return "Progressing"
    ready = condition(obj, "Ready")
    if ready is None or ready["status"] == "Unknown":
        return "Progressing"
    return "Healthy" if ready["status"] == "True" else "Degraded"


def json_stream(text: str) -> Iterator[dict[str, Any]]:
    """The objects of a stream, which follow each other with nothing but white space between them."""
    decoder = json.JSONDecoder()
    rest = text.lstrip()
    while rest:
        found, end = decoder.raw_decode(rest)
        yield from found.get("items", [found])
        rest = rest[end:].lstrip()


@contextmanager
def watched(kubectl: Kubectl, kind: str) -> Iterator[list[dict[str, Any]]]:
    """Each version of the objects of a kind in a namespace; the list is filled at the end."""
    seen: list[dict[str, Any]] = []
    argv = [str(kubectl.cluster.programs["kubectl"]), f"--kubeconfig={kubectl.cluster.kubeconfig}"]
    argv += ["-n", kubectl.namespace, "get", kind, "--watch", "-o", "json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        yield seen
        process.terminate()
        seen += json_stream(process.communicate()[0])


def test_argo_never_shows_a_certificate_degraded_on_its_way(kubectl: Kubectl) -> None:
    """Waiting for its issuer, issued, lost, changed, renewed by hand: Progressing or Healthy at each version."""
    asked = certificate(issuer={"name": "ca"})
    with watched(kubectl, "certificate") as versions:
        kubectl.apply(asked)
        kubectl.wait("certificate", "web", lambda c: is_true(c, "Issuing"))
        kubectl.apply(SELF_SIGNED, ROOT_CA, CA)
        kubectl.wait_ready("web")
        kubectl("delete", "secret", "web-tls")
        kubectl.wait("certificate", "web", lambda c: revision(c) == 2)
        kubectl.apply(certificate(issuer={"name": "ca"}, dnsNames=["new.example.test"]))
        kubectl.wait("certificate", "web", lambda c: revision(c) == 3)
        kubectl.apply(certificate(issuer={"name": "nobody"}))
        kubectl.wait("certificate", "web", lambda c: is_true(c, "Issuing"))
        kubectl("delete", "certificate", "web")
    health = [argo_health(version) for version in versions if version["metadata"]["name"] == "web"]
    assert set(health) == {"Progressing", "Healthy"}
    assert health[0] == "Progressing"


def test_nothing_but_the_status_of_users_objects_is_written(cluster: Cluster, kubectl: Kubectl, namespace: str) -> None:
    """No annotation, no finalizer, no default: what was applied is what is there, whatever became of it."""
    position = cluster.audit_log.stat().st_size
    applied = [SELF_SIGNED, ROOT_CA, CA, certificate(issuer={"name": "ca"}), certificate("lost", {"name": "nobody"})]
    kubectl.apply(*applied)
    kubectl.wait_ready("web")
    kubectl.wait("certificate", "lost", lambda c: is_true(c, "Issuing"))
    for obj in applied:
        found = kubectl.get(obj["kind"], obj["metadata"]["name"])
        assert found is not None
        assert found["spec"] == obj["spec"]
        assert set(found["metadata"]["annotations"]) == {"kubectl.kubernetes.io/last-applied-configuration"}
        assert not {"finalizers", "labels", "ownerReferences"} & found["metadata"].keys()
    with cluster.audit_log.open() as log:
        log.seek(position)
        events = [json.loads(line) for line in log]
    ours = [
        e["objectRef"]
        for e in events
        if e["user"]["username"] == USERNAME and e["verb"] not in {"get", "list", "watch"}
    ]
    written = {(ref["resource"], ref.get("subresource", "")) for ref in ours if ref.get("namespace") == namespace}
    assert {pair for pair in written if pair[0] in {"certificates", "issuers"}} == {
        ("certificates", "status"),
        ("issuers", "status"),
    }
