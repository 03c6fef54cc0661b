"""Annotated Ingresses while the API server fails: each write of the shim, each way it can fail."""

import pytest

from devcluster import Cluster
from devcluster.faultproxy import KubeFaultProxy
from tests.e2e.harness import Kubectl, Operator
from tests.e2e.test_certificates import SELF_SIGNED, writes_since
from tests.e2e.test_faults import FAULTS, alone, faulty, proxy, start
from tests.e2e.test_ingress import ingress, wait_gone

__all__ = ["alone", "faulty", "proxy"]

ONE = {"a-tls": ["a.example.test"]}
MORE = {"a-tls": ["a.example.test", "b.example.test"], "c-tls": ["c.example.test"]}


@pytest.fixture
def operator_behind_proxy(request: pytest.FixtureRequest) -> Operator:
    """An operator that reaches the API server through the proxy."""
    return start(request.getfixturevalue("replicas"), request.getfixturevalue("faulty"))


@pytest.mark.usefixtures("operator_behind_proxy")
@pytest.mark.parametrize("how", FAULTS)
def test_each_write_of_the_shim_may_fail(
    cluster: Cluster, proxy: KubeFaultProxy, kubectl: Kubectl, namespace: str, how: str
) -> None:
    """Created, changed, a second one made, and both deleted: once each, whatever became of the first try."""
    position = cluster.audit_log.stat().st_size
    collection, single = r"/certificates$", r"/certificates/[^/]+$"
    faults = [
        proxy.fault(method=method, path_regex=path, count=1, **FAULTS[how])
        for method, path in (("POST", collection), ("PATCH", single), ("DELETE", single))
    ]
    kubectl.apply(SELF_SIGNED, ingress(tls=ONE))
    kubectl.wait_ready("a-tls")
    kubectl.apply(ingress(tls=MORE))
    kubectl.wait_ready("c-tls")
    changed = kubectl.wait("certificate", "a-tls", lambda c: len(c["spec"]["dnsNames"]) == 2)
    assert changed["metadata"]["ownerReferences"][0]["name"] == "web"
    kubectl.apply(ingress(tls={}))
    for name in ("a-tls", "c-tls"):
        wait_gone(kubectl, "certificate", name)
    assert [fault.hits for fault in faults] == [1, 1, 1]
    written = writes_since(cluster, position, namespace)
    for verb, status, times in (("create", 201, 2), ("patch", 200, 1), ("delete", 200, 2)):
        assert written.count((verb, "certificates", status)) == times, written
