"""The Services that solver Ingresses point at: one per namespace and type, there for as long as a challenge needs it.

No owner reference could say "as long as any Challenge of this namespace is live", so the leader counts: the last
clean-up removes them, and a new leader removes what its predecessor left (:meth:`Frontend.sweep`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from certwright.api import ObjectMeta
from certwright.api.groups import LABEL_HTTP01_SOLVER
from certwright.errors import NotFound
from certwright.kube import ENDPOINT_SLICES, SERVICES, KubeClient
from certwright.solvers.addresses import Addresses
from certwright.solvers.contract import SolverRefused
from certwright.solvers.live import LiveChallenges
from certwright.solvers.manifests import (
    SELECTOR,
    Endpoint,
    endpoint_slices,
    solver_service,
)
from certwright.solvers.manifests import SERVICES as NAMES

FIELD_MANAGER = "certwright-http01"
#: Seconds for which a Service that was seen to be right is not looked at again.
FRESH = 30.0


class _Named(msgspec.Struct, gc=False):
    metadata: ObjectMeta


class _Slice(msgspec.Struct, rename="camel"):
    metadata: ObjectMeta
    endpoints: list[dict[str, Any]] | None = None


class Frontend:
    """Written to by the leader alone."""

    def __init__(
        self,
        kube: KubeClient,
        addresses: Addresses,
        live: LiveChallenges,
        extra_labels: Mapping[str, str],
        namespace: str = "",
    ) -> None:
        self._kube = kube
        self._namespace = namespace
        self._addresses = addresses
        self._live = live
        self._extra_labels = extra_labels
        #: (namespace, type): the endpoints it was given, and when that was seen to be so.
        self._right: dict[tuple[str, str], tuple[tuple[Endpoint, ...], float]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def ensure(self, namespace: str, type_: str, *, doubtful: bool = False) -> None:
        """Have the Service of this type lead to the replicas. ``doubtful``: look, whenever it was looked at last.

        Raises SolverRefused, KubeError.
        """
        endpoints = await self._addresses.current()
        async with self._lock(namespace):
            known, at = self._right.get((namespace, type_), ((), float("-inf")))
            now = asyncio.get_running_loop().time()
            if known == endpoints and now - at < FRESH and not doubtful:
                return
            uid = await self._ensure_service(namespace, type_)
            await self._ensure_slices(namespace, NAMES[type_], uid, endpoints)
            self._right[namespace, type_] = endpoints, now

    async def _ensure_service(self, namespace: str, type_: str) -> str:
        """UID of the Service, made if it is missing."""
        name = NAMES[type_]
        try:
            found = await self._kube.get(SERVICES.path(namespace, name), _Named)
        except NotFound:
            wanted = solver_service(namespace, type_, self._extra_labels)
            found = await self._kube.apply(SERVICES.path(namespace, name), wanted, _Named, field_manager=FIELD_MANAGER)
        if found.metadata.labels.get(LABEL_HTTP01_SOLVER) != "true":
            raise SolverRefused("ServiceExists", f"the Service {name} exists and is not certwright's; rename it")
        return found.metadata.uid

    async def _ensure_slices(self, namespace: str, service: str, uid: str, endpoints: tuple[Endpoint, ...]) -> None:
        wanted = {body["metadata"]["name"]: body for body in endpoint_slices(namespace, service, uid, endpoints)}
        found = [
            slice_
            async for page, _ in self._kube.pages(
                ENDPOINT_SLICES.path(namespace),
                _Slice,
                query={"labelSelector": f"kubernetes.io/service-name={service}"},
            )
            for slice_ in page
        ]
        right = {slice_.metadata.name for slice_ in found if _is_as(slice_, wanted.get(slice_.metadata.name))}
        for name, body in wanted.items():
            if name not in right:
                path = ENDPOINT_SLICES.path(namespace, name)
                await self._kube.apply(path, body, _Named, field_manager=FIELD_MANAGER)
        for slice_ in found:
            if slice_.metadata.name not in wanted:
                await self._kube.delete(ENDPOINT_SLICES.path(namespace, slice_.metadata.name), uid=slice_.metadata.uid)

    async def release(self, namespace: str, *, uid: str) -> None:
        """The challenge with this UID needs it no more; if no other one of the namespace does, it goes. Raises KubeError."""
        async with self._lock(namespace):
            if any(other.metadata.uid != uid for other in self._live.in_namespace(namespace)):
                return
            for type_ in NAMES:
                self._right.pop((namespace, type_), None)
            for meta in await self._ours(namespace):
                # Garbage collection takes the EndpointSlices along.
                await self._kube.delete(SERVICES.path(meta.namespace, meta.name), uid=meta.uid)

    async def sweep(self) -> None:
        """Remove the Services of namespaces without a live challenge. For a new leader. Raises KubeError."""
        for namespace in {meta.namespace for meta in await self._ours(self._namespace)}:
            await self.release(namespace, uid="")

    async def _ours(self, namespace: str) -> list[ObjectMeta]:
        """The Services made here, of one namespace or of all."""
        found = self._kube.pages(SERVICES.path(namespace), _Named, query={"labelSelector": SELECTOR})
        return [item.metadata async for page, _ in found for item in page]

    def _lock(self, namespace: str) -> asyncio.Lock:
        return self._locks.setdefault(namespace, asyncio.Lock())


def _is_as(found: _Slice, wanted: dict[str, Any] | None) -> bool:
    """Whether the addresses are those wanted; name and owner say all the rest."""
    if wanted is None:
        return False
    return [endpoint.get("addresses") for endpoint in found.endpoints or ()] == [
        endpoint["addresses"] for endpoint in wanted["endpoints"]
    ]
