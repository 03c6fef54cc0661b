"""What can go wrong between us and Vault: retried where it can heal, refused where it can't, told in bounded words."""

from __future__ import annotations

import asyncio
import re
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from certwright_issuers.contract import ConfigInvalid, Health, Issued, IssuerError, RequestRejected, Unavailable
from certwright_issuers.csr import RequestSpec
from certwright_issuers.testing import KEY_SPECS, leaf_key, signing_request
from certwright_issuers.vault import health, issuer
from certwright_issuers.vault.transport import ANSWER_LIMIT
from tests.issuers.authority import make_authority, pem
from tests.issuers.vault.conftest import NOW, SECRETS, issuer_for, request
from tests.issuers.vault.fakevault import FakeVault, Handler, always, cut, refusal

CANARY = "canary-of-a-foreign-body"


async def failure(fake: FakeVault, answer: Handler | None = None) -> IssuerError:
    """What a signature raises."""
    if answer is not None:
        fake.instead["pki/sign/web"] = answer
    with pytest.raises(IssuerError) as caught:
        await issuer_for(fake.url).sign(request())
    return caught.value


@pytest.mark.parametrize(
    ("status", "errors", "reason", "words"),
    [
        (503, ["Vault is sealed"], "Sealed", "is sealed"),
        (503, [], "VaultDown", "answered: HTTP 503"),
        (500, ["internal error"], "VaultDown", "internal error (HTTP 500)"),
        (502, ["bad gateway"], "VaultDown", "bad gateway (HTTP 502)"),
        (429, ["request path: rate limit quota exceeded"], "VaultDown", "quota exceeded (HTTP 429)"),
        (412, ["required index state not present"], "VaultDown", "(HTTP 412)"),
        (472, [], "VaultDown", "HTTP 472"),
        (473, [], "VaultDown", "HTTP 473"),
    ],
)
async def test_what_heals_is_worth_a_retry(
    fake: FakeVault, status: int, errors: list[str], reason: str, words: str
) -> None:
    """Unavailable, and nothing signed twice."""
    error = await failure(fake, always(status, *errors))
    assert isinstance(error, Unavailable)
    assert (error.reason, words in error.message) == (reason, True), error.message
    assert fake.count("sign/web") == 1


async def test_a_pause_that_vault_asks_for(fake: FakeVault) -> None:
    """Retry-After, within bounds."""
    for given, pause in (
        ("7", timedelta(seconds=7)),
        ("86400", timedelta(minutes=1)),
        ("soon", None),
        ("9" * 5000, None),
    ):
        error = await failure(fake, always(429, "slow down", **{"Retry-After": given}))
        assert isinstance(error, Unavailable)
        assert error.retry_after == pause


@pytest.mark.parametrize(
    ("status", "text", "kind"),
    [
        (400, "common name evil.com not allowed by this role", RequestRejected),
        (400, "cannot satisfy request, as TTL would result in notAfter beyond the expiration", RequestRejected),
        (422, "unprocessable", RequestRejected),
        (400, "unknown role: web", ConfigInvalid),
        (404, 'no handler for route "pki/sign/web". route entry not found.', ConfigInvalid),
        (405, "unsupported operation", ConfigInvalid),
    ],
)
async def test_what_does_not_heal_by_itself(fake: FakeVault, status: int, text: str, kind: type[IssuerError]) -> None:
    """Vault's own words; final for the request only if the request is to blame."""
    error = await failure(fake, always(status, text))
    assert type(error) is kind
    assert f"{text} (HTTP {status})" in error.message
    if kind is RequestRejected:
        assert error.reason == "SigningError"
        assert error.message.startswith("Vault failed to sign certificate: ")


async def test_below_an_expired_ca_nothing_is_final(fake: FakeVault) -> None:
    """The CA is to blame and can be replaced."""
    old = make_authority("Old", valid=(timedelta(days=-2000), timedelta(days=-1900)))

    async def expired(_: web.Request) -> web.StreamResponse:
        return web.Response(body=pem(old.certificate))

    fake.instead["pki/ca/pem"] = expired
    error = await failure(fake, always(400, "cannot satisfy request"))
    assert isinstance(error, ConfigInvalid)
    assert 'the CA certificate "CN=Old" of "pki" in Vault' in error.message
    assert "has expired on 20" in error.message


