"""How Kopf is configured and logs in: it lists, watches and reconnects, and never writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, cast

import kopf

from certwright.handlers.registry import REGISTRY, Memo, ingest_of
from certwright.handlers.session import new_session
from certwright.handlers.tap import response_class


class ForEver:
    """Pauses between reconnects in seconds; re-iterable and endless, so that no outage ends the operator."""

    def __init__(self, *pauses: float) -> None:
        self._pauses = pauses

    def __iter__(self) -> Iterator[float]:
        yield from self._pauses
        while True:
            yield self._pauses[-1]


class NoDiffs(kopf.DiffBaseStorage):
    """Nothing is compared: events go to a level-triggered queue. Saves a deep copy of each object per event."""

    def build(self, *, body: kopf.Body, extra_fields: Iterable[Any] | None = None) -> Any:  # noqa: ARG002
        """An essence without content."""
        return {}

    def fetch(self, *, body: kopf.Body) -> Any:  # noqa: ARG002
        """Nothing was stored."""
        return None

    def store(self, *, body: kopf.Body, patch: kopf.Patch, essence: Any) -> None:
        """Store nothing."""


class NoProgress(kopf.ProgressStorage):
    """No handler has progress to be kept in annotations."""

    def fetch(self, *, key: Any, body: kopf.Body) -> Any:  # noqa: ARG002
        """Nothing was stored."""
        return None

    def store(self, *, key: Any, record: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Store nothing."""

    def purge(self, *, key: Any, body: kopf.Body, patch: kopf.Patch) -> None:
        """Nothing to purge."""

    def touch(self, *, body: kopf.Body, patch: kopf.Patch, value: Any) -> None:
        """No object is ever touched."""

    def clear(self, *, essence: Any) -> Any:
        """Nothing to clear."""
        return essence


@kopf.on.startup(registry=REGISTRY)
async def configure(settings: kopf.OperatorSettings, **_: Any) -> None:
    """Make Kopf a pure watcher."""
    settings.persistence.diffbase_storage = NoDiffs()
    settings.persistence.progress_storage = NoProgress()
    settings.posting.enabled = False
    settings.scanning.disabled = True
    settings.queueing.idle_timeout = 0.5
    settings.queueing.exit_timeout = 0.5
    settings.watching.chunk_size = 500
    # Bookmarks come each minute; the API server ends a watch by itself after this, so a dead one is noticed.
    settings.watching.server_timeout = 300
    # Never: see session.WatchLines, which knows when a watch is dead.
    settings.watching.inactivity_timeout = 10**6
    settings.networking.error_backoffs = cast("Any", ForEver(1, 1, 2, 3, 5, 8))
    settings.networking.enforce_retry_after = True


@kopf.on.login(registry=REGISTRY)
async def login(memo: kopf.Memo, **__: Any) -> kopf.AiohttpSession:
    """A session of our own."""
    access = cast("Memo", memo).access
    session = new_session(access, response_class(ingest_of(memo)))
    return kopf.AiohttpSession(server=access.server, default_namespace="default", aiohttp_session=session)
