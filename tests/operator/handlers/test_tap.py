"""The tap, between a server on loopback and Kopf's own list and watch: what Kopf gets to see, and what the store learns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import aiohttp
import kopf
import msgspec
import pytest
from aiohttp import web
from kopf._cogs.clients import auth, watching
from kopf._cogs.structs import credentials, references

from certwright.api import Certificate
from certwright.handlers.tap import response_class
from certwright.ingest import Ingest
from certwright.settings import ShimSettings
from certwright.store import Store
from certwright.workqueue import Key, WorkQueue

CERTIFICATES = references.Resource("cert-manager.io", "v1", "certificates", namespaced=True)
SECRETS = references.Resource("", "v1", "secrets", namespaced=True)
PATH = "/apis/cert-manager.io/v1/certificates"


def body(name: str, version: int, uid: str = "", secret: str = "") -> dict[str, Any]:
    """A Certificate as the API server sends it in watches; in lists, kind and apiVersion are the list's."""
    return {
        "kind": "Certificate",
        "apiVersion": "cert-manager.io/v1",
        "metadata": {"name": name, "namespace": "ns", "uid": uid or f"uid-{name}", "resourceVersion": str(version)},
        "spec": {"secretName": secret or f"{name}-tls", "issuerRef": {"name": "ca"}},
    }


def event(type_: str, name: str, version: int, uid: str = "") -> dict[str, Any]:
    """A watch event."""
    return {"type": type_, "object": body(name, version, uid)}


def bookmark(version: int) -> dict[str, Any]:
    """A bookmark."""
    return {"type": "BOOKMARK", "object": {"kind": "Certificate", "metadata": {"resourceVersion": str(version)}}}


