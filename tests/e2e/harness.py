"""kubectl, conditions and an operator process, for the end-to-end tests.

kubectl is spoken to in JSON: to read a hundred objects as YAML takes Python seconds, each time a test looks.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from devcluster import Cluster

ROOT = Path(__file__).parent.parent.parent
SERVICE_ACCOUNT = ("cert-manager", "cert-manager")
#: As whom the audit log knows the operator.
USERNAME = f"system:serviceaccount:{':'.join(SERVICE_ACCOUNT)}"
#: For an operator beside another one in the same network.
NO_PORTS = ("--metrics-listen-address=", "--healthz-listen-address=", "--acme-http01-solver-listen-address=")


class Kubectl:
    """kubectl as the cluster's administrator, in one namespace."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.namespace = namespace

    def __call__(self, *args: str, stdin: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:
        return self.cluster.kubectl("-n", self.namespace, *args, input=stdin, check=check)

    def apply(self, *manifests: dict[str, Any]) -> None:
        """Apply objects; a refusal fails the test with the server's words."""
        self("apply", "-f", "-", stdin="\n".join(map(json.dumps, manifests)))

    def refused(self, *manifests: dict[str, Any]) -> str:
        """Apply objects that must be refused; the server's words."""
        result = self("apply", "-f", "-", stdin="\n".join(map(json.dumps, manifests)), check=False)
        assert result.returncode != 0, "the API server took what it had to refuse"
        return result.stderr

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """An object, or None."""
        result = self("get", kind, name, "-o", "json", "--ignore-not-found")
        found: dict[str, Any] | None = json.loads(result.stdout) if result.stdout else None
        return found

    def all(self, kind: str, *args: str) -> list[dict[str, Any]]:
        """All objects of a kind."""
        items: list[dict[str, Any]] = json.loads(self("get", kind, "-o", "json", *args).stdout)["items"]
        return items

    def wait(self, kind: str, name: str, until: Callable[[dict[str, Any]], Any], seconds: float = 20) -> dict[str, Any]:
        """Poll an object until it is as wanted."""
        found: dict[str, Any] | None = None
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = self.get(kind, name)
            if found is not None and until(found):
                return found
            time.sleep(0.1)
        events = self("get", "events").stdout
        raise AssertionError(f"{kind}/{name} not as wanted after {seconds} s:\n{yaml.safe_dump(found)}\n{events}")

    def wait_ready(self, name: str, seconds: float = 20, kind: str = "certificate") -> dict[str, Any]:
        """Wait for Ready=True of this generation."""
        return self.wait(kind, name, lambda o: is_true(o, "Ready"), seconds)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Events about an object, oldest first."""
        found = self.all("events", "--field-selector", f"involvedObject.name={name}")
        return sorted(found, key=lambda e: (e["firstTimestamp"], e["metadata"]["creationTimestamp"]))

    def wait_event(self, name: str, reason: str, seconds: float = 10) -> dict[str, Any]:
        """Wait for an Event with this reason."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for event in self.events(name):
                if event["reason"] == reason:
                    return event
            time.sleep(0.2)
        seen = [(e["reason"], e["message"]) for e in self.events(name)]
        raise AssertionError(f"no Event {reason} about {name}; there are {seen}")


def condition(obj: dict[str, Any], type_: str) -> dict[str, Any] | None:
    """A condition by type."""
    conditions = (obj.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == type_), None)


def is_true(obj: dict[str, Any], type_: str) -> bool:
    """Whether a condition is True for the object's current generation."""
    found = condition(obj, type_)
    if found is None or found["status"] != "True":
        return False
    generation = obj["metadata"]["generation"]
    return bool(found.get("observedGeneration", generation) == generation)


class Operator:
    """A certwright process, under the service account that deploy/rbac.yaml grants."""

    def __init__(self, cluster: Cluster, kubeconfig: Path, log: Path, *flags: str) -> None:
        self.log = log
        argv = [sys.executable, "-m", "certwright", "run", "--kubeconfig", str(kubeconfig), *flags]
        with log.open("ab") as out:
            self.process = cluster.popen(argv, stdout=out, stderr=out)

    def wait_for_log(self, text: str, seconds: float = 30) -> None:
        """Wait for a line in the log."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if text in self.log.read_text():
                return
            assert self.process.poll() is None, f"the operator ended:\n{self.log.read_text()[-4000:]}"
            time.sleep(0.05)
        raise AssertionError(f"{text!r} is not in the log:\n{self.log.read_text()[-4000:]}")

    def stop(self, seconds: float = 10) -> None:
        """SIGTERM, and wait."""
        self.process.terminate()
        self.process.wait(seconds)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(5)


class Replicas:
    """Starts operators that don't share ports, and ends them all."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster = cluster
        self._folder = folder
        self._running: list[Operator] = []

    def start(self, kubeconfig: Path, *flags: str) -> Operator:
        """One more operator."""
        number = len(self._running)
        ports = (*NO_PORTS, f"--healthz-listen-address=127.0.0.1:{9600 + number}")
        running = Operator(self._cluster, kubeconfig, self._folder / f"{number}.log", *ports, *flags)
        self._running.append(running)
        return running

    def end(self) -> None:
        """Stop those that still run."""
        for running in self._running:
            if running.process.poll() is None:
                os.kill(running.process.pid, signal.SIGCONT)
                running.stop()


@contextmanager
def resting(cluster: Cluster, shared: Operator) -> Iterator[None]:
    """The shared operator is stopped, without its Lease, while others run in its place."""
    delete_lease = ("-n", "kube-system", "delete", "lease", "cert-manager-controller", "--ignore-not-found")
    os.kill(shared.process.pid, signal.SIGSTOP)
    cluster.kubectl(*delete_lease)
    try:
        yield
    finally:
        cluster.kubectl(*delete_lease)
        os.kill(shared.process.pid, signal.SIGCONT)


@contextmanager
def in_place_of(shared: Operator, cluster: Cluster, kubeconfig: Path, log: Path, *flags: str) -> Iterator[Operator]:
    """An operator with flags of its own that holds the Lease while the shared one is stopped."""
    with resting(cluster, shared):
        running = Operator(cluster, kubeconfig, log, *NO_PORTS, *flags)
        try:
            running.wait_for_log("is held by this process")
            yield running
        finally:
            running.stop()


def install(cluster: Cluster) -> None:
    """CRDs, admission policies and RBAC, as a user would."""
    cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
    cluster.kubectl("apply", "-f", str(ROOT / "deploy"))
    # A mutating policy answers 503 until the API server has seen the schema of a new CRD, as its message says.
    probe = yaml.safe_dump(
        {
            "apiVersion": "cert-manager.io/v1",
            "kind": "CertificateRequest",
            "metadata": {"name": "probe"},
            "spec": {"request": "cHJvYmU=", "issuerRef": {"name": "none"}},
        }
    )
    deadline = time.monotonic() + 60
    create = ("create", "--dry-run=server", "-f", "-")
    while "not found" in (answer := cluster.kubectl(*create, input=probe, check=False).stderr):
        assert time.monotonic() < deadline, answer
        time.sleep(0.2)
