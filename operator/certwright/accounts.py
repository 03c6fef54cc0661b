"""ACME accounts of issuers: the key in its Secret, the account at the CA, one client for all Certificates of an issuer.

API contract section 3.1.1. The key's Secret is made when it is missing; an account is registered, or found by its key;
what is known of it is in ``status.acme``, so that a restart asks the CA nothing.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certwright import __version__
from certwright.api import ACMEIssuer, ACMEIssuerStatus, Issuer
from certwright.errors import AlreadyExists, NotFound
from certwright.keyfactory import KeyFactory
from certwright.kube import SECRETS, KubeClient
from certwright.secretfacts import TLS_KEY, Secret
from certwright.settings import Settings
from certwright.workqueue import Key
from certwright_issuers.acme import keys, retry
from certwright_issuers.acme.account import Account, ExternalBinding, contacts
from certwright_issuers.acme.client import Client
from certwright_issuers.acme.keys import AccountKey
from certwright_issuers.acme.problem import Kind
from certwright_issuers.acme.transport import Server, TransportPool
from certwright_issuers.contract import ConfigInvalid, Health, IssuerError, Note
from certwright_issuers.keys import KeySpec

REGISTERED = "ACMEAccountRegistered"
REGISTERED_MESSAGE = "The ACME account was registered with the ACME server"
VERIFY_FAILED = "ErrVerifyACMEAccount"
REGISTER_FAILED = "ErrRegisterACMEAccount"
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


class _Step(Exception):
    """A step failed: ``reason`` is that of the Ready condition."""

    def __init__(self, reason: str, cause: IssuerError) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause


class Accounts:
    """The accounts of all ACME issuers."""

    def __init__(self, kube: KubeClient, keys: KeyFactory, transports: TransportPool, settings: Settings) -> None:
        self._kube = kube
        self._keys = keys
        self._transports = transports
        self._policy = settings.egress
        self._concurrency = settings.acme.max_requests
        self._clients: dict[Key, Client] = {}
        self._held: dict[Key, _Held] = {}
        self._distrusted: set[Key] = set()

    @staticmethod
    def secret_names(acme: ACMEIssuer) -> frozenset[str]:
        """The Secrets that an account depends on."""
        binding = acme.external_account_binding
        names = {acme.private_key_secret_ref.name, binding.key_secret_ref.name if binding else ""}
        return frozenset(names - {""})

    def distrust(self, key: Key) -> None:
        """The CA has refused the account: ask it at the next :meth:`load`, whatever the status says."""
        self._distrusted.add(key)

    def drop(self, key: Key) -> None:
        """The issuer is gone."""
        self._clients.pop(key, None)
        self._held.pop(key, None)
        self._distrusted.discard(key)

    async def load(self, key: Key, issuer: Issuer, acme: ACMEIssuer, namespace: str, now: datetime) -> AccountState:
        """Make sure that there is a usable account. Raises KubeError; what a CA or a user can cause becomes health.

        ``namespace``: where the issuer's Secrets are.
        """
        known = issuer.status.acme or ACMEIssuerStatus()
        basis: tuple[object, ...] = (issuer.metadata.uid, issuer.metadata.generation)
        try:
            account_key = await self._account_key(namespace, acme)
            binding = await self._binding(namespace, acme)
            basis = (*basis, account_key, binding)
            held = self._held.get(key)
            if held is not None and held.basis == basis and now < held.until:
                return AccountState(held.health(now), None, known)
            client = self._client(key, acme, account_key)
            status, notes = await self._account(key, client, issuer, acme, binding)
        except _Step as failed:
            return AccountState(self._unhealthy(key, failed, basis, now), None, known)
        self._held.pop(key, None)
        self._distrusted.discard(key)
        client.account_url = status.uri
        return AccountState(Health(ready=True, reason=REGISTERED, message=REGISTERED_MESSAGE), client, status, notes)

    def _unhealthy(self, key: Key, failed: _Step, basis: tuple[object, ...], now: datetime) -> Health:
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

    # The key

    async def _account_key(self, namespace: str, acme: ACMEIssuer) -> AccountKey:
        ref = acme.private_key_secret_ref
        entry = ref.key or TLS_KEY
        secret = await self._read(namespace, ref.name)
        if secret is None:
            if acme.disable_account_key_generation:
                why = f"Secret {ref.name!r} with the account key does not exist, and disableAccountKeyGeneration is set"
                raise _Step(VERIFY_FAILED, ConfigInvalid("MissingAccountKey", why))
            secret = await self._make_key(namespace, ref.name, entry)
        pem = secret.data.get(entry)
        if not pem:
            why = f"Secret {ref.name!r} has no {entry!r}, which should hold the account key"
            raise _Step(VERIFY_FAILED, ConfigInvalid("MissingAccountKey", why))
        try:
            return keys.load(pem)
        except ConfigInvalid as error:
            raise _Step(VERIFY_FAILED, error) from error

    async def _make_key(self, namespace: str, name: str, entry: str) -> Secret:
        """RSA-2048 in PKCS#1, so that cert-manager can go on with it (contract section 3.1.1)."""
        made = await self._keys.generate(KeySpec("RSA", 2048))
        if not isinstance(made, RSAPrivateKey):
            raise TypeError("the key factory was asked for an RSA key")
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/managed-by": "cert-manager"},
            },
            "type": "Opaque",
            "data": {entry: base64.b64encode(AccountKey(made).pem()).decode()},
        }
        try:
            return await self._kube.create(SECRETS.path(namespace), body, Secret)
        except AlreadyExists:
            return await self._kube.get(SECRETS.path(namespace, name), Secret)

    async def _read(self, namespace: str, name: str) -> Secret | None:
        try:
            return await self._kube.get(SECRETS.path(namespace, name), Secret)
        except NotFound:
            return None

    # The client and the account

    def _client(self, key: Key, acme: ACMEIssuer, account_key: AccountKey) -> Client:
        """The issuer's client: the same one as long as server and key are the same, with all it remembers."""
        host = urlsplit(acme.server).hostname or ""
        if host in ACME_V1_HOSTS:
            why = f"{host} speaks the first ACME protocol, which was switched off; see the CA for its present URL"
            raise _Step("InvalidConfig", ConfigInvalid("InvalidConfig", why))
        contact = f" (mailto:{acme.email})" if acme.email.isascii() and acme.email.isprintable() and acme.email else ""
        server = Server(
            directory_url=acme.server,
            user_agent=f"certwright/{__version__}{contact}",
            ca_bundle=acme.ca_bundle,
            skip_tls_verify=bool(acme.skip_tls_verify),
            egress=self._policy,
        )
        old = self._clients.get(key)
        if old is not None and old.key is account_key and old.server == server:
            return old
        try:
            made = self._clients[key] = Client(self._transports.get(server), account_key, concurrency=self._concurrency)
        except ConfigInvalid as error:
            raise _Step(_CONFIG_REASONS.get(error.reason, "InvalidConfig"), error) from error
        return made

    async def _account(
        self, key: Key, client: Client, issuer: Issuer, acme: ACMEIssuer, binding: ExternalBinding | None
    ) -> tuple[ACMEIssuerStatus, tuple[Note, ...]]:
        known = issuer.status.acme or ACMEIssuerStatus()
        digest = client.key.private_hash()
        same_host = urlsplit(known.uri).hostname == urlsplit(acme.server).hostname
        registered = bool(known.uri) and same_host and known.last_private_key_hash == digest
        ready = any(c.type == "Ready" and c.status == "True" for c in issuer.status.conditions)
        if registered and ready and known.last_registered_email == acme.email and key not in self._distrusted:
            return known, ()
        self._kube.require_lease()
        account = await self._register(client, acme, binding)
        await self._update_contact(client, account, known, acme)
        status = ACMEIssuerStatus(uri=account.url, last_registered_email=acme.email, last_private_key_hash=digest)
        return status, _changes(known, status, acme.private_key_secret_ref.name)

    async def _register(self, client: Client, acme: ACMEIssuer, binding: ExternalBinding | None) -> Account:
        try:
            return await client.register((acme.email,) if acme.email else (), binding)
        except IssuerError as error:
            raise _Step(_CONFIG_REASONS.get(error.reason, REGISTER_FAILED), error) from error

    async def _binding(self, namespace: str, acme: ACMEIssuer) -> ExternalBinding | None:
        wanted = acme.external_account_binding
        if wanted is None:
            return None
        ref = wanted.key_secret_ref
        secret = await self._read(namespace, ref.name)
        mac_key = secret.data.get(ref.key) if secret is not None else None
        if mac_key is None:
            what = "does not exist" if secret is None else f"has no {ref.key!r}"
            why = f"Secret {ref.name!r} with the external account binding's key {what}"
            raise _Step(REGISTER_FAILED, ConfigInvalid("MissingExternalAccountKey", why))
        try:
            return ExternalBinding(wanted.key_id, keys.decode_mac_key(mac_key))
        except ConfigInvalid as error:
            raise _Step(REGISTER_FAILED, error) from error

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
            raise _Step(UPDATE_FAILED, error) from error


def _changes(known: ACMEIssuerStatus, now: ACMEIssuerStatus, secret: str) -> tuple[Note, ...]:
    """Certificates stay valid, but the CA's limits and authorizations belong to the account: tell when it changes."""
    if not known.uri or known.uri == now.uri:
        return ()
    why = ""
    if known.last_private_key_hash and known.last_private_key_hash != now.last_private_key_hash:
        why = f", because the account key in Secret {secret!r} has changed"
    text = f"The ACME account is now {now.uri} instead of {known.uri}{why}"
    return (Note("ACMEAccountChanged", text),)
