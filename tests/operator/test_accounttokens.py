"""Tokens of ServiceAccounts: what is asked of the API server, and what its refusals mean for an issuer."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, cast

import msgspec
import pytest

from certwright.accounttokens import ServiceAccountTokens
from certwright.errors import Fenced, Forbidden, KubeError, NotFound, Refused, Unreachable
from certwright.kube import KubeClient
from certwright_issuers.contract import ConfigInvalid, IssuerError, Unavailable


class FakeKube:
    """Answers one create."""

    def __init__(self, answer: Exception | str) -> None:
        self.answer = answer
        self.asked: list[tuple[str, Any]] = []

    async def create(self, path: str, body: Any, type_: Any) -> Any:
        self.asked.append((path, body))
        if isinstance(self.answer, Exception):
            raise self.answer
        return msgspec.convert({"status": {"token": self.answer}}, type_)


def tokens(kube: FakeKube) -> ServiceAccountTokens:
    return ServiceAccountTokens(cast("KubeClient", kube), "team-a")


async def test_a_token() -> None:
    """Of that namespace, for these audiences and this time."""
    kube = FakeKube("canary-jwt")
    assert await tokens(kube)("login", ("a", "b"), timedelta(minutes=10)) == "canary-jwt"
    path, body = kube.asked[0]
    assert path == "/api/v1/namespaces/team-a/serviceaccounts/login/token"
    assert body["spec"] == {"audiences": ["a", "b"], "expirationSeconds": 600}
    assert "canary" not in repr(tokens(kube))


@pytest.mark.parametrize(
    ("error", "kind", "words"),
    [
        (NotFound("x"), ConfigInvalid, 'ServiceAccount "team-a/login" not found'),
        (Forbidden("x"), ConfigInvalid, 'the verb create on serviceaccounts/token with resourceNames ["login"]'),
        (Unreachable("x"), Unavailable, 'no token for ServiceAccount "team-a/login" yet: x'),
        (Refused("audience is invalid"), ConfigInvalid, "audience is invalid"),
    ],
)
async def test_refusals(error: KubeError, kind: type[IssuerError], words: str) -> None:
    """The issuer's owner is told what to do."""
    with pytest.raises(kind) as caught:
        await tokens(FakeKube(error))("login", (), timedelta(minutes=10))
    assert words in caught.value.message


async def test_a_lost_lease_is_no_fault_of_the_issuer() -> None:
    """It ends the reconcile."""
    with pytest.raises(Fenced):
        await tokens(FakeKube(Fenced("x")))("login", (), timedelta(minutes=10))
