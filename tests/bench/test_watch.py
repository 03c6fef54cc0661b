"""What the driver concludes from watch events."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from bench.api import Api
from bench.objects import CERTIFICATES, Authority
from bench.watch import Stalled, Watcher

KEY = ("ns", "a")


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Resume at once."""
    monkeypatch.setattr("bench.watch.RECONNECT_SECONDS", 0.0)


class Stream:
    """An API server that has these events to tell, and nothing more."""

    def __init__(self, certificates: list[dict[str, Any]], requests: list[dict[str, Any]]) -> None:
        for number, each in [*enumerate(certificates, 1), *enumerate(requests, 1)]:
            each["object"]["metadata"]["resourceVersion"] = str(number)
        self._events = {True: certificates, False: requests}
        #: Both watches, and the test: all has been told.
        self.told = asyncio.Barrier(3)

    async def version(self, _path: str) -> str:
        """That before the first event."""
        return "0"

    async def watch(self, path: str, version: str) -> AsyncIterator[bytes]:
        """The events after a version as JSON lines, two in a stream."""
        events = self._events[path == CERTIFICATES][int(version) :]
        for event in events[:2]:
            yield json.dumps(event).encode()
        if not events:
            await self.told.wait()
            await asyncio.Event().wait()


def event(type_: str, status: dict[str, Any], generation: int = 1) -> dict[str, Any]:
    """A watch event."""
    metadata = {"namespace": KEY[0], "name": KEY[1], "generation": generation}
    return {"type": type_, "object": {"metadata": metadata, "status": status}}


def ready(status: str, generation: int = 1, **other: Any) -> dict[str, Any]:
    """A status with a Ready condition."""
    condition = {"type": "Ready", "status": status, "message": "why", "observedGeneration": generation}
    return {"conditions": [condition], **other}


async def watched(certificates: list[dict[str, Any]], requests: list[dict[str, Any]]) -> Watcher:
    """A watcher that has seen all of it."""
    stream = Stream(certificates, requests)
    watcher = Watcher(cast("Api", stream))
    await watcher.start()
    async with asyncio.timeout(5):
        await stream.told.wait()
    return watcher


async def test_ready_counts_for_the_generation_it_was_judged_on() -> None:
    """A Ready that is left from before a change of the spec is none."""
    stale = await watched([event("MODIFIED", ready("True", 1), generation=2)], [])
    assert not stale.ready_at
    current = await watched([event("ADDED", {}), event("MODIFIED", ready("True", revision=1))], [])
    await current.wait_ready({KEY})
    assert current.revision == {KEY: 1}


async def test_every_certificate_seen_is_a_signing() -> None:
    """Two requests with the same certificate were signed once, a request whose certificate is replaced twice.

    The last event comes in a second stream: a watch that ends is resumed.
    """
    first, second = (base64.b64encode(Authority.make().leaf_pem).decode() for _ in range(2))
    requests = [event("MODIFIED", {"certificate": pem}) for pem in (first, first, second)]
    watcher = await watched([], [event("ADDED", {}), *requests])
    assert len(watcher.serials()) == 2


async def test_waiting_in_vain_says_what_the_certificate_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message of the condition is the best clue."""
    monkeypatch.setattr("bench.watch.STALL_SECONDS", 0.01)
    watcher = await watched([event("ADDED", ready("False"))], [])
    with pytest.raises(Stalled, match="1 of 1 not Ready; ns/a: why"):
        await watcher.wait_ready({KEY})
