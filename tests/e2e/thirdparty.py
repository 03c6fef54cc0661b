"""Third parties for the end-to-end tests: the processes of tests/external, and the objects that they serve."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from devcluster import Cluster
from tests.e2e.harness import ROOT

GROUP = "issuers.example.test"
REF = {"name": "sample", "kind": "SampleIssuer", "group": GROUP}
IMPATIENT = "--certificate-request-minimum-backoff-duration=2s"


class ThirdParty:
    """A process of tests/external under its own service account."""

    def __init__(self, cluster: Cluster, name: str, folder: Path) -> None:
        self._cluster, self._name, self._folder = cluster, name, folder
        self._kubeconfig = cluster.service_account_kubeconfig("external", name).inner
        self.log = folder / f"{name}.log"
        self.start()

    def start(self) -> None:
        """Run it and wait until it watches."""
        argv = [sys.executable, "-m", f"tests.external.{self._name}", "--kubeconfig", str(self._kubeconfig)]
        if self._name == "issuer":
            argv += ["--state", str(self._folder)]
        before = self.log.read_text().count("listed") if self.log.exists() else 0
        with self.log.open("ab") as out:
            self.process: subprocess.Popen[bytes] = self._cluster.popen(
                argv, env={"PYTHONPATH": str(ROOT)}, stdout=out, stderr=out
            )
        deadline = time.monotonic() + 20
        while self.log.read_text().count("listed") == before:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(5)


def install_third_parties(cluster: Cluster) -> None:
    """Kinds, accounts and rights of the sample issuer and the sample approver."""
    cluster.kubectl("apply", "-f", str(ROOT / "tests" / "external" / "manifests.yaml"))
    cluster.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", f"sampleissuers.{GROUP}")


@contextmanager
def third_party(cluster: Cluster, name: str, folder: Path) -> Iterator[ThirdParty]:
    """The process ``name`` of tests/external, with all it needs."""
    install_third_parties(cluster)
    running = ThirdParty(cluster, name, folder)
    try:
        yield running
    finally:
        running.kill()


def sample(answer: str = "Sign", delay: int = 0, kind: str = "SampleIssuer") -> dict[str, Any]:
    """An external issuer object."""
    spec = {"answer": answer, "delaySeconds": delay}
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": {"name": "sample"}, "spec": spec}


def failed_once(obj: dict[str, Any]) -> bool:
    return bool((obj.get("status") or {}).get("failedIssuanceAttempts"))
