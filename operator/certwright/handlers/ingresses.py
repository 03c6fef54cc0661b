"""Ingresses, whatever controller serves them."""

from __future__ import annotations

from typing import Any

import kopf

from certwright.handlers.registry import REGISTRY, ingest_of
from certwright.kube import INGRESSES


async def ingress(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """An Ingress was seen, changed or deleted."""
    ingest_of(memo).ingress(event["type"], event["object"])


def watch_ingresses() -> None:
    """Register the handler: only where the shim is on, so that nobody has to permit what is not used."""
    kopf.on.event(INGRESSES.group, INGRESSES.version, INGRESSES.plural, registry=REGISTRY)(ingress)
