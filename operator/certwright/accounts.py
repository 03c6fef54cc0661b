"""ACME accounts of issuers: one account at the CA and one client for all Certificates of an issuer.

API contract section 3.1.1. An account is registered, or found by its key (``accountsecrets``); what is known of it is in
``status.acme``, so that a restart asks the CA nothing. Where the CA has to be asked that is done beside the workers, and a
changed issuer or Secret is looked at while an answer is awaited.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from urllib.parse import urlsplit

from certwright import __version__
from certwright.accountsecrets import REGISTER_FAILED, AccountFailed, AccountSecrets
from certwright.api import ACMEIssuer, ACMEIssuerStatus, Issuer
from certwright.beside import Beside
from certwright.keyfactory import KeyFactory
from certwright.kube import KubeClient
from certwright.settings import Settings
from certwright.workqueue import Key
from certwright_issuers.acme import retry
from certwright_issuers.acme.account import Account, ExternalBinding, contacts
from certwright_issuers.acme.client import Client
from certwright_issuers.acme.keys import AccountKey
from certwright_issuers.acme.problem import Kind
from certwright_issuers.acme.transport import Server, TransportPool
from certwright_issuers.contract import ConfigInvalid, Health, IssuerError, Note

REGISTERED = "ACMEAccountRegistered"
REGISTERED_MESSAGE = "The ACME account was registered with the ACME server"
UPDATE_FAILED = "ErrUpdateACMEAccount"

#: Hosts of Let's Encrypt's first protocol, switched off in 2021: manifests of that time still name them.
ACME_V1_HOSTS = frozenset({"acme-v01.api.letsencrypt.org", "acme-staging.api.letsencrypt.org"})
#: Reasons of the transport that are conditions of their own (contract section 3.1.1).
_CONFIG_REASONS = {"InvalidURL": "InvalidURL", "InvalidCABundle": "InvalidConfig", "EgressRefused": "InvalidURL"}


@dataclass(frozen=True, slots=True)
class AccountState:
    """What became of an issuer's account."""

    health: Health
    #: None while there is no usable account.
    client: Client | None
    #: For ``status.acme``.
    status: ACMEIssuerStatus
    #: Something that has changed and that people should know.
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class _Held:
    """A failure that has to be waited out, unless what it was found for changes."""

    basis: tuple[object, ...]
    count: int
    until: datetime
    reason: str
    message: str

    def health(self, now: datetime) -> Health:
        return Health(ready=False, reason=self.reason, message=self.message, recheck_after=self.until - now)


@dataclass(frozen=True, slots=True)
class _Open:
    """An issuer's client, and whose turn it is to tell the CA of the account: of two settings the later one is kept."""

    client: Client
    turn: asyncio.Lock

    def serves(self, directory_url: str, key: AccountKey) -> bool:
        """Whether this is the account of that key."""
        return self.client.server.directory_url == directory_url and self.client.key is key


