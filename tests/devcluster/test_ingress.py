"""Contour and Envoy inside a cluster."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from devcluster import Cluster, ingress
from devcluster.errors import DevclusterError
from devcluster.ingress import Ingress

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def controller(own_cluster: Cluster) -> Iterator[Ingress]:
    yield ingress.start(own_cluster)
    own_cluster.end("envoy")
    own_cluster.end("contour")


def ingress_for(name: str, class_name: str | None) -> list[dict[str, Any]]:
    """An Ingress, a Service without a selector, and where it leads: the API server's plain port of Contour's metrics."""
    backend = {"service": {"name": name, "port": {"number": 80}}}
    rule = {
        "host": f"{name}.example.com",
        "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
    }
    spec: dict[str, Any] = {"rules": [rule]}
    if class_name:
        spec["ingressClassName"] = class_name
    return [
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": name}, "spec": spec},
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": name},
            "spec": {"ports": [{"name": "http", "port": 80}]},
        },
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "ports": [{"name": "http", "port": 8000}],
            "endpoints": [{"addresses": ["10.0.0.10"]}],
        },
    ]


@pytest.mark.parametrize("class_name", ["contour", None])
def test_requests_reach_the_endpoints_of_a_service_without_a_selector(
    own_cluster: Cluster, controller: Ingress, class_name: str | None
) -> None:
    name = f"web-{class_name or 'any'}"
    own_cluster.kubectl("apply", "-f", "-", input="\n---\n".join(map(json.dumps, ingress_for(name, class_name))))
    url = f"http://{controller.address}/healthz"
    deadline = time.monotonic() + 10
    while True:
        try:
            assert b"OK" in own_cluster.request(url, headers={"Host": f"{name}.example.com"})
            break
        except DevclusterError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    with pytest.raises(DevclusterError, match="404"):
        own_cluster.request(url, headers={"Host": "unknown.example.com"})
    own_cluster.kubectl("delete", "ingress,service", name)
