"""What the Vault tests share: a fake Vault, issuers for it, a request."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from certwright_issuers.contract import Environment, SigningRequest
from certwright_issuers.csr import RequestSpec
from certwright_issuers.egress import EgressPolicy
from certwright_issuers.testing import KEY_SPECS, leaf_key, signing_request
from certwright_issuers.vault import issuer as vault
from tests.issuers.vault.fakevault import FakeVault

# As in the ACME tests: pytest-asyncio would otherwise leave a loop unclosed.
asyncio.set_event_loop(None)

LOOPBACK = EgressPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"),))
APP_ROLE = {"appRole": {"path": "approle", "roleId": "role-1", "secretRef": {"name": "login", "key": "secretId"}}}
SECRETS = {"login": {"secretId": b"canary-secret-id\n", "token": b"hvs.fixed\n"}}
NOW = datetime.now(UTC).replace(microsecond=0)


def config(url: str, auth: Mapping[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """spec.vault."""
    return {"server": url, "path": "pki/sign/web", "auth": auth or APP_ROLE, **more}


def issuer_for(
    url: str,
    auth: Mapping[str, Any] | None = None,
    secrets: Mapping[str, Mapping[str, bytes]] = SECRETS,
    environment: Environment | None = None,
    **more: Any,
) -> vault.Vault:
    """An issuer that may reach this machine."""
    allowed = replace(environment or Environment(name="ns/vault"), egress=LOOPBACK)
    return vault.build(config(url, auth, **more), secrets, allowed)


def request(*dns_names: str, **spec: Any) -> SigningRequest:
    """For a P-256 key, made now: the fake Vault's certificates begin now as well."""
    wanted = RequestSpec(dns_names=dns_names or ("a.example.com",), **spec)
    return signing_request(wanted, leaf_key(KEY_SPECS[1]), datetime.now(UTC).replace(microsecond=0))


def encoded(pem: bytes) -> str:
    """As bytes are written in JSON."""
    return base64.b64encode(pem).decode()


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeVault]:
    """A Vault without TLS."""
    async with FakeVault() as running:
        yield running


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
