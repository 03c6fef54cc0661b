"""The process: health, logs, stopping, several replicas, crashes, an API server that goes away."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from devcluster import Cluster
from tests.e2e.harness import NO_PORTS, ROOT, Kubectl, Operator, Replicas, condition, is_true, resting
from tests.e2e.pod import in_a_pod
from tests.e2e.test_certificates import CA, ROOT_CA, SELF_SIGNED, certificate, revision

LEASE = ("-n", "kube-system", "get", "lease", "cert-manager-controller", "-o", "jsonpath={.spec.holderIdentity}")
SECOND = "certwright-b"


@pytest.fixture(scope="module", autouse=True)
def alone(cluster: Cluster, operator: Operator) -> Iterator[None]:
    """The shared operator rests while this module runs its own."""
    with resting(cluster, operator):
        yield


@pytest.fixture(scope="module")
def second_account(cluster: Cluster) -> Path:
    """A service account with the same rights, so that the audit log tells two replicas apart."""
    documents: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "deploy" / "rbac.yaml").read_text()))
    account = next(d for d in documents if d["kind"] == "ServiceAccount")
    account["metadata"]["name"] = SECOND
    bindings = [d for d in documents if d["kind"].endswith("Binding")]
    for binding in bindings:
        binding["metadata"]["name"] += "-b"
        binding["subjects"][0]["name"] = SECOND
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all([account, *bindings]))
    return cluster.service_account_kubeconfig("cert-manager", SECOND).inner


def holder(cluster: Cluster) -> str:
    return cluster.kubectl(*LEASE, check=False).stdout


def wait_for_holder(cluster: Cluster, other_than: str, seconds: float) -> float:
    """How long until somebody else holds the Lease."""
    began = time.monotonic()
    while (now := holder(cluster)) in {"", other_than}:
        assert time.monotonic() - began < seconds, f"{now!r} still holds the Lease after {seconds} s"
        time.sleep(0.05)
    return time.monotonic() - began


def writes_of(cluster: Cluster, user: str, since: int) -> list[str]:
    """What a user wrote, the Lease and reads left out."""
    with cluster.audit_log.open() as log:
        log.seek(since)
        events = [json.loads(line) for line in log]
    return [
        f"{event['verb']} {event['objectRef'].get('resource')}"
        for event in events
        if event["user"]["username"].endswith(f":{user}")
        and event["verb"] not in {"get", "list", "watch"}
        and event["objectRef"].get("resource") != "leases"
    ]


def test_health_metrics_and_json_logs(
    cluster: Cluster, replicas: Replicas, operator_kubeconfig: Path, kubectl: Kubectl
) -> None:
    """/livez and /readyz answer; each line about an object is JSON and names it; metrics have the known names."""
    flags = ("--logging-format=json", "--metrics-listen-address=127.0.0.1:9650")
    running = replicas.start(operator_kubeconfig, *flags)
    running.wait_for_log("is held by this process")
    kubectl.apply(SELF_SIGNED, certificate())
    kubectl.wait_ready("web")
    pages = {}
    for port, path in ((9600, "livez"), (9600, "readyz"), (9650, "metrics")):
        fetch = (
            f"import urllib.request as u; print(u.urlopen('http://127.0.0.1:{port}/{path}', timeout=5).read().decode())"
        )
        out = running.log.parent / path
        with out.open("w") as handle:
            assert cluster.popen(["python3", "-c", fetch], stdout=handle, stderr=handle).wait(10) == 0, out.read_text()
        pages[path] = out.read_text()
    assert pages["livez"].strip() == pages["readyz"].strip() == "ok"
    labels = f'issuer_group="",issuer_kind="",issuer_name="self-signed",name="web",namespace="{kubectl.namespace}"'
    assert f"certmanager_certificate_expiration_timestamp_seconds{{{labels}}}" in pages["metrics"]
    assert 'certmanager_controller_sync_call_count{controller="certificates"}' in pages["metrics"]
    lag = next(line for line in pages["metrics"].splitlines() if line.startswith("certwright_event_loop_lag_seconds "))
    assert 0 < float(lag.split()[1]) < 5
    lines = [json.loads(line) for line in running.log.read_text().splitlines()]
    keyed = [line for line in lines if line.get("key") == f"Certificate {kubectl.namespace}/web"]
    assert any("successfully issued" in line["msg"] for line in keyed)


def test_confined_as_in_its_deployment(
    cluster: Cluster, operator_kubeconfig: Path, kubectl: Kubectl, tmp_path: Path
) -> None:
    """A user without a name, no place to write to, the pod's service account: it watches, and issues with keystores."""
    log = tmp_path / "log"
    command = (sys.executable, "-m", "certwright", "run", *NO_PORTS)
    with log.open("wb") as out:
        process = cluster.popen(in_a_pod(operator_kubeconfig, tmp_path, *command), stdout=out, stderr=out)
    store = {"create": True, "password": "changeit"}
    try:
        kubectl.apply(SELF_SIGNED, certificate(keystores={"pkcs12": store, "jks": store}))
        kubectl.wait_ready("web", seconds=30)
        # What is made later is known by a watch alone.
        kubectl.apply(certificate("later"))
        kubectl.wait_ready("later")
    finally:
        process.terminate()
        process.wait(10)
    assert "Traceback" not in log.read_text()
    assert process.returncode == 0


