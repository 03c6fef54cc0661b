"""What the kubelet is told: clocks that run apart, a Lease that is not renewed, pages that are made."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import aiohttp
import pytest

from certwright.fence import Fence, clock
from certwright.health import ClockSkew, Page, Server
from certwright.leases import LeaseThread
from certwright.settings import LeaseSettings


@pytest.mark.parametrize(
    ("wall", "steady", "too_large"),
    [(0, 0, False), (3600, 3600, False), (299, 0, False), (301, 0, True), (-301, 0, True), (3600, 0, True)],
)
def test_clocks_that_run_apart(wall: float, steady: float, *, too_large: bool) -> None:
    """By more than five minutes, in either direction: the clock was set, or the machine slept."""
    now = {"wall": 1e9, "steady": 50.0}
    skew = ClockSkew(lambda: now["wall"], lambda: now["steady"])
    now["wall"] += wall
    now["steady"] += steady
    assert skew.is_too_large is too_large


class Access:
    """Of no cluster."""

    def blocking_client(self) -> Any:
        return None


def lease_thread(monkeypatch: pytest.MonkeyPatch, *, alive: bool = True) -> LeaseThread:
    thread = LeaseThread(cast("Any", Access()), LeaseSettings(), Fence(), lambda _: None)
    monkeypatch.setattr(thread, "is_alive", lambda: alive)
    return thread


@pytest.mark.parametrize(
    ("alive", "leading", "since", "healthy"),
    [
        (True, True, 0, True),
        (True, True, 36, True),
        (True, True, 38, False),
        (True, False, 1000, True),
        (False, True, 0, False),
        (False, False, 0, False),
    ],
)
def test_a_leader_that_does_not_renew_is_stuck(
    monkeypatch: pytest.MonkeyPatch, *, alive: bool, leading: bool, since: float, healthy: bool
) -> None:
    """20 s after the Lease has run out (17 s); whoever does not lead may wait for ever."""
    thread = lease_thread(monkeypatch, alive=alive)
    thread._leading = leading
    thread._renewed_at = clock() - since
    assert thread.is_healthy is healthy


async def test_pages_are_made_when_they_are_asked_for(unused_tcp_port: int) -> None:
    """At once or after a while; whatever else is asked for is not found."""

    async def slow() -> Page:
        await asyncio.sleep(0.01)
        return 503, "text/plain", "slow"

    address = f"127.0.0.1:{unused_tcp_port}"
    pages: dict[str, Callable[[], Page | Awaitable[Page]]] = {
        "/fast": lambda: (200, "text/plain", "fast"),
        "/slow": slow,
    }
    async with Server(address, pages), aiohttp.ClientSession(f"http://{address}") as session:
        found = {}
        for path in ("/fast", "/slow", "/none"):
            async with session.get(path) as response:
                found[path] = (response.status, await response.text())
    assert found["/fast"] == (200, "fast")
    assert found["/slow"] == (503, "slow")
    assert found["/none"][0] == 404
