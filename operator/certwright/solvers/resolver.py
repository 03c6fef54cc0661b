"""How self-checks find addresses: as the system does, or by asking given DNS servers."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import dns.asyncresolver
import dns.exception
import dns.nameserver
import dns.rdatatype
import dns.resolver
from aiohttp.abc import AbstractResolver, ResolveResult
from dns.rdata import Rdata

#: Look-ups at once. A name whose servers are dead keeps a thread for 10 to 20 s; there are at most 60 challenges at once.
THREADS = 64
#: Seconds for one look-up by :class:`NameserverResolver`, retries and all.
LIFETIME = 5.0


class SystemResolver(AbstractResolver):
    """getaddrinfo, /etc/hosts included, in threads that slow names share with nobody else."""

    def __init__(self) -> None:
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="self-check-dns")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        infos = await loop.run_in_executor(
            self._threads, lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
        )
        return [_result(host, str(address[0]), port, found) for found, _, _, _, address in infos]

    async def close(self) -> None:
        """Does not wait for look-ups that are still under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class NameserverResolver(AbstractResolver):
    """Asks the given DNS servers, and neither search domains nor /etc/hosts."""

    def __init__(self, nameservers: Sequence[tuple[str, int]]) -> None:
        self._resolver = dns.asyncresolver.Resolver(configure=False)
        self._resolver.nameservers = [dns.nameserver.Do53Nameserver(address, port) for address, port in nameservers]
        self._resolver.lifetime = LIFETIME
        self._resolver.timeout = LIFETIME / 2

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises OSError."""
        kinds = {
            socket.AF_INET6: dns.rdatatype.AAAA,
            socket.AF_INET: dns.rdatatype.A,
        }
        wanted = [(f, kind) for f, kind in kinds.items() if family in {socket.AF_UNSPEC, f}]
        answers = await asyncio.gather(*(self._ask(host, kind) for _, kind in wanted))
        found = [_result(host, text, port, f) for (f, _), texts in zip(wanted, answers, strict=True) for text in texts]
        if not found:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return found

    async def _ask(self, host: str, kind: dns.rdatatype.RdataType) -> list[str]:
        try:
            answer = await self._resolver.resolve(f"{host.rstrip('.')}.", kind, raise_on_no_answer=False, search=False)
        except dns.resolver.NXDOMAIN:
            return []
        except dns.exception.DNSException as error:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution") from error
        return [record.to_text() for record in cast("list[Rdata]", answer.rrset or [])]

    async def close(self) -> None:
        """Nothing is kept open."""


def _result(host: str, address: str, port: int, family: int) -> ResolveResult:
    return ResolveResult(
        hostname=host, host=address, port=port, family=family, proto=socket.IPPROTO_TCP, flags=socket.AI_NUMERICHOST
    )
