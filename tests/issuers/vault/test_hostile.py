"""Whatever a server answers, the issuer's own errors come of it, in bounded and printable words."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers.contract import IssuerError, RequestRejected
from certwright_issuers.vault.client import TEXT_LIMIT, _object, _told
from certwright_issuers.vault.config import secret_names
from certwright_issuers.vault.signing import issued
from tests.issuers.vault.conftest import NOW, issuer_for, request
from tests.issuers.vault.fakevault import FakeVault, always

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
REQUEST = request()


@given(st.dictionaries(st.sampled_from(["certificate", "ca_chain", "issuing_ca"]), JSON))
def test_answers_to_a_signature(data: dict[str, Any]) -> None:
    """None of these is a certificate."""
    with pytest.raises(RequestRejected) as caught:
        issued(data, REQUEST)
    assert caught.value.reason == "SigningError"
    assert len(caught.value.message) < 300


@given(JSON, st.text(min_size=4))
def test_error_documents(errors: Any, secret: str) -> None:
    """One line, cut, and without what must not be told."""
    told = _told(400, {"errors": errors if isinstance(errors, list) else [errors, f"x{secret}x"]}, (secret, "", "abc"))
    assert told.isprintable()
    assert len(told) <= TEXT_LIMIT + len(" (HTTP 400)")
    assert told.endswith(("HTTP 400", "(HTTP 400)"))


@given(st.text() | JSON.map(json.dumps))
def test_bodies(text: str) -> None:
    """An object, or nothing."""
    assert isinstance(_object(text), dict)


@given(st.dictionaries(st.sampled_from(["auth", "caBundleSecretRef", "clientKeySecretRef"]), JSON))
def test_secret_names_are_total(config: dict[str, Any]) -> None:
    """The contract says: never raises."""
    assert all(isinstance(name, str) and name for name in secret_names(config))


@pytest.mark.parametrize(
    "auth",
    [
        None,
        [],
        {"client_token": ""},
        {"client_token": 5},
        {"client_token": "t", "lease_duration": 10**400, "num_uses": "x"},
        {"client_token": "t", "lease_duration": -1, "num_uses": -1},
        {"client_token": "t", "lease_duration": "1h"},
    ],
)
async def test_answers_to_a_login_and_a_look_up(fake: FakeVault, auth: Any) -> None:
    """A token, or an issuer that is not ready and says why."""

    async def logs_in(_: web.Request) -> web.StreamResponse:
        fake.tokens.add("t")
        return web.json_response({"auth": auth})

    async def looks_up(_: web.Request) -> web.StreamResponse:
        return web.json_response({"data": {"renewable": True, "ttl": 10**400, "period": 10**401}})

    fake.instead["auth/approle/login"] = logs_in
    fake.instead["auth/token/lookup-self"] = looks_up
    told = await issuer_for(fake.url).check(NOW)
    assert told.ready == (isinstance(auth, dict) and auth["client_token"] == "t")
    assert told.ready or "without a token" in told.message
    fake.tokens.add("hvs.fixed")
    fake.instead["auth/token/renew-self"] = always(403, "permission denied")
    assert (await issuer_for(fake.url, {"tokenSecretRef": {"name": "login"}}).check(NOW)).ready


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"garbage\r\n\r\n",
        b"\x00\xff" * 100,
        b"HTTP/1.1 xyz\r\n\r\n",
        b"HTTP/1.1 999 ?\r\n\r\n",
        b"HTTP/1.1 0 ?\r\n\r\n",
        b"HTTP/9.9 200 OK\r\n\r\n{}",
        OK + b"Content-Length: -5\r\n\r\n{}",
        OK + b"Content-Length: 99999999999999999999\r\n\r\n{}",
        OK + b"Content-Length: x, y\r\n\r\n{}",
        OK + b"Transfer-Encoding: chunked\r\n\r\nZZZ\r\n",
        OK + b"Transfer-Encoding: chunked\r\n\r\nfffffffff\r\nab",
        OK + b"X: y\r\n" * 200 + b"\r\n",
        OK + b"X: " + b"y" * 70000 + b"\r\n\r\n",
        OK + b"no colon\r\n\r\n{}",
        OK + b"Set-Cookie: \xff=;;;\r\nContent-Type: \xff\r\nContent-Length: 2\r\n\r\n{}",
        OK + b"Content-Length: 50000\r\n\r\n" + b"[" * 50000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 50,
        b"HTTP/1.1 302 Found\r\nLocation: //[\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 401 no\r\nWWW-Authenticate: Digest\r\nContent-Length: 0\r\n\r\n",
    ],
)
async def test_what_is_no_http(answer: bytes) -> None:
    """An error of the issuer's, whatever comes."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        issuer = issuer_for(url, {"tokenSecretRef": {"name": "login"}})
        with pytest.raises(IssuerError) as caught:
            await issuer.sign(REQUEST)
        assert caught.value.message.isprintable()
        assert not (await issuer.check(NOW)).ready
