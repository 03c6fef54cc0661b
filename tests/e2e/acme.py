"""What the end-to-end tests of ACME share: Pebble whose validations look at the operator itself, and manifests."""

from __future__ import annotations

import base64
import re
from typing import Any

from devcluster.acmeca import AcmeCA
from devcluster.netns import ADDRESS, INGRESS_ADDRESS

#: The operator answers where all names are, in place of an Ingress controller.
FLAGS = (
    f"--acme-http01-solver-listen-address={INGRESS_ADDRESS}:80",
    f"--acme-http01-solver-address={ADDRESS}:8089",
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
