"""Orders and Challenges."""

from __future__ import annotations

from typing import Any

import kopf

from certwright.handlers.registry import ACME_GROUP, REGISTRY, VERSION, ingest_of


@kopf.on.event(ACME_GROUP, VERSION, "orders", registry=REGISTRY)
async def order(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """An Order was seen, changed or deleted."""
    ingest_of(memo).order(event["type"], event["object"])


@kopf.on.event(ACME_GROUP, VERSION, "challenges", registry=REGISTRY)
async def challenge(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """A Challenge was seen, changed or deleted."""
    ingest_of(memo).challenge(event["type"], event["object"])
