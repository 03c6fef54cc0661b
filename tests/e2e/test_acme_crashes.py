"""An operator that is killed at each write of an ACME issuance: the next one ends in the same state.

The writes are those that an undisturbed issuance makes, found by looking, so that none is forgotten.
"""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from devcluster import Cluster
from devcluster.acmeca import AcmeCA
from devcluster.faultproxy import KubeFaultProxy, Request
from tests.e2e.acme import ISSUER, Restartable, ca_fixture, issuer, log_end
from tests.e2e.harness import Kubectl, Operator, resting
from tests.e2e.test_certificates import certificate
from tests.e2e.test_faults import judge, stopped_at

ORDERS = "orders.acme.cert-manager.io"

ca = ca_fixture({"PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"})


class Write(NamedTuple):
    """The ``number``-th write of its kind."""

    method: str
    pattern: str
    number: int

    def __str__(self) -> str:
        return f"{self.method} {self.pattern} {self.number}"


#: Here the URL of the CA's order is known to nobody but the process that is killed.
ORDER_URL = Write("PATCH", r"/orders/[^/?]+/status(\?|$)", 1)


@pytest.fixture(scope="module")
def proxy(cluster: Cluster) -> Iterator[KubeFaultProxy]:
    """Between the operator and the API server."""
    with KubeFaultProxy(cluster) as running:
        yield running


@pytest.fixture(scope="module")
def direct(
    cluster: Cluster, operator: Operator, operator_kubeconfig: Path, proxy: KubeFaultProxy, tmp_path_factory: Any
) -> Iterator[Restartable]:
    """An operator of this module's own, behind the proxy, where the CA looks."""
    with resting(cluster, operator):
        process = Restartable(cluster, proxy.kubeconfig(operator_kubeconfig), tmp_path_factory.mktemp("direct"))
        yield process
        process.running.stop()


def writes_of(requests: list[Request], namespace: str) -> list[Write]:
    """Which writes in a namespace these are, each told by its kind and its number."""
    found: list[Write] = []
    numbers = Counter[tuple[str, str]]()
    for request in requests:
        _, _, below = request.path.partition(f"/namespaces/{namespace}/")
        if request.method in {"GET", "WATCH"} or not below or below.startswith("events"):
            continue
        plural, *rest = below.split("/")
        name = "/[^/?]+" if rest else ""
        sub = f"/{rest[1]}" if rest[1:] else ""
        pattern = rf"/{plural}{name}{sub}(\?|$)"
        numbers[request.method, pattern] += 1
        found.append(Write(request.method, pattern, numbers[request.method, pattern]))
    return found


def settled(kubectl: Kubectl) -> None:
    """Nothing of a challenge is left."""
    deadline = time.monotonic() + 20
    while kubectl.all("challenges.acme.cert-manager.io") or kubectl.all("ingresses"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


def issued(ca: AcmeCA, kubectl: Kubectl, name: str, since: int) -> int:
    """Judge an issuance as any other; one request, one Order, one certificate. How many orders the CA has made."""
    judge(kubectl, name)
    settled(kubectl)
    requests = [r["metadata"]["name"] for r in kubectl.all("certificaterequest")]
    assert requests.count(f"{name}-1") == 1
    assert f"{name}-2" not in requests
    (order,) = [o for o in kubectl.all(ORDERS) if o["metadata"]["name"].startswith(f"{name}-1-")]
    assert order["status"]["state"] == "valid"
    log = ca.cluster.files.log("pebble").read_text()[since:]
    assert log.count("Issued certificate serial") == 1, name
    return log.count("Added order")


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_crash_at_each_write_costs_no_certificate(
    proxy: KubeFaultProxy, kubectl: Kubectl, ca: AcmeCA, direct: Restartable, moment: str
) -> None:
    """Just before a write is carried out, or just after: one certificate, by one order of the CA.

    With one exception, which only the CA can mend: where the order's URL was not written yet, another order is made.
    """
    kubectl.apply(issuer(ca))
    kubectl.wait_ready("acme", kind="issuer")
    done, since = len(proxy.requests), log_end(ca)
    kubectl.apply(certificate("model", issuer=ISSUER))
    assert issued(ca, kubectl, "model", since) == 1
    writes = writes_of(proxy.requests[done:], kubectl.namespace)
    assert ORDER_URL in writes
    assert len(writes) >= 12
    for position, write in enumerate(writes):
        name = f"c{position}"
        since = log_end(ca)
        where = f"/{kubectl.namespace}{write.pattern}"
        with stopped_at(proxy, moment, method=write.method, path_regex=where, every=write.number):
            kubectl.apply(certificate(name, issuer=ISSUER))
        direct.kill()
        proxy.clear()
        direct.start()
        orders = issued(ca, kubectl, name, since)
        assert orders == (2 if (write, moment) == (ORDER_URL, "before") else 1), write
