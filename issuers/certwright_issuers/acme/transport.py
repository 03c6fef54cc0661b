"""HTTP to one ACME server: connections, time-outs, size limits, and the egress policy. The only module with a socket.

Answers are bounded while they stream in, and compressed ones are refused: none was asked for, and a small body that
inflates to gigabytes is an attack.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

import aiohttp
import yarl

from certwright_issuers import dialling, egress
from certwright_issuers.acme.nonces import NoncePool
from certwright_issuers.acme.problem import AcmeUnavailable
from certwright_issuers.acme.reply import JSON_LIMIT, PROBLEM_LIMIT, Reply, not_acme
from certwright_issuers.contract import ConfigInvalid
from certwright_issuers.egress import EgressPolicy, EgressRefused
from certwright_issuers.text import cut

#: Redirects of the directory that are followed. No known CA needs one; 3 allow a move of host and of path.
REDIRECTS = 3
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request that was made, for metrics and for logs: no secrets, no bodies."""

    action: str
    scheme: str
    host: str
    method: str
    #: 0 if there was no answer.
    status: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Server:
    """Which server, and how to reach it. Equal values share a connection pool."""

    directory_url: str
    #: "certwright/<version> (<contact>)": Let's Encrypt asks for a name, a version and a way to reach somebody.
    user_agent: str
    #: PEM; replaces the system's roots if given.
    ca_bundle: bytes = field(default=b"", repr=False)
    skip_tls_verify: bool = False
    egress: EgressPolicy = field(default_factory=EgressPolicy)
    #: For tests alone: RFC 8555 section 6.1 wants https.
    allow_http: bool = False
    #: Whether HTTPS_PROXY and NO_PROXY count (contract section 3.1.1).
    use_environment_proxy: bool = True
    #: Seconds for one request. cert-manager allows 90; Boulder answers its slowest calls asynchronously in 3.
    total_timeout: float = 60.0
    #: Seconds until a connection stands, TLS included.
    connect_timeout: float = 10.0
    #: Seconds without a byte.
    read_timeout: float = 30.0
    #: Open connections. Public CAs allow 250 requests a second; 16 in flight at 50 ms each are 320.
    connections: int = 16


class Transport:
    """Connections to one server. Opens its session at the first request; close it, or use it as a context."""

    def __init__(self, server: Server, observe: Callable[[Exchange], None] | None = None) -> None:
        """``observe`` is called after each request. Raises :class:`ConfigInvalid` for a useless URL or CA bundle."""
        _check_directory_url(server)
        self.server = server
        #: Shared by all accounts at this server: nonces belong to no account.
        self.nonces = NoncePool()
        self._observe = observe
        self._tls = _tls(server)
        self._opened: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections. A later request opens new ones."""
        if self._opened is not None:
            await self._opened.close()
            self._opened = None

    async def directory(self) -> Reply:
        """The directory's answer: the only request that follows redirects, to https and :data:`REDIRECTS` times."""
        url = self.server.directory_url
        for _ in range(REDIRECTS):
            reply = await self.request("GET", url, action="directory")
            if reply.status not in _REDIRECT_STATUSES:
                return reply
            url = reply.location()
        return await self.request("GET", url, action="directory")

    async def request(
        self,
        method: Literal["GET", "HEAD", "POST"],
        url: str,
        *,
        action: str,
        body: bytes | None = None,
        limit: int = JSON_LIMIT,
    ) -> Reply:
        """One request, one answer of whatever status. ``limit``: bytes of body for a success.

        Raises :class:`AcmeUnavailable` if no complete answer came, for whatever reason, :class:`ConfigInvalid` if the
        egress policy forbids the server.
        """
        target = self._target(url)
        started, status = asyncio.get_running_loop().time(), 0
        try:
            async with self._session().request(
                method,
                target,
                data=body,
                headers={} if body is None else {"Content-Type": "application/jose+json"},
                allow_redirects=False,
                proxy=egress.environment_proxy(url) if self.server.use_environment_proxy else None,
            ) as response:
                status = response.status
                return await _read(response, url, limit if status < 400 else PROBLEM_LIMIT)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _explained(error, target.host or "") from error
        finally:
            if self._observe is not None:
                seconds = asyncio.get_running_loop().time() - started
                self._observe(Exchange(action, target.scheme, target.host or "", method, status, seconds))

    def _session(self) -> aiohttp.ClientSession:
        if self._opened is None:
            server = self.server
            self._opened = aiohttp.ClientSession(
                connector=dialling.connector(server.egress, tls=self._tls, limit_per_host=server.connections),
                timeout=aiohttp.ClientTimeout(
                    total=server.total_timeout, sock_connect=server.connect_timeout, sock_read=server.read_timeout
                ),
                headers={"User-Agent": server.user_agent, "Accept-Encoding": "identity", "Accept-Language": "en"},
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
            )
        return self._opened

    def _target(self, url: str) -> yarl.URL:
        """The URL byte for byte (the signature covers it). The CA chose it, so it is checked each time."""
        if len(url) > 2000 or not url.isascii() or not url.isprintable() or " " in url:
            raise AcmeUnavailable("InvalidURL", "the ACME server named a URL that is none")
        try:
            target = yarl.URL(url, encoded=True)
            self.server.egress.check_url(url)
        except ValueError as error:
            raise AcmeUnavailable("InvalidURL", "the ACME server named a URL that is none") from error
        except EgressRefused as error:
            raise ConfigInvalid("EgressRefused", error.message) from error
        if target.scheme != "https" and not (self.server.allow_http and target.scheme == "http"):
            raise AcmeUnavailable("InvalidURL", "the ACME server named a URL that is not https")
        return target


