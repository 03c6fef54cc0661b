"""Would the CA find the proof now? Asked on the CA's own way: the name's addresses, port 80, through the ingress.

Contract section 3.1.3, but bounded as CAs bound themselves: redirects lead to ports 80 and 443 alone, every address passes
the egress policy, and nothing of an answer is repeated. So an order for a name that leads inward reads nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
from collections.abc import Sequence
from types import TracebackType
from typing import Self

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver

from certwright_issuers import dialling, egress
from certwright_issuers.egress import EgressPolicy, EgressRefused

#: Seconds for all of a probe, and until a connection stands.
TIMEOUT = 10.0
CONNECT_TIMEOUT = 3.0
#: Let's Encrypt follows ten.
REDIRECTS = 10
_REDIRECT_STATUSES = frozenset({301, 302, 303, 307, 308})
PORTS = frozenset({80, 443})
#: Addresses of a name that are probed, each on a connection of its own. Ingress controllers seldom have more.
ADDRESSES = 4
#: Bytes of an answer that are read; keys have 87.
BODY_LIMIT = 1024


class _Bad(Exception):
    """Why the proof is not visible, in our own words."""


class _Unreachable(_Bad):
    """There was no HTTP answer at all."""


class SelfCheck:
    """Probes names. Use as an async context manager."""

    def __init__(self, policy: EgressPolicy, resolver: AbstractResolver, user_agent: str, *, port: int = 80) -> None:
        """``resolver`` is closed with it. ``port`` is where probes begin: another one than 80 is for tests."""
        self._policy = policy
        self._inner = resolver
        self._resolver = dialling.GuardedResolver(policy, resolver)
        self._user_agent = user_agent
        self._port = port
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            # Verification is off as it is at CAs: HTTP-01 often redirects to a name whose certificate is not there yet.
            connector=dialling.connector(self._policy, tls=False, force_close=True, resolver=self._inner),
            timeout=aiohttp.ClientTimeout(total=TIMEOUT, sock_connect=CONNECT_TIMEOUT),
            headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()
        await self._inner.close()

    async def probe(self, name: str, path: str, key: str) -> str | None:
        """None if every address of ``name`` that can be reached answers with ``key``, else why not.

        An address that takes no connection is passed over while another one answers: CAs fall back as well.
        """
        host = f"[{name}]" if ":" in name else name
        url = f"http://{host}{path}"
        try:
            async with asyncio.timeout(TIMEOUT):
                await self._probe(name, yarl.URL(f"http://{host}:{self._port}{path}", encoded=True), key)
        except TimeoutError:
            return f"{url} did not answer within {TIMEOUT:.0f} s"
        except _Bad as bad:
            return f"{url} {bad}"
        return None

    async def _probe(self, name: str, url: yarl.URL, key: str) -> None:
        if egress.environment_proxy(str(url)):
            await self._follow(url, {}, key)
            return
        addresses = await self._addresses(name)
        targets = [url.with_host(address) for address in addresses[:ADDRESSES]]
        header = {"Host": url.host_subcomponent or name}
        outcomes = await asyncio.gather(*(self._verdict(target, header, key) for target in targets))
        wrong = [outcome for outcome in outcomes if outcome and not isinstance(outcome, _Unreachable)]
        if wrong:
            raise wrong[0]
        silent = [outcome for outcome in outcomes if outcome]
        if len(silent) == len(outcomes):
            raise silent[0]

    async def _addresses(self, name: str) -> Sequence[str]:
        try:
            found = await self._resolver.resolve(name, 0, socket.AF_UNSPEC)
        except EgressRefused as error:
            raise _Bad(f"is not asked: {error.message}") from error
        except (OSError, UnicodeError) as error:
            raise _Unreachable("can't be reached: the name does not resolve to an address") from error
        return list(dict.fromkeys(str(ipaddress.ip_address(result["host"])) for result in found))

    async def _verdict(self, url: yarl.URL, headers: dict[str, str], key: str) -> _Bad | None:
        try:
            await self._follow(url, headers, key)
        except _Bad as bad:
            return bad
        return None

    async def _follow(self, url: yarl.URL, headers: dict[str, str], key: str) -> None:
        """Ask, follow redirects, compare. Raises _Bad."""
        status, location, body = await self._get(url, headers)
        hops = 0
        while status in _REDIRECT_STATUSES:
            hops += 1
            if hops > REDIRECTS:
                raise _Bad(f"redirects more than {REDIRECTS} times")
            url = self._target(url, location)
            status, location, body = await self._get(url, {})
        if status != 200:
            raise _Bad(f"answers with HTTP status {status}, wanted is 200")
        if body != key.encode():
            raise _Bad("answers with something else than the challenge's key")

    def _target(self, url: yarl.URL, location: str) -> yarl.URL:
        """Where a redirect leads. Raises _Bad where CAs don't go either."""
        try:
            target = url.join(yarl.URL(location))
            port = target.port
        except ValueError:
            raise _Bad("redirects to a URL that is none") from None
        if not location or target.scheme not in {"http", "https"} or not target.host or target.user is not None:
            raise _Bad("redirects to a URL that is none")
        if port not in PORTS and port != self._port:
            raise _Bad("redirects to a port other than 80 and 443")
        return target

    async def _get(self, url: yarl.URL, headers: dict[str, str]) -> tuple[int, str, bytes]:
        """Status, Location and the beginning of the body. Raises _Bad."""
        assert self._session is not None  # noqa: S101 (used as a context)
        try:
            self._policy.check_url(str(url))
            proxy = egress.environment_proxy(str(url))
            async with self._session.get(url, headers=headers, allow_redirects=False, proxy=proxy) as response:
                body = bytearray()
                while len(body) <= BODY_LIMIT and (chunk := await response.content.read(BODY_LIMIT)):
                    body += chunk
                return response.status, response.headers.get("Location", ""), bytes(body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _explained(error) from error


def _explained(error: BaseException) -> _Bad:
    """In words that hold nothing a server has sent."""
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    if isinstance(inner, EgressRefused):
        return _Bad("leads to an address that must not be connected to")
    if isinstance(error, TimeoutError):
        return _Unreachable("can't be reached: no answer in time")
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return _Bad("redirects to a name that does not resolve to an address")
    if isinstance(inner, OSError) and inner.errno and not isinstance(error, aiohttp.ClientSSLError):
        # Not the error's own text: event loops put the address into it.
        return _Unreachable(f"can't be reached: {os.strerror(inner.errno)}")
    return _Unreachable("can't be reached: the answer is no HTTP")
