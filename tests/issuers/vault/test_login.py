"""One login serves many signatures; a token that ends, is used up or is disowned is replaced."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from aiohttp.web import json_response

from certwright_issuers.contract import ConfigInvalid, Environment, Issued, Unavailable
from tests.issuers.vault.conftest import NOW, issuer_for, request
from tests.issuers.vault.fakevault import FakeVault, always


async def test_a_hundred_signatures_take_one_login(fake: FakeVault) -> None:
    """1.01 requests per issuance; cert-manager's 2."""
    issuer = issuer_for(fake.url)
    results = await asyncio.gather(*(issuer.sign(request(f"{n}.example.com")) for n in range(100)))
    assert all(isinstance(result, Issued) for result in results)
    assert (len(fake.seen), fake.count("approle/login"), fake.count("sign/web")) == (101, 1, 100)
    assert fake.seen[0].body == {"role_id": "role-1", "secret_id": "canary-secret-id"}


async def test_a_token_is_kept_for_four_fifths_of_its_lease(fake: FakeVault) -> None:
    """Then it is replaced before Vault disowns it."""
    now = [1000.0]
    issuer = issuer_for(fake.url)
    fake.lease = 100
    issuer._login._clock = lambda: now[0]
    for at, logins in ((0.0, 1), (79.0, 1), (81.0, 2)):
        now[0] = 1000 + at
        await issuer.sign(request())
        assert fake.count("login") == logins


async def test_a_token_without_an_end_is_kept(fake: FakeVault) -> None:
    """lease_duration 0."""
    issuer = issuer_for(fake.url)
    fake.lease = 0
    for _ in range(3):
        await issuer.sign(request())
    assert fake.count("login") == 1


async def test_a_token_for_a_number_of_uses(fake: FakeVault) -> None:
    """num_uses is counted."""
    issuer = issuer_for(fake.url)
    fake.uses = 2
    for _ in range(4):
        await issuer.sign(request())
    assert fake.count("login") == 2


async def test_a_revoked_token_is_replaced_within_the_same_call(fake: FakeVault) -> None:
    """Many requests meet the 403 at once; one login follows, and none of them fails."""
    issuer = issuer_for(fake.url)
    issuer._login._clock = lambda: clock[0]
    clock = [0.0]
    await issuer.sign(request())
    fake.tokens.clear()
    clock[0] = 60.0
    results = await asyncio.gather(*(issuer.sign(request()) for _ in range(10)))
    assert all(isinstance(result, Issued) for result in results)
    assert fake.count("login") == 2


async def test_a_denied_path_does_not_cause_logins(fake: FakeVault) -> None:
    """403 to a fresh token is about the path: pending, and no second login."""
    fake.instead["pki/sign/web"] = always(403, "1 error occurred:\n\t* permission denied\n\n")
    issuer = issuer_for(fake.url)
    for _ in range(3):
        with pytest.raises(Unavailable) as caught:
            await issuer.sign(request())
    assert caught.value.reason == "AuthFailed"
    assert "permission denied (HTTP 403)" in caught.value.message
    assert fake.count("login") == 1


async def test_a_fixed_token(fake: FakeVault) -> None:
    """No login; trimmed; disowned means pending."""
    issuer = issuer_for(fake.url, {"tokenSecretRef": {"name": "login"}})
    fake.tokens.add("hvs.fixed")
    assert isinstance(await issuer.sign(request()), Issued)
    assert fake.paths() == ["pki/sign/web"]
    fake.tokens.clear()
    with pytest.raises(Unavailable) as caught:
        await issuer.sign(request())
    assert caught.value.reason == "AuthFailed"


async def test_a_fixed_token_is_renewed_in_time(fake: FakeVault) -> None:
    """By the check, when less than half of its period is left."""
    issuer = issuer_for(fake.url, {"tokenSecretRef": {"name": "login"}})
    fake.tokens.add("hvs.fixed")
    left = 70

    async def look_up(_: Any) -> Any:
        return json_response({"data": {"ttl": left, "renewable": True, "period": 100}})

    fake.instead["auth/token/lookup-self"] = look_up
    fake.instead["auth/token/renew-self"] = look_up
    assert (await issuer.check(NOW)).ready
    assert fake.count("renew-self") == 0
    left = 40
    assert (await issuer.check(NOW)).ready
    assert fake.count("renew-self") == 1


async def test_refused_credentials(fake: FakeVault) -> None:
    """Pending for whoever wants a certificate, with Vault's words and without the credentials."""
    fake.instead["auth/approle/login"] = always(400, "invalid role or secret ID: canary-secret-id")
    issuer = issuer_for(fake.url)
    with pytest.raises(ConfigInvalid) as caught:
        await issuer.sign(request())
    assert caught.value.reason == "VaultInitError"
    assert caught.value.message.endswith(
        "refuses the login by appRole at v1/auth/approle/login: invalid role or secret ID: [hidden] (HTTP 400)"
    )


async def test_kubernetes_with_a_service_account(fake: FakeVault) -> None:
    """A token for each login, with the contract's audiences, for ten minutes."""
    asked: list[tuple[str, tuple[str, ...], timedelta]] = []

    async def tokens(account: str, audiences: Sequence[str], lifetime: timedelta) -> str:
        asked.append((account, tuple(audiences), lifetime))
        return "canary-jwt"

    auth = {"kubernetes": {"role": "app", "serviceAccountRef": {"name": "sa", "audiences": ("extra",)}}}
    issuer = issuer_for(fake.url, auth, environment=Environment(name="ns/vault", account_tokens=tokens))
    await issuer.sign(request())
    await issuer.sign(request())
    assert asked == [("sa", ("extra", "vault://ns/vault", fake.url), timedelta(minutes=10))]
    assert fake.paths()[0] == "auth/kubernetes/login"
    assert fake.seen[0].body == {"role": "app", "jwt": "canary-jwt"}


@pytest.mark.parametrize(
    ("auth", "path", "body"),
    [
        (
            {"kubernetes": {"role": "app", "mountPath": "/v1/auth/k8s", "secretRef": {"name": "login"}}},
            "auth/k8s/login",
            {"role": "app", "jwt": "hvs.fixed"},
        ),
        (
            {"appRole": {"path": "a/b", "roleId": " r ", "secretRef": {"name": "login", "key": "secretId"}}},
            "auth/a/b/login",
            {"role_id": "r", "secret_id": "canary-secret-id"},
        ),
    ],
)
async def test_login_requests(fake: FakeVault, auth: dict[str, Any], path: str, body: dict[str, str]) -> None:
    """Path and body of a method."""
    issuer = issuer_for(fake.url, auth, namespace="team/a")
    await issuer.sign(request())
    assert (fake.paths()[0], fake.seen[0].body) == (path, body)
    assert {seen.headers["X-Vault-Namespace"] for seen in fake.seen} == {"team/a"}
