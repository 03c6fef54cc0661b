"""Whole control planes: what they offer, and what is left when things end in unfriendly ways."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path

import pytest

from devcluster import Cluster, state
from devcluster.errors import DevclusterError
from devcluster.netns import ADDRESS
from devcluster.processes import ProcessId

pytestmark = pytest.mark.e2e
PROCESSES = ("etcd", "kube-apiserver", "kube-controller-manager", "forward", "namespace")
ROOT = Path(__file__).parent.parent.parent


def unique() -> str:
    """A name of this test's own."""
    return f"t-{uuid.uuid4().hex[:8]}"


def devcluster(*args: str) -> subprocess.CompletedProcess[str]:
    """The command line."""
    argv = [sys.executable, "-m", "devcluster", *args]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)


def test_ready_in_time_with_its_own_version(own_cluster: Cluster) -> None:
    assert own_cluster.started_in < 15
    version = json.loads(own_cluster.kubectl("version", "-o", "json").stdout)
    assert version["serverVersion"]["gitVersion"] == "v1.36.3"
    assert version["serverVersion"]["minor"] == "36"


def test_both_kubeconfigs_are_the_administrators(own_cluster: Cluster) -> None:
    kubectl = str(own_cluster.programs["kubectl"])
    for prefix, config in (([], own_cluster.kubeconfig), (own_cluster.exec_prefix, own_cluster.inner_kubeconfig)):
        argv = [*prefix, kubectl, f"--kubeconfig={config}", "auth", "can-i", "*", "*", "-A"]
        assert subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip() == "yes"
        assert config.stat().st_mode & 0o077 == 0


def test_admission_policies_that_mutate_are_served(own_cluster: Cluster) -> None:
    kinds = own_cluster.kubectl("api-resources", "--api-group=admissionregistration.k8s.io", "-o", "name").stdout
    assert "mutatingadmissionpolicies" in kinds


def test_namespace_is_deleted_to_the_end(own_cluster: Cluster) -> None:
    own_cluster.kubectl("create", "namespace", "brief")
    own_cluster.kubectl("delete", "namespace", "brief", "--timeout=30s")
    assert own_cluster.kubectl("get", "namespace", "brief", check=False).returncode == 1


def test_kubectl_error_is_the_servers_words(own_cluster: Cluster) -> None:
    with pytest.raises(DevclusterError, match='configmaps "absent" not found'):
        own_cluster.kubectl("get", "configmap", "absent")


def test_service_account_is_no_administrator(own_cluster: Cluster) -> None:
    own_cluster.kubectl("create", "serviceaccount", "dotted.name")
    access = own_cluster.service_account_kubeconfig("default", "dotted.name")
    kubectl = str(own_cluster.programs["kubectl"])
    for prefix, config in (([], access.outer), (own_cluster.exec_prefix, access.inner)):
        argv = [*prefix, kubectl, f"--kubeconfig={config}", "get", "secrets", "-A"]
        result = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert "system:serviceaccount:default:dotted.name" in result.stderr
        assert "Forbidden" in result.stderr


def test_address_exists_inside_only(own_cluster: Cluster) -> None:
    code = f"import socket; socket.create_server(('{ADDRESS}', 80)).close()"
    assert own_cluster.popen([sys.executable, "-c", code]).wait(10) == 0
    with pytest.raises(OSError, match="assign requested address"):
        socket.create_server((ADDRESS, 0))


def test_signals_reach_the_process_itself(own_cluster: Cluster) -> None:
    child = own_cluster.popen(["sleep", "60"], env={"MARK": "here"})
    deadline = time.monotonic() + 5
    while Path(f"/proc/{child.pid}/cmdline").read_bytes() != b"sleep\x0060\x00":
        assert time.monotonic() < deadline
    assert b"MARK=here" in Path(f"/proc/{child.pid}/environ").read_bytes().split(b"\0")
    child.terminate()
    assert child.wait(5) == -signal.SIGTERM


def test_audit_log_has_writes_once_and_no_bodies(own_cluster: Cluster) -> None:
    name = unique()
    own_cluster.kubectl("create", "configmap", name, "--from-literal=a=b")
    lines = [json.loads(line) for line in own_cluster.audit_log.read_text().splitlines()]
    mine = [line for line in lines if line["verb"] == "create" and line["objectRef"].get("name") == name]
    assert [(line["level"], line["stage"], line["responseStatus"]["code"]) for line in mine] == [
        ("Metadata", "ResponseComplete", 201)
    ]
    assert "requestObject" not in mine[0]


