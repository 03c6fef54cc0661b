"""What the client does when the CA, or whatever sits in its place, misbehaves."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from aiohttp import web

from certwright_issuers.acme import keys
from certwright_issuers.acme.client import Client
from certwright_issuers.acme.issue import Wish, issue
from certwright_issuers.acme.order import identifiers
from certwright_issuers.acme.problem import AcmeError, AcmeRateLimited, AcmeUnavailable
from certwright_issuers.acme.reply import Reply
from certwright_issuers.acme.transport import Exchange, Transport
from certwright_issuers.contract import ConfigInvalid, IssuerError, Unavailable
from certwright_issuers.egress import EgressPolicy
from tests.issuers.acme.conftest import csr_der, server
from tests.issuers.acme.fakeca import FakeCA, answer, problem
from tests.issuers.acme.test_client import MemorySolver

NAMES = identifiers(["a.example.com"])
CANARY = "internal-secret-9f2c"


async def failing(client: Client) -> AcmeError:
    """The error of a new order."""
    with pytest.raises(AcmeError) as caught:
        await client.new_order(NAMES)
    return caught.value


async def test_refused_nonces_are_replaced(client: Client, ca: FakeCA) -> None:
    """With 30 % of good nonces refused, ten issuances in a row succeed, and each refusal costs one request."""
    ca.reject_nonces = 0.3
    ca.seen.clear()
    for _ in range(10):
        await issue(client, Wish(NAMES, csr_der("a.example.com")), MemorySolver())
    assert ca.seen["HEAD nonce"] == 0
    assert 60 < ca.signed < 130


async def test_nine_refused_nonces_of_ten_end_nothing(client: Client, ca: FakeCA) -> None:
    """Each request succeeds, or is worth another try; ten requests at most for each."""
    ca.reject_nonces = 0.9
    ca.seen.clear()
    tries = await asyncio.gather(*(client.new_order(NAMES) for _ in range(40)), return_exceptions=True)
    refused = [error for error in tries if isinstance(error, BaseException)]
    assert {type(error) for error in refused} == {AcmeUnavailable}
    assert 5 < len(refused) < 35
    assert ca.seen["POST new-order"] <= 10 * len(tries)


async def test_a_nonce_is_not_tried_for_ever(client: Client, ca: FakeCA) -> None:
    """Ten tries, then a temporary error."""
    ca.reject_nonces = 1.0
    ca.seen.clear()
    error = await failing(client)
    assert isinstance(error, AcmeUnavailable)
    assert error.reason == "BadNonce"
    assert ca.signed == 10


async def test_stale_nonces_cost_one_request_each(client: Client, ca: FakeCA) -> None:
    """A pool full of nonces that a restarted CA has forgotten is not tried one by one: the error's own is used."""
    await asyncio.gather(*(client.new_order(identifiers([f"{n}.example.com"])) for n in range(8)))
    ca.nonces.clear()
    ca.seen.clear()
    await client.new_order(NAMES)
    assert ca.signed == 2


async def test_errors_bring_nonces_too(client: Client, ca: FakeCA) -> None:
    """RFC 8555 section 6.5: the nonce of an error response is kept."""
    ca.seen.clear()
    ca.fail("/new-order", lambda: problem(400, "malformed", headers={"Replay-Nonce": ca._nonce()}))
    await failing(client)
    await client.get_account()
    assert ca.seen["HEAD nonce"] == 0


@pytest.mark.parametrize("value", ["", "not base64url!", "a===", "x" * 600])
async def test_unusable_nonces_are_ignored(ca: FakeCA, transport: Transport, key: keys.AccountKey, value: str) -> None:
    """A nonce that RFC 8555 section 6.5.1 forbids is as good as none, and none is not ACME."""
    ca.fail("/nonce", lambda: web.Response(headers={"Replay-Nonce": value} if value else {}))
    with pytest.raises(AcmeUnavailable, match="no usable Replay-Nonce"):
        await Client(transport, key).register()