class TransportPool:
    """One transport for each distinct :class:`Server`: issuers of the same server share connections and nonces."""

    def __init__(self, observe: Callable[[Exchange], None] | None = None) -> None:
        self._observe = observe
        self._open: dict[Server, Transport] = {}

    def get(self, server: Server) -> Transport:
        """The transport for these settings. Raises :class:`ConfigInvalid` as :class:`Transport` does."""
        found = self._open.get(server)
        if found is None:
            found = self._open[server] = Transport(server, self._observe)
        return found

    async def close(self) -> None:
        """Close all of them."""
        while self._open:
            await self._open.popitem()[1].close()


async def _read(response: aiohttp.ClientResponse, url: str, limit: int) -> Reply:
    headers: dict[str, str] = {}
    for name, value in response.headers.items():
        lower = name.lower()
        headers[lower] = f"{headers[lower]}, {value}" if lower in headers else value
    now = datetime.now(UTC)
    empty = Reply(url, response.status, headers, b"", now)
    if headers.get("content-encoding", "identity").lower() != "identity":
        response.close()
        raise not_acme("the body is compressed, though that was not asked for", empty)
    body = bytearray()
    async for chunk in response.content.iter_chunked(16384):
        body += chunk
        if len(body) > limit:
            response.close()
            raise not_acme(f"the body is longer than {limit} bytes", empty)
    return Reply(url, response.status, headers, bytes(body), now)


def _check_directory_url(server: Server) -> None:
    parts = urlsplit(server.directory_url)
    if parts.scheme != "https" and not (server.allow_http and parts.scheme == "http"):
        raise ConfigInvalid("InvalidURL", "the ACME server's URL must begin with https://")
    if not parts.hostname or parts.username is not None or parts.password is not None:
        raise ConfigInvalid("InvalidURL", "the ACME server's URL must name a host and no user")


def _tls(server: Server) -> ssl.SSLContext | bool:
    if server.skip_tls_verify:
        return False
    if not server.ca_bundle:
        return _system_roots()
    try:
        return ssl.create_default_context(cadata=server.ca_bundle.decode("ascii"))
    except (ssl.SSLError, ValueError) as error:
        raise ConfigInvalid("InvalidCABundle", "the ACME server's CA bundle holds no PEM certificates") from error


@functools.cache
def _system_roots() -> ssl.SSLContext:
    """Shared: reading the system's roots takes about 20 ms."""
    return ssl.create_default_context()


def _explained(error: BaseException, host: str) -> AcmeUnavailable | ConfigInvalid:
    """Why there was no answer, in words that hold nothing the server has sent."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(inner, EgressRefused):
        return ConfigInvalid("EgressRefused", inner.message)
    if isinstance(error, TimeoutError):
        return AcmeUnavailable("Timeout", f"the ACME server {host} did not answer in time")
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        inner = error.certificate_error
        why = inner.verify_message if isinstance(inner, ssl.SSLCertVerificationError) else "certificate not accepted"
        return AcmeUnavailable(
            "TLSFailed", f"the certificate of the ACME server {host} is not trusted: {cut(why, 200)}"
        )
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return AcmeUnavailable("UnknownHost", f"the ACME server's name {host} can't be resolved")
    if isinstance(error, aiohttp.ClientSSLError):
        return AcmeUnavailable("TLSFailed", f"no TLS connection with the ACME server {host}")
    if isinstance(inner, OSError) and inner.strerror:
        return AcmeUnavailable("Unreachable", f"no connection to the ACME server {host}: {cut(inner.strerror, 200)}")
    return AcmeUnavailable("Unreachable", f"the connection to the ACME server {host} failed")
