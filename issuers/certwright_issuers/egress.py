"""Where an issuer may connect to: one policy, enforced on the address that is really dialled.

A namespaced issuer is written by an application team, but the process that connects to its server runs with the
operator's network. So the server's *address* is judged, not its name: after DNS, at each connection, and therefore
after redirects and rebinding as well. An IPv4 address hidden in an IPv6 one is judged as the IPv4 address.

The rules, first match wins:

1. ``allow`` lists the network: connect.
2. ``deny`` lists the network: refuse.
3. cloud metadata, loopback, link-local, unspecified, multicast, broadcast and reserved ranges: refuse.
4. private ranges (RFC 1918, RFC 4193, RFC 6598): as ``private`` says; by default connect, because CAs inside the
   cluster are common.
5. anything else: connect.
"""

from __future__ import annotations

import errno
import ipaddress
import socket
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Metadata services and host agents of clouds outside link-local: Alibaba, Azure, Oracle classic, AWS and GCP on IPv6.
METADATA = frozenset(
    ipaddress.ip_address(text)
    for text in ("100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)

#: RFC 6052 section 2.1: addresses of this prefix reach the IPv4 address in their last 32 bits through a NAT64.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: RFC 4291 section 2.5.5.1, deprecated, still understood by some stacks.
_V4_COMPATIBLE = ipaddress.IPv6Network("::/96")
_PRIVATE: tuple[Network, ...] = tuple(
    ipaddress.ip_network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")
)
#: RFC 791 section 3.2: "this network"; Linux connects 0.0.0.0/8 to itself in part.
_THIS_NETWORK = ipaddress.IPv4Network("0.0.0.0/8")
#: RFC 3879: deprecated site-local addresses, never a CA.
_SITE_LOCAL = ipaddress.IPv6Network("fec0::/10")


class EgressRefused(OSError):
    """The policy forbids this destination. An OSError, so that connection code treats it as a failed connect."""

    def __init__(self, message: str) -> None:
        super().__init__(errno.EACCES, message)
        self.message = message


@dataclass(frozen=True, slots=True)
class EgressPolicy:
    """Which addresses may be dialled; the default suits a cluster whose issuers are written by several teams."""

    #: Networks that are always reachable, whatever else is said. Tests list the loopback network here.
    allow: tuple[Network, ...] = ()
    #: Networks that are refused beyond the built-in ones.
    deny: tuple[Network, ...] = ()
    #: Whether private networks may be dialled.
    private: bool = True

    def refusal(self, address: Address) -> str | None:
        """Why ``address`` must not be dialled, in words that name its kind; None if it may."""
        if _listed(address, self.allow):
            return None
        plain = embedded_ipv4(address) or address
        if plain is not address and _listed(plain, self.allow):
            return None
        if _listed(address, self.deny) or _listed(plain, self.deny):
            return "is on the deny list"
        return _never(plain) or _never(address) or self._private(plain)

    def _private(self, address: Address) -> str | None:
        return None if self.private or not _listed(address, _PRIVATE) else "is a private address"

    def check_url(self, url: str) -> None:
        """Refuse a URL whose host is an address literal that the policy forbids.

        The check at connect time covers everything else. This one is for connections through a proxy, where the
        address dialled is the proxy's. Raises :class:`EgressRefused`.
        """
        address = _literal(urlsplit(url).hostname or "")
        if address is not None:
            self.check(address)

    def check(self, address: Address) -> None:
        """Raise :class:`EgressRefused` if ``address`` must not be dialled."""
        why = self.refusal(address)
        if why is not None:
            raise EgressRefused(f"connecting to {address} is not allowed: it {why}")


def embedded_ipv4(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 address leads to: mapped, compatible, NAT64 or 6to4 (RFC 3056); else None."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    low = int(address) & 0xFFFFFFFF
    # ::0 and ::1 are IPv6's own unspecified and loopback addresses.
    if address in _NAT64 or (address in _V4_COMPATIBLE and low > 1):
        return ipaddress.IPv4Address(low)
    return None


def dial(policy: EgressPolicy, host: str, port: int, timeout: float) -> socket.socket:
    """A TCP connection for blocking code, to an address of ``host`` that ``policy`` allows.

    ``timeout``: seconds for each address. Raises :class:`EgressRefused` if all are forbidden, else OSError.
    """
    problem: OSError = EgressRefused(f"{host} has no address")
    for family, kind, proto, _, sockaddr in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        why = policy.refusal(ipaddress.ip_address(str(sockaddr[0]).partition("%")[0]))
        if why is not None:
            problem = EgressRefused(f"connecting to {host} is not allowed: its address {why}")
            continue
        connection = socket.socket(family, kind, proto)
        try:
            connection.settimeout(timeout)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.connect(sockaddr)
        except OSError as error:
            connection.close()
            problem = error
        else:
            return connection
    raise problem


def environment_proxy(url: str) -> str | None:
    """The proxy that HTTP_PROXY, HTTPS_PROXY and NO_PROXY name for ``url``; None for a direct connection.

    aiohttp's ``trust_env`` would read ~/.netrc too, and add its passwords to requests.
    """
    parts = urlsplit(url)
    if urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _listed(address: Address, networks: Sequence[Network]) -> bool:
    return any(address.version == network.version and address in network for network in networks)


def _literal(host: str) -> Address | None:
    """The address that ``host`` spells, in any form that the C library's inet_aton takes as well; None for a name."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _never(address: Address) -> str | None:
    if address in METADATA:
        return "is a cloud metadata address"
    if address.is_loopback:
        return "is a loopback address"
    if address.is_link_local:
        return "is a link-local address (cloud metadata is served there)"
    if address.is_unspecified or _listed(address, (_THIS_NETWORK,)):
        return "is an unspecified address"
    if address.is_multicast:
        return "is a multicast address"
    if _listed(address, (_SITE_LOCAL,)) or (address.version == 4 and address.is_reserved):
        return "is a reserved address"
    return None
