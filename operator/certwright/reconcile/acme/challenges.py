"""One Challenge, from its turn to the CA's verdict (API contract section 2.6).

A pass does what can be done now and ends; nothing here waits for the world outside. A slot (``challengeslots``) is held
only while something is being done, so names that never become valid hold up nobody.
"""

from __future__ import annotations

from datetime import timedelta

import msgspec

from certwright.api import Challenge, ChallengeStatus, Order
from certwright.api.groups import (
    ACME_API_VERSION,
    FINALIZER_CHALLENGE,
    FINALIZER_CHALLENGE_LEGACY,
)
from certwright.challengeslots import Target
from certwright.errors import Forbidden, KubeError, NotFound, Refused
from certwright.kube import CHALLENGES
from certwright.reconcile.acme.memory import Memo
from certwright.reconcile.acme.orders import SLOW_SUCCESS
from certwright.reconcile.acme.requests import LOST, request_of
from certwright.reconcile.acme.trouble import expiry_of, judge
from certwright.reconcile.acme.waits import lasting, remaining
from certwright.reconcile.acme.wanted import is_wanted, wanted_challenges
from certwright.reconcile.context import Context
from certwright.reconcile.statuspatch import status_patch
from certwright.reporter import Subject
from certwright.solvers.contract import ChallengeSolver, SolverRefused
from certwright.store import controller_of, issuer_key
from certwright.workqueue import Key
from certwright_issuers.acme.authorization import Authorization, AuthorizationStatus
from certwright_issuers.acme.client import Client
from certwright_issuers.acme.lifecycle import POLLS
from certwright_issuers.acme.problem import AcmeError
from certwright_issuers.contract import IssuerError, RequestRejected
from certwright_issuers.text import cut

FINAL = LOST | {"valid"}
FINALIZERS = frozenset({FINALIZER_CHALLENGE, FINALIZER_CHALLENGE_LEGACY})
#: How soon a solver that refuses is asked again, in seconds.
REFUSED_RECHECK = 30.0
#: Between two self-checks when the solver names no time, in seconds (API contract: --dns01-check-retry-period).
CHECK_PERIOD = 10.0
#: What is over sooner is not told of: no reason, no Events (docs/divergences.md).
QUIET = timedelta(seconds=10)
#: A self-check that fails this long may be wrong (a cluster that can't reach itself by its public address): the CA
#: decides. Shorter than the hour after which some CAs let authorizations expire (checklist item 33).
CHECK_LIMIT = timedelta(minutes=45)
#: A clean-up that fails this long must not keep the object, and so its namespace, for ever (reliability row I13).
CLEAN_UP_LIMIT = timedelta(minutes=10)
REASON_LIMIT = 2000


async def reconcile_challenge(context: Context, key: Key) -> float | None:
    """Returns after how many seconds to look again; None: when something changes."""
    challenge = context.store.challenges.get(key)
    if challenge is None:
        memo = context.acme.forget(key)
        if memo is not None and memo.presented is not None:
            # What it owns goes by itself; what its namespace's challenges share does not.
            await context.solvers.for_challenge(memo.presented).clean_up(memo.presented)
        return None
    if challenge.metadata.deletion_timestamp is not None:
        context.acme.slots.leave(key)
        return await _release(context, key, challenge)
    if challenge.status.state in FINAL:
        context.acme.slots.leave(key)
        await _tidy(context, key, challenge)
        return None
    order, client = _authority(context, challenge, key)
    if order is None or client is None:
        context.acme.slots.leave(key)
        return None
    memo = context.acme.memo(key, challenge.metadata.uid)
    wait = remaining(context, memo, challenge.metadata.annotations, client)
    if wait > 0:
        context.acme.slots.leave(key)
        return wait
    since = memo.line_up or challenge.metadata.creation_timestamp
    if not context.acme.slots.enter(key, Target(challenge.spec.dns_name, challenge.spec.type), since):
        return None
    return await _Walk(context, key, challenge, order, client, memo).go()


def _authority(context: Context, challenge: Challenge, key: Key) -> tuple[Order | None, Client | None]:
    """The Order that wants just this Challenge, and the account to prove it with. None: nothing may be done for it."""
    owner = controller_of(challenge.metadata, "Order")
    order = context.store.orders.get(Key("Order", key.namespace, owner[0])) if owner else None
    if owner is None or order is None or order.metadata.uid != owner[1]:
        return None, None
    if order.status.state in FINAL or request_of(context, order) is None:
        return None, None
    context.issuers.wait_for(order.spec.issuer_ref, key.namespace, key)
    acme = context.issuers.acme_spec(order.spec.issuer_ref, key.namespace)
    loaded = context.issuers.find(order.spec.issuer_ref, key.namespace)
    if acme is None or loaded is None or loaded.account is None:
        return None, None
    try:
        wanted = wanted_challenges(order, acme, loaded.account.key, context.solvers)
    except (SolverRefused, RequestRejected):
        # The Order says so.
        return None, None
    return (order, loaded.account) if is_wanted(challenge, wanted) else (None, None)


