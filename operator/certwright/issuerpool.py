"""Configured issuers, ready to sign: one instance per Issuer or ClusterIssuer, kept until its configuration changes.

``load`` builds the instance from the object's spec and its Secrets and checks it; ``reconcile/issuers.py`` turns the
result into the Ready condition. Whoever needs an issuer that is not ready registers as waiting and is looked at again
the moment that changes.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

import msgspec

from certwright.accounts import Accounts
from certwright.accountsecrets import secret_names
from certwright.accounttokens import ServiceAccountTokens
from certwright.api import ACMEIssuer, ACMEIssuerStatus, IssuerRef
from certwright.api import Issuer as IssuerObject
from certwright.api.groups import DEFAULT_ISSUER_GROUP
from certwright.beside import Beside, T
from certwright.errors import NotFound
from certwright.kube import SECRETS, KubeClient
from certwright.secretfacts import Secret
from certwright.settings import Settings
from certwright.store import NamespacedName, Store, issuer_key
from certwright.workqueue import Key
from certwright_issuers.acme.client import Client
from certwright_issuers.contract import ConfigInvalid, Environment, Health, Issuer, IssuerError, IssuerType, Note
from certwright_issuers.registry import ISSUER_TYPES

#: The one type that is no row of the registry: it does not sign, it orders, and orders are API objects.
ACME = "acme"


#: Of an issuer whose first check is under way.
NOT_CHECKED = Health(ready=False, reason="NotChecked", message="has not been checked yet")
#: Seconds between two checks that failed signatures ask for.
CHECK_PAUSE = 2.0


@dataclass(frozen=True, slots=True)
class Loaded:
    """An issuer object as this process knows it."""

    health: Health
    #: None while the configuration can't be built.
    issuer: Issuer | None
    type: IssuerType | None
    #: What the instance was built from; equal means it need not be built again.
    fingerprint: tuple[object, ...]
    #: For ACME, in place of ``issuer``: the account that orders are made with (``reconcile/acme``).
    account: Client | None = None
    #: For ``status.acme``; None leaves that alone.
    acme_status: ACMEIssuerStatus | None = None
    #: To be told once, in Events.
    notes: tuple[Note, ...] = ()


class IssuerPool:
    """All issuers by key."""

    def __init__(self, kube: KubeClient, store: Store, accounts: Accounts, settings: Settings) -> None:
        self._kube = kube
        self._store = store
        self._accounts = accounts
        self._cluster_namespace = settings.cluster_resource_namespace
        self._settings = settings
        self._loaded: dict[Key, Loaded] = {}
        #: When, on the monotonic clock.
        self._checked: dict[Key, float] = {}
        self._waiting: defaultdict[Key, set[Key]] = defaultdict(set)

    def find(self, ref: IssuerRef, namespace: str) -> Loaded | None:
        """The issuer that ``ref`` names; None while it is unknown or belongs to another controller."""
        if ref.effective_group != DEFAULT_ISSUER_GROUP:
            return None
        key = issuer_key(ref, namespace)
        return self._loaded.get(key) if key in self._store.issuers else None

    def find_key(self, key: Key) -> Loaded | None:
        """What was loaded last for this issuer."""
        return self._loaded.get(key)

    def exists(self, ref: IssuerRef, namespace: str) -> bool:
        """Whether there is an issuer object of this name."""
        return issuer_key(ref, namespace) in self._store.issuers

    def acme_spec(self, ref: IssuerRef, namespace: str) -> ACMEIssuer | None:
        """The issuer's ``spec.acme``; None if there is none."""
        found = self._store.issuers.get(issuer_key(ref, namespace))
        return found.spec.acme if found is not None else None

    def wait_for(self, ref: IssuerRef, namespace: str, waiter: Key) -> None:
        """Have ``waiter`` looked at when this issuer changes."""
        self._waiting[issuer_key(ref, namespace)].add(waiter)

    def take_waiting(self, key: Key) -> set[Key]:
        """Everybody who waits for this issuer; they have to register again."""
        return self._waiting.pop(key, set())

    def drop(self, key: Key) -> None:
        """The issuer object is gone."""
        self._loaded.pop(key, None)
        self._accounts.drop(key)
        self._checked.pop(key, None)
        self._store.set_secrets_read(key, frozenset())

    def check_due(self, key: Key) -> float:
        """The issuer has just failed to sign: in how many seconds to check it. Many failures cause few checks."""
        last = self._checked.get(key)
        return 0.0 if last is None else max(0.0, last + CHECK_PAUSE - time.monotonic())

    async def load(self, key: Key, issuer_object: IssuerObject, now: datetime, beside: Beside) -> Loaded:
        """Build (if anything changed) and check; a check that is no arithmetic is made by ``beside``.

        Raises KubeError, and what ``beside`` raises; an issuer's own errors become its health.
        """
        type_, config = issuer_type_of(issuer_object)
        if issuer_object.spec.acme is not None:
            loaded = await self._load_account(key, issuer_object, issuer_object.spec.acme, now, beside)
            self._loaded[key] = loaded
            return loaded
        if type_ is None:
            loaded = self._loaded[key] = Loaded(_no_type(issuer_object), None, None, ())
            return loaded
        secrets, versions = await self._secrets(key, type_, config)
        fingerprint = (issuer_object.metadata.uid, issuer_object.metadata.generation, versions)
        known = self._loaded.get(key)
        if known is None or known.issuer is None or known.fingerprint != fingerprint:
            known = self._loaded[key] = self._build(key, type_, config, secrets, fingerprint)
        return await self._checked_now(key, known, now, beside)

    async def _checked_now(self, key: Key, loaded: Loaded, now: datetime, beside: Beside) -> Loaded:
        if loaded.issuer is None or loaded.type is None:
            return loaded
        check = partial(loaded.issuer.check, now)
        try:
            health = await (check() if loaded.type.in_process else beside(("check", key), loaded.fingerprint, check))
        except IssuerError as error:
            issuer = None if isinstance(error, ConfigInvalid) else loaded.issuer
            loaded = replace(loaded, health=_unhealthy(error), issuer=issuer)
        else:
            loaded = replace(loaded, health=health)
        self._loaded[key] = loaded
        self._checked[key] = time.monotonic()
        return loaded

    def distrust_account(self, key: Key) -> None:
        """The CA has refused the issuer's account: the next :meth:`load` asks it."""
        self._accounts.distrust(key)

    async def _load_account(
        self, key: Key, issuer_object: IssuerObject, acme: ACMEIssuer, now: datetime, beside: Beside
    ) -> Loaded:
        namespace = key.namespace or self._cluster_namespace
        # Before reading: a change while reading must find its way here.
        names = secret_names(acme)
        self._store.set_secrets_read(key, frozenset(NamespacedName(namespace, name) for name in names))

        async def ask(lane: Hashable, name: Hashable, work: Callable[[], Awaitable[T]]) -> T:
            known = self._loaded.get(key)
            account = known.account if known is not None else None
            if known is None or known.issuer or (account and not self._accounts.is_current(key, account)):
                # While the answer is awaited nothing is ordered where, or as whom, the issuer no longer says.
                self._loaded[key] = Loaded(NOT_CHECKED, None, None, ())
            return await beside(lane, name, work)

        state = await self._accounts.load(key, issuer_object, acme, namespace, now, ask)
        meta = issuer_object.metadata
        fingerprint = (meta.uid, meta.generation, state.status.uri)
        return Loaded(state.health, None, None, fingerprint, state.client, state.status, state.notes)

    def _build(
        self,
        key: Key,
        type_: IssuerType,
        config: Mapping[str, Any],
        secrets: dict[str, dict[str, bytes]],
        fingerprint: tuple[object, ...],
    ) -> Loaded:
        try:
            issuer = type_.build(config, secrets, self._environment(key))
        except IssuerError as error:
            return Loaded(_unhealthy(error), None, type_, fingerprint)
        return Loaded(NOT_CHECKED, issuer, type_, fingerprint)

    def _environment(self, key: Key) -> Environment:
        """Secrets and ServiceAccounts of an issuer are in one namespace, its own or the cluster resource namespace."""
        settings = self._settings.issuers
        return Environment(
            name=f"{key.namespace}/{key.name}" if key.namespace else key.name,
            account_tokens=ServiceAccountTokens(self._kube, key.namespace or self._cluster_namespace),
            egress=self._settings.egress,
            ambient_credentials=settings.ambient_credentials if key.namespace else settings.cluster_ambient_credentials,
        )

    async def _secrets(
        self, key: Key, type_: IssuerType, config: Mapping[str, Any]
    ) -> tuple[dict[str, dict[str, bytes]], tuple[tuple[str, str], ...]]:
        """Data and versions of the Secrets the configuration names, from the only namespace it may name them in."""
        namespace = key.namespace or self._cluster_namespace
        names = sorted(name for name in type_.secret_names(config) if name)
        # Before reading: a change while reading must find its way here.
        self._store.set_secrets_read(key, frozenset(NamespacedName(namespace, name) for name in names))
        data: dict[str, dict[str, bytes]] = {}
        versions: list[tuple[str, str]] = []
        for name in names:
            try:
                secret = await self._kube.get(SECRETS.path(namespace, name), Secret)
            except NotFound:
                continue
            data[name] = secret.data
            versions.append((name, f"{secret.metadata.uid}/{secret.metadata.resource_version}"))
        return data, tuple(versions)


def issuer_type_of(issuer_object: IssuerObject) -> tuple[IssuerType | None, Mapping[str, Any]]:
    """The registry's row for the one type the spec names, and the part of the spec under that key as JSON values."""
    spec: dict[str, Any] = msgspec.to_builtins(issuer_object.spec)
    for key, type_ in ISSUER_TYPES.items():
        if key in spec:
            return type_, spec[key]
    return None, {}


def _unhealthy(error: IssuerError) -> Health:
    return Health(ready=False, reason=error.reason, message=error.message)


def _no_type(issuer_object: IssuerObject) -> Health:
    named = sorted(msgspec.to_builtins(issuer_object.spec))
    if not named:
        return Health(ready=False, reason="NoIssuerType", message="spec names no issuer type")
    served = ", ".join((ACME, *ISSUER_TYPES))
    return Health(
        ready=False,
        reason="UnsupportedIssuerType",
        message=f"issuer type {named[0]!r} is not served by this version of certwright; it serves {served}",
    )
