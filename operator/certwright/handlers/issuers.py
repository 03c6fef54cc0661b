"""Issuers and ClusterIssuers."""

from __future__ import annotations

from typing import Any

import kopf

from certwright.handlers.registry import GROUP, REGISTRY, VERSION, ingest_of


@kopf.on.event(GROUP, VERSION, "issuers", registry=REGISTRY)
async def issuer(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """An Issuer was seen, changed or deleted."""
    ingest_of(memo).issuer("Issuer", event["type"], event["object"])


async def cluster_issuer(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """A ClusterIssuer was seen, changed or deleted."""
    ingest_of(memo).issuer("ClusterIssuer", event["type"], event["object"])


def watch_cluster_issuers() -> None:
    """Register their handler: not where one namespace is served, whose operator has no right to read them."""
    kopf.on.event(GROUP, VERSION, "clusterissuers", registry=REGISTRY)(cluster_issuer)