def test_a_graceful_stop_hands_over_within_two_seconds(
    cluster: Cluster, replicas: Replicas, operator_kubeconfig: Path, second_account: Path
) -> None:
    """The Lease is given back, and the other replica has been waiting for that."""
    first = replicas.start(operator_kubeconfig)
    first.wait_for_log("is held by this process")
    replicas.start(second_account).wait_for_log("knows ")
    time.sleep(1)
    leader = holder(cluster)
    first.process.terminate()
    assert wait_for_holder(cluster, leader, 5) < 2
    first.process.wait(10)


def test_a_killed_leader_is_replaced_and_issuances_go_on(
    cluster: Cluster, replicas: Replicas, operator_kubeconfig: Path, second_account: Path, kubectl: Kubectl
) -> None:
    """kill -9 in the middle of a burst: within 20 s another goes on; all Ready at revision 1, no temporary key is left."""
    first = replicas.start(operator_kubeconfig)
    first.wait_for_log("is held by this process")
    kubectl.apply(SELF_SIGNED, ROOT_CA, CA)
    kubectl.wait_ready("ca", kind="issuer")
    replicas.start(second_account).wait_for_log("knows ")
    leader = holder(cluster)
    kubectl.apply(*(certificate(f"c{number}", issuer={"name": "ca"}) for number in range(40)))
    while not kubectl.all("certificaterequest"):
        time.sleep(0.01)
    first.kill()
    assert wait_for_holder(cluster, leader, 25) < 20
    for number in range(40):
        assert revision(kubectl.wait_ready(f"c{number}", seconds=30)) == 1
    secrets = {s["metadata"]["name"] for s in kubectl.all("secret")}
    assert secrets == {"root-tls", *(f"c{number}-tls" for number in range(40))}
    requests = kubectl.all("certificaterequest")
    assert len(requests) == 41
    assert all(is_true(request, "Ready") for request in requests)


def test_a_leader_that_was_stopped_does_not_write_when_it_wakes(
    cluster: Cluster, replicas: Replicas, operator_kubeconfig: Path, second_account: Path, kubectl: Kubectl
) -> None:
    """SIGSTOP beyond the Lease, then SIGCONT: the other replica has taken over, the sleeper writes nothing more."""
    first = replicas.start(operator_kubeconfig)
    first.wait_for_log("is held by this process")
    second = replicas.start(second_account)
    second.wait_for_log("knows ")
    leader = holder(cluster)
    kubectl.apply(SELF_SIGNED)
    kubectl.wait_ready("self-signed", kind="issuer")
    os.kill(first.process.pid, signal.SIGSTOP)
    kubectl.apply(*(certificate(f"asleep{number}") for number in range(5)))
    wait_for_holder(cluster, leader, 25)
    kubectl.wait_ready("asleep4")
    position = cluster.audit_log.stat().st_size
    os.kill(first.process.pid, signal.SIGCONT)
    kubectl.apply(*(certificate(f"awake{number}") for number in range(5)))
    kubectl.wait_ready("awake4")
    first.wait_for_log("lost")
    assert writes_of(cluster, "certwright", position) == []
    assert writes_of(cluster, SECOND, position) != []


def test_a_lone_operator_that_was_stopped_misses_nothing(
    replicas: Replicas, operator_kubeconfig: Path, kubectl: Kubectl
) -> None:
    """Nobody has taken the Lease meanwhile, so it is simply renewed: what came before that is not forgotten."""
    running = replicas.start(operator_kubeconfig)
    running.wait_for_log("is held by this process")
    kubectl.apply(SELF_SIGNED)
    kubectl.wait_ready("self-signed", kind="issuer")
    os.kill(running.process.pid, signal.SIGSTOP)
    kubectl.apply(*(certificate(f"asleep{number}") for number in range(5)))
    time.sleep(16)  # longer than the fence stays open
    os.kill(running.process.pid, signal.SIGCONT)
    for number in range(5):
        kubectl.wait_ready(f"asleep{number}")