async def test_errors_are_bounded_and_clean(fake: FakeVault) -> None:
    """One line, printable, cut; never a token."""

    async def verbose(asked: web.Request) -> web.StreamResponse:
        return refusal(400, f"bad token {asked.headers['X-Vault-Token']}\n\t\x1b[31m" + "x" * 5000)

    error = await failure(fake, verbose)
    assert len(error.message) < 600
    assert error.message.isprintable()
    assert "bad token [hidden]" in error.message
    assert "hvs." not in error.message


@pytest.mark.parametrize("status", [200, 302, 307, 400, 403, 404, 500, 503])
async def test_foreign_bodies_are_not_repeated(fake: FakeVault, status: int) -> None:
    """Only Vault's own error documents are; a page of something else is told by its status alone (S7)."""

    async def page(_: web.Request) -> web.StreamResponse:
        return web.Response(
            status=status, text=f"<html>{CANARY}</html>", content_type="text/html", headers={"Location": f"/{CANARY}"}
        )

    error = await failure(fake, page)
    assert CANARY not in error.message
    assert CANARY not in repr(error)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirects_are_not_followed(fake: FakeVault, status: int) -> None:
    """The token would go with the request (V7)."""
    async with FakeVault() as other:

        async def elsewhere(_: web.Request) -> web.StreamResponse:
            return web.Response(status=status, headers={"Location": f"{other.url}/v1/pki/sign/web"})

        error = await failure(fake, elsewhere)
        assert isinstance(error, Unavailable)
        assert error.reason == "Redirected"
        assert other.seen == []


async def test_a_connection_cut_after_the_request_was_sent(fake: FakeVault) -> None:
    """Vault may have signed: this call does not ask again, a later one may."""
    error = await failure(fake, cut)
    assert isinstance(error, Unavailable)
    assert "was cut" in error.message
    assert fake.count("sign/web") == 1


async def test_an_answer_that_breaks_off(fake: FakeVault) -> None:
    """In the middle of the body, and in that of a chunk."""
    for headers in ({"Content-Length": "1000"}, {"Transfer-Encoding": "chunked"}):

        async def part(asked: web.Request, headers: dict[str, str] = headers) -> web.StreamResponse:
            response = web.StreamResponse(headers={"Content-Type": "application/json", **headers})
            await response.prepare(asked)
            await response.write(b'{"data": ')
            assert asked.transport is not None
            asked.transport.close()
            return response

        error = await failure(fake, part)
        assert isinstance(error, Unavailable)
        assert "was cut" in error.message


