"""Where all handlers are registered: a registry of our own, so that importing this package changes no global one."""

from __future__ import annotations

from typing import Protocol, cast

import kopf

from certwright.access import Access
from certwright.ingest import Ingest

REGISTRY = kopf.OperatorRegistry()
GROUP = "cert-manager.io"
ACME_GROUP = "acme.cert-manager.io"
VERSION = "v1"


class Memo(Protocol):
    """What ``kopf.operator(memo=...)`` was given."""

    ingest: Ingest
    access: Access


def ingest_of(memo: object) -> Ingest:
    """The sink of events, from Kopf's memo."""
    return cast("Memo", memo).ingest