async def _release(context: Context, key: Key, challenge: Challenge) -> float | None:
    """Being deleted: clean up, then let go."""
    ours = FINALIZERS & set(challenge.metadata.finalizers)
    if not ours:
        return None
    try:
        await context.solvers.for_challenge(challenge).clean_up(challenge)
    except (SolverRefused, KubeError) as error:
        since = context.now() - (challenge.metadata.deletion_timestamp or context.now())
        if since < CLEAN_UP_LIMIT and not isinstance(error, SolverRefused):
            context.reporter.warning(_about(challenge), "CleanUpError", f"The clean-up is tried again: {error}")
            raise
        text = f"The challenge is let go without clean-up, something may be left: {error}"
        context.reporter.warning(_about(challenge), "CleanUpError", text)
    kept = [name for name in challenge.metadata.finalizers if name not in FINALIZERS]
    version = {"resourceVersion": challenge.metadata.resource_version, "uid": challenge.metadata.uid}
    try:
        patch = {"metadata": {"finalizers": kept, **version}}
        await context.kube.merge_patch(CHALLENGES.path(key.namespace, key.name), patch, dict)
    except NotFound:
        context.store.challenges.drop(key, challenge.metadata.uid)
    return None


async def _tidy(context: Context, key: Key, challenge: Challenge) -> None:
    """Over: what was set up for it goes."""
    if not challenge.status.presented and not challenge.status.processing:
        return
    try:
        await context.solvers.for_challenge(challenge).clean_up(challenge)
    except SolverRefused as error:
        context.reporter.warning(_about(challenge), "CleanUpError", error.message)
    status = msgspec.structs.replace(challenge.status, presented=False, processing=False)
    await _write(context, key, challenge, status)


