"""What is no news ends here, before Kopf makes a task, a dozen views and a log adapter for it.

Most of what a watch tells a controller is its own writes: three of the four events of an issuance, and at a restart every
object, for all were listed before Kopf lists them again. Responses of the class made here leave out lines of a watch and
items of a list whose version the store holds already; all else Kopf gets as it came. Kopf still lists, watches, reconnects
and authenticates, and its handlers still bring what is new (``docs/decisions/0007-no-news-for-kopf.md``).

A list also tells what is gone: objects deleted while nobody watched, which Kopf does not notice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import msgspec
from multidict import MultiMapping

from certwright.handlers.session import WatchResponse
from certwright.ingest import Ingest
from certwright.workqueue import Key

#: Kinds by their plural, as the last part of a list's or a watch's path.
KINDS = {
    "certificates": "Certificate",
    "certificaterequests": "CertificateRequest",
    "issuers": "Issuer",
    "clusterissuers": "ClusterIssuer",
    "ingresses": "Ingress",
    "orders": "Order",
    "challenges": "Challenge",
}


class _Meta(msgspec.Struct, gc=False):
    """What tells one version of an object from others; of a list, its own version and whether it goes on."""

    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = msgspec.field(default="", name="resourceVersion")
    continue_: str = msgspec.field(default="", name="continue")


class _Object(msgspec.Struct, gc=False):
    metadata: _Meta


class _Line(msgspec.Struct, gc=False):
    type: str
    object: _Object


class _Page(msgspec.Struct, gc=False):
    metadata: _Meta
    items: list[msgspec.Raw] | None = None


class Tap:
    """Knows what is news, and what each unfinished list has shown so far."""

    def __init__(self, ingest: Ingest) -> None:
        self._ingest = ingest
        self._listed: dict[str, set[Key]] = {}

    def lines(self, kind: str, lines: list[bytes]) -> list[bytes]:
        """Of a watch's lines those that Kopf has to see."""
        self._ingest.hear(kind)
        return [line for line in lines if line and not self._is_old(kind, line)]

    def _is_old(self, kind: str, line: bytes) -> bool:
        try:
            event = msgspec.json.decode(line, type=_Line)
        except msgspec.MsgspecError:
            # A Status with an error, or something else that Kopf has to make sense of.
            return False
        return event.type in {"ADDED", "MODIFIED"} and self._holds(kind, event.object.metadata)

    def page(self, kind: str, path: str, query: MultiMapping[str], body: bytes) -> Any:
        """A page of a list, decoded, with those of its items that Kopf has to see."""
        self._ingest.hear(kind)
        page = msgspec.json.decode(body, type=_Page)
        whole: dict[str, Any] = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        if "continue" not in query:
            self._listed[path] = set()
        news: list[Any] = []
        for item in page.items or ():
            meta = msgspec.json.decode(item, type=_Object).metadata
            self._listed[path].add(Key(kind, meta.namespace, meta.name))
            if not self._holds(kind, meta):
                news.append(msgspec.json.decode(item))
        if not page.metadata.continue_:
            self._ingest.listed(kind, self._listed.pop(path), int(page.metadata.resource_version))
        return {name: news if name == "items" else msgspec.json.decode(value) for name, value in whole.items()}

    def _holds(self, kind: str, meta: _Meta) -> bool:
        return self._ingest.holds(Key(kind, meta.namespace, meta.name), meta.uid, meta.resource_version)


class _News:
    """The body of a watch, without what is old. Everything but the reading by chunks is the body's own."""

    def __init__(self, body: aiohttp.StreamReader, tap: Tap, kind: str) -> None:
        self._body = body
        self._tap = tap
        self._kind = kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._body, name)

    async def iter_chunked(self, size: int) -> AsyncIterator[bytes]:
        """Whole lines, as ``session.WatchLines`` gives them; the method Kopf reads with."""
        async for lines in self._body.iter_chunked(size):
            news = self._tap.lines(self._kind, lines.split(b"\n"))
            if news:
                yield b"\n".join(news) + b"\n"


def response_class(ingest: Ingest) -> type[WatchResponse]:
    """The answers that Kopf gets (``session.py``), less what ``ingest`` knows."""
    tap = Tap(ingest)

    class TappedResponse(WatchResponse):
        """A list or a watch without what is known."""

        @property
        def _kind(self) -> str:
            """Of which kind this is a list or watch; empty for all else, errors included."""
            return KINDS.get(self.url.path.rpartition("/")[2], "") if self.status == 200 else ""

        async def start(self, connection: Any) -> aiohttp.ClientResponse:
            """Read the status line and headers."""
            await super().start(connection)
            if self._kind and self.url.query.get("watch") == "true":
                self.content = cast("Any", _News(self.content, tap, self._kind))
            return self

        async def json(self, **options: Any) -> Any:
            """A page of a list, decoded; the method Kopf reads it with."""
            if not self._kind:
                return await super().json(**options)
            return tap.page(self._kind, self.url.path, self.url.query, await self.read())

    return TappedResponse
