"""How fast Certificates are issued by a real Vault on the machine at hand, and what that costs Vault and the API server."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter

import pytest

from bench import procfs
from bench.api import Api
from devcluster import Cluster
from tests.e2e.harness import Kubectl, Operator, is_true
from tests.e2e.test_certificates import certificate, writes_since
from tests.e2e.vault.setup import ROLES, VaultSetup, app_role

pytestmark = pytest.mark.usefixtures("operator")

COUNT = 100
SIGN = "pki_int/sign/speed"
#: The owner's targets on two cores, Vault's own work included: Certificates a second, and Vault requests for each. The
#: rate is asked of the share of the machine that others have left.
RATE = 20.0
VAULT_REQUESTS = 1.1


async def _issue(cluster: Cluster, namespace: str) -> float:
    """Create them all at once and wait until they are Ready; the seconds that took."""
    path = f"/apis/cert-manager.io/v1/namespaces/{namespace}/certificates"
    async with Api(cluster.kubeconfig) as api:
        began = time.monotonic()
        await asyncio.gather(
            *(api.send("POST", path, certificate(f"c{number}", issuer={"name": "vault"})) for number in range(COUNT))
        )
        while True:
            items = json.loads(await api.send("GET", path))["items"]
            if sum(is_true(item, "Ready") for item in items) == COUNT:
                return time.monotonic() - began
            assert time.monotonic() - began < 60
            await asyncio.sleep(0.2)


async def test_a_hundred_certificates(
    cluster: Cluster,
    operator: Operator,
    kubectl: Kubectl,
    vault: VaultSetup,
    namespace: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """At least 20 a second, at most 1.1 Vault requests each, eight object writes each."""
    # A role of PKI of its own: other tests' issuers may still be asking this Vault.
    vault.vault.call("POST", "pki_int/roles/speed", ROLES["open"])
    issuer = app_role(vault, kubectl)
    issuer["spec"]["vault"]["path"] = SIGN
    kubectl.apply(issuer)
    kubectl.wait_ready("vault", kind="issuer")
    position, asked = cluster.audit_log.stat().st_size, len(vault.audited())
    parts = ("etcd", "kube-apiserver", "kube-controller-manager")
    ours = {operator.process.pid, vault.vault.pid, *map(cluster.pid, parts)}
    before = procfs.cpu_seconds(ours), procfs.machine_cpu_seconds()
    took = await _issue(cluster, namespace)
    used, busy = procfs.cpu_seconds(ours) - before[0], procfs.machine_cpu_seconds() - before[1]
    left = min(1.0, (2 * took - (busy - used)) / (2 * took))
    await asyncio.sleep(1)  # the last temporary keys are deleted after Ready
    audited = vault.audited()
    tokens = {accessor for path, accessor in audited if path == SIGN}
    requests = Counter(path for path, accessor in audited[asked:] if accessor in tokens)
    logins = len(tokens)
    writes = Counter(
        (verb, what) for verb, what, code in writes_since(cluster, position, namespace) if what != "events"
    )
    with capsys.disabled():
        print(
            f"\nVault: {COUNT} ECDSA Certificates in {took:.2f} s, {COUNT / took:.0f}/s; "
            f"{(requests.total() + logins) / COUNT:.2f} Vault requests and {writes.total() / COUNT:.2f} object writes each, "
            f"{1000 * used / COUNT:.0f} ms CPU each; others left {100 * left:.0f} % of two cores"
        )
    assert requests[SIGN] == COUNT
    assert requests.total() + logins <= VAULT_REQUESTS * COUNT, requests
    assert writes.total() == 8 * COUNT, writes
    assert COUNT / took >= RATE * left
