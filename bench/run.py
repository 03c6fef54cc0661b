"""One measurement: a fresh control plane, the operator's rights in it, and the measuring process inside."""

from __future__ import annotations

import contextlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Generator, Sequence
from pathlib import Path

import msgspec

from bench.acme import Acme, surround
from bench.figures import Figures
from bench.inside import Task
from bench.usage import Surroundings
from bench.workloads import ACME, Load, stuck_places
from devcluster.cluster import Cluster
from devcluster.demo import install, say

SERVICE_ACCOUNT = ("cert-manager", "cert-manager")


class Failed(Exception):
    """A measurement that has no result."""


def measure(workload: str, command: str, load: Load, manifests: Sequence[Path], log: Path) -> Figures:
    """Measure once. ``manifests`` are applied besides crds/ and deploy/; ``log`` gets what the operator printed.

    Raises Failed, and DevclusterError when there is no control plane.
    """
    with Cluster.start(f"bench-{os.getpid()}") as cluster:
        install(cluster)
        for manifest in manifests:
            cluster.kubectl("apply", "--server-side", "-f", str(manifest))
        say(f"Measuring: {command}")
        try:
            with _surrounded(cluster, workload, load) as acme:
                figures = _measure_inside(cluster, workload, command, load, acme)
        finally:
            log.parent.mkdir(parents=True, exist_ok=True)
            if cluster.files.log("operator").exists():
                shutil.copy(cluster.files.log("operator"), log)
        versions = msgspec.json.decode(cluster.kubectl("version", "-o", "json").stdout)
    return figures | {
        "command": command,
        "namespaces": load.namespaces,
        "creators": load.creators,
        "algorithm": load.algorithm,
        "kubernetes": versions["serverVersion"]["gitVersion"],
        "python": platform.python_version(),
        "cores": os.cpu_count(),
    }


@contextlib.contextmanager
def _surrounded(cluster: Cluster, workload: str, load: Load) -> Generator[Acme | None]:
    """What the workload needs besides a control plane."""
    if workload not in ACME:
        yield None
        return
    with surround(cluster, stuck_places(load), proves=workload == "w4") as acme:
        yield acme


def _measure_inside(cluster: Cluster, workload: str, command: str, load: Load, acme: Acme | None) -> Figures:
    access = cluster.service_account_kubeconfig(*SERVICE_ACCOUNT)
    surroundings = Surroundings(
        admin_kubeconfig=str(cluster.inner_kubeconfig),
        operator_kubeconfig=str(access.inner),
        operator_user=f"system:serviceaccount:{':'.join(SERVICE_ACCOUNT)}",
        audit_log=str(cluster.audit_log),
        operator_log=str(cluster.files.log("operator")),
        pids={name: cluster.pid(name) for name in ("kube-apiserver", "etcd", "kube-controller-manager")},
    )
    with tempfile.TemporaryDirectory() as folder:
        task, result = Path(folder, "task.json"), Path(folder, "result.json")
        task.write_bytes(msgspec.json.encode(Task(workload, command, load, surroundings, acme)))
        process = cluster.popen([sys.executable, "-m", "bench.inside", str(task), str(result)], stderr=subprocess.PIPE)
        _, errors = process.communicate()
        if process.returncode:
            raise Failed(errors.decode(errors="replace").strip())
        figures: Figures = msgspec.json.decode(result.read_bytes())
    return figures
