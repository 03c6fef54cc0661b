"""Where issuers may connect to: every spelling of a forbidden address, names, and the moment of connecting."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers import dialling, egress
from certwright_issuers.acme.transport import Transport
from certwright_issuers.contract import ConfigInvalid
from certwright_issuers.egress import EgressPolicy, EgressRefused
from tests.issuers.acme.conftest import server
from tests.issuers.acme.fakeca import FakeCA

FORBIDDEN = [
    "127.0.0.1",
    "127.8.9.10",
    "0.0.0.0",  # noqa: S104 - an address to refuse
    "0.1.2.3",
    "169.254.169.254",
    "169.254.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "100.100.100.200",
    "168.63.129.16",
    "::1",
    "::",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
    "::127.0.0.1",
    "64:ff9b::169.254.169.254",
    "2002:7f00:1::",
    "fe80::1",
    "ff02::1",
    "fec0::1",
    "fd00:ec2::254",
]


@pytest.mark.parametrize("text", FORBIDDEN)
def test_addresses_of_the_machine_and_the_cloud_are_refused(text: str) -> None:
    """Also when an IPv4 address hides in an IPv6 one."""
    with pytest.raises(EgressRefused, match=r"is not allowed: it is an? \S"):
        EgressPolicy().check(ipaddress.ip_address(text))


@pytest.mark.parametrize("text", ["10.0.0.1", "172.31.0.1", "192.168.1.1", "100.64.0.1", "fd12::1", "::ffff:10.0.0.1"])
def test_private_networks_are_a_setting(text: str) -> None:
    """Allowed by default, because CAs inside the cluster are common; refused if so set; one network can be let through."""
    address = ipaddress.ip_address(text)
    assert EgressPolicy().refusal(address) is None
    closed = EgressPolicy(private=False)
    assert closed.refusal(address) == "is a private address"
    plain = egress.embedded_ipv4(address) or address
    assert EgressPolicy(private=False, allow=(ipaddress.ip_network(plain),)).refusal(address) is None


@pytest.mark.parametrize("text", ["93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34", "192.0.0.9"])
def test_public_addresses_are_allowed_unless_denied(text: str) -> None:
    """The deny list also sees through embedded addresses."""
    address = ipaddress.ip_address(text)
    assert EgressPolicy().refusal(address) is None
    plain = egress.embedded_ipv4(address) or address
    assert EgressPolicy(deny=(ipaddress.ip_network(plain),)).refusal(address) == "is on the deny list"


def test_the_allow_list_beats_the_deny_list() -> None:
    """The order of the rules is as documented."""
    net = (ipaddress.ip_network("10.0.0.0/8"),)
    assert EgressPolicy(allow=net, deny=net, private=False).refusal(ipaddress.ip_address("10.1.1.1")) is None


@given(st.ip_addresses(v=4))
def test_embedding_changes_no_verdict(address: Any) -> None:
    """An IPv4 address is treated alike as such, mapped, through NAT64 and through 6to4."""
    policy = EgressPolicy(private=False)
    verdict = policy.refusal(address) is None
    mapped = ipaddress.IPv6Address(f"::ffff:{address}")
    nat64 = ipaddress.IPv6Address(f"64:ff9b::{address}")
    sixtofour = ipaddress.IPv6Address((0x2002 << 112) | (int(address) << 80))
    assert [policy.refusal(form) is None for form in (mapped, nat64, sixtofour)] == [verdict] * 3


HOSTS = ["127.0.0.1", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:7f00:1]", "0", "localhost"]


@pytest.mark.parametrize("host", HOSTS)
async def test_no_spelling_of_loopback_is_connected_to(ca: FakeCA, host: str) -> None:
    """Decimal, hexadecimal, octal, short, mapped, or by name: the server on this machine sees no request."""
    url = f"http://{host}:{ca.root.rsplit(':', 1)[1]}/directory"
    async with Transport(server(url, egress=EgressPolicy())) as transport:
        with pytest.raises(ConfigInvalid, match="not allowed") as refused:
            await transport.directory()
    assert refused.value.reason == "EgressRefused"
    assert ca.seen.total() == 0


async def test_redirects_to_forbidden_addresses_are_not_followed(ca: FakeCA) -> None:
    """The policy holds for each hop."""
    ca.fail("/directory", lambda: web.Response(status=302, headers={"Location": "http://169.254.169.254/latest"}))
    async with Transport(server(ca.url)) as transport:
        with pytest.raises(ConfigInvalid, match="metadata"):
            await transport.directory()


async def test_the_address_dialled_is_the_one_that_was_judged(ca: FakeCA, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that answers with a public address first and loopback next (rebinding) is never connected to loopback."""
    answers = [["93.184.216.34"], ["127.0.0.1"]]
    dialled: list[str] = []

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    async def sock_connect(sock: socket.socket, address: Any) -> None:
        dialled.append(address[0])
        raise ConnectionRefusedError(111, "refused")

    loop = asyncio.get_running_loop()
    monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
    monkeypatch.setattr(loop, "sock_connect", sock_connect)
    connector = dialling.connector(EgressPolicy())
    async with aiohttp.ClientSession(connector=connector) as session:
        for _ in range(2):
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get("http://rebinding.example/")
            connector.clear_dns_cache()
    assert dialled == ["93.184.216.34"]


async def test_a_permitted_address_among_forbidden_ones_is_found(ca: FakeCA, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with one good address works; the others are dropped before connecting."""
    port = int(ca.root.rsplit(":", 1)[1])

    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("169.254.1.1", "127.0.0.1")
        ]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with Transport(server(f"http://two.example:{port}/directory")) as transport:
        assert (await transport.directory()).status == 200


async def test_internal_names_are_not_explored_through_messages(ca: FakeCA) -> None:
    """A refused name's message tells the kind of its address, not the address."""
    async with Transport(server("http://localhost:1/directory", egress=EgressPolicy())) as transport:
        with pytest.raises(ConfigInvalid) as refused:
            await transport.directory()
    assert "127.0.0.1" not in refused.value.message
    assert "::1" not in refused.value.message


def test_the_environments_proxy_is_used_as_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    """HTTPS_PROXY names it, NO_PROXY exempts; without them the connection is direct."""
    for name in (
        "http_proxy",
        "https_proxy",
        "no_proxy",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "all_proxy",
        "ALL_PROXY",
    ):
        monkeypatch.delenv(name, raising=False)
    assert egress.environment_proxy("https://ca.example/") is None
    monkeypatch.setenv("https_proxy", "http://proxy.example:3128")
    monkeypatch.setenv("no_proxy", "inside.example")
    assert egress.environment_proxy("https://ca.example/") == "http://proxy.example:3128"
    assert egress.environment_proxy("https://a.inside.example/") is None


async def test_a_proxy_does_not_lift_the_ban_on_addresses(monkeypatch: pytest.MonkeyPatch) -> None:
    """A literal address in the URL is judged although the proxy would connect to it."""
    monkeypatch.setenv("https_proxy", "http://192.0.2.1:3128")
    strict = server("https://2852039166/latest", egress=EgressPolicy(), use_environment_proxy=True)
    async with Transport(strict) as transport:
        with pytest.raises(ConfigInvalid, match=r"169\.254\.169\.254 is not allowed"):
            await transport.directory()
