"""One Order, from newOrder to the chain (API contract section 2.5).

Each step is taken from what the Order's own status says, so that any replica can go on after a crash: the order's URL is
stored as soon as it is known, the CSR may be handed in twice, and a chain is fetched as often as it takes. The CA's
answers in between are kept in memory only.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
from cryptography.hazmat.primitives.serialization import Encoding

from certwright.api import ACMEAuthorization, ACMEChallenge, ACMEIssuer, Challenge, ChallengeSpec, Order, OrderStatus
from certwright.api.duration import parse_go_duration
from certwright.api.groups import ACME_API_VERSION
from certwright.errors import AlreadyExists, Forbidden, Refused
from certwright.kube import CHALLENGES, ORDERS
from certwright.reconcile.acme.leavings import give_up, give_up_pending, remove
from certwright.reconcile.acme.memory import Memo
from certwright.reconcile.acme.requests import LOST, request_of
from certwright.reconcile.acme.trouble import Trouble, expiry_of, judge
from certwright.reconcile.acme.waits import lasting, remaining
from certwright.reconcile.acme.wanted import challenge_body, is_wanted, wanted_challenges
from certwright.reconcile.context import Context, Retry
from certwright.reconcile.statuspatch import status_patch
from certwright.reporter import Subject
from certwright.solvers.contract import SolverRefused
from certwright.store import issuer_key
from certwright.workqueue import Key
from certwright_issuers.acme.authorization import Authorization, AuthorizationStatus
from certwright_issuers.acme.client import Client
from certwright_issuers.acme.lifecycle import POLLS, failure_of
from certwright_issuers.acme.order import Order as CaOrder
from certwright_issuers.acme.order import OrderStatus as CaStatus
from certwright_issuers.acme.order import identifiers
from certwright_issuers.acme.problem import Kind
from certwright_issuers.contract import IssuerError
from certwright_issuers.csr import parse_csr
from certwright_issuers.text import cut

#: How long an Order without events is left alone, in seconds: its Challenges wake it, this is for what got lost.
IDLE = 300.0
#: How soon a solver that refuses is asked again, in seconds: an Ingress may have come. A changed issuer comes sooner.
REFUSED_RECHECK = 60.0
#: Happy ends are told in an Event when they took this long; else nobody was looking (docs/divergences.md).
SLOW_SUCCESS = timedelta(seconds=30)
#: Characters of ``status.reason``, far below the 4 KB of a condition's message.
REASON_LIMIT = 3000


async def reconcile_order(context: Context, key: Key) -> float | None:
    """Returns after how many seconds to look again; None: when something changes."""
    order = context.store.orders.get(key)
    if order is None or order.metadata.deletion_timestamp is not None:
        memo = context.acme.forget(key)
        if memo is not None and memo.client is not None:
            await give_up_pending(context, memo.client, memo.pending)
        return None
    if order.status.state in LOST or request_of(context, order) is None:
        return None
    if order.status.state == "valid" and order.status.certificate:
        await remove(context, context.store.challenges.owned_by(order.metadata.uid))
        return None
    context.issuers.wait_for(order.spec.issuer_ref, key.namespace, key)
    acme = context.issuers.acme_spec(order.spec.issuer_ref, key.namespace)
    loaded = context.issuers.find(order.spec.issuer_ref, key.namespace)
    if acme is None or loaded is None or loaded.account is None:
        return None
    memo = context.acme.memo(key, order.metadata.uid)
    wait = remaining(context, memo, order.metadata.annotations, loaded.account)
    if wait > 0:
        return wait
    return await _Walk(context, key, order, acme, loaded.account, memo).go()


class ChallengeRefused(Exception):
    """A quota or a policy of the cluster lets no Challenge be made; the message says so."""


class _Walk:
    """One look at one Order: the newest version of it, and the steps."""

    def __init__(self, context: Context, key: Key, order: Order, acme: ACMEIssuer, client: Client, memo: Memo) -> None:
        self._context = context
        self._key = key
        self._order = order
        self._acme = acme
        self._client = client
        self._memo = memo
        self._what = "Failed to retrieve Order"

    async def go(self) -> float | None:
        """As far as it goes now."""
        self._context.kube.require_lease()
        try:
            return await self._steps()
        except SolverRefused as error:
            what = "Failed to determine a valid solver configuration for the set of domains on the Order"
            return await self._refused("Solver", f"{what}: {error.message}")
        except ChallengeRefused as error:
            return await self._refused("ChallengeCreatingError", f"Failed to create Challenge: {error}")
        except IssuerError as error:
            return await self._troubled(error)

    async def _steps(self) -> float | None:
        status = self._order.status
        if not status.url:
            await self._create()
        elif not status.authorizations:
            self._what = "Failed to retrieve Order"
            await self._learn_authorizations(await self._client.get_order(status.url))
        challenges = await self._challenges() if self._order.status.state != "ready" else []
        lost = [c for c in challenges if c.status.state in LOST]
        if lost:
            await self._lose(lost)
            return None
        waiting = [c for c in challenges if c.status.state != "valid"]
        if waiting:
            await self._write(reason=_told(waiting))
            return IDLE
        return await self._finish()

    # newOrder and authorizations

    async def _create(self) -> None:
        self._what = "Failed to create Order"
        spec = self._order.spec
        names = identifiers((*spec.dns_names, *self._common_dns_name()), spec.ip_addresses)
        not_after = self._context.now() + parse_go_duration(spec.duration) if spec.duration else None
        made = self._memo.made
        if made is not None and made[1] == self._client.account_url:
            # A write of the status has failed since.
            seen = await self._client.get_order(made[0])
        else:
            seen = await self._client.new_order(
                names, not_after=not_after, profile=spec.profile, replaces=spec.replaces
            )
        self._memo.made = seen.url, self._client.account_url
        self._done()
        try:
            await self._learn_authorizations(seen)
        except IssuerError:
            # The order exists: without its URL another one would be made.
            await self._write(url=seen.url, finalize_url=seen.finalize, state=str(seen.status), reason="")
            raise

    def _common_dns_name(self) -> tuple[str, ...]:
        """The common name is among the names already, maybe as an IP address (contract row 8.41)."""
        known = {name.lower() for name in (*self._order.spec.dns_names, *self._order.spec.ip_addresses)}
        name = self._order.spec.common_name
        return (name,) if name and name.lower() not in known else ()

    async def _learn_authorizations(self, seen: CaOrder) -> None:
        """One write with all that has to be known of the CA's order."""
        self._what = "Failed to fetch authorization"
        found = await asyncio.gather(*(self._client.get_authorization(url) for url in seen.authorizations))
        for authorization in found:
            self._context.acme.remember(authorization)
        self._memo.client = self._client
        self._memo.pending = tuple(a.url for a in found if a.status is AuthorizationStatus.PENDING)
        await self._write(
            url=seen.url,
            finalize_url=seen.finalize,
            state=str(seen.status),
            authorizations=tuple(_shown(authorization) for authorization in found),
            reason="",
        )
        self._done()

    # Challenges

    async def _challenges(self) -> list[Challenge]:
        """The Challenges that are needed, made where they are missing; all others of this Order go."""
        wanted = wanted_challenges(self._order, self._acme, self._client.key, self._context.solvers)
        owned = self._context.store.challenges.owned_by(self._order.metadata.uid)
        await remove(self._context, [challenge for challenge in owned if not is_wanted(challenge, wanted)])
        found = {challenge.metadata.name: challenge for challenge in owned if is_wanted(challenge, wanted)}
        made = await asyncio.gather(*(self._make(name, wanted) for name in wanted if name not in found))
        return [*found.values(), *made]

    async def _make(self, name: str, wanted: dict[str, ChallengeSpec]) -> Challenge:
        namespace = self._key.namespace
        body = challenge_body(self._order, name, wanted[name])
        try:
            challenge = await self._context.kube.create(CHALLENGES.path(namespace), body, Challenge)
        except (Forbidden, Refused) as error:
            raise ChallengeRefused(str(error)) from error
        except AlreadyExists:
            challenge = await self._context.kube.get(CHALLENGES.path(namespace, name), Challenge)
            if not is_wanted(challenge, wanted) or challenge.metadata.deletion_timestamp is not None:
                await self._context.kube.delete(CHALLENGES.path(namespace, name), uid=challenge.metadata.uid)
                raise Retry(f"Challenge {name} was left over from something else") from None
        self._context.store.challenges.put(challenge)
        self._context.queue.add(self._context.store.challenges.key_of(challenge))
        return challenge

    # The end

    async def _finish(self) -> float | None:
        """All names are proved: hand in the CSR, and look until the chain is there."""
        url = self._order.status.url
        if self._memo.submitted:
            self._what = "Failed to retrieve Order"
            seen = await self._client.get_order(url)
        else:
            self._what = "Failed to finalize Order"
            csr = parse_csr(self._order.spec.request).csr.public_bytes(Encoding.DER)
            seen = await self._client.finalize(url, self._order.status.finalize_url, csr)
            self._memo.submitted = True
        if seen.status is CaStatus.VALID:
            await self._collect(seen)
            return None
        if seen.status is CaStatus.INVALID:
            await self._lose_by(seen)
            return None
        self._done()
        scheduled = timedelta(seconds=POLLS[min(self._memo.polls, len(POLLS) - 1)])
        self._memo.polls += 1
        return max(scheduled, seen.retry_after or timedelta()).total_seconds()

    async def _collect(self, seen: CaOrder) -> None:
        self._what = "Failed to retrieve signed certificate"
        chain = await self._client.download(seen.certificate, self._acme.preferred_chain)
        await self._write(state="valid", certificate=chain.pem, reason="")
        self._context.acme.forget(self._key)
        if self._context.now() - self._order.metadata.creation_timestamp > SLOW_SUCCESS:
            self._context.reporter.normal(self._about(), "Complete", "Order completed successfully")
        await remove(self._context, self._context.store.challenges.owned_by(self._order.metadata.uid))

    async def _lose(self, lost: list[Challenge]) -> None:
        states = {challenge.status.state for challenge in lost}
        state = next(state for state in ("invalid", "errored", "expired") if state in states)
        await self._end(state, _told(lost))

    async def _lose_by(self, seen: CaOrder) -> None:
        """The CA says so: its authorizations tell why."""
        found = await asyncio.gather(*(self._client.get_authorization(url) for url in seen.authorizations))
        await self._end("invalid", failure_of(seen, found, self._context.now()).message)

    async def _end(self, state: str, reason: str) -> None:
        now = self._context.now().replace(microsecond=0)
        await self._write(state=state, reason=reason, failure_time=now)
        owned = self._context.store.challenges.owned_by(self._order.metadata.uid)
        await remove(self._context, [challenge for challenge in owned if challenge.status.state not in LOST])
        await self._give_up_rest(owned)
        self._context.acme.forget(self._key)

    async def _give_up_rest(self, challenges: list[Challenge]) -> None:
        """Deactivate what is still pending at the CA: pending authorizations are limited. Best effort."""
        over = {c.spec.authorization_url for c in challenges if c.status.state in {*LOST, "valid"}}
        pending = [a.url for a in self._order.status.authorizations if a.initial_state != "valid" and a.url not in over]
        await give_up(self._client, pending)

    # Trouble and status

    async def _refused(self, event: str, text: str) -> float:
        """Nothing goes on until an Ingress, a quota or the issuer changes: say so, and look again."""
        if text != self._order.status.reason:
            self._context.reporter.warning(self._about(), event, text)
        await self._write(reason=text)
        return REFUSED_RECHECK

    def _done(self) -> None:
        self._memo.failures, self._memo.not_before, self._memo.refused = 0, None, ""

    async def _troubled(self, error: IssuerError) -> float | None:
        context = self._context
        expiry = expiry_of(context, self._order)
        trouble = judge(self._what, error, self._memo, context.now(), seed=self._order.metadata.uid, expiry=expiry)
        if trouble.account:
            issuer = issuer_key(self._order.spec.issuer_ref, self._key.namespace)
            context.issuers.distrust_account(issuer)
            context.queue.add(issuer)
            self._memo.refused = self._client.account_url
        if trouble.again is None:
            await self._end("invalid" if trouble.kind is Kind.VALIDATION else "errored", trouble.text)
            return None
        await self._write(reason=trouble.text)
        await self._keep(trouble)
        return (trouble.again - context.now()).total_seconds()

    async def _keep(self, trouble: Trouble) -> None:
        """Have a long wait survive a restart."""
        patch = lasting(trouble, self._context.now(), self._order.metadata.uid)
        if patch is None:
            return
        path = ORDERS.path(self._key.namespace, self._key.name)
        self._order = await self._context.kube.merge_patch(path, patch, Order)
        self._context.store.orders.put(self._order)

    async def _write(self, **changes: object) -> None:
        """Change the status if that changes anything, and let the request's worker know."""
        if isinstance(changes.get("reason"), str):
            changes["reason"] = cut(str(changes["reason"]), REASON_LIMIT)
        status: OrderStatus = msgspec.structs.replace(self._order.status, **changes)
        if status == self._order.status:
            return
        path = ORDERS.path(self._key.namespace, self._key.name, "status")
        patch = status_patch(self._order.metadata, self._order.status, status)
        written = await self._context.kube.merge_patch(path, patch, Order)
        self._context.store.orders.put(written)
        told = (status.state in {*LOST, "valid"}) or status.reason != self._order.status.reason
        self._order = written
        request = request_of(self._context, written)
        if told and request is not None:
            self._context.queue.add(self._context.store.worker_of(request))

    def _about(self) -> Subject:
        return Subject(ACME_API_VERSION, "Order", self._order.metadata)


def _told(challenges: list[Challenge]) -> str:
    """What they wait for or failed by, each with its name."""
    ordered = sorted(challenges, key=lambda c: c.spec.dns_name)
    return "; ".join(f"{c.spec.dns_name}: {c.status.reason}" for c in ordered if c.status.reason)


def _shown(seen: Authorization) -> ACMEAuthorization:
    state = str(seen.status)
    return ACMEAuthorization(
        url=seen.url,
        identifier=seen.identifier,
        wildcard=seen.wildcard or None,
        # The API has no word for deactivated and revoked ones.
        initial_state="invalid"
        if seen.status in (AuthorizationStatus.DEACTIVATED, AuthorizationStatus.REVOKED)
        else state,
        challenges=tuple(ACMEChallenge(type=c.type, url=c.url, token=c.token) for c in seen.challenges if c.token),
    )
