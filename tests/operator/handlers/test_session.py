"""Answers that would end Kopf, as Kopf then sees them: over a real connection, read the way Kopf reads."""

import asyncio
import json
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from certwright.handlers.session import WatchLines, new_session

EVENT = b'{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n'
BROKEN = b'{"type":"ERROR","object":{"kind":"Status","code":500,"message":"etcdserver: no leader"}}\n'


async def answer(request: web.Request) -> web.Response:
    status = int(request.query.get("status", "200"))
    body = EVENT + BROKEN if status == 200 else b'{"kind":"Status"}'
    return web.Response(status=status, body=body, headers={"Seen": request.headers.get("Authorization", "")})


@pytest.fixture
async def session() -> AsyncIterator[tuple[aiohttp.ClientSession, str]]:
    """A session of Kopf's, and the address of a server that answers as it is asked to."""
    application = web.Application()
    application.router.add_get("/", answer)
    async with TestServer(application) as server:
        tokens = iter(("Bearer one", "Bearer two"))
        access: Any = SimpleNamespace(user_agent="test", ssl_context=lambda: None, authorization=lambda: next(tokens))
        async with new_session(access) as made:
            yield made, str(server.make_url("/"))


async def lines_of(response: aiohttp.ClientResponse) -> list[dict[str, Any]]:
    data = b"".join([chunk async for chunk in response.content.iter_chunked(1024)])
    return [json.loads(line) for line in data.splitlines()]


async def test_errors_inside_a_watch_make_kopf_list_anew(session: tuple[aiohttp.ClientSession, str]) -> None:
    """Events before it pass, the error becomes 410."""
    client, url = session
    async with client.get(f"{url}?watch=true") as response:
        events = await lines_of(response)
    assert [event["type"] for event in events] == ["ADDED", "ERROR"]
    assert events[-1]["object"]["code"] == 410


@pytest.mark.parametrize(("status", "seen"), [(410, 200), (404, 503), (403, 403), (500, 500), (429, 429)])
async def test_statuses_of_watches(session: tuple[aiohttp.ClientSession, str], status: int, seen: int) -> None:
    """410 becomes an ERROR event, 404 a 5xx; what Kopf retries anyway stays as it is."""
    client, url = session
    async with client.get(f"{url}?watch=true&status={status}") as response:
        assert response.status == seen
        if status == 410:
            assert [event["object"]["code"] for event in await lines_of(response)] == [410]


async def test_a_list_that_expired_is_begun_anew(session: tuple[aiohttp.ClientSession, str]) -> None:
    """By the one error on which Kopf does that; other statuses of lists stay."""
    client, url = session
    with pytest.raises(aiohttp.ClientPayloadError, match="begun anew"):
        await client.get(f"{url}?status=410")
    async with client.get(f"{url}?status=404") as response:
        assert response.status == 404


async def test_each_request_carries_the_token_of_that_moment(session: tuple[aiohttp.ClientSession, str]) -> None:
    """Rotated tokens are used without a new login."""
    client, url = session
    for token in ("Bearer one", "Bearer two"):
        async with client.get(url) as response:
            assert response.headers["Seen"] == token


@pytest.mark.parametrize("size", [1, 7, 60, 4096])
async def test_lines_pass_whole_however_they_arrive(size: int) -> None:
    """Cut anywhere, only whole lines come out, and the error is found."""
    sent = EVENT * 3 + BROKEN

    async def chunks(_: int) -> AsyncIterator[bytes]:
        for start in range(0, len(sent), size):
            yield sent[start : start + size]

    body: Any = SimpleNamespace(iter_chunked=chunks)
    out = [piece async for piece in WatchLines(body).iter_chunked(0)]
    assert all(piece.endswith(b"\n") for piece in out)
    events = [json.loads(line) for line in b"".join(out).splitlines()]
    assert [event["type"] for event in events] == ["ADDED"] * 3 + ["ERROR"]
    assert events[-1]["object"]["code"] == 410


async def test_a_silent_watch_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """By TimeoutError, on which Kopf connects again; what came before was passed on."""
    monkeypatch.setattr("certwright.handlers.session.INACTIVITY", 0.05)

    async def chunks(_: int) -> AsyncIterator[bytes]:
        yield EVENT
        await asyncio.sleep(30)

    body: Any = SimpleNamespace(iter_chunked=chunks)
    reading = WatchLines(body).iter_chunked(0)
    assert await anext(reading) == EVENT
    with pytest.raises(TimeoutError):
        await anext(reading)


async def test_a_busy_reader_is_not_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only waiting for the server counts: nobody is cancelled while dealing with an event."""
    monkeypatch.setattr("certwright.handlers.session.INACTIVITY", 0.05)

    async def chunks(_: int) -> AsyncIterator[bytes]:
        yield EVENT
        yield EVENT

    body: Any = SimpleNamespace(iter_chunked=chunks)
    seen = 0
    async for _ in WatchLines(body).iter_chunked(0):
        await asyncio.sleep(0.15)
        seen += 1
    assert seen == 2
