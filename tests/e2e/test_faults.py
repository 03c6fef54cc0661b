"""Issuances while the API server fails: each write, each way it can fail, crashes at each write, watches that break.

The operator reaches the API server through a proxy that fails on request. Whatever happens, each Certificate ends Ready
at revision 1 with the pair that its one request got; a request is signed a second time only where a crash lost its key.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from devcluster import Cluster
from devcluster.faultproxy import KubeFaultProxy
from tests.e2e.harness import USERNAME, Kubectl, Operator, Replicas, condition, is_true, resting
from tests.e2e.test_certificates import (
    CA,
    ROOT_CA,
    SELF_SIGNED,
    certificate,
    data_of,
    revision,
    secret_of,
    writes_since,
    x509_of,
)
from tests.e2e.thirdparty import third_party

#: A killed holder keeps its Lease for seconds; who writes is the subject of test_run.py.
ALONE = "--leader-elect=false"


class Write(NamedTuple):
    """One of the writes of an issuance."""

    method: str
    path: str


class Way(NamedTuple):
    """How Certificates are issued: the operator's flags, and the writes that this takes."""

    flags: tuple[str, ...]
    writes: dict[str, Write]


REQUEST = {
    "request": Write("POST", r"/certificaterequests$"),
    "request status": Write("PATCH", r"/certificaterequests/[^/]+/status"),
    "secret": Write("PATCH", r"/secrets/"),
    "certificate status": Write("PATCH", r"/certificates/[^/]+/status"),
    "event": Write("POST", r"/events$"),
}
WAYS = {
    "at once": Way((), REQUEST),
    # Somebody else approves, so the key has to be kept meanwhile.
    "handed over": Way(
        ("--controllers=*,-certificaterequests-approver",),
        {
            **REQUEST,
            "temporary key": Write("POST", r"/secrets$"),
            "deletion of the key": Write("DELETE", r"/secrets/"),
        },
    ),
}
FAULTS: dict[str, dict[str, Any]] = {
    "409": {"status": 409},
    "500": {"status": 500},
    "429": {"status": 429, "retry_after": 1},
    "never arrives": {"drop_before": True},
    "answer lost": {"drop_after": True},
}


@pytest.fixture(scope="module", autouse=True)
def alone(cluster: Cluster, operator: Operator) -> Iterator[None]:
    """The shared operator rests while this module runs its own."""
    with resting(cluster, operator):
        yield


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[KubeFaultProxy]:
    """Between the operator and the API server."""
    with KubeFaultProxy(cluster) as running:
        yield running


@pytest.fixture
def faulty(proxy: KubeFaultProxy, operator_kubeconfig: Path) -> Path:
    """The operator's access through the proxy."""
    return proxy.kubeconfig(operator_kubeconfig)


@pytest.fixture
def approver(cluster: Cluster, tmp_path: Path) -> Iterator[None]:
    """Somebody who approves every request, in a process of its own."""
    with third_party(cluster, "approver", tmp_path):
        yield


@pytest.fixture(params=list(WAYS))
def way(request: pytest.FixtureRequest) -> Way:
    """Each way of issuing."""
    chosen = WAYS[request.param]
    if chosen.flags:
        request.getfixturevalue("approver")
    return chosen


def start(replicas: Replicas, kubeconfig: Path, way: Way = WAYS["at once"]) -> Operator:
    """An operator that writes as soon as it knows everything."""
    started = replicas.start(kubeconfig, ALONE, *way.flags)
    started.wait_for_log("knows ")
    return started


@pytest.fixture
def running(replicas: Replicas, faulty: Path, kubectl: Kubectl) -> Operator:
    """An operator behind the proxy, and a CA that is ready."""
    started = start(replicas, faulty)
    with_ca(kubectl)
    return started


def with_ca(kubectl: Kubectl) -> None:
    """A CA of the test's own."""
    kubectl.apply(SELF_SIGNED, ROOT_CA, CA)
    kubectl.wait_ready("ca", kind="issuer")


