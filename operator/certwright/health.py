"""What the kubelet and Prometheus ask: alive, ready, figures."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Self

from aiohttp import web

#: Without a header within this time the connection is dropped (slow-loris; cert-manager's servers use 32 s).
HEADER_TIMEOUT = 32.0


def split_address(address: str) -> tuple[str, int]:
    """``host:port``, host possibly empty or an IPv6 address in brackets."""
    host, _, port = address.rpartition(":")
    return host.strip("[]") or "0.0.0.0", int(port)  # noqa: S104 (what an empty host means)


class Server:
    """One small HTTP server: GET paths to functions. Use as an async context manager."""

    def __init__(self, address: str, pages: dict[str, Callable[[], tuple[int, str, str]]]) -> None:
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


def _handler(page: Callable[[], tuple[int, str, str]]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def handle(_: web.Request) -> web.StreamResponse:
        status, content_type, text = page()
        return web.Response(status=status, text=text, headers={"Content-Type": content_type})

    return handle