class World:
    """A store, an API server that lists in pages and then has events to tell, and Kopf."""

    def __init__(self, *held: dict[str, Any]) -> None:
        self.store = Store()
        self.queue = WorkQueue()
        for each in held:
            self.store.put_certificate(msgspec.convert(each, type=Certificate, strict=False))
        self.pages: list[list[dict[str, Any]]] = [[]]
        self.list_version = 100
        self.chunks: list[bytes] = []
        self.queries: list[dict[str, str]] = []
        self._over = asyncio.Event()

    async def kopf_sees(self, resource: references.Resource = CERTIFICATES) -> list[tuple[Any, str, str]]:
        """Type, name and version of every event that Kopf gets until the server has told everything."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._serve)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        seen: list[tuple[Any, str, str]] = []
        try:
            async with aiohttp.ClientSession(
                response_class=response_class(Ingest(self.store, self.queue, ShimSettings()))
            ) as session:
                async for raw in self._stream(url, session, resource):
                    meta = raw["object"]["metadata"]
                    seen.append((raw["type"], meta.get("name", ""), meta["resourceVersion"]))
                    assert raw["type"] == "BOOKMARK" or raw["object"]["spec"]["issuerRef"] == {"name": "ca"}
                    assert raw["object"]["kind"] == "Certificate"
                    if raw["type"] == "BOOKMARK":
                        break
        finally:
            self._over.set()
            await runner.cleanup()
        return seen

    @staticmethod
    async def _stream(url: str, session: aiohttp.ClientSession, resource: references.Resource) -> AsyncIterator[Any]:
        info = credentials.AiohttpSession(server=url, aiohttp_session=session)
        auth.vault_var.set(credentials.Vault({"here": info}))
        settings = kopf.OperatorSettings()
        settings.watching.chunk_size = 2
        stream = watching.continuous_watch(
            settings=settings, resource=resource, namespace=None, operator_pause_waiter=asyncio.Future()
        )
        async for raw in stream:
            if not isinstance(raw, watching.Bookmark):
                yield raw

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(dict(request.query))
        if "watch" not in request.query:
            number = int(request.query.get("continue", "0"))
            goes_on = number + 1 < len(self.pages)
            metadata = {"resourceVersion": str(self.list_version), **({"continue": str(number + 1)} if goes_on else {})}
            items = [{k: v for k, v in item.items() if k not in {"kind", "apiVersion"}} for item in self.pages[number]]
            kind = {"kind": "CertificateList", "apiVersion": "cert-manager.io/v1"}
            return web.json_response({**kind, "metadata": metadata, "items": items})
        response = web.StreamResponse()
        await response.prepare(request)
        for chunk in self.chunks:
            await response.write(chunk)
            await asyncio.sleep(0)
        await response.write(json.dumps(bookmark(999)).encode() + b"\n")
        await self._over.wait()
        return response

    def tells(self, *events: dict[str, Any], cut: int = 0) -> None:
        """What the watch brings; ``cut``: in pieces of so many bytes, wherever they end."""
        whole = b"".join(json.dumps(each).encode() + b"\n" for each in events)
        self.chunks = [whole[i : i + cut] for i in range(0, len(whole), cut)] if cut else [whole]

    def queued(self) -> set[str]:
        """Names of the Certificates that will be looked at."""
        return {key.name for key in self.queue._ready}


END = ("BOOKMARK", "", "999")


async def test_of_a_list_kopf_sees_what_the_store_does_not_hold() -> None:
    """Unknown, newer, and made anew under its old name; in every page."""
    world = World(body("same", 10), body("older", 10), body("newer", 10), body("anew", 10), body("far", 11))
    world.pages = [
        [body("same", 10), body("older", 9)],
        [body("newer", 12), body("anew", 13, uid="another")],
        [body("far", 11), body("unknown", 14)],
    ]
    assert await world.kopf_sees() == [(None, "newer", "12"), (None, "anew", "13"), (None, "unknown", "14"), END]
    assert [query.get("continue", "") for query in world.queries[:3]] == ["", "1", "2"]
    assert world.queries[3]["resourceVersion"] == "100"


@pytest.mark.parametrize("cut", [0, 1, 7, 300])
async def test_of_a_watch_kopf_sees_no_echoes(cut: int) -> None:
    """However the lines are cut into chunks: what the store holds or surpasses is left out, deletions never are."""
    world = World(body("web", 110))
    world.pages = [[body("web", 90)]]
    world.tells(
        event("ADDED", "web", 105),
        event("MODIFIED", "web", 110),
        event("MODIFIED", "web", 111),
        event("ADDED", "other", 112),
        event("DELETED", "web", 113),
        event("MODIFIED", "web", 109, uid="another"),
        cut=cut,
    )
    assert await world.kopf_sees() == [
        ("MODIFIED", "web", "111"),
        ("ADDED", "other", "112"),
        ("DELETED", "web", "113"),
        ("MODIFIED", "web", "109"),
        END,
    ]


async def test_errors_reach_kopf() -> None:
    """An expired watch makes it list again: the stream ends."""
    world = World()
    error = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "code": 410, "reason": "Expired"}
    world.tells({"type": "ERROR", "object": error})
    assert await world.kopf_sees() == []


async def test_a_list_tells_what_was_deleted_unseen() -> None:
    """Not what is on a later page, and not what was made after the list."""
    held: Sequence[dict[str, Any]] = [body("here", 10), body("there", 11), body("gone", 12, secret="shared")]
    world = World(*held, body("fresh", 101), body("sharer", 13, secret="shared"))
    world.pages = [[body("here", 10)], [body("there", 11), body("sharer", 13, secret="shared")]]
    assert await world.kopf_sees() == [END]
    assert {key.name for key in world.store.certificates} == {"here", "there", "fresh", "sharer"}
    assert world.queued() == {"sharer"}
    # An event from before the deletion does not bring it back.
    assert not world.store.put_certificate(msgspec.convert(body("gone", 12), type=Certificate, strict=False))


async def test_other_resources_are_left_alone() -> None:
    """Nothing is known of them."""
    world = World(body("web", 110))
    world.pages = [[body("web", 90)]]
    world.tells(event("MODIFIED", "web", 110))
    assert await world.kopf_sees(SECRETS) == [(None, "web", "90"), ("MODIFIED", "web", "110"), END]
    assert Key("Certificate", "ns", "web") in world.store.certificates