def judge(kubectl: Kubectl, name: str) -> None:
    """What holds after every issuance, whatever happened on its way."""
    ready = kubectl.wait_ready(name, seconds=25)
    assert revision(ready) == 1
    assert condition(ready, "Issuing") is None
    assert "nextPrivateKeySecretName" not in ready["status"]
    secret = secret_of(kubectl, name)
    leaf = x509_of(secret)
    assert load_pem_private_key(data_of(secret, "tls.key"), None).public_key() == leaf.public_key()
    request = kubectl.get("certificaterequest", f"{name}-1")
    assert request is not None
    assert is_true(request, "Ready")
    assert request["status"]["certificate"] == secret["data"]["tls.crt"]
    deadline = time.monotonic() + 10
    while left := [s["metadata"]["name"] for s in kubectl.all("secret", "-l", "cert-manager.io/next-private-key")]:
        assert time.monotonic() < deadline, f"{name}: temporary keys are left: {left}"
        time.sleep(0.1)


def await_events(kubectl: Kubectl, name: str) -> None:
    """Why it was issued and that it was: the last Events of an issuance, in whatever order they got through."""
    wanted = {"Issuing certificate as Secret does not exist", "The certificate has been successfully issued"}
    deadline = time.monotonic() + 10
    while missing := wanted - {event["message"] for event in kubectl.events(name)}:
        assert time.monotonic() < deadline, f"{name}: no Event {missing}"
        time.sleep(0.1)


def requests_created(cluster: Cluster, since: int, namespace: str) -> int:
    """How many requests were really made."""
    written = writes_since(cluster, since, namespace)
    return written.count(("create", "certificaterequests", 201))


def test_each_write_may_fail_once_in_each_way(
    cluster: Cluster,
    proxy: KubeFaultProxy,
    faulty: Path,
    replicas: Replicas,
    kubectl: Kubectl,
    namespace: str,
    way: Way,
) -> None:
    """A conflict, an error, a throttle, a lost request, a lost answer: no second key, request or signature."""
    start(replicas, faulty, way)
    with_ca(kubectl)
    for place, write in way.writes.items():
        for kind, how in FAULTS.items():
            name = f"{place}-{kind}".replace(" ", "-")
            position = cluster.audit_log.stat().st_size
            fault = proxy.fault(method=write.method, path_regex=write.path, count=1, **how)
            kubectl.apply(certificate(name, issuer={"name": "ca"}))
            judge(kubectl, name)
            await_events(kubectl, name)
            proxy.clear()
            assert fault.hits == 1, f"{name}: the fault met nothing"
            assert requests_created(cluster, position, namespace) == 1, name


@pytest.mark.usefixtures("running")
def test_every_other_write_is_a_conflict(proxy: KubeFaultProxy, kubectl: Kubectl) -> None:
    """Each second write of a burst is answered by 409: all Ready, one request each."""
    fault = proxy.fault(method="PATCH", path_regex="/(certificates|certificaterequests|secrets)/", status=409, every=2)
    names = [f"c{number}" for number in range(20)]
    kubectl.apply(*(certificate(name, issuer={"name": "ca"}) for name in names))
    for name in names:
        judge(kubectl, name)
    assert fault.hits >= 20
    assert len(kubectl.all("certificaterequest")) == 21


@contextmanager
def stopped_at(proxy: KubeFaultProxy, moment: str, **which: Any) -> Iterator[None]:
    """What is done in the context leads to such a write: at its end that has just not been carried out, or just been."""
    how: dict[str, Any] = {"delay": 60.0} if moment == "before" else {"drop_after": True}
    fault = proxy.fault(**which, count=1, **how)
    done = len(proxy.requests)
    yield
    deadline = time.monotonic() + 20
    while not fault.hits or (moment == "after" and not any(r.status == 0 for r in proxy.requests[done:])):
        assert time.monotonic() < deadline, f"{which}: the fault met nothing"
        time.sleep(0.002)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_at_each_write_loses_nothing(
    cluster: Cluster, proxy: KubeFaultProxy, faulty: Path, replicas: Replicas, kubectl: Kubectl, way: Way, moment: str
) -> None:
    """kill -9 just before a write is carried out, or just after: the next process ends in the same state.

    Where the key was to be kept it was: the one request that was made is the one that was signed.
    """
    running = start(replicas, faulty, way)
    with_ca(kubectl)
    for place, write in way.writes.items():
        name = place.replace(" ", "-")
        position = cluster.audit_log.stat().st_size
        with stopped_at(proxy, moment, method=write.method, path_regex=write.path):
            kubectl.apply(certificate(name, issuer={"name": "ca"}))
        running.kill()
        proxy.clear()
        running = start(replicas, faulty, way)
        judge(kubectl, name)
        if way.flags:
            assert requests_created(cluster, position, kubectl.namespace) == 1, name


