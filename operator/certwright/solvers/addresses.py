"""Where ingress controllers reach the replicas' solver servers: a setting, an own Service's endpoints, or the pod's IP."""

from __future__ import annotations

import asyncio

import msgspec

from certwright.kube import ENDPOINT_SLICES, KubeClient
from certwright.settings import HTTP01Settings
from certwright.solvers.contract import SolverRefused
from certwright.solvers.manifests import Endpoint

#: Seconds for which endpoints that were read count as known.
FRESH = 5.0


class _Conditions(msgspec.Struct):
    ready: bool | None = None


class _Endpoint(msgspec.Struct):
    addresses: tuple[str, ...] = ()
    conditions: _Conditions = msgspec.field(default_factory=_Conditions)


class _Port(msgspec.Struct):
    port: int | None = None


class _Slice(msgspec.Struct, rename="camel"):
    address_type: str = ""
    endpoints: tuple[_Endpoint, ...] | None = None
    ports: tuple[_Port, ...] | None = None


class Addresses:
    """Asked before each challenge is presented; reads the cluster at most every five seconds."""

    def __init__(self, kube: KubeClient, settings: HTTP01Settings) -> None:
        self._kube = kube
        self._settings = settings
        self._known: tuple[Endpoint, ...] = ()
        self._known_at = float("-inf")

    async def current(self) -> tuple[Endpoint, ...]:
        """All replicas that can answer. Raises :class:`SolverRefused` if none is known, KubeError."""
        settings = self._settings
        if settings.addresses:
            return tuple(Endpoint(address, port) for address, port in settings.addresses)
        if settings.service:
            found = await self._of_service(*settings.service.split("/"))
            if found:
                return found
        if settings.pod_ip:
            return (Endpoint(settings.pod_ip, settings.listen_port),)
        raise SolverRefused(
            "NoSolverAddress",
            "certwright does not know where an ingress controller reaches it: set --acme-http01-solver-service, "
            "--acme-http01-solver-address, or $POD_IP by the downward API",
        )

    async def _of_service(self, namespace: str, name: str) -> tuple[Endpoint, ...]:
        now = asyncio.get_running_loop().time()
        if now - self._known_at > FRESH:
            query = {"labelSelector": f"kubernetes.io/service-name={name}"}
            found: set[Endpoint] = set()
            async for page, _ in self._kube.pages(ENDPOINT_SLICES.path(namespace), _Slice, query=query):
                for slice_ in page:
                    found |= _ready(slice_)
            self._known, self._known_at = tuple(sorted(found)), now
        return self._known


def _ready(slice_: _Slice) -> set[Endpoint]:
    """Endpoints that are ready; unknown counts as ready (Kubernetes API, EndpointConditions)."""
    if slice_.address_type not in {"IPv4", "IPv6"}:
        return set()
    ports = [port.port for port in slice_.ports or () if port.port]
    ready = [endpoint for endpoint in slice_.endpoints or () if endpoint.conditions.ready is not False]
    return {Endpoint(address, port) for endpoint in ready for address in endpoint.addresses[:1] for port in ports[:1]}
