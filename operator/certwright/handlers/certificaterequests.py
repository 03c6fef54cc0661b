"""CertificateRequests, whoever made them."""

from __future__ import annotations

from typing import Any

import kopf

from certwright.handlers.registry import GROUP, REGISTRY, VERSION, ingest_of


@kopf.on.event(GROUP, VERSION, "certificaterequests", registry=REGISTRY)
async def certificate_request(event: kopf.RawEvent, memo: kopf.Memo, **_: Any) -> None:
    """A CertificateRequest was seen, changed or deleted."""
    ingest_of(memo).request(event["type"], event["object"])