async def test_answers_without_end(fake: FakeVault) -> None:
    """Too long, or compressed though that was not asked for: no more than the limit is read."""

    async def endless(asked: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(asked)
        for _ in range(2 * ANSWER_LIMIT // 65536):
            await response.write(b"x" * 65536)
        return response

    async def zipped(_: web.Request) -> web.StreamResponse:
        return web.Response(body=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})

    for answer, words in ((endless, "longer than"), (zipped, "compressed")):
        error = await failure(fake, answer)
        assert isinstance(error, Unavailable)
        assert words in error.message


@pytest.mark.slow
async def test_a_vault_that_hangs_is_cut_off(fake: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one that sends a byte now and then; the threads end, and the loop goes on meanwhile."""
    monkeypatch.setattr(issuer, "SIGN_SECONDS", 0.3)

    async def drip(asked: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(asked)
        while not fake.released.is_set():
            await response.write(b" ")
            await asyncio.sleep(0.05)
        return response

    async def hang(_: web.Request) -> web.StreamResponse:
        await fake.released.wait()
        return web.Response()

    for answer in (hang, drip):
        fake.instead["pki/sign/web"] = answer
        vault = issuer_for(fake.url)
        began = time.monotonic()
        results = await asyncio.gather(*(vault.sign(request()) for _ in range(8)), return_exceptions=True)
        assert time.monotonic() - began < 2
        assert {type(result) for result in results} == {Unavailable}
        assert "did not answer" in str(results[0])
        for thread in threading.enumerate():
            if thread.name == "vault-call":
                thread.join(1)
                assert not thread.is_alive()


async def test_signatures_that_hang_do_not_hold_up_the_check(fake: FakeVault) -> None:
    """All places are taken, and the issuer's condition is still true."""

    full = asyncio.Event()

    async def hang(_: web.Request) -> web.StreamResponse:
        if fake.count("sign/web") == issuer.AT_ONCE:
            full.set()
        await fake.released.wait()
        return refusal(500)

    fake.instead["pki/sign/web"] = hang
    vault = issuer_for(fake.url)
    waiting = [asyncio.ensure_future(vault.sign(request())) for _ in range(2 * issuer.AT_ONCE)]
    async with asyncio.timeout(2):
        await full.wait()
        assert (await vault.check(NOW)).ready
        fake.instead["sys/health"] = always(503)
        assert not (await vault.check(NOW)).ready
    fake.released.set()
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(result) for result in results} == {Unavailable}


async def test_at_most_eight_requests_at_a_time(fake: FakeVault) -> None:
    """The bound holds for one issuer, and the rest wait their turn."""
    at_once = highest = 0

    async def count(asked: web.Request) -> web.StreamResponse:
        nonlocal at_once, highest
        at_once += 1
        highest = max(highest, at_once)
        # Long enough for all that may come at once to have come, on a busy machine, too.
        await asyncio.sleep(0.1 if highest < issuer.AT_ONCE else 0.005)
        at_once -= 1
        return web.json_response({"data": fake.sign(await asked.json())})

    fake.instead["pki/sign/web"] = count
    vault = issuer_for(fake.url)
    results = await asyncio.gather(*(vault.sign(request()) for _ in range(30)))
    assert len(results) == 30
    assert highest == issuer.AT_ONCE == 8


async def test_nobody_listens() -> None:
    """Refused, and a name that does not exist."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(Unavailable, match=r"no connection to Vault at 127.0.0.1:.*: Connection refused"):
            await issuer_for(f"http://127.0.0.1:{port}").sign(request())
    with pytest.raises(Unavailable, match=r"the name of Vault's host vault.invalid:8200 can't be resolved"):
        await issuer_for("https://vault.invalid:8200").sign(request())


@pytest.mark.parametrize(
    "url",
    [
        "https://169.254.169.254",
        "http://127.0.0.1:1",
        "http://localhost:1",
        "https://[::1]:8200",
        "https://[::ffff:169.254.169.254]",
        "https://2852039166",
        "https://0x7f.1",
        "https://100.100.100.200",
    ],
)
async def test_forbidden_addresses(url: str) -> None:
    """The egress policy of the ACME client holds here too, on the address that is dialled (S3)."""
    vault = issuer.build(
        {"server": url, "path": "pki/sign/web", "auth": {"tokenSecretRef": {"name": "login"}}}, SECRETS
    )
    with pytest.raises(ConfigInvalid) as caught:
        await vault.sign(request())
    assert caught.value.reason == "EgressRefused"
    told = await vault.check(NOW)
    assert (told.ready, told.reason) == (False, "VaultError")
    assert "is not allowed" in told.message


ANSWERS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "nothing": lambda _: {},
    "no PEM": lambda data: {**data, "certificate": "no"},
    "a number": lambda data: {**data, "certificate": 5},
    "a broken chain": lambda data: {**data, "ca_chain": [pem(make_authority("Other").certificate).decode()]},
    "garbage above": lambda data: {**data, "ca_chain": ["-----BEGIN CERTIFICATE-----\nAA\n-----END CERTIFICATE-----"]},
    "only the CA": lambda data: {"certificate": data["issuing_ca"], "ca_chain": []},
}


@pytest.mark.parametrize("case", ANSWERS)
async def test_useless_answers(fake: FakeVault, case: str) -> None:
    """Final and told; nothing of the answer is repeated."""

    async def answer(asked: web.Request) -> web.StreamResponse:
        return web.json_response({"data": ANSWERS[case](fake.sign(await asked.json()))})

    error = await failure(fake, answer)
    assert isinstance(error, RequestRejected)
    assert error.reason == "SigningError"
    assert error.message.startswith("Vault")


@pytest.mark.parametrize("change", ["reversed", "doubled", "issuing_ca alone", "root left out"])
async def test_chains_in_any_order(fake: FakeVault, change: str) -> None:
    """The leaf first, the root on its own (V4)."""

    async def answer(asked: web.Request) -> web.StreamResponse:
        data = fake.sign(await asked.json())
        above = data["ca_chain"]
        data["ca_chain"] = {
            "reversed": above[::-1],
            "doubled": above * 2,
            "issuing_ca alone": [],
            "root left out": above[:1],
        }[change]
        return web.json_response({"data": data})

    fake.instead["pki/sign/web"] = answer
    issued = await issuer_for(fake.url).sign(request())
    assert issued.chain_pem.count(b"BEGIN") == 2
    top = fake.root if change in {"reversed", "doubled"} else fake.intermediate
    assert issued.ca_pem == pem(top.certificate)


async def test_what_the_role_has_changed_is_told(fake: FakeVault) -> None:
    """A shorter life and missing names are notes, not failures: nothing loops (V4)."""
    fake.longest = timedelta(minutes=5)
    vault = issuer_for(fake.url)
    issued = await vault.sign(request())
    assert [note.reason for note in issued.notes] == ["DurationShortened"]
    assert re.search(r"from 1h0m0s to 0h[45]m\d+s$", issued.notes[0].message)

    async def nameless(asked: web.Request) -> web.StreamResponse:
        body = await asked.json()
        body["csr"] = request("other.example.com").csr.public_bytes(Encoding.PEM).decode()
        return web.json_response({"data": fake.sign(body)})

    fake.longest = timedelta(days=3650)
    fake.instead["pki/sign/web"] = nameless
    issued = await vault.sign(request())
    assert [note.message for note in issued.notes] == ["Vault has left out names that were asked for: a.example.com"]


async def test_another_key_is_refused(fake: FakeVault) -> None:
    """L4."""
    other = signing_request(RequestSpec(dns_names=("a.example.com",)), leaf_key(KEY_SPECS[2]), NOW)

    async def wrong(asked: web.Request) -> web.StreamResponse:
        body = await asked.json()
        body["csr"] = other.csr.public_bytes(Encoding.PEM).decode()
        return web.json_response({"data": fake.sign(body)})

    error = await failure(fake, wrong)
    assert isinstance(error, RequestRejected)
    assert "another public key" in error.message


async def checked(fake: FakeVault, path: str, answer: Handler) -> Health:
    fake.instead[path] = answer
    return await issuer_for(fake.url).check(datetime.now(UTC))


async def test_healthy(fake: FakeVault) -> None:
    """The server, the token, the role, the CA; the server without the namespace."""
    vault = issuer_for(fake.url, namespace="team")
    told = await vault.check(NOW)
    assert (told.ready, told.reason, told.message) == (True, "VaultVerified", "Vault verified")
    assert told.recheck_after is not None
    assert told.recheck_after <= timedelta(seconds=60)
    assert fake.paths() == [
        "sys/health",
        "auth/approle/login",
        "auth/token/lookup-self",
        "pki/roles/web",
        "pki/ca/pem",
    ]
    assert "X-Vault-Namespace" not in fake.seen[0].headers
    assert all(seen.headers["X-Vault-Namespace"] == "team" for seen in fake.seen[1:])


@pytest.mark.parametrize(
    ("path", "answer", "words"),
    [
        ("sys/health", always(503), "is sealed"),
        ("sys/health", always(501), "is not initialised"),
        ("sys/health", always(404), "does not answer as a Vault server does"),
        ("sys/health", always(500), "answered: HTTP 500"),
        ("auth/approle/login", always(403, "permission denied"), "refuses the login by appRole"),
        ("pki/roles/web", always(404), 'has no role "web" at "pki"'),
        ("pki/roles/web", always(404, 'no handler for route "pki"'), 'has no handler at "pki"'),
    ],
)
async def test_unhealthy(fake: FakeVault, path: str, answer: Handler, words: str) -> None:
    """The reason in words, and a look again within half a minute."""
    told = await checked(fake, path, answer)
    assert (told.ready, told.reason) == (False, "VaultError")
    assert words in told.message
    assert told.recheck_after is not None
    assert told.recheck_after <= timedelta(seconds=30)


@pytest.mark.parametrize("status", [429, 472, 473])
async def test_standby_is_healthy(fake: FakeVault, status: int) -> None:
    """A standby passes requests on."""

    async def standby(_: web.Request) -> web.StreamResponse:
        return web.json_response({"initialized": True, "sealed": False, "standby": True}, status=status)

    assert (await checked(fake, "sys/health", standby)).ready


@pytest.mark.parametrize("path", ["auth/token/lookup-self", "pki/roles/web", "pki/ca/pem"])
async def test_what_a_policy_does_not_let_us_see_is_left_out(fake: FakeVault, path: str) -> None:
    """Many policies allow nothing but signing."""
    assert (await checked(fake, path, always(403, "permission denied"))).ready


async def test_a_fixed_token_that_vault_does_not_know(fake: FakeVault) -> None:
    """Nothing else can be tried."""
    told = await issuer_for(fake.url, {"tokenSecretRef": {"name": "login"}}).check(NOW)
    assert not told.ready
    assert "does not accept the token" in told.message


def test_signing_paths() -> None:
    """What a path says about the engine behind it."""
    root = "pki/root"
    for path, mount, role, of in (
        ("pki/sign/web", "pki", "web", ""),
        ("a/b/sign/web", "a/b", "web", ""),
        ("pki/issuer/x/sign/web", "pki", "web", "x"),
        ("pki/sign-verbatim/web", "pki", "web", ""),
        ("sign/sign/sign", "sign", "sign", ""),
        (f"{root}/sign-intermediate", "", "", ""),
    ):
        assert health.SigningPath.of(path) == health.SigningPath(mount, role, of)


async def test_the_request(fake: FakeVault) -> None:
    """The contract's fields, all strings (section 3.4)."""
    vault = issuer_for(fake.url)
    await vault.sign(
        request(
            "a.example.com",
            "*.example.com",
            common_name="a.example.com",
            ip_addresses=("192.0.2.1", "2001:db8::1"),
            uris=("spiffe://a/b",),
            email_addresses=("me@example.com",),
        )
    )
    body = fake.seen[-1].body
    assert body.pop("csr").startswith("-----BEGIN CERTIFICATE REQUEST-----")
    assert body == {
        "common_name": "a.example.com",
        "alt_names": "a.example.com,*.example.com",
        "ip_sans": "192.0.2.1,2001:db8::1",
        "uri_sans": "spiffe://a/b",
        "ttl": "1h0m0s",
        "exclude_cn_from_sans": "true",
    }
    assert isinstance(await vault.sign(request()), Issued)


async def test_a_proxy_of_the_environment(fake: FakeVault, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is used, wherever it is; the server behind it must still be one that is allowed."""
    monkeypatch.setenv("http_proxy", fake.url)
    assert isinstance(await issuer_for("http://vault.internal:8200").sign(request()), Issued)
    assert {seen.headers["Host"] for seen in fake.seen} == {"vault.internal:8200"}
    with pytest.raises(ConfigInvalid, match="is a link-local address"):
        await issuer_for("http://169.254.169.254").sign(request())
    monkeypatch.setenv("no_proxy", "vault.invalid")
    with pytest.raises(Unavailable, match="can't be resolved"):
        await issuer_for("http://vault.invalid").sign(request())
