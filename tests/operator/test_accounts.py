"""ACME accounts are asked for beside the workers: what becomes of an issuer while its CA does not answer."""

from __future__ import annotations

import asyncio
import time
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from certwright.accounts import Accounts
from certwright.api import Issuer, IssuerRef
from certwright.errors import Fenced
from certwright.issuerpool import IssuerPool
from certwright.keyfactory import KeyFactory
from certwright.kube import KubeClient
from certwright.reconcile import outside
from certwright.reconcile.issuers import reconcile_issuer
from certwright.reconcile.outside import Outside, Waiting
from certwright.secretfacts import Secret, SecretMeta
from certwright.settings import Settings
from certwright.store import Store
from certwright.workqueue import Key, WorkQueue
from certwright_issuers.acme import keys
from certwright_issuers.acme.account import Account
from certwright_issuers.acme.keys import AccountKey
from certwright_issuers.acme.problem import AcmeUnavailable
from certwright_issuers.acme.transport import Server, TransportPool
from tests.operator.builders import NOW

PEM = keys.generate().pem()
OTHER_PEM = keys.generate().pem()


class FakeCA:
    """All servers: what they were told, in its order. They answer while ``well`` is set."""

    def __init__(self) -> None:
        self.well = asyncio.Event()
        self.told: list[tuple[str, str]] = []

    async def hear(self, host: str, what: str) -> None:
        await self.well.wait()
        self.told.append((host, what))


class Transports:
    """A server for itself."""

    def get(self, server: Server) -> Server:
        return server


class FakeClient:
    """In place of the ACME client."""

    ca: FakeCA

    def __init__(self, server: Server, key: AccountKey, *, concurrency: int) -> None:
        assert concurrency > 0
        self.server, self.key, self.account_url = server, key, ""

    async def register(self, emails: tuple[str, ...], _: object) -> Account:
        await self.ca.hear(self.server.directory_url, f"register {' '.join(emails)}")
        return Account(f"{self.server.directory_url}/{self.key.thumbprint}", "valid", ("mailto:first@example.test",))

    async def update_contact(self, emails: tuple[str, ...]) -> None:
        await self.ca.hear(self.server.directory_url, f"contact {' '.join(emails)}")


class FakeKube:
    """Account keys, and the last status of each issuer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.pem = PEM
        self.leads = True
        self.version = 0

    def require_lease(self) -> None:
        if not self.leads:
            raise Fenced("lost")

    async def get(self, _: str, type_: Any) -> Secret:
        assert type_ is Secret
        return Secret(metadata=SecretMeta(name="account"), data={"tls.key": self.pem})

    async def merge_patch(self, path: str, patch: Any, type_: Any) -> Any:
        namespace, name = path.split("/")[-4], path.split("/")[-2]
        old = msgspec.to_builtins(self._store.issuers[Key("Issuer", namespace, name)])
        metadata = {**old["metadata"], "resourceVersion": self.next_version()}
        return msgspec.convert({**old, "metadata": metadata, "status": patch["status"]}, type_, strict=False)

    def next_version(self) -> str:
        self.version += 1
        return str(self.version)


class World:
    """Issuers, reconciled by hand."""

    def __init__(self, ca: FakeCA) -> None:
        self.ca, self.store, self.queue = ca, Store(), WorkQueue()
        self.kube = FakeKube(self.store)
        kube = cast("KubeClient", self.kube)
        self.now = NOW
        transports = cast("TransportPool", Transports())
        accounts = Accounts(kube, KeyFactory(1), transports, Settings())
        self.pool = IssuerPool(kube, self.store, accounts, Settings())
        self.outside = Outside(self.queue)
        self.said: list[str] = []
        reporter = SimpleNamespace(normal=self._say, warning=self._say)
        parts = {"store": self.store, "queue": self.queue, "kube": self.kube, "reporter": reporter}
        self.context: Any = SimpleNamespace(issuers=self.pool, outside=self.outside, now=lambda: self.now, **parts)

    def _say(self, _: object, reason: str, message: str) -> None:
        self.said.append(f"{reason}: {message}")

    def put(self, name: str = "acme", host: str = "ca", email: str = "first@example.test", generation: int = 1) -> Key:
        """The issuer as a user has written it; its status stays."""
        key = Key("Issuer", "ns", name)
        known = self.store.issuers.get(key)
        acme = {"server": f"https://{host}.test", "email": email, "privateKeySecretRef": {"name": f"{name}-account"}}
        body = {
            "metadata": {
                "name": name,
                "namespace": "ns",
                "uid": name,
                "generation": generation,
                "resourceVersion": self.kube.next_version(),
            },
            "spec": {"acme": acme},
            "status": msgspec.to_builtins(known.status) if known is not None else {},
        }
        self.store.put_issuer("Issuer", msgspec.convert(body, Issuer, strict=False))
        return key

    async def waits(self, key: Key) -> None:
        """Reconcile an issuer that has no answer yet."""
        with pytest.raises(Waiting):
            await reconcile_issuer(self.context, key)

    async def answered(self) -> Key:
        """The next key that is to be looked at, and that look."""
        key = await asyncio.wait_for(self.queue.get(), 5)
        self.queue.done(key)
        await reconcile_issuer(self.context, key)
        return key

    def ready(self, key: Key) -> str:
        """Status of the condition; empty without one."""
        return next((c.status for c in self.store.issuers[key].status.conditions), "")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """One worker's patience is short."""
    ca = FakeCA()
    monkeypatch.setattr(FakeClient, "ca", ca, raising=False)
    monkeypatch.setattr("certwright.accounts.Client", FakeClient)
    monkeypatch.setattr(outside, "PATIENCE", 0.02)
    return World(ca)