@pytest.mark.parametrize("how", ["stop_apiserver", "kill_apiserver"])
def test_data_outlives_the_api_server(own_cluster: Cluster, how: str) -> None:
    name = unique()
    own_cluster.kubectl("create", "configmap", name)
    before = own_cluster.pid("kube-apiserver")
    began = time.monotonic()
    getattr(own_cluster, how)()
    assert time.monotonic() - began < 5
    assert not ProcessId.of(before).is_alive
    assert own_cluster.kubectl("get", "--raw=/readyz", check=False).returncode == 1
    own_cluster.start_apiserver()
    assert own_cluster.pid("kube-apiserver") != before
    own_cluster.kubectl("get", "configmap", name)


def test_two_side_by_side(own_cluster: Cluster) -> None:
    name = unique()
    own_cluster.kubectl("create", "configmap", name)
    with Cluster.start(unique()) as other:
        assert other.kubectl("get", "configmap", name, check=False).returncode == 1
        pids = [ProcessId.of(other.pid(process)) for process in PROCESSES]
        worker = other.popen(["sleep", "60"])
        folder = other.files.root
        other.stop()
        assert not any(pid.is_alive for pid in pids)
        assert worker.returncode == -signal.SIGKILL
        assert not folder.exists()
    own_cluster.kubectl("get", "configmap", name)


def test_parent_killed_leaves_nothing_that_runs() -> None:
    name = unique()
    code = (
        f"import sys, time; from devcluster import Cluster; c = Cluster.start({name!r}); c.popen(['sleep', '99']);"
        f"print(*(c.pid(p) for p in {PROCESSES!r}), flush=True); time.sleep(99)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pids = [ProcessId.of(int(pid)) for pid in parent.stdout.readline().split()]
    assert len(pids) == len(PROCESSES)
    parent.kill()
    parent.wait()
    assert all(pid.wait_gone(5) for pid in pids)
    assert name in state.names()
    state.remove(state.claim(unique()).root.name)
    assert name not in state.names()


def test_up_exec_status_and_down() -> None:
    name = unique()
    try:
        up = devcluster("up", "--name", name)
        assert up.returncode == 0, up.stderr
        again = devcluster("up", "--name", name)
        assert again.returncode == 1
        assert f"down --name {name}" in again.stderr
        kubectl = str(Cluster.attach(name).programs["kubectl"])
        inside = devcluster("exec", "--name", name, "--", kubectl, "get", "namespaces", "-o", "name")
        assert "namespace/kube-system" in inside.stdout, inside.stderr
        outer = devcluster("kubeconfig", "--name", name).stdout.strip()
        assert f"export KUBECONFIG={outer}" in up.stdout
        attached = Cluster.attach(name)
        attached.kill_apiserver()
        ended = devcluster("status").stdout.partition(f"{name}: started by up")[2]
        assert "kube-apiserver           ended, see " in ended
        attached.start_apiserver()
        pids = [ProcessId.of(attached.pid(process)) for process in PROCESSES]
    finally:
        down = devcluster("down", "--name", name)
    assert down.stdout == "stopped\n"
    attached.stop()
    assert not any(pid.is_alive for pid in pids)
    assert "was not running" in devcluster("down", "--name", name).stdout
    assert f"up --name {name}" in devcluster("kubeconfig", "--name", name).stderr


def test_port_in_use_says_so() -> None:
    name = unique()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = devcluster("up", "--name", name, "--port", str(port))
    assert (result.returncode, result.stderr) == (
        1,
        f"devcluster: port {port} on 127.0.0.1 can't be used (Address already in use); choose another with --port\n",
    )
    assert name not in state.names()


def test_component_that_dies_at_start_shows_its_last_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "etcd"
    broken.write_text("#!/bin/sh\necho disk is on fire\nexit 3\n")
    broken.chmod(0o755)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(tmp_path))
    name = unique()
    with pytest.raises(DevclusterError, match=r"(?s)etcd ended with status 3 .*disk is on fire"):
        Cluster.start(name)
    assert name not in state.names()


def test_no_permission_for_namespaces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    refusing = tmp_path / "unshare"
    refusing.write_text("#!/bin/sh\necho unshare failed: Operation not permitted >&2\nexit 1\n")
    refusing.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(DevclusterError, match=r"Operation not permitted.*max_user_namespaces"):
        Cluster.start(unique())
