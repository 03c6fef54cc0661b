"""Certificates."""

from __future__ import annotations

from typing import Any

import kopf

from certwright.handlers.registry import GROUP, REGISTRY, VERSION, ingest_of


@kopf.on.event(GROUP, VERSION, "certificates", registry=REGISTRY)
async def certificate(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """A Certificate was seen, changed or deleted."""
    ingest_of(memo).certificate(event["type"], event["object"])