async def test_servers_that_hang_hold_up_nobody(world: World) -> None:
    """Each costs a moment once; none costs its worker; all are Ready as soon as they answer."""
    issuers = [world.put(f"i{number}", host=f"ca{number}") for number in range(16)]
    began = time.monotonic()
    for _ in range(3):
        for key in issuers:
            await world.waits(key)
    assert time.monotonic() - began < 1
    assert {world.ready(key) for key in issuers} == {""}
    world.ca.well.set()
    assert {await world.answered() for _ in issuers} == set(issuers)
    assert {world.ready(key) for key in issuers} == {"True"}
    assert len(world.ca.told) == 16


async def test_a_server_that_is_mended_is_asked_at_once(world: World) -> None:
    """The answer about the old one is nobody's; meanwhile nothing is ordered with the old account."""
    world.ca.well.set()
    key = world.put(host="old")
    await reconcile_issuer(world.context, key)
    ref = IssuerRef(name="acme")
    loaded = world.pool.find(ref, "ns")
    assert loaded is not None
    assert loaded.account is not None
    world.ca.well.clear()
    world.put(host="hangs", generation=2)
    await world.waits(key)
    loaded = world.pool.find(ref, "ns")
    assert loaded is not None
    assert (loaded.account, loaded.health.ready) == (None, False)
    world.put(host="new", generation=3)
    await world.waits(key)
    world.ca.well.set()
    assert await world.answered() == key
    acme = world.store.issuers[key].status.acme
    assert acme is not None
    assert acme.uri == f"https://new.test/{keys.load(PEM).thumbprint}"
    loaded = world.pool.find(ref, "ns")
    assert loaded is not None
    assert loaded.account is not None
    assert loaded.account.server.directory_url == "https://new.test"


async def test_another_key_is_another_question(world: World) -> None:
    """Replaced while the CA is asked about the first: the account is that of the second."""
    key = world.put()
    await world.waits(key)
    world.kube.pem = OTHER_PEM
    await world.waits(key)
    world.ca.well.set()
    await world.answered()
    acme = world.store.issuers[key].status.acme
    assert acme is not None
    assert acme.uri.endswith(keys.load(OTHER_PEM).thumbprint)
    assert acme.last_private_key_hash == keys.load(OTHER_PEM).private_hash()


async def test_the_last_contact_is_the_one_that_stays(world: World) -> None:
    """Two changes while the CA hangs reach it one after the other; orders go on with the same account meanwhile."""
    world.ca.well.set()
    key = world.put()
    await reconcile_issuer(world.context, key)
    assert len(world.ca.told) == 1
    world.ca.well.clear()
    for generation, email in ((2, "second@example.test"), (3, "third@example.test")):
        world.put(email=email, generation=generation)
        await world.waits(key)
    loaded = world.pool.find(IssuerRef(name="acme"), "ns")
    assert loaded is not None
    assert loaded.account is not None
    world.ca.well.set()
    await world.answered()
    heard = [what for _, what in world.ca.told[1:]]
    emails = ("second@example.test", "third@example.test")
    assert heard == [f"{what} {email}" for email in emails for what in ("register", "contact")]
    acme = world.store.issuers[key].status.acme
    assert acme is not None
    assert acme.last_registered_email == "third@example.test"


async def test_nothing_is_registered_without_the_lease(world: World) -> None:
    """Neither before the first request nor before the next one."""
    key = world.put(email="second@example.test")
    world.kube.leads = False
    with pytest.raises(Fenced):
        await reconcile_issuer(world.context, key)
    assert world.ca.told == []
    world.kube.leads = True
    await world.waits(key)
    world.kube.leads = False
    world.ca.well.set()
    with pytest.raises(Fenced):
        await world.answered()
    assert [what for _, what in world.ca.told] == ["register second@example.test"]
    world.kube.leads = True
    await reconcile_issuer(world.context, key)
    assert world.ready(key) == "True"


async def test_a_failure_is_told_and_waited_out(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the late answer as by a quick one; no look before the time asks again."""
    failure = AcmeUnavailable("Timeout", "the ACME server did not answer in time")
    begun: list[float] = []

    async def hangs(_: Any, __: Any, ___: Any) -> Account:
        begun.append(time.monotonic())
        await world.ca.well.wait()
        raise failure

    monkeypatch.setattr(FakeClient, "register", hangs)
    key = world.put()
    await world.waits(key)
    world.ca.well.set()
    await world.answered()
    assert world.ready(key) == "False"
    told = f"{failure.message}; next try at 2026-11-24T12:00:05Z"
    assert world.said == [f"ErrRegisterACMEAccount: {told}", f"ErrInitIssuer: Error initializing issuer: {told}"]
    again = await reconcile_issuer(world.context, key)
    assert again is not None
    assert 5 <= again < 6
    assert len(begun) == 1
    world.now += timedelta(seconds=6)
    await reconcile_issuer(world.context, key)
    assert len(begun) == 2
