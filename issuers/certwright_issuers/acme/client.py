"""The client: each step of RFC 8555 as one method that takes and returns plain data.

No method sleeps, waits for a state, or repeats a request for any reason but a refused nonce: a caller can stop between
any two steps, and another process can go on with what was stored. :mod:`.issue` walks all steps in order.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from certwright_issuers.acme import account, ari, authorization, chain, challenge, directory, order, problem
from certwright_issuers.acme.account import Account, ExternalBinding
from certwright_issuers.acme.ari import RenewalInfo
from certwright_issuers.acme.authorization import Authorization
from certwright_issuers.acme.chain import Chain
from certwright_issuers.acme.challenge import Challenge
from certwright_issuers.acme.directory import Directory
from certwright_issuers.acme.gate import Gate
from certwright_issuers.acme.keys import AccountKey
from certwright_issuers.acme.nonces import usable
from certwright_issuers.acme.order import Identifier, Order, OrderStatus
from certwright_issuers.acme.problem import AcmeConfigInvalid, AcmeError, AcmeRateLimited, AcmeUnavailable
from certwright_issuers.acme.reply import Call, Reply, failure, not_acme
from certwright_issuers.acme.transport import Server, Transport

T = TypeVar("T")

#: Tries of one request when the CA refuses the nonce (reliability row M1).
NONCE_TRIES = 10
#: Seconds that the directory is believed: CAs change profiles and terms, but not within the hour.
DIRECTORY_AGE = 3600.0
#: Requests in flight for one account. Plenty for public CAs; Pebble, which nobody runs in earnest, can deadlock from 3 on.
CONCURRENCY = 8


class Client:
    """One account at one server. Safe to use from many tasks of one event loop."""

    def __init__(
        self,
        transport: Transport,
        key: AccountKey,
        account_url: str = "",
        *,
        concurrency: int = CONCURRENCY,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """``account_url``: what :meth:`register` returned earlier; empty before. ``now``: the clock for rate limits."""
        self.key = key
        self.account_url = account_url
        self._transport = transport
        self._now = now
        self._slots = asyncio.Semaphore(concurrency)
        self._gate = Gate()
        self._directory: tuple[float, Directory] | None = None
        self._fetching: asyncio.Future[Directory] | None = None

    @property
    def server(self) -> Server:
        """Where the account is, and how it is reached."""
        return self._transport.server

    async def directory(self) -> Directory:
        """The directory, fetched once an hour."""
        if self._directory is not None and asyncio.get_running_loop().time() - self._directory[0] < DIRECTORY_AGE:
            return self._directory[1]
        if self._fetching is None:
            self._fetching = asyncio.ensure_future(self._fetch_directory())
        # Many share one answer, also one that there is none: in turn, each would wait for a server that hangs.
        return await asyncio.shield(self._fetching)

    async def _fetch_directory(self) -> Directory:
        try:
            reply = await self._transport.directory()
            if reply.status != 200:
                raise failure(reply, "directory")
            found = directory.read(reply)
            self._directory = (asyncio.get_running_loop().time(), found)
            return found
        finally:
            self._fetching = None

    # --- account: RFC 8555 section 7.3

    async def register(self, emails: Sequence[str] = (), binding: ExternalBinding | None = None) -> Account:
        """Create the account of this key, or find it; its URL is used from now on.

        An account that exists keeps its contact: see :meth:`update_contact`.

        Raises :class:`AccountDeactivated` if the key's account has ended.
        """
        contact = account.contacts(emails) if emails else None
        call = account.register(await self.directory(), self.key, contact, binding)
        return await self._adopt(call)

    async def find_account(self) -> Account | None:
        """The account of this key if it has one; its URL is used from now on."""
        try:
            return await self._adopt(account.find(await self.directory()))
        except AcmeConfigInvalid as error:
            if error.problem is not None and error.problem.type == "accountDoesNotExist":
                return None
            raise

    async def get_account(self) -> Account:
        """The account as the CA knows it. Raises :class:`AccountDeactivated` if it has ended."""
        return await self._valid(account.fetch(self.account_url))

    async def update_contact(self, emails: Sequence[str]) -> Account:
        """Replace the contact; no addresses: remove it."""
        return await self._valid(account.update(self.account_url, account.contacts(emails)))

    async def deactivate_account(self) -> Account:
        """End the account for ever."""
        return await self.send(account.deactivate(self.account_url))

    async def change_key(self, new: AccountKey) -> None:
        """Replace the account's key at the CA, and in this client."""
        await self.send(account.change_key(await self.directory(), self.account_url, self.key, new))
        self.key = new

    # --- order, authorization, challenge: sections 7.4 and 7.5

    async def new_order(
        self,
        identifiers: Sequence[Identifier],
        *,
        not_after: datetime | None = None,
        profile: str = "",
        replaces: str = "",
    ) -> Order:
        """Create an order, or get the one that the CA still has open for the same names.

        Without ``replaces`` if the CA refuses just that. A rate limit is remembered: see :mod:`.gate`.
        """
        names = frozenset(identifiers)
        self._gate.check(names, self._now())
        urls = await self.directory()
        if profile:
            urls.require_profile(profile)
        try:
            try:
                return await self.send(
                    order.create(urls, identifiers, not_after=not_after, profile=profile, replaces=replaces)
                )
            except AcmeError as error:
                if not replaces or not order.refuses_replacement(error.problem):
                    raise
            return await self.send(order.create(urls, identifiers, not_after=not_after, profile=profile))
        except AcmeRateLimited as error:
            self._gate.close(names, error, self._now())
            raise

    async def get_order(self, url: str) -> Order:
        """The order's present state."""
        return await self.send(order.fetch(url))

    async def get_authorization(self, url: str) -> Authorization:
        """The authorization's present state."""
        return await self.send(authorization.fetch(url))

    async def answer_challenge(self, url: str) -> Challenge:
        """Tell the CA to validate. One that is being validated already is left alone and returned as it is."""
        try:
            return await self.send(challenge.answer(url))
        except AcmeUnavailable as error:
            if error.http_status != 409:
                raise
        return await self.send(challenge.fetch(url))

    async def deactivate_authorization(self, url: str) -> Authorization:
        """Give up an authorization that will not be used."""
        return await self.send(authorization.deactivate(url))

    async def finalize(self, order_url: str, finalize_url: str, csr_der: bytes) -> Order:
        """Hand in the CSR; or, if that was done before, return the order as it is now (contract section 2.5)."""
        try:
            return await self.send(order.finalize(order_url, finalize_url, csr_der))
        except AcmeError as error:
            if error.http_status != 403:
                raise
            found = await self.get_order(order_url)
            if found.status in (OrderStatus.PENDING, OrderStatus.READY):
                raise
            return found

    # --- certificate: sections 7.4.2 and 7.6, RFC 9773

    async def download(self, url: str, preferred_chain: str = "") -> Chain:
        """The chain whose topmost issuer has that common name, else the default one (contract section 3.1.6)."""
        default = await self.send(chain.fetch(url))
        if not preferred_chain or default.issued_by(preferred_chain):
            return default
        for alternate in default.alternates:
            found = await self.send(chain.fetch(alternate))
            if found.issued_by(preferred_chain):
                return found
        return default

    async def revoke(
        self,
        certificate: x509.Certificate,
        reason: int = 0,
        certificate_key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | None = None,
    ) -> None:
        """Revoke, as the account, or as whoever holds the certificate's key if that is given."""
        call = chain.revoke(await self.directory(), certificate, reason, by_key=certificate_key is not None)
        await self.send(call, None if certificate_key is None else AccountKey(certificate_key))

    async def renewal_info(self, certid: str) -> RenewalInfo | None:
        """When the CA suggests to renew; None if it never does. ``certid``: see :func:`ari.certificate_id`."""
        url = ari.url(await self.directory(), certid)
        if url is None:
            return None
        reply = await self._transport.request("GET", url, action="renewal-info")
        if reply.status != 200:
            raise failure(reply, "renewal-info")
        return ari.read(reply)

    # --- how a call is sent: section 6

    async def send(self, call: Call[T], key: AccountKey | None = None) -> T:
        """Sign and send one request, again with a fresh nonce if the CA refuses the nonce, and read the answer.

        ``key`` signs in place of the account's key. Raises :class:`AcmeError` or one of the contract's errors.
        """
        payload = b"" if call.payload is None else json.dumps(call.payload).encode()
        async with self._slots:
            reply = await self._signed(call, payload, key or self.key)
        if reply.status >= 300:
            raise failure(reply, call.action)
        return call.read(reply)

    async def _signed(self, call: Call[T], payload: bytes, key: AccountKey) -> Reply:
        clock = asyncio.get_running_loop().time
        nonce = self._transport.nonces.take(clock()) or await self._new_nonce()
        for attempt in range(NONCE_TRIES):
            body = key.sign(call.url, payload, nonce=nonce, account_url=None if call.by_key else self.account_url)
            reply = await self._transport.request("POST", call.url, action=call.action, body=body, limit=call.limit)
            brought = reply.headers.get("replay-nonce")
            if attempt + 1 == NONCE_TRIES or not _bad_nonce(reply):
                self._transport.nonces.add(brought, clock())
                return reply
            # Section 6.5: the error brings a nonce that is good; those in the pool may be as old as the refused one.
            nonce = brought if brought is not None and usable(brought) else await self._new_nonce()
        raise AssertionError("unreachable: the last try returns")

    async def _new_nonce(self) -> str:
        reply = await self._transport.request("HEAD", (await self.directory()).new_nonce, action="new-nonce")
        if reply.status >= 300:
            raise failure(reply, "new-nonce")
        nonce = reply.headers.get("replay-nonce")
        if nonce is None or not usable(nonce):
            raise not_acme("no usable Replay-Nonce header", reply)
        return nonce

    async def _adopt(self, call: Call[Account]) -> Account:
        found = await self._valid(call)
        self.account_url = found.url
        return found

    async def _valid(self, call: Call[Account]) -> Account:
        try:
            found = await self.send(call)
        except AcmeConfigInvalid as error:
            raise account.as_account_error(error) from error
        found.require_valid()
        return found


def _bad_nonce(reply: Reply) -> bool:
    said = problem.from_body(reply.body) if reply.status == 400 else None
    return said is not None and said.type == "badNonce"