def test_an_api_server_that_goes_away_is_waited_for(
    cluster: Cluster, replicas: Replicas, operator_kubeconfig: Path, kubectl: Kubectl
) -> None:
    """Ten seconds without an API server: nothing is lost, and work goes on by itself."""
    running = replicas.start(operator_kubeconfig)
    running.wait_for_log("is held by this process")
    kubectl.apply(SELF_SIGNED, *(certificate(f"c{number}") for number in range(20)))
    cluster.kill_apiserver()
    time.sleep(10)
    cluster.start_apiserver()
    for number in range(20):
        assert revision(kubectl.wait_ready(f"c{number}", seconds=40)) == 1
    kubectl.apply(certificate("after"))
    kubectl.wait_ready("after")
    assert len(kubectl.all("certificaterequest")) == 21
    assert running.process.poll() is None


def access_to_one_namespace(cluster: Cluster, namespace: str) -> Path:
    """What docs/howto/install.md says for --namespace: the controller's rules as a Role, the Lease, and who may approve."""
    documents: list[dict[str, Any]] = list(yaml.safe_load_all((ROOT / "deploy" / "rbac.yaml").read_text()))
    found = {(d["kind"], d["metadata"]["name"]): d for d in documents}
    rules = found["ClusterRole", "certwright-controller"]["rules"]
    rules += found["Role", "certwright-leader-election"]["rules"]
    group, subject = "rbac.authorization.k8s.io", {"kind": "ServiceAccount", "name": "lone", "namespace": namespace}

    def binding(kind: str, name: str, role: str) -> dict[str, Any]:
        ref = {"apiGroup": group, "kind": role, "name": name}
        where = {"name": f"{name}-{namespace}", "namespace": namespace}
        return {"apiVersion": f"{group}/v1", "kind": kind, "metadata": where, "roleRef": ref, "subjects": [subject]}

    Kubectl(cluster, namespace).apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "lone"}},
        {"apiVersion": f"{group}/v1", "kind": "Role", "metadata": {"name": "lone"}, "rules": rules},
        binding("RoleBinding", "lone", "Role"),
        binding("ClusterRoleBinding", "certwright-approve", "ClusterRole"),
    )
    return cluster.service_account_kubeconfig(namespace, "lone").inner


def test_an_operator_of_one_namespace_asks_for_nothing_else(
    cluster: Cluster, replicas: Replicas, kubectl: Kubectl, namespace: str
) -> None:
    """Issuers of the namespace sign, ClusterIssuers do not, and no request is refused for want of a right."""
    access = access_to_one_namespace(cluster, namespace)
    running = replicas.start(access, f"--namespace={namespace}", f"--leader-election-namespace={namespace}")
    running.wait_for_log("is held by this process")
    cluster_issuer = {**SELF_SIGNED, "kind": "ClusterIssuer", "metadata": {"name": f"all-{namespace}"}}
    kubectl.apply(SELF_SIGNED, certificate(), cluster_issuer)
    other = {"kind": "ClusterIssuer", "name": f"all-{namespace}"}
    kubectl.apply(certificate("other", issuer=other, secretName="other-tls"))
    kubectl.wait_ready("web")
    kubectl.wait("certificate", "other", lambda c: "does not exist" in str(condition(c, "Issuing")))
    assert "orbidden" not in running.log.read_text()
    kubectl("delete", "clusterissuer", f"all-{namespace}")
    kubectl("delete", "clusterrolebinding", f"certwright-approve-{namespace}")


def test_the_built_in_approver_can_be_switched_off(
    replicas: Replicas, operator_kubeconfig: Path, kubectl: Kubectl
) -> None:
    """Nothing is signed until somebody approves; then it is."""
    running = replicas.start(operator_kubeconfig, "--controllers=*,-certificaterequests-approver")
    running.wait_for_log("is held by this process")
    kubectl.apply(SELF_SIGNED, certificate())
    assert (
        kubectl.wait_event("web-1", "WaitingForApproval")["message"]
        == "Not signing CertificateRequest until it is Approved"
    )
    found = kubectl.get("certificaterequest", "web-1")
    assert found is not None
    assert not (found.get("status") or {}).get("conditions")
    approved = {
        "type": "Approved",
        "status": "True",
        "reason": "Test",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    patch = json.dumps({"status": {"conditions": [approved]}})
    kubectl("patch", "certificaterequest", "web-1", "--subresource=status", "--type=merge", "-p", patch)
    kubectl.wait_ready("web")