class Accounts:
    """The accounts of all ACME issuers."""

    def __init__(self, kube: KubeClient, keys: KeyFactory, transports: TransportPool, settings: Settings) -> None:
        self._kube = kube
        self._secrets = AccountSecrets(kube, keys)
        self._transports = transports
        self._policy = settings.egress
        self._concurrency = settings.acme.max_requests
        self._open: dict[Key, _Open] = {}
        self._held: dict[Key, _Held] = {}
        self._distrusted: set[Key] = set()

    def distrust(self, key: Key) -> None:
        """The CA has refused the account: ask it at the next :meth:`load`, whatever the status says."""
        self._distrusted.add(key)

    def is_current(self, key: Key, client: Client) -> bool:
        """Whether the client, which may be an older one, has the account of the server and the key that the issuer names."""
        known = self._open.get(key)
        return known is not None and known.serves(client.server.directory_url, client.key)

    def drop(self, key: Key) -> None:
        """The issuer is gone."""
        self._open.pop(key, None)
        self._held.pop(key, None)
        self._distrusted.discard(key)

    async def load(
        self, key: Key, issuer: Issuer, acme: ACMEIssuer, namespace: str, now: datetime, beside: Beside
    ) -> AccountState:
        """Make sure that there is a usable account.

        ``namespace``: where the issuer's Secrets are. Raises KubeError, and what ``beside`` raises; what a CA or a user can
        cause becomes health.
        """
        known = issuer.status.acme or ACMEIssuerStatus()
        basis: tuple[object, ...] = (issuer.metadata.uid, issuer.metadata.generation)
        try:
            account_key = await self._secrets.key(namespace, acme)
            binding = await self._secrets.binding(namespace, acme)
            basis = (*basis, account_key, binding)
            held = self._held.get(key)
            if held is not None and held.basis == basis and now < held.until:
                return AccountState(held.health(now), None, known)
            account = self._opened(key, acme, account_key)
            status = known
            if not self._is_registered(key, account.client, issuer, acme):
                ask = partial(self._ask, account, known, acme, binding)
                status = await beside(("account", acme.server), (key, basis), ask)
        except AccountFailed as failed:
            return AccountState(self._unhealthy(key, failed, basis, now), None, known)
        self._held.pop(key, None)
        self._distrusted.discard(key)
        account.client.account_url = status.uri
        health = Health(ready=True, reason=REGISTERED, message=REGISTERED_MESSAGE)
        notes = _changes(known, status, acme.private_key_secret_ref.name)
        return AccountState(health, account.client, status, notes)

    def _unhealthy(self, key: Key, failed: AccountFailed, basis: tuple[object, ...], now: datetime) -> Health:
        """Not ready, with the time of the next try; no other event makes it come earlier, but a change does."""
        old = self._held.get(key)
        count = old.count + 1 if old is not None and old.basis == basis else 1
        seed, failure = str(key), retry.failure(failed.cause, now, count)
        again = retry.next_attempt(failure, seed=seed)
        if again is None:
            # Not only a change here may help: the CA's owner can mend it as well.
            again = retry.next_attempt(retry.Failure(Kind.CONFIGURATION, now, count), seed=seed)
        until = again or now
        message = f"{failed.cause.message}; next try at {until:%Y-%m-%dT%H:%M:%SZ}"
        self._held[key] = _Held(basis, count, until, failed.reason, message)
        return self._held[key].health(now)

    # The client and the account

    def _opened(self, key: Key, acme: ACMEIssuer, account_key: AccountKey) -> _Open:
        """The issuer's client: the same one as long as server and key are the same, with all it remembers."""
        host = urlsplit(acme.server).hostname or ""
        if host in ACME_V1_HOSTS:
            why = f"{host} speaks the first ACME protocol, which was switched off; see the CA for its present URL"
            raise AccountFailed("InvalidConfig", ConfigInvalid("InvalidConfig", why))
        contact = f" (mailto:{acme.email})" if acme.email.isascii() and acme.email.isprintable() and acme.email else ""
        server = Server(
            directory_url=acme.server,
            user_agent=f"certwright/{__version__}{contact}",
            ca_bundle=acme.ca_bundle,
            skip_tls_verify=bool(acme.skip_tls_verify),
            egress=self._policy,
        )
        old = self._open.get(key)
        turn = old.turn if old is not None and old.serves(acme.server, account_key) else asyncio.Lock()
        if old is not None and old.turn is turn and old.client.server == server:
            return old
        try:
            client = Client(self._transports.get(server), account_key, concurrency=self._concurrency)
        except ConfigInvalid as error:
            raise AccountFailed(_CONFIG_REASONS.get(error.reason, "InvalidConfig"), error) from error
        made = self._open[key] = _Open(client, turn)
        return made

    def _is_registered(self, key: Key, client: Client, issuer: Issuer, acme: ACMEIssuer) -> bool:
        """Whether the status tells all that the CA would."""
        known = issuer.status.acme or ACMEIssuerStatus()
        same_host = urlsplit(known.uri).hostname == urlsplit(acme.server).hostname
        same_account = bool(known.uri) and same_host and known.last_private_key_hash == client.key.private_hash()
        ready = any(c.type == "Ready" and c.status == "True" for c in issuer.status.conditions)
        return same_account and ready and known.last_registered_email == acme.email and key not in self._distrusted

    async def _ask(
        self, account: _Open, known: ACMEIssuerStatus, acme: ACMEIssuer, binding: ExternalBinding | None
    ) -> ACMEIssuerStatus:
        """Register the account, or find it, and see to its contact. Raises AccountFailed, Fenced."""
        client = account.client
        async with account.turn:
            self._kube.require_lease()
            found = await self._register(client, acme, binding)
            self._kube.require_lease()
            await self._update_contact(client, found, known, acme)
        digest = client.key.private_hash()
        return ACMEIssuerStatus(uri=found.url, last_registered_email=acme.email, last_private_key_hash=digest)

    async def _register(self, client: Client, acme: ACMEIssuer, binding: ExternalBinding | None) -> Account:
        try:
            return await client.register((acme.email,) if acme.email else (), binding)
        except IssuerError as error:
            raise AccountFailed(_CONFIG_REASONS.get(error.reason, REGISTER_FAILED), error) from error

    async def _update_contact(
        self, client: Client, account: Account, known: ACMEIssuerStatus, acme: ACMEIssuer
    ) -> None:
        """An account that existed keeps its old contact at registration; CAs that keep none show none."""
        try:
            wanted = contacts((acme.email,) if acme.email else ())
            shown = tuple(contact.lower() for contact in account.contact)
            changed = known.uri == account.url and known.last_registered_email != acme.email
            if changed or (shown and shown != wanted):
                await client.update_contact((acme.email,) if acme.email else ())
        except IssuerError as error:
            raise AccountFailed(UPDATE_FAILED, error) from error


def _changes(known: ACMEIssuerStatus, now: ACMEIssuerStatus, secret: str) -> tuple[Note, ...]:
    """Certificates stay valid, but the CA's limits and authorizations belong to the account: tell when it changes."""
    if not known.uri or known.uri == now.uri:
        return ()
    why = ""
    if known.last_private_key_hash and known.last_private_key_hash != now.last_private_key_hash:
        why = f", because the account key in Secret {secret!r} has changed"
    text = f"The ACME account is now {now.uri} instead of {known.uri}{why}"
    return (Note("ACMEAccountChanged", text),)