class _Walk:
    """One look at one Challenge."""

    def __init__(
        self, context: Context, key: Key, challenge: Challenge, order: Order, client: Client, memo: Memo
    ) -> None:
        self._context = context
        self._key = key
        self._challenge = challenge
        self._order = order
        self._client = client
        self._memo = memo

    async def go(self) -> float | None:
        """As far as it goes now. Gives the slot back unless the CA will have decided in a moment."""
        context = self._context
        context.kube.require_lease()
        keep = False
        try:
            again = await self._steps(context.solvers.for_challenge(self._challenge))
            keep = again is not None and again < 1
        except SolverRefused as error:
            again = await self._refused(error.reason, error.message)
        except (Forbidden, Refused) as error:
            again = await self._refused("PresentError", str(error))
        except IssuerError as error:
            again = await self._troubled(error)
        finally:
            if not keep:
                self._memo.line_up = context.now()
                context.acme.slots.leave(self._key)
        return again

    async def _steps(self, solver: ChallengeSolver) -> float | None:
        if self._memo.submitted:
            return await self._ask(await self._client.get_authorization(self._challenge.spec.authorization_url), solver)
        seen = self._context.acme.take(self._challenge.spec.authorization_url)
        if seen is None:
            # Another process may have told the CA already; to tell it twice is an error (RFC 8555 section 7.5.1).
            seen = await self._client.get_authorization(self._challenge.spec.authorization_url)
        offer = next((c for c in seen.challenges if c.url == self._challenge.spec.url), None)
        if seen.status is not AuthorizationStatus.PENDING or (offer is not None and offer.status != "pending"):
            self._memo.submitted = True
            return await self._ask(seen, solver)
        # Also for a solver that refuses: asked again, it does not have the CA asked again.
        self._context.acme.remember(seen)
        wait = await self._present(solver)
        if wait is not None:
            return wait
        self._context.acme.take(seen.url)
        await self._client.answer_challenge(self._challenge.spec.url)
        self._memo.submitted, self._memo.failures = True, 0
        return POLLS[0]

    async def _present(self, solver: ChallengeSolver) -> float | None:
        """Set the proof up and look at it. None: the CA may look, too; else when to come back."""
        self._memo.presented = self._challenge
        await solver.present(self._challenge)
        status = self._challenge.status
        now = self._context.now()
        if not status.presented:
            await self._write(
                presented=True,
                presented_at=status.presented_at or now.replace(microsecond=0),
                processing=True,
                state="pending",
            )
        check = await solver.check(self._challenge)
        if check.ready:
            return None
        age = now - (self._challenge.status.presented_at or now)
        if age >= CHECK_LIMIT:
            minutes = CHECK_LIMIT // timedelta(minutes=1)
            told = f"The self-check has failed for {minutes} minutes and may be wrong, so the CA is asked to look"
            await self._write(reason=f"{told}: {check.message}" if check.message else told)
            return None
        period = check.retry_after if check.retry_after is not None else CHECK_PERIOD
        if age >= QUIET and check.message:
            reason = f"Waiting for {self._challenge.spec.type} challenge propagation: {check.message}"
            if not status.reason:
                self._tell_of_waiting()
            await self._write(reason=reason)
            # Whoever has waited long can wait a little longer.
            period = max(period, min(60.0, age.total_seconds() / 30))
        return period

    def _tell_of_waiting(self) -> None:
        """What has been done so far, in the Events that people know."""
        tell, spec, about = self._context.reporter.normal, self._challenge.spec, _about(self._challenge)
        made = f'Created Challenge resource "{self._key.name}" for domain "{spec.dns_name}"'
        tell(Subject(ACME_API_VERSION, "Order", self._order.metadata), "Created", made)
        tell(about, "Started", "Challenge scheduled for processing")
        tell(about, "Presented", f"Presented challenge using {spec.type} challenge mechanism")

    async def _ask(self, seen: Authorization, solver: ChallengeSolver) -> float | None:
        """What the CA says of it."""
        if seen.status is AuthorizationStatus.PENDING:
            scheduled = POLLS[min(self._memo.polls, len(POLLS) - 1)]
            self._memo.polls += 1
            asked = seen.retry_after.total_seconds() if seen.retry_after else 0.0
            return max(scheduled, asked)
        if seen.status is AuthorizationStatus.VALID:
            await self._end("valid", "Successfully authorized domain", solver)
            return None
        problem = seen.problem
        why = str(problem) if problem is not None else f"the authorization is {seen.status}"
        state = "expired" if seen.status is AuthorizationStatus.EXPIRED else "invalid"
        await self._end(state, f"Error accepting authorization: {why}", solver)
        return None

    async def _end(self, state: str, reason: str, solver: ChallengeSolver | None) -> None:
        """Final: clean up first, so that one write says both; but a verdict does not wait for a clean-up that fails."""
        clean = False
        if solver is not None:
            try:
                await solver.clean_up(self._challenge)
                clean = True
            except (KubeError, SolverRefused) as error:
                self._context.reporter.warning(_about(self._challenge), "CleanUpError", str(error))
        # From then on it was worked on; a burst's challenges wait in line before.
        began = self._challenge.status.presented_at or self._challenge.metadata.creation_timestamp
        slow = self._context.now() - began > SLOW_SUCCESS
        await self._write(
            state=state,
            reason=reason,
            **({"presented": False, "processing": False} if clean else {}),
        )
        if state != "valid":
            self._context.reporter.warning(_about(self._challenge), "Failed", reason)
        elif slow:
            told = f'Domain "{self._challenge.spec.dns_name}" verified with "{self._challenge.spec.type}" validation'
            self._context.reporter.normal(_about(self._challenge), "DomainVerified", told)
        self._context.acme.forget(self._key)

    async def _refused(self, reason: str, message: str) -> float:
        text = f"{message}"
        if text != self._challenge.status.reason:
            self._context.reporter.warning(_about(self._challenge), reason, text)
        await self._write(reason=text)
        return REFUSED_RECHECK

    async def _troubled(self, error: IssuerError) -> float | None:
        context = self._context
        said = error.problem if isinstance(error, AcmeError) else None
        seed, expiry = self._challenge.metadata.uid, expiry_of(context, self._order)
        trouble = judge("Error accepting challenge", error, self._memo, context.now(), seed=seed, expiry=expiry)
        if trouble.account:
            issuer = issuer_key(self._challenge.spec.issuer_ref, self._key.namespace)
            context.issuers.distrust_account(issuer)
            context.queue.add(issuer)
            self._memo.refused = self._client.account_url
        if trouble.again is None:
            solver = context.solvers.for_challenge(self._challenge)
            await self._end(
                "expired" if said is not None and said.type == "malformed" else "errored", trouble.text, solver
            )
            return None
        await self._write(reason=trouble.text)
        patch = lasting(trouble, context.now(), self._challenge.metadata.uid)
        if patch is not None:
            path = CHALLENGES.path(self._key.namespace, self._key.name)
            context.store.challenges.put(await context.kube.merge_patch(path, patch, Challenge))
        return (trouble.again - context.now()).total_seconds()

    async def _write(self, **changes: object) -> None:
        if isinstance(changes.get("reason"), str):
            changes["reason"] = cut(str(changes["reason"]), REASON_LIMIT)
        status: ChallengeStatus = msgspec.structs.replace(self._challenge.status, **changes)
        self._challenge = await _write(self._context, self._key, self._challenge, status)


async def _write(context: Context, key: Key, challenge: Challenge, status: ChallengeStatus) -> Challenge:
    """Change the status if that changes anything, and let the Order know of a new state or reason."""
    old = challenge.status
    if status == old:
        return challenge
    path = CHALLENGES.path(key.namespace, key.name, "status")
    written = await context.kube.merge_patch(path, status_patch(challenge.metadata, old, status), Challenge)
    context.store.challenges.put(written)
    owner = controller_of(challenge.metadata, "Order")
    if owner is not None and (status.state in FINAL or status.reason != old.reason):
        context.queue.add(Key("Order", key.namespace, owner[0]))
    return written


def _about(challenge: Challenge) -> Subject:
    return Subject(ACME_API_VERSION, "Challenge", challenge.metadata)