async def test_a_missing_location_is_not_acme(client: Client, ca: FakeCA) -> None:
    """An order without a URL could never be found again."""
    ca.fail("/new-order", lambda: web.json_response({"status": "pending", "finalize": "f", "authorizations": []}))
    assert "no Location header" in (await failing(client)).message


RETRY_AFTER: list[tuple[str | timedelta | None, float]] = [
    ("120", 120),
    (timedelta(hours=1), 3600),
    (None, 900),
    (timedelta(hours=-1), 900),
    ("31536000", 36 * 3600),
    ("99999999999999999999", 900),
    ("soon", 900),
]


@pytest.mark.parametrize(("value", "seconds"), RETRY_AFTER)
@pytest.mark.parametrize("with_problem", [True, False])
async def test_a_429_names_the_time_of_the_next_try(
    client: Client, ca: FakeCA, value: str | timedelta | None, seconds: float, *, with_problem: bool
) -> None:
    """Seconds, dates, nothing, the past, a year, nonsense: always a time within 36 hours, exact where the CA said one."""
    if isinstance(value, timedelta):
        value = format_datetime(datetime.now(UTC) + value, usegmt=True)
    headers = {} if value is None else {"Retry-After": value}
    if with_problem:
        ca.fail("/new-order", lambda: problem(429, "rateLimited", headers=headers))
    else:
        ca.fail("/new-order", lambda: web.Response(status=429, headers=headers))
    error = await failing(client)
    assert isinstance(error, AcmeRateLimited)
    assert abs((error.retry_at - datetime.now(UTC)).total_seconds() - seconds) < 30
    assert error.stated is (seconds != 900)


async def test_a_busy_ca_says_when_to_return(client: Client, ca: FakeCA) -> None:
    """503 with Retry-After is temporary, and the time is passed on."""
    ca.fail("/new-order", lambda: problem(503, "serverInternal", "busy", headers={"Retry-After": "60"}))
    error = await failing(client)
    assert isinstance(error, AcmeUnavailable)
    assert error.retry_after == timedelta(seconds=60)


STRANGERS: dict[str, Callable[[], web.StreamResponse]] = {
    "500": lambda: problem(500, "serverInternal", "it broke"),
    "html 200": lambda: web.Response(text=f"<html>{CANARY}</html>", content_type="text/html"),
    "html 403": lambda: web.Response(status=403, text=f"<html>{CANARY}</html>", content_type="text/html"),
    "html 502": lambda: web.Response(status=502, text=f"<html>{CANARY}</html>", content_type="text/html"),
    "json of another kind": lambda: web.json_response({"password": CANARY}, headers={"Location": "/x"}),
    "json array": lambda: web.json_response([CANARY]),
    "wrong types": lambda: web.json_response(
        {"status": 7, "finalize": [CANARY], "authorizations": {}}, headers={"Location": "/x"}
    ),
    "unknown status": lambda: web.json_response(
        {"status": CANARY, "finalize": "f", "authorizations": []}, headers={"Location": "/x"}
    ),
    "deep json": lambda: web.Response(text="[" * 100_000, content_type="application/json"),
    "redirect": lambda: web.Response(status=307, headers={"Location": f"https://{CANARY}.example/"}),
    "problem without fields": lambda: web.json_response({"title": CANARY}, status=400),
    "problem of strange types": lambda: web.json_response({"type": [CANARY], "detail": {"x": CANARY}}, status=400),
    "gzip bomb": lambda: web.Response(
        body=gzip.compress(b"\0" * 10_000_000), headers={"Content-Encoding": "gzip", "Location": "/x"}
    ),
    "long header": lambda: web.Response(headers={"Location": "x" * 20_000}),
}


@pytest.mark.parametrize("stranger", STRANGERS.values(), ids=STRANGERS.keys())
async def test_what_is_not_acme_is_temporary_and_never_shown(
    client: Client, ca: FakeCA, stranger: Callable[[], web.StreamResponse], caplog: pytest.LogCaptureFixture
) -> None:
    """Only a problem document can end a request; nothing else of a body reaches a message or a log."""
    caplog.set_level(logging.DEBUG)
    ca.fail("/new-order", stranger)
    error = await failing(client)
    assert isinstance(error, AcmeUnavailable)
    assert CANARY not in error.message + error.reason + caplog.text
    await client.new_order(NAMES)


