"""A session of requests as hvac wants one, with what requests lacks: roots, client certificate and server name from
memory, an egress policy on the dialled address, a bound on answers, and connections that can be cut from outside.

The only module of this package that knows of sockets. Nothing is read from the environment but the proxy variables, and
no redirect is ever followed: the token would go with it.
"""

from __future__ import annotations

import functools
import io
import os
import socket
import ssl
from dataclasses import dataclass, field
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError

from certwright_issuers import egress
from certwright_issuers.contract import ConfigInvalid
from certwright_issuers.egress import EgressPolicy
from certwright_issuers.vault.calls import connection_in_use

#: Bytes of an answer. A certificate with a long chain takes some 20 kB.
ANSWER_LIMIT = 1 << 20
#: Seconds until a connection stands, for each address; and without a byte after that.
CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0


class AnswerRefused(OSError):
    """The answer is too long or compressed, though that was not asked for."""


@dataclass(frozen=True, slots=True)
class Security:
    """How a server proves who it is, and how we do."""

    #: PEM; the system's roots if empty.
    roots: bytes = field(default=b"", repr=False)
    #: PEM; both or neither.
    certificate: bytes = field(default=b"", repr=False)
    key: bytes = field(default=b"", repr=False)
    #: The name its certificate must have; the host of the URL if empty.
    server_name: str = ""


def open_session(url: str, policy: EgressPolicy, security: Security, connections: int) -> requests.Session:
    """A session for one server, safe to use from several threads. Raises ConfigInvalid for useless PEM."""
    session = requests.Session()
    session.trust_env = False
    session.headers.clear()
    session.headers.update({"User-Agent": "certwright", "Accept": "application/json", "Accept-Encoding": "identity"})
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = _Adapter(policy, _context(security), security.server_name, connections)
    for prefix in ("https://", "http://"):
        session.mount(prefix, adapter)
    proxy = egress.environment_proxy(url)
    if proxy is not None:
        session.proxies = {"https": proxy, "http": proxy}
    return session


def _context(security: Security) -> ssl.SSLContext:
    try:
        roots = security.roots.decode("ascii")
        context = ssl.create_default_context(cadata=roots) if roots else _system_roots()
    except (ssl.SSLError, ValueError) as error:
        raise ConfigInvalid("VaultError", "the CA bundle for Vault's certificate holds no PEM certificates") from error
    if security.certificate:
        if not roots:
            context = ssl.create_default_context()
        _load_client_certificate(context, security)
    return context


@functools.cache
def _system_roots() -> ssl.SSLContext:
    """Shared: reading the system's roots takes about 20 ms."""
    return ssl.create_default_context()


def _load_client_certificate(context: ssl.SSLContext, security: Security) -> None:
    """From memory: OpenSSL wants a file, so it gets one that no file system ever sees (memfd_create(2))."""
    handle = os.memfd_create("client-certificate")
    try:
        with os.fdopen(handle, "wb", closefd=False) as file:
            file.write(security.key.strip() + b"\n" + security.certificate)
        context.load_cert_chain(f"/proc/self/fd/{handle}", password=_no_password)
    except (ssl.SSLError, ValueError, OSError) as error:
        raise ConfigInvalid(
            "VaultError", "the client certificate for Vault and its key can't be used: not PEM, or not a pair"
        ) from error
    finally:
        os.close(handle)


def _no_password() -> str:
    """Without this OpenSSL would ask the terminal for an encrypted key's."""
    raise ValueError("the key is encrypted")


class _Guarded(HTTPConnection):
    """Dials by the policy, and tells the call which connection it uses.

    ``handle`` is a second descriptor of the socket: closing or wrapping the first leaves it valid.
    """

    policy: EgressPolicy
    handle: socket.socket | None = None

    def _new_conn(self) -> socket.socket:
        connection = egress.dial(self.policy, self._dns_host, self.port, CONNECT_SECONDS)
        self._let_go()
        self.handle = connection.dup()
        connection_in_use(self.handle)
        return connection

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Also on a connection that an earlier call has opened."""
        if self.handle is not None:
            connection_in_use(self.handle)
        super().request(*args, **kwargs)

    def close(self) -> None:
        """Both descriptors."""
        self._let_go()
        super().close()

    def _let_go(self) -> None:
        if self.handle is not None:
            self.handle.close()
            self.handle = None


class _GuardedTLS(_Guarded, HTTPSConnection):
    """The same below TLS."""


def _pools(given: EgressPolicy) -> dict[str, type[HTTPConnectionPool]]:
    """Connection pools by scheme. urllib3 makes connections of a class, so the policy is part of that."""

    class Plain(_Guarded):
        policy = given

    class TLS(_GuardedTLS):
        policy = given

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain  # pyright: ignore[reportAssignmentType] (urllib3's protocol and its own class differ)

    class TLSPool(HTTPSConnectionPool):
        ConnectionCls = TLS  # pyright: ignore[reportAssignmentType]

    return {"http": PlainPool, "https": TLSPool}


class _Adapter(HTTPAdapter):
    """One server's connections."""

    def __init__(self, policy: EgressPolicy, context: ssl.SSLContext, server_name: str, connections: int) -> None:
        self._policy = policy
        self._tls: dict[str, Any] = {"ssl_context": context}
        if server_name:
            self._tls["server_hostname"] = server_name
        super().__init__(pool_connections=2, pool_maxsize=connections)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **pool_kwargs: Any) -> None:  # noqa: FBT001, FBT002 (requests' signature)
        super().init_poolmanager(connections, maxsize, block, **pool_kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._policy)

    def build_connection_pool_key_attributes(
        self, request: requests.PreparedRequest, verify: Any, cert: Any = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Our own TLS context, whatever requests has put together."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        return host, dict(self._tls) if host["scheme"] == "https" else {}

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing to add: the context verifies."""

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        """Send, and read the answer as far as the limit. Raises requests' exceptions, EgressRefused, AnswerRefused."""
        self._policy.check_url(request.url or "")
        kwargs |= {"stream": True, "timeout": (CONNECT_SECONDS, READ_SECONDS)}
        response = super().send(request, *args, **kwargs)
        raw: urllib3.HTTPResponse = response.raw
        try:
            response.raw = io.BytesIO(_body(raw))
        except HTTPError as error:
            # As requests does where it reads a body itself.
            raise requests.ConnectionError(error) from None
        finally:
            raw.release_conn()
        return response


def _body(raw: urllib3.HTTPResponse) -> bytes:
    if raw.headers.get("Content-Encoding", "identity").lower() != "identity":
        raw.close()
        raise AnswerRefused("the answer is compressed, though that was not asked for")
    body = bytearray()
    for chunk in raw.stream(16384, decode_content=False):
        body += chunk
        if len(body) > ANSWER_LIMIT:
            raw.close()
            raise AnswerRefused(f"the answer is longer than {ANSWER_LIMIT} bytes")
    return bytes(body)
