"""What W4 needs around the operator: an ACME CA, an ingress controller, and names whose server never answers."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Generator, Sequence
from pathlib import Path

import msgspec

from bench.ceiling import Place
from bench.objects import dns_name
from devcluster import acmeca, acmedemo, ingress
from devcluster.cluster import Cluster
from devcluster.netns import ADDRESS

#: What certwright has to be told here; other operators get what they need by ``--operator``.
OPERATOR_FLAGS = acmedemo.OPERATOR_FLAGS


class Acme(msgspec.Struct, frozen=True):
    """What the measuring process is told of the CA."""

    directory: str
    #: PEM.
    ca_bundle: str
    pebble_log: str
    #: Names are proved through the ingress controller, after a self-check; else the CA believes everything.
    proves: bool

    def issuer_spec(self) -> dict[str, object]:
        """``spec.acme`` of the ClusterIssuer."""
        solver: dict[str, object] = {"http01": {"ingress": {"ingressClassName": ingress.CLASS}}}
        return {
            "server": self.directory,
            "caBundle": base64.b64encode(self.ca_bundle.encode()).decode(),
            "privateKeySecretRef": {"name": "bench-acme-account"},
            "solvers": [solver if self.proves else {**solver, "waitInsteadOfSelfCheck": "0s"}],
        }

    def posts(self) -> int:
        """Signed requests that the CA has had."""
        return Path(self.pebble_log).read_text(errors="replace").count(" POST /")


@contextlib.contextmanager
def surround(cluster: Cluster, stuck: Sequence[Place], *, proves: bool) -> Generator[Acme]:
    """Start them. ``stuck``: Certificates whose names lead to a port 80 that takes connections and says nothing.

    Pebble neither sleeps nor rejects nonces nor remembers authorizations, and without ``proves`` it does not look.
    """
    ingress.start(cluster)
    settings = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0"}
    ca = acmeca.start(cluster, environment=settings if proves else {**settings, "PEBBLE_VA_ALWAYS_VALID": "1"})
    for place in stuck:
        ca.point(dns_name(*place), ADDRESS)
    with cluster.listen_inside(ADDRESS, 80):
        yield Acme(ca.directory, ca.ca_bundle_file.read_text(), str(cluster.files.log("pebble")), proves)