async def test_an_endless_body_is_cut_off(client: Client, ca: FakeCA) -> None:
    """A body of 100 MB is left after the limit, not read."""
    sent = 0

    async def flood(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse(headers={"Location": "/x"})
        await response.prepare(request)
        while sent < 100_000_000:
            await response.write(b" " * 65536)
            sent += 65536
        return response

    ca.faults["/new-order"].append(flood)
    assert "longer than 1048576 bytes" in (await failing(client)).message
    assert sent < 10_000_000


async def test_a_long_problem_is_cut_off(client: Client, ca: FakeCA) -> None:
    """Error bodies have their own, smaller limit; long texts inside it are shortened and kept to one line."""
    ca.fail("/new-order", lambda: problem(400, "malformed", "x" * 70_000))
    assert "longer than 65536 bytes" in (await failing(client)).message
    ca.fail("/new-order", lambda: problem(400, "malformed", "line\n" * 1000))
    message = (await failing(client)).message
    assert len(message) < 800
    assert "\n" not in message


@pytest.mark.parametrize(
    "body",
    [b"", b"no pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", b"key", b"six", b"long"],
)
async def test_a_chain_that_is_none_is_refused(client: Client, ca: FakeCA, body: bytes) -> None:
    """Malformed, too many certificates, too long, or with a private key inside: nothing of it gets through."""
    good = ca.certificate(csr_der("a.example.com"))
    bodies = {b"key": good + keys.generate().pem(), b"six": good * 6, b"long": good + b" " * 95_000}
    ca.chain = bodies.get(body, body)
    with pytest.raises(AcmeUnavailable, match="is not ACME"):
        await client.download(f"{ca.root}/cert/1")


async def test_slow_answers_end_in_time(ca: FakeCA, key: keys.AccountKey) -> None:
    """A body that trickles in forever counts against the request's total time."""

    async def trickle(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(100):
            await response.write(b" ")
            await asyncio.sleep(0.02)
        return response

    ca.faults["/directory"].append(trickle)
    async with Transport(server(ca.url, total_timeout=0.1)) as transport:
        with pytest.raises(AcmeUnavailable, match="did not answer in time"):
            await Client(transport, key).directory()


async def test_a_dropped_connection_is_temporary(client: Client, ca: FakeCA) -> None:
    """The next request opens a new one."""

    async def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    ca.faults["/new-order"].append(drop)
    assert (await failing(client)).reason == "Unreachable"
    await client.new_order(NAMES)


async def test_a_closed_port_is_temporary(key: keys.AccountKey) -> None:
    """The message holds the system's own words."""
    async with Transport(server("http://127.0.0.1:9/directory")) as transport:
        with pytest.raises(Unavailable, match=r"no connection to the ACME server 127\.0\.0\.1"):
            await Client(transport, key).directory()


async def test_a_handshake_that_hangs_ends_in_time(key: keys.AccountKey) -> None:
    """Something listens that does not speak TLS."""
    never = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await never.wait()
        writer.close()

    async with await asyncio.start_server(hang, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        async with Transport(server(f"https://127.0.0.1:{port}/directory", connect_timeout=0.1)) as opened:
            with pytest.raises(AcmeUnavailable, match=r"127\.0\.0\.1 did not answer in time"):
                await Client(opened, key).directory()
        never.set()


async def test_a_name_that_nobody_knows_is_temporary(key: keys.AccountKey) -> None:
    """It may be known later."""
    async with Transport(server("https://acme.invalid/directory")) as opened:
        with pytest.raises(AcmeUnavailable, match=r"acme\.invalid can't be resolved"):
            await Client(opened, key).directory()


async def test_redirects_of_the_directory_are_bounded(ca: FakeCA, key: keys.AccountKey) -> None:
    """Three are followed, a fourth is an error."""
    here: Callable[[], web.StreamResponse] = lambda: web.Response(status=302, headers={"Location": "/directory"})  # noqa: E731
    ca.fail("/directory", here, here, here)
    async with Transport(server(ca.url)) as transport:
        assert (await Client(transport, key).directory()).new_order
        ca.fail("/directory", *[here] * 50)
        with pytest.raises(AcmeUnavailable, match="302"):
            await Client(transport, key).directory()
    assert ca.seen["GET directory"] == 8


@pytest.mark.parametrize(
    "target",
    ["http://ca.example/", "ftp://ca.example/", "file:///etc/passwd", "//[", "https://a b/", "https://127.1/", ""],
)
async def test_redirects_leave_https_never(monkeypatch: pytest.MonkeyPatch, target: str) -> None:
    """Only https to an allowed address is followed; what is no URL is not either."""
    async with Transport(server("https://ca.example/directory", allow_http=False, egress=EgressPolicy())) as strict:
        real, url = strict.request, strict.server.directory_url

        async def request(method: Any, asked: str, **more: Any) -> Reply:
            if asked == url:
                return Reply(url, 302, {"location": target} if target else {}, b"", datetime.now(UTC))
            return await real(method, asked, **more)

        monkeypatch.setattr(strict, "request", request)
        with pytest.raises((Unavailable, ConfigInvalid), match=r"URL|not allowed|Location"):
            await strict.directory()


async def test_urls_that_the_ca_names_are_held_to_the_same_rules() -> None:
    """An order that points to an internal service by http or by address is not followed there."""
    async with Transport(server("https://ca.example/directory", allow_http=False)) as strict:
        for url in ("http://ca.example/x", "gopher://ca.example/", "https://ca example/", "https://[zz]/"):
            with pytest.raises(Unavailable, match="named a URL"):
                await strict.request("POST", url, action="get-order", body=b"")
        with pytest.raises(ConfigInvalid, match="metadata"):
            await strict.request("POST", "https://169.254.169.254/x", action="get-order", body=b"")


@pytest.mark.parametrize("url", ["http://ca.example/dir", "https://", "ca.example", "https://user:pw@ca.example/", ""])
def test_a_directory_url_must_be_https_without_credentials(url: str) -> None:
    """Such an issuer is refused before anything is sent."""
    with pytest.raises(ConfigInvalid, match="ACME server's URL"):
        Transport(server(url, allow_http=False))


@pytest.mark.parametrize(
    "bundle", [b"nonsense", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"]
)
def test_a_ca_bundle_must_hold_certificates(bundle: bytes) -> None:
    """An unreadable bundle is the issuer's fault, not the server's."""
    with pytest.raises(ConfigInvalid, match="CA bundle"):
        Transport(server("https://ca.example/dir", ca_bundle=bundle))


async def test_secrets_appear_in_no_log_and_no_repr(
    ca: FakeCA, key: keys.AccountKey, caplog: pytest.LogCaptureFixture
) -> None:
    """Keys, nonces and tokens stay out of logs at DEBUG, of metrics, and of the representation of every object."""
    caplog.set_level(logging.DEBUG)
    exchanges: list[Exchange] = []
    async with Transport(server(ca.url), exchanges.append) as transport:
        client = Client(transport, key)
        await client.register()
        solver = MemorySolver()
        await issue(client, Wish(NAMES, csr_der("a.example.com")), solver)
    said = caplog.text + repr(exchanges) + repr(client.__dict__) + repr(key)
    private = key.pem().decode().split("\n")[1]
    for secret in [solver.seen[0].token, solver.seen[0].value, private, *ca.nonces]:
        assert secret not in said
    assert {seen.action for seen in exchanges} >= {"directory", "new-nonce", "new-order", "finalize-order"}
    assert all(seen.seconds > 0 and seen.status in (200, 201) for seen in exchanges)


async def test_a_failure_is_counted_with_status_zero(key: keys.AccountKey) -> None:
    """Metrics see requests that got no answer."""
    exchanges: list[Exchange] = []
    async with Transport(server("http://127.0.0.1:9/directory"), exchanges.append) as transport:
        with pytest.raises(IssuerError):
            await Client(transport, key).directory()
    assert [(seen.action, seen.status) for seen in exchanges] == [("directory", 0)]


async def test_an_account_the_ca_forgot_is_a_matter_of_configuration(client: Client, ca: FakeCA) -> None:
    """accountDoesNotExist tells the operator to register again; the order itself is not to blame."""
    ca.faults["/new-order"].append(answer(lambda: problem(400, "accountDoesNotExist", "never heard of it")))
    error = await failing(client)
    assert isinstance(error, ConfigInvalid)
    assert error.reason == "AccountDoesNotExist"


CALLS = ["/directory", "/nonce", "/account", "/new-order", "/authz", "/chall", "/order", "/finalize", "/cert"]


@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("fault", ["500", "html 502", "dropped", "429"])
async def test_a_fault_at_any_call_is_temporary(
    ca: FakeCA, transport: Transport, key: keys.AccountKey, path: str, fault: str
) -> None:
    """Whichever request of an issuance fails: the error says "later", the answers are withdrawn, and a new try succeeds."""

    async def drop(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    limited = answer(lambda: problem(429, "rateLimited", headers={"Retry-After": "60"}))
    ca.faults[path].append({"dropped": drop, "429": limited}.get(fault) or answer(STRANGERS[fault]))
    ca.validation = {"status": "valid"}
    solver = MemorySolver()

    async def whole() -> None:
        client = Client(transport, key)
        await client.register()
        await issue(client, Wish(NAMES, csr_der("a.example.com")), solver)

    if fault == "429":
        with pytest.raises(AcmeRateLimited) as limit:
            await whole()
        assert timedelta(seconds=50) < limit.value.retry_at - datetime.now(UTC) <= timedelta(seconds=60)
    elif fault == "dropped" and path in ("/directory", "/nonce"):
        # aiohttp itself repeats a GET or HEAD if a kept connection was closed.
        with contextlib.suppress(Unavailable):
            await whole()
    else:
        with pytest.raises(Unavailable):
            await whole()
    assert solver.visible == []
    assert ca.faults[path] == []
    await whole()


async def test_one_slow_order_does_not_hold_up_the_others(client: Client, ca: FakeCA) -> None:
    """A request that hangs takes one of the account's slots, not the account."""
    released = asyncio.Event()

    async def hang(request: web.Request) -> web.StreamResponse:
        await released.wait()
        return problem(500, "serverInternal")

    ca.faults["/order/999"].extend([hang] * 5)
    slow = [asyncio.create_task(client.get_order(f"{ca.root}/order/999")) for _ in range(5)]
    await asyncio.sleep(0.01)
    for _ in range(3):
        await issue(client, Wish(NAMES, csr_der("a.example.com")), MemorySolver())
    assert not any(task.done() for task in slow)
    released.set()
    assert all(isinstance(error, AcmeUnavailable) for error in await asyncio.gather(*slow, return_exceptions=True))


async def test_a_missing_directory_is_missed_by_all_at_once(
    ca: FakeCA, transport: Transport, key: keys.AccountKey
) -> None:
    """Those who wait for it share the failure: in turn, the last of them would wait for hours. The next one asks again."""
    client = Client(transport, key)
    ca.delay = 0.05
    ca.fail("/directory", lambda: web.Response(status=503))
    results = await asyncio.gather(*(client.directory() for _ in range(20)), return_exceptions=True)
    assert {type(result) for result in results} == {AcmeUnavailable}
    assert ca.seen["GET directory"] == 1
    given_up = asyncio.ensure_future(client.directory())
    await asyncio.sleep(0.01)
    given_up.cancel()
    assert (await client.directory()).new_order
    assert ca.seen["GET directory"] == 2
