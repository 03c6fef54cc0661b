"""The webhook's own certificates: shared through a Secret, replaced in time, never without overlap."""

import base64
from datetime import UTC, datetime, timedelta
from typing import Any, cast
from unittest.mock import Mock

import pytest
from cryptography import x509

from certwright.errors import AlreadyExists, NotFound
from certwright.secretfacts import Secret, SecretMeta
from certwright.webhook import authority as module
from certwright.webhook.authority import Authority, trust_patch

NAMES = ("webhook.ns.svc", "webhook.ns")


class FakeKube:
    """One Secret."""

    def __init__(self) -> None:
        self.data: dict[str, bytes] | None = None
        self.writes = 0
        #: Another replica that is quicker, once.
        self.rival: dict[str, bytes] | None = None

    async def get(self, path: str, _type: Any) -> Secret:
        """The Secret."""
        assert path == "/api/v1/namespaces/ns/secrets/ca"
        if self.data is None:
            raise NotFound("none")
        return Secret(metadata=SecretMeta(), data=self.data)

    async def create(self, _path: str, body: dict[str, Any], _type: Any) -> Any:
        """Make it, unless it is there."""
        if self.rival is not None:
            self.data, self.rival = self.rival, None
            raise AlreadyExists("quicker")
        self.writes += 1
        self.data = {name: base64.b64decode(value) for name, value in body["data"].items()}

    async def merge_patch(self, _path: str, body: dict[str, Any], _type: Any) -> Any:
        """Change it."""
        self.writes += 1
        self.data = {name: base64.b64decode(value) for name, value in body["data"].items()}


def made(kube: FakeKube) -> Authority:
    """An authority of one replica."""
    return Authority(cast("Any", kube), "ns", "ca", NAMES)


def certificates(pem: bytes) -> list[x509.Certificate]:
    """Of a bundle."""
    return x509.load_pem_x509_certificates(pem)


async def test_the_first_replica_makes_the_ca_and_all_share_it() -> None:
    """One write, whoever asks how often."""
    kube = FakeKube()
    first, second = made(kube), made(kube)
    bundle = await first.refresh()
    assert await second.refresh() == await first.refresh() == bundle
    assert kube.writes == 1
    assert kube.data is not None
    (root,) = certificates(bundle)
    assert root.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert kube.data["tls.crt"] == bundle


async def test_who_comes_second_takes_the_others() -> None:
    """Two replicas that start at once."""
    kube, other = FakeKube(), FakeKube()
    theirs = await made(other).refresh()
    kube.rival = other.data
    assert await made(kube).refresh() == theirs
    assert kube.writes == 0


async def test_an_old_ca_stays_in_the_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that replicas with a certificate of the old one are trusted until they change over."""
    kube = FakeKube()
    first = made(kube)
    old = await first.refresh()
    later = datetime.now(UTC) + module.CA_LIFETIME * 0.7

    clock = Mock(wraps=datetime)
    clock.now.return_value = later
    monkeypatch.setattr(module, "datetime", clock)
    bundle = await first.refresh()
    assert certificates(bundle)[1:] == certificates(old)
    assert kube.writes == 2
    assert certificates(bundle)[0].not_valid_after_utc - later > module.CA_LIFETIME - timedelta(minutes=1)


@pytest.mark.parametrize("broken", [{}, {"tls.crt": b"x", "tls.key": b"y", "ca.crt": b"z"}])
async def test_a_broken_secret_is_mended(broken: dict[str, bytes]) -> None:
    """Whatever is in it."""
    kube = FakeKube()
    kube.data = broken
    assert certificates(await made(kube).refresh())
    assert kube.writes == 1


def test_what_is_told_to_the_api_server() -> None:
    """Only what changes, and nothing of others."""
    webhooks = [{"name": "a", "clientConfig": {"service": {}}}, {"name": "b", "clientConfig": {"caBundle": "eA=="}}]
    configuration = {"metadata": {"name": "c"}, "webhooks": webhooks}
    patch = trust_patch("ValidatingWebhookConfiguration", configuration, b"x")
    assert patch is not None
    assert patch["webhooks"] == [{"name": name, "clientConfig": {"caBundle": "eA=="}} for name in ("a", "b")]
    assert trust_patch("k", {"metadata": {"name": "c"}, "webhooks": webhooks[1:]}, b"x") is None
    assert trust_patch("k", {"metadata": {"name": "c"}}, b"x") is None
