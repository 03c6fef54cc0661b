"""What the kubelet and Prometheus ask: alive, ready, figures."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Self, TypeAlias

from aiohttp import web

#: Without a header within this time the connection is dropped (slow-loris; cert-manager's servers use 32 s).
HEADER_TIMEOUT = 32.0
#: How far the wall clock may run away from the steady one before the process is to be started again, in seconds: its
#: deadlines were set by the former (contract section 6.3).
SKEW_LIMIT = 300.0

#: Status, content type, body.
Page: TypeAlias = tuple[int, str, str]


class ClockSkew:
    """How far two clocks, in seconds, have run apart since this was made: the wall clock was set, or the machine slept."""

    def __init__(self, wall: Callable[[], float] = time.time, steady: Callable[[], float] = time.monotonic) -> None:
        self._wall = wall
        self._steady = steady
        self._begin = wall() - steady()

    @property
    def seconds(self) -> float:
        """The distance; it has no sign."""
        return abs(self._wall() - self._steady() - self._begin)

    @property
    def is_too_large(self) -> bool:
        """Whether deadlines can no longer be trusted."""
        return self.seconds > SKEW_LIMIT


def split_address(address: str) -> tuple[str, int]:
    """``host:port``, host possibly empty or an IPv6 address in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 (what an empty host means)


class Server:
    """One small HTTP server: GET paths to functions. Use as an async context manager."""

    def __init__(self, address: str, pages: Mapping[str, Callable[[], Page | Awaitable[Page]]]) -> None:
        self._address = address
        self._pages = pages
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        if not self._address:
            return self
        app = web.Application(client_max_size=1024)
        for path, page in self._pages.items():
            app.router.add_get(path, _handler(page))
        self._runner = web.AppRunner(app, access_log=None, handle_signals=False, keepalive_timeout=HEADER_TIMEOUT)
        await self._runner.setup()
        host, port = split_address(self._address)
        await web.TCPSite(self._runner, host, port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()


def _handler(page: Callable[[], Page | Awaitable[Page]]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(_: web.Request) -> web.StreamResponse:
        made = page()
        status, content_type, text = await made if inspect.isawaitable(made) else made
        return web.Response(status=status, text=text, headers={"Content-Type": content_type})

    return handle