@pytest.mark.parametrize("how", ["gone", "cut"])
def test_what_happens_while_nothing_is_watched_is_found(
    proxy: KubeFaultProxy, running: Operator, kubectl: Kubectl, how: Any
) -> None:
    """Watches end with 410 or break; what was created, changed and deleted meanwhile is dealt with when they return."""
    names = ["stays", "loses-its-secret", "deleted", "changed"]
    kubectl.apply(*(certificate(name, issuer={"name": "ca"}) for name in names))
    for name in names:
        kubectl.wait_ready(name)
    proxy.fault(method="GET", path_regex="/(certificates|secrets|certificaterequests)[?]", delay=3.0, count=6)
    proxy.fault(method="WATCH", path_regex="/(certificates|secrets|certificaterequests)", delay=3.0, count=6)
    assert proxy.break_watches(how) >= 5
    kubectl.apply(certificate("created", issuer={"name": "ca"}))
    kubectl.apply(certificate("changed", issuer={"name": "ca"}, dnsNames=["other.example.test"]))
    kubectl("delete", "secret", "loses-its-secret-tls")
    kubectl("delete", "certificate", "deleted")
    judge(kubectl, "created")
    for name in ("changed", "loses-its-secret"):
        kubectl.wait("certificate", name, lambda c: revision(c) == 2 and is_true(c, "Ready"))
    assert revision(kubectl.wait_ready("stays")) == 1
    # Of the same name, but another one: nothing that is remembered of the first may be taken for it.
    kubectl("delete", "secret", "deleted-tls")
    kubectl.apply(certificate("deleted", issuer={"name": "ca"}))
    judge(kubectl, "deleted")
    assert running.process.poll() is None


@pytest.mark.parametrize("status", [410, 403, 404, 500])
def test_a_refused_watch_is_not_the_end(
    proxy: KubeFaultProxy, running: Operator, kubectl: Kubectl, status: int
) -> None:
    """Statuses that end Kopf's operator: it is started again, and what happened meanwhile is dealt with."""
    fault = proxy.fault(method="WATCH", path_regex="/(certificates|secrets)", status=status, count=3)
    proxy.break_watches("cut")
    kubectl.apply(certificate("created", issuer={"name": "ca"}))
    judge(kubectl, "created")
    assert fault.hits >= 1
    assert running.process.poll() is None


@pytest.mark.usefixtures("running")
def test_a_missing_permission_is_told_where_the_user_looks(proxy: KubeFaultProxy, kubectl: Kubectl) -> None:
    """403 on Secrets: a Warning on the Certificate names verb and resource; others go on, and so does it when granted."""
    proxy.fault(method="PATCH", path_regex="/secrets/denied-tls", status=403)
    kubectl.apply(certificate("denied", issuer={"name": "ca"}), certificate("other", issuer={"name": "ca"}))
    judge(kubectl, "other")
    told = kubectl.wait_event("denied", "Forbidden")
    assert told["type"] == "Warning"
    assert "PATCH" in told["message"]
    assert "secrets/denied-tls" in told["message"]
    proxy.clear()
    judge(kubectl, "denied")


def test_a_namespace_that_is_deleted_in_the_middle(cluster: Cluster, running: Operator, kubectl: Kubectl) -> None:
    """No traceback, no storm of requests, and the others go on."""
    doomed = Kubectl(cluster, f"{kubectl.namespace}-doomed")
    cluster.kubectl("create", "namespace", doomed.namespace)
    doomed.apply(SELF_SIGNED, *(certificate(f"c{number}") for number in range(30)))
    cluster.kubectl("delete", "namespace", doomed.namespace, "--wait=false")
    kubectl.apply(certificate("after", issuer={"name": "ca"}))
    judge(kubectl, "after")
    cluster.kubectl("wait", "--for=delete", f"namespace/{doomed.namespace}", "--timeout=30s")
    time.sleep(1)
    position = cluster.audit_log.stat().st_size
    time.sleep(3)
    with cluster.audit_log.open() as log:
        log.seek(position)
        late = [json.loads(line)["objectRef"] for line in log if doomed.namespace in line and USERNAME in line]
    assert late == []
    assert "Traceback" not in running.log.read_text()
