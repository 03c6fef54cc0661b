"""What an operator learns at its start: every object of the kinds that it holds, once the API server serves them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import msgspec

from certwright.api import Certificate, CertificateRequest, Challenge, Ingress, Issuer, Order
from certwright.api.groups import ACME_GROUP, GROUP
from certwright.errors import Forbidden, Gone, NotFound, Transient
from certwright.ingest import Ingest
from certwright.kube import (
    CERTIFICATE_REQUESTS,
    CERTIFICATES,
    CHALLENGES,
    CLUSTER_ISSUERS,
    INGRESSES,
    ISSUERS,
    ORDERS,
    KubeClient,
    Resource,
)
from certwright.settings import Settings

logger = logging.getLogger(__name__)

#: Seconds between looks for CRDs that are not installed yet.
CRD_PAUSE = 2.0


@dataclass(frozen=True, slots=True)
class _Watched:
    """A kind that is held in the store: how it is listed, and who takes what was listed."""

    kind: str
    resource: Resource
    type: type[Any]
    take: Callable[[Any], None]


class _ServedResource(msgspec.Struct):
    name: str


class _ResourceList(msgspec.Struct):
    """Discovery of one group and version."""

    resources: tuple[_ServedResource, ...] = ()


class FirstLists:
    """Of the kinds that these settings make the operator hold."""

    def __init__(self, kube: KubeClient, ingest: Ingest, settings: Settings) -> None:
        self._kube = kube
        self._ingest = ingest
        self._settings = settings

    async def await_crds(self) -> None:
        """Return once the API server serves every kind. Raises KubeError."""
        while missing := await self._missing():
            logger.warning("CRDs are not installed: %s; apply crds/", ", ".join(sorted(missing)))
            await asyncio.sleep(CRD_PAUSE)

    async def _missing(self) -> set[str]:
        ours = [watched.resource for watched in self._kinds() if watched.resource.group in {GROUP, ACME_GROUP}]
        wanted = {f"{resource.plural}.{resource.group}" for resource in ours}
        for group in (GROUP, ACME_GROUP):
            with suppress(NotFound):
                served = await self._kube.get(f"/apis/{group}/v1", _ResourceList)
                wanted -= {f"{resource.name}.{group}" for resource in served.resources}
        return wanted

    def _kinds(self) -> list[_Watched]:
        take = self._ingest
        kinds = [
            _Watched("ClusterIssuer", CLUSTER_ISSUERS, Issuer, partial(take.take_issuer, "ClusterIssuer")),
            _Watched("Issuer", ISSUERS, Issuer, partial(take.take_issuer, "Issuer")),
            _Watched("Certificate", CERTIFICATES, Certificate, take.take_certificate),
            _Watched("CertificateRequest", CERTIFICATE_REQUESTS, CertificateRequest, take.take_request),
            _Watched("Order", ORDERS, Order, take.take_order),
            _Watched("Challenge", CHALLENGES, Challenge, take.take_challenge),
            _Watched("Ingress", INGRESSES, Ingress, take.take_ingress),
        ]
        off = {"ClusterIssuer"} if self._settings.namespace else set[str]()
        off |= set[str]() if self._settings.shim.enabled else {"Ingress"}
        return [watched for watched in kinds if watched.kind not in off]

    async def list_all(self) -> None:
        """Take everything in, kind by kind. Raises KubeError."""
        for watched in self._kinds():
            async for page, _ in self._kube.pages(self._path(watched.resource), watched.type):
                for item in page:
                    watched.take(item)
                await asyncio.sleep(0)

    def _path(self, resource: Resource) -> str:
        return resource.path("" if resource is CLUSTER_ISSUERS else self._settings.namespace)


async def retrying(step: Callable[[], Awaitable[Any]]) -> Any:
    """The step's result, once the API server lets it end."""
    pause = 1.0
    while True:
        try:
            return await step()
        except (Transient, Gone, Forbidden) as error:
            logger.warning("can't start yet, next try in %.0f s: %s", pause, error)
        await asyncio.sleep(pause)
        pause = min(30.0, pause * 2)
