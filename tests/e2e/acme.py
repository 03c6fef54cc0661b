"""What the end-to-end tests of ACME share: Pebble whose validations look at the operator itself, and manifests."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from devcluster import Cluster, acmeca
from devcluster.acmeca import AcmeCA
from devcluster.netns import ADDRESS, INGRESS_ADDRESS
from tests.e2e.harness import Operator, resting

FLAGS = (
    # The operator answers where all names are, in place of an Ingress controller.
    f"--acme-http01-solver-listen-address={INGRESS_ADDRESS}:80",
    f"--acme-http01-solver-address={ADDRESS}:8089",
    f"--acme-http01-solver-nameservers={ADDRESS}:{acmeca.DNS_PORT}",
    f"--max-concurrent-acme-requests={acmeca.CONCURRENCY}",
)
#: In the cluster, with nothing on port 80.
NOBODY = ADDRESS
ISSUER = {"name": "acme"}
GONE = (
    "orders.acme.cert-manager.io",
    "challenges.acme.cert-manager.io",
    "ingresses.networking.k8s.io",
    "services",
)


class Restartable:
    """An operator that can be killed and started again."""

    def __init__(self, cluster: Cluster, kubeconfig: Path, folder: Path) -> None:
        self._cluster = cluster
        self._kubeconfig = kubeconfig
        self._folder = folder
        self._number = 0
        self.running = self.start()

    def start(self) -> Operator:
        """A fresh process; it has the Lease."""
        self._number += 1
        log = self._folder / f"{self._number}.log"
        off = ("--metrics-listen-address=", "--healthz-listen-address=")
        self.running = Operator(self._cluster, self._kubeconfig, log, *off, *FLAGS)
        self.running.wait_for_log("is held by this process")
        return self.running

    def kill(self) -> None:
        """SIGKILL; its Lease is taken away, so that nobody has to wait for its end."""
        self.running.kill()
        self._cluster.kubectl("-n", "kube-system", "delete", "lease", "cert-manager-controller")


def ca_fixture(environment: Mapping[str, str] | None = None, config: Mapping[str, Any] | None = None) -> Any:
    """A module's fixture ``ca``: Pebble with these settings."""

    @pytest.fixture(scope="module", name="ca")
    def ca(cluster: Cluster) -> Iterator[AcmeCA]:
        yield acmeca.start(cluster, environment=environment, config=config)
        end(cluster)

    return ca


def direct_fixture() -> Any:
    """A module's fixture ``direct``: an operator of its own, where the CA looks; the shared one rests."""

    @pytest.fixture(scope="module", name="direct")
    def direct(
        cluster: Cluster, operator: Operator, operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
    ) -> Iterator[Restartable]:
        with resting(cluster, operator):
            process = Restartable(cluster, operator_kubeconfig, tmp_path_factory.mktemp("direct"))
            yield process
            process.running.stop()

    return direct


def end(cluster: Cluster) -> None:
    """Stop the CA and its DNS."""
    cluster.end("pebble")
    cluster.end("pebble-challtestsrv")


def issuer(ca: AcmeCA, name: str = "acme", *, wait: str | None = "0s", **spec: Any) -> dict[str, Any]:
    """An Issuer at this CA; ``wait``: waitInsteadOfSelfCheck."""
    solver: dict[str, Any] = {"http01": {"ingress": {"ingressClassName": "none"}}}
    if wait is not None:
        solver["waitInsteadOfSelfCheck"] = wait
    acme = {
        "server": ca.directory,
        "caBundle": base64.b64encode(ca.ca_bundle_file.read_bytes()).decode(),
        "email": "Ops@Example.com",
        "privateKeySecretRef": {"name": f"{name}-account"},
        "solvers": [solver],
        **spec,
    }
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": name},
        "spec": {"acme": acme},
    }


def requests_of(ca: AcmeCA, since: int = 0) -> list[str]:
    """What Pebble was asked since that position of its log: ``POST /order-plz`` ..."""
    log = ca.cluster.files.log("pebble").read_text()[since:]
    return re.findall(r"\b((?:POST|HEAD|GET) /\S*) -> calling handler", log)


def log_end(ca: AcmeCA) -> int:
    """Where Pebble's log ends now."""
    return len(ca.cluster.files.log("pebble").read_text())
