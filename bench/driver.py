"""What a workload does to the cluster: namespaces, an issuer, and Certificates created by several clients at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from bench import objects
from bench.api import Api
from bench.subject import Subject
from bench.watch import Stalled

T = TypeVar("T")

#: What an operator may take to start and to find the issuer Ready, in seconds.
ISSUER_SECONDS = 90.0


async def create_namespaces(api: Api, names: Iterable[str]) -> None:
    """Create them, and wait until the controllers have put into each what they put into every namespace."""
    names = set(names)
    await each(names, 8, lambda name: api.send("POST", "/api/v1/namespaces", _namespace(name)))
    async for _ in attempts(30, "namespaces are not filled by kube-controller-manager"):
        found = msgspec.json.decode(
            await api.send("GET", "/api/v1/configmaps?fieldSelector=metadata.name%3Dkube-root-ca.crt")
        )
        if names <= {item["metadata"]["namespace"] for item in found["items"]}:
            return


async def create_issuer(api: Api, authority: objects.Authority, acme: Mapping[str, object] | None) -> None:
    """The CA's Secret and the ClusterIssuer: that CA, or what ``acme`` says."""
    await api.send("POST", objects.core(objects.CLUSTER_RESOURCE_NAMESPACE, "secrets"), authority.secret())
    await api.send("POST", objects.CLUSTER_ISSUER.rpartition("/")[0], objects.cluster_issuer(acme))


async def wait_issuer(api: Api, subject: Subject) -> None:
    """Wait until the operator says that the issuer is Ready. Raises Stalled, and Ended when the operator has ended."""
    async for _ in attempts(ISSUER_SECONDS, "the operator does not make the ClusterIssuer Ready; see its log"):
        subject.check()
        issuer: dict[str, Any] = msgspec.json.decode(await api.send("GET", objects.CLUSTER_ISSUER))
        conditions = issuer.get("status", {}).get("conditions", [])
        if any(c["type"] == "Ready" and c["status"] == "True" for c in conditions):
            return


async def create_certificate(api: Api, namespace: str, name: str, algorithm: str) -> dict[str, Any]:
    """Create one Certificate; as the API server returned it."""
    body = objects.certificate(namespace, name, algorithm)
    created: dict[str, Any] = msgspec.json.decode(
        await api.send("POST", objects.namespaced(namespace, "certificates"), body)
    )
    return created


async def create_ingress(api: Api, namespace: str, name: str, algorithm: str) -> None:
    """Create one annotated Ingress."""
    path = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses"
    await api.send("POST", path, objects.ingress(namespace, name, algorithm))


async def each(items: Iterable[T], clients: int, do: Callable[[T], Awaitable[object]]) -> None:
    """Do it for all items, ``clients`` at a time; the first failure ends it."""
    left = iter(items)

    async def client() -> None:
        for item in left:
            await do(item)

    async with asyncio.TaskGroup() as group:
        for _ in range(clients):
            group.create_task(client())


async def attempts(seconds: float, otherwise: str) -> AsyncIterator[None]:
    """Ten times a second, until the caller is content; Stalled when it is not in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        await asyncio.sleep(0.1)
    raise Stalled(f"{otherwise} ({seconds:.0f} s)")


def _namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
