"""aiohttp connections that keep to an egress policy; apart from it, so that whoever needs the policy needs no aiohttp."""

from __future__ import annotations

import ipaddress
import socket
import ssl
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from certwright_issuers.egress import EgressPolicy, EgressRefused


def connector(
    policy: EgressPolicy,
    *,
    tls: ssl.SSLContext | bool = True,
    limit_per_host: int = 16,
    keepalive_timeout: float = 30.0,
    force_close: bool = False,
    resolver: AbstractResolver | None = None,
) -> aiohttp.TCPConnector:
    """An aiohttp connector that dials only what ``policy`` allows. ``tls=False`` skips verification.

    ``resolver`` finds addresses instead of the system; the connector does not close it.

    Names are resolved once per connection and the connection goes to an address of that very answer.
    """

    def guarded_socket(info: tuple[int, int, int, str, tuple[Any, ...]]) -> socket.socket:
        family, kind, proto, _, sockaddr = info
        policy.check(ipaddress.ip_address(str(sockaddr[0]).partition("%")[0]))
        return socket.socket(family=family, type=kind, proto=proto)

    return aiohttp.TCPConnector(
        ssl=tls,
        resolver=GuardedResolver(policy, resolver or aiohttp.ThreadedResolver()),
        socket_factory=guarded_socket,
        limit_per_host=limit_per_host,
        force_close=force_close,
        keepalive_timeout=None if force_close else keepalive_timeout,
    )


class GuardedResolver(AbstractResolver):
    """Drops forbidden addresses from an answer, so that a permitted one among them is still found."""

    def __init__(self, policy: EgressPolicy, inner: AbstractResolver) -> None:
        self._policy = policy
        self._inner = inner

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Addresses of ``host`` that may be dialled. Raises :class:`EgressRefused` if it has others alone, OSError."""
        answer = await self._inner.resolve(host, port, family)
        refused: str | None = None
        allowed: list[ResolveResult] = []
        for result in answer:
            why = self._policy.refusal(ipaddress.ip_address(result["host"].partition("%")[0]))
            if why is None:
                allowed.append(result)
            else:
                # The address itself is not told: it would answer questions about internal DNS.
                refused = f"connecting to {host} is not allowed: its address {why}"
        if not allowed and refused is not None:
            raise EgressRefused(refused)
        return allowed

    async def close(self) -> None:
        """Close the inner resolver."""
        await self._inner.close()
