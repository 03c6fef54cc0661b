"""The solver server against hostile and honest clients, over real sockets."""

import asyncio
import socket
from collections.abc import AsyncIterator
from http import HTTPStatus

import aiohttp
import pytest

from certwright.solvers import server
from certwright.solvers.server import SolverServer, respond, without_port

KEY = "t.key"
PATH = "/.well-known/acme-challenge/t"


def answers(host: str, token: str) -> str | None:
    return KEY if (host, token) in {("www.example.com", "t"), ("2001:db8::1", "t")} else None


@pytest.fixture
async def running() -> AsyncIterator[SolverServer]:
    async with SolverServer("127.0.0.1:0", answers) as made:
        yield made


async def talk(port: int, sent: bytes) -> bytes:
    """Send bytes; all that comes back until the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        return await asyncio.wait_for(reader.read(), 5)
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("line", "host", "status"),
    [
        (f"GET {PATH} HTTP/1.1", "www.example.com", 200),
        (f"GET {PATH} HTTP/1.0", "www.example.com", 200),
        (f"GET {PATH} HTTP/1.1", "www.example.com:80", 200),
        (f"GET {PATH} HTTP/1.1", "[2001:db8::1]:80", 200),
        (f"GET {PATH} HTTP/1.1", "[2001:db8::1]", 200),
        (f"GET {PATH} HTTP/1.1", "other.example.com", 404),
        (f"GET {PATH} HTTP/1.1", "", 404),
        (f"GET {PATH}/ HTTP/1.1", "www.example.com", 404),
        (f"GET {PATH}?x HTTP/1.1", "www.example.com", 404),
        (f"GET /x/..{PATH} HTTP/1.1", "www.example.com", 404),
        ("GET /.well-known/acme-challenge/%74 HTTP/1.1", "www.example.com", 404),
        ("GET /.well-known/acme-challenge/ HTTP/1.1", "www.example.com", 404),
        ("GET /.well-known/acme-challenge/../../etc/passwd HTTP/1.1", "www.example.com", 404),
        (f"GET {PATH.upper()} HTTP/1.1", "www.example.com", 404),
        (f"GET http://www.example.com{PATH} HTTP/1.1", "www.example.com", 404),
        (f"POST {PATH} HTTP/1.1", "www.example.com", 405),
        (f"HEAD {PATH} HTTP/1.1", "www.example.com", 405),
        ("GET / HTTP/1.1", "10.0.0.1", 200),
        ("GET /healthz HTTP/1.1", "10.0.0.1", 200),
        ("GET /metrics HTTP/1.1", "10.0.0.1", 404),
        (f"GET {PATH}", "www.example.com", 400),
        (f"GET  {PATH} HTTP/1.1", "www.example.com", 400),
        ("\x16\x03\x01", "www.example.com", 400),
    ],
)
def test_statuses(line: str, host: str, status: int) -> None:
    found, body = respond(f"{line}\r\nHost: {host}".encode("latin-1"), answers)
    assert found == status
    assert body == ((KEY if PATH in line else "ok") if status == 200 else "")


def test_requests_with_no_host_or_two() -> None:
    assert respond(f"GET {PATH} HTTP/1.1".encode(), answers)[0] == HTTPStatus.NOT_FOUND
    two = f"GET {PATH} HTTP/1.1\r\nHost: www.example.com\r\nhOsT: other".encode()
    assert respond(two, answers)[0] == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize(
    ("header", "host"), [("a:80", "a"), ("a", "a"), ("[::1]:80", "::1"), ("[::1]", "::1"), (":80", ""), ("", "")]
)
def test_ports_do_not_count(header: str, host: str) -> None:
    assert without_port(header) == host


async def test_an_ordinary_client_gets_the_key(running: SolverServer) -> None:
    url = f"http://127.0.0.1:{running.port}{PATH}"
    async with (
        aiohttp.ClientSession() as session,
        session.get(url, headers={"Host": "www.example.com:80"}) as response,
    ):
        assert (response.status, await response.text()) == (200, KEY)
        assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_request_in_small_pieces_is_understood(running: SolverServer) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    for byte in f"GET {PATH} HTTP/1.1\r\nHost: www.example.com\r\n\r\n".encode():
        writer.write(bytes([byte]))
        await writer.drain()
    assert (await reader.read()).endswith(f"\r\n\r\n{KEY}".encode())
    writer.close()


async def test_only_the_first_request_of_a_connection_is_answered(running: SolverServer) -> None:
    request = f"GET {PATH} HTTP/1.1\r\nHost: www.example.com\r\n\r\n".encode()
    assert (await talk(running.port, request * 3)).count(b"HTTP/1.1") == 1


async def test_huge_headers_end_the_connection(running: SolverServer) -> None:
    answer = await talk(running.port, b"GET / HTTP/1.1\r\nX: " + b"a" * 100_000)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 431")


async def test_slow_clients_are_cut_off(monkeypatch: pytest.MonkeyPatch, running: SolverServer) -> None:
    monkeypatch.setattr(server, "LIFETIME", 0.1)
    began = asyncio.get_running_loop().time()
    assert await talk(running.port, b"GET / HTTP/1.1\r\nHost: a\r\n") == b""
    assert asyncio.get_running_loop().time() - began < 2


async def test_many_idle_connections_do_not_keep_others_out(
    monkeypatch: pytest.MonkeyPatch, running: SolverServer
) -> None:
    monkeypatch.setattr(server, "CONNECTIONS", 20)
    idle = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(60)]
    try:
        await asyncio.sleep(0.05)
        request = f"GET {PATH} HTTP/1.1\r\nHost: www.example.com\r\n\r\n".encode()
        assert (await talk(running.port, request)).endswith(KEY.encode())
        assert len(running._open) <= 20
    finally:
        for connection in idle:
            connection.close()


async def test_an_empty_address_listens_nowhere() -> None:
    async with SolverServer("", answers) as off:
        assert off.port == 0
