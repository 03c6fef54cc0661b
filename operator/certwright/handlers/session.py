"""The session Kopf lists and watches with: answers that would end Kopf become ones it lives with.

Kopf 1.45 gives up for good on a watch that is answered 404 or 410 and on any ERROR event but 410, and then hangs while it
stops (``docs/decisions/0003-kopf-watches.md``). Here a watch that fails in such a way is retried, or listed anew.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp

from certwright.access import Access

#: What the API server sends when it no longer knows a resourceVersion; Kopf then lists anew.
GONE_LINE = (
    json.dumps({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}).encode() + b"\n"
)
_ERROR_LINE = b'{"type":"ERROR"'
#: Seconds without a byte after which a watch is dead: bookmarks come each minute.
INACTIVITY = 75.0


class WatchResponse(aiohttp.ClientResponse):
    """An answer to Kopf."""

    async def start(self, connection: Any) -> aiohttp.ClientResponse:
        """Read the status line and headers."""
        await super().start(connection)
        if self.url.query.get("watch") != "true":
            if self.status == 410:
                # A list whose continue token has expired. Of all errors, Kopf begins it anew only on this one.
                raise aiohttp.ClientPayloadError("the list took too long and is begun anew")
            return self
        if self.status == 404:
            # The CRD is not there now; 5xx is retried for ever.
            self.status = 503
        if self.status in {200, 410}:
            self.content = cast("Any", WatchLines(self.content, gone=self.status == 410))
            self.status = 200
        return self


class WatchLines:
    """The body of a watch as a ``StreamReader`` whose ERROR events are all 410, and the end.

    ``gone``: instead of the body, nothing but that event. A body that is silent for too long raises TimeoutError, on which
    Kopf watches anew. Kopf's own clock for that runs on while it deals with an event; when it strikes then (the process
    was stopped for a minute), the watcher's task is cancelled and nobody is told.
    """

    def __init__(self, body: aiohttp.StreamReader, *, gone: bool = False) -> None:
        self._body = body
        self._gone = gone

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines, as they come; the method Kopf reads with."""
        rest = b""
        chunks = self._body.iter_chunked(size)
        while not self._gone:
            async with asyncio.timeout(INACTIVITY):
                chunk = await anext(chunks, None)
            if chunk is None:
                return
            lines, newline, rest = (rest + chunk).rpartition(b"\n")
            before, error, _ = lines.partition(_ERROR_LINE)
            if newline and before:
                yield before if error else lines + newline
            self._gone = bool(error)
        yield GONE_LINE


def new_session(access: Access, response_class: type[WatchResponse] = WatchResponse) -> aiohttp.ClientSession:
    """A session of the same user as all else in this process; a rotated token is read again when it is due."""

    async def authorize(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
        authorization = access.authorization()
        if authorization:
            request.headers["Authorization"] = authorization
        return await handler(request)

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=access.ssl_context() or True, limit=0),
        headers={"User-Agent": access.user_agent},
        response_class=response_class,
        middlewares=(authorize,),
        trust_env=False,
    )
