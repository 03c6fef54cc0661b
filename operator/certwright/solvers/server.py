"""The HTTP server that CAs reach through an ingress: exact path and host of a live challenge, or 404.

Its address is told to every ingress controller, so it has a parser of its own with no features: one request of at most
8 KiB per connection, a deadline for each connection, the oldest ones ended first when there are too many. cert-manager's
solver answers the same (contract section 3.1.3), in a pod per challenge.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from http import HTTPStatus
from typing import Self, cast

from certwright.health import split_address

#: Path before the token (RFC 8555 section 8.3).
PREFIX = "/.well-known/acme-challenge/"
#: For the health checks of load balancers.
HEALTHY = frozenset({"/", "/healthz"})
#: Bytes of request line and headers. nginx passes on up to 32 KiB, the requests of CAs have less than 1.
HEAD_LIMIT = 8192
#: Seconds that a connection may last, whatever it does. CAs wait 10 to 15 s for an answer.
LIFETIME = 10.0
#: Open connections. Each costs a few KiB, and an honest one ends within milliseconds.
CONNECTIONS = 2048

#: The key for a host (without port) and a token, or None.
Answers = Callable[[str, str], str | None]


class SolverServer:
    """Use as an async context manager. An empty address switches it off."""

    def __init__(self, address: str, answers: Answers) -> None:
        self._address = address
        self._answers = answers
        self._server: asyncio.Server | None = None
        self._open: dict[_Connection, None] = {}

    async def __aenter__(self) -> Self:
        if self._address:
            host, port = split_address(self._address)
            loop = asyncio.get_running_loop()
            self._server = await loop.create_server(lambda: _Connection(self._answers, self._open), host, port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        for connection in list(self._open):
            connection.abort()

    @property
    def port(self) -> int:
        """The port it listens on."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else 0


class _Connection(asyncio.Protocol):
    """One request, one answer, the end."""

    def __init__(self, answers: Answers, everybody: dict[_Connection, None]) -> None:
        self._answers = answers
        self._everybody = everybody
        self._head = b""
        self._transport: asyncio.Transport | None = None
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Not isinstance: uvloop's transports have the methods and not the base class.
        self._transport = cast("asyncio.Transport", transport)
        self._everybody[self] = None
        self._deadline = asyncio.get_running_loop().call_later(LIFETIME, self.abort)
        if len(self._everybody) > CONNECTIONS:
            next(iter(self._everybody)).abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._everybody.pop(self, None)
        if self._deadline is not None:
            self._deadline.cancel()

    def abort(self) -> None:
        """End it without an answer."""
        self._everybody.pop(self, None)
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        self._head += data
        head, end, _ = self._head.partition(b"\r\n\r\n")
        if len(head) > HEAD_LIMIT:
            self._answer(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        elif end:
            self._answer(*respond(head, self._answers))

    def _answer(self, status: HTTPStatus, body: str = "") -> None:
        """Whatever follows on this connection is not read."""
        assert self._transport is not None  # noqa: S101 (for the type checkers)
        content = body.encode()
        headers = (
            f"HTTP/1.1 {status.value} {status.phrase}\r\nContent-Type: text/plain; charset=utf-8\r\n"
            f"Content-Length: {len(content)}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
        )
        self._transport.write(headers.encode() + content)
        self._transport.close()


def respond(head: bytes, answers: Answers) -> tuple[HTTPStatus, str]:
    """Status and body for request line and headers (without the empty line after them)."""
    line, *fields = head.decode("latin-1").split("\r\n")
    words = line.split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/1."):
        return HTTPStatus.BAD_REQUEST, ""
    method, target, _ = words
    hosts = [value.strip() for name, _, value in (field.partition(":") for field in fields) if name.lower() == "host"]
    if len(hosts) > 1:
        return HTTPStatus.BAD_REQUEST, ""
    if method != "GET":
        return HTTPStatus.METHOD_NOT_ALLOWED, ""
    if target in HEALTHY:
        return HTTPStatus.OK, "ok"
    if not target.startswith(PREFIX) or not hosts:
        return HTTPStatus.NOT_FOUND, ""
    key = answers(without_port(hosts[0]), target.removeprefix(PREFIX))
    return (HTTPStatus.NOT_FOUND, "") if key is None else (HTTPStatus.OK, key)


def without_port(host: str) -> str:
    """Name or address of a Host header, IPv6 without brackets (RFC 9110 section 7.2)."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]
