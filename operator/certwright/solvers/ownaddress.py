"""The address of a process that nobody told its address: an operator beside a cluster, not in a pod.

It is the one towards the API server, or towards the rest of the world, or the first one there is: an ingress controller
reaches it by that in all networks but unusual ones.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from urllib.parse import urlsplit

import ifaddr

#: Somewhere far away (RFC 5737, RFC 3849): which interface leads there tells the default route.
FAR = ("192.0.2.1", "2001:db8::1")


def own_address(
    server: str,
    listen: str = "",
    route: Callable[[str], str] | None = None,
    interfaces: Callable[[], list[str]] | None = None,
) -> str:
    """An IP address of this machine that endpoints may have (no loopback, no link-local); empty if there is none.

    ``server``: URL of the API server. ``listen``: the host listened at; a single address is the answer. ``route`` gives
    the local address towards a host, or nothing; ``interfaces`` all addresses. Looks names up: to be called in a thread.
    """
    hosts = (urlsplit(server).hostname or "", *FAR)
    candidates = [listen, *map(route or _route, hosts), *(interfaces or _interfaces)()]
    return next((address for address in candidates if _is_usable(address)), "")


def _route(host: str) -> str:
    """Connecting a datagram socket sends nothing; it only chooses the route."""
    try:
        for family, type_, protocol, _, address in socket.getaddrinfo(host, 9, type=socket.SOCK_DGRAM):
            with socket.socket(family, type_, protocol) as probe:
                probe.connect(address)
                return str(probe.getsockname()[0])
    except OSError:
        return ""
    return ""


def _interfaces() -> list[str]:
    """IPv4 first, as most ingress controllers speak it."""
    every = [ip for adapter in ifaddr.get_adapters() for ip in adapter.ips]
    return [ip.ip for ip in every if isinstance(ip.ip, str)] + [ip.ip[0] for ip in every if isinstance(ip.ip, tuple)]


def _is_usable(address: str) -> bool:
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (found.is_loopback or found.is_link_local or found.is_unspecified or found.is_multicast)
