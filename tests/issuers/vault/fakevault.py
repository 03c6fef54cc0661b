"""A Vault for fault injection: its HTTP API as far as the issuer uses it, with every answer replaceable."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

from tests.issuers.authority import Authority, make_authority

#: Validity of CAs relative to the other tests' NOW.
AROUND_NOW: tuple[timedelta, timedelta] = (
    datetime(2025, 1, 1, tzinfo=UTC) - datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    timedelta(days=7300),
)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Seen:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, str]


class _Listening(socket.socket):
    """Can end the connections it has accepted."""

    def __init__(self) -> None:
        super().__init__(socket.AF_INET, socket.SOCK_STREAM)
        self._accepted: list[socket.socket] = []

    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = super().accept()
        self._accepted.append(connection)
        return connection, address

    async def cut(self) -> None:
        """End what the server has left: a TLS connection waits half a minute for a farewell that idle clients don't say,
        and one whose handshake broke off has no handler. In a loop that is closed before, they would stay open."""
        for connection in self._accepted:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        async with asyncio.timeout(10):
            while any(connection.fileno() >= 0 for connection in self._accepted):  # noqa: ASYNC110 (told to nobody)
                await asyncio.sleep(0.001)


@dataclass
class FakeVault:
    """Answers on loopback while entered."""

    tls: ssl.SSLContext | None = None
    root: Authority = field(default_factory=lambda: make_authority("Fake Root", valid=AROUND_NOW))
    seen: list[Seen] = field(default_factory=list)
    tokens: set[str] = field(default_factory=set)
    #: Of the next logins, in seconds; 0: without end.
    lease: int = 3600
    uses: int = 0
    #: Path to what answers instead of the usual.
    instead: dict[str, Handler] = field(default_factory=dict)
    #: The role's longest lifetime.
    longest: timedelta = timedelta(days=36500)
    url: str = ""

    def __post_init__(self) -> None:
        self.intermediate = make_authority("Fake Intermediate", self.root, valid=AROUND_NOW)
        self._logins = 0
        self.released = asyncio.Event()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        self._listening = _Listening()
        self._listening.bind(("127.0.0.1", 0))
        await web.SockSite(self._runner, self._listening, ssl_context=self.tls).start()
        port = self._runner.addresses[0][1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.released.set()
        await self._runner.cleanup()
        await self._listening.cut()

    def paths(self) -> list[str]:
        """Of all requests, without /v1/."""
        return [seen.path.removeprefix("/v1/") for seen in self.seen]

    def count(self, end: str) -> int:
        """Requests whose path ends like this."""
        return sum(path.endswith(end) for path in self.paths())

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        body: dict[str, str] = json.loads(text) if text.startswith("{") else {}
        self.seen.append(Seen(request.method, request.path, dict(request.headers), body))
        path = request.path.removeprefix("/v1/")
        if path in self.instead:
            return await self.instead[path](request)
        token = request.headers.get("X-Vault-Token", "")
        if path == "sys/health":
            return web.json_response({"initialized": True, "sealed": False})
        if path.endswith("/login"):
            return self._login()
        if path == "pki/ca/pem":
            pem = self.intermediate.certificate.public_bytes(Encoding.PEM)
            return web.Response(body=pem, content_type="application/pem-certificate-chain")
        if token not in self.tokens:
            return refusal(403, "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n")
        if path == "auth/token/lookup-self":
            return web.json_response({"data": {"ttl": self.lease, "renewable": False}})
        if path == "pki/roles/web":
            return web.json_response({"data": {"issuer_ref": "default"}})
        if path == "pki/sign/web":
            return web.json_response({"data": self.sign(body)})
        return refusal(404, f'no handler for route "{path}". route entry not found.')

    def _login(self) -> web.Response:
        self._logins += 1
        token = f"hvs.fake-{self._logins}"
        self.tokens.add(token)
        auth = {"client_token": token, "lease_duration": self.lease, "num_uses": self.uses}
        return web.json_response({"auth": auth})

    def sign(self, body: dict[str, str]) -> dict[str, Any]:
        """As ``sign`` of a role that lets everything pass, below an intermediate CA."""
        csr = x509.load_pem_x509_csr(body["csr"].encode())
        hours, minutes, seconds = (int(part) for part in body["ttl"].translate(str.maketrans("hm", "  ", "s")).split())
        lifetime = min(timedelta(hours=hours, minutes=minutes, seconds=seconds), self.longest)
        now = datetime.now(UTC)
        builder = x509.CertificateBuilder(
            self.intermediate.certificate.subject,
            csr.subject,
            csr.public_key(),
            x509.random_serial_number(),
            now - timedelta(seconds=30),
            now + lifetime,
        )
        for extension in csr.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                builder = builder.add_extension(extension.value, extension.critical)
        identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.intermediate.key.public_key())
        builder = builder.add_extension(identifier, critical=False)
        leaf = builder.sign(self.intermediate.key, hashes.SHA256())
        above = [_pem(self.intermediate.certificate), _pem(self.root.certificate)]
        return {"certificate": _pem(leaf), "issuing_ca": above[0], "ca_chain": above}


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(Encoding.PEM).decode()


def refusal(status: int, *errors: str, **headers: str) -> web.Response:
    """Vault's way to say no."""
    return web.json_response({"errors": list(errors)}, status=status, headers=headers)


def always(status: int, *errors: str, **headers: str) -> Handler:
    """A handler that refuses."""

    async def answer(request: web.Request) -> web.StreamResponse:
        return refusal(status, *errors, **headers)

    return answer


async def cut(request: web.Request) -> web.StreamResponse:
    """Close the connection instead of an answer, when the request has been read."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()
