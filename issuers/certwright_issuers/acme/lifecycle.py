"""What to do next with an order: RFC 8555 section 7.1 as a table of rules, without any I/O.

What is known of an order is a :class:`Progress`: plain data that can be stored and read back between any two steps.
:func:`plan` says what to do about it, and :meth:`Progress.learn` takes in what came of it::

    nothing known ──CreateOrder──▶ pending ──FetchAuthorization*, Publish*, Answer*, Poll──▶ ready ──Finalize──▶
    processing ──Poll──▶ valid ──Download──▶ Done

From pending, ready and processing the order may turn invalid: its authorizations are read once more for the cause,
and the end is Failed. Actions marked * exist once per name and may run at the same time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from certwright_issuers.acme import order as orders
from certwright_issuers.acme.authorization import Authorization, AuthorizationStatus
from certwright_issuers.acme.chain import Chain
from certwright_issuers.acme.challenge import Challenge
from certwright_issuers.acme.order import Order, OrderStatus
from certwright_issuers.acme.problem import MESSAGE_LIMIT, AcmeError, Kind, Problem
from certwright_issuers.acme.reply import error_of
from certwright_issuers.text import cut

#: Seconds before each further look at an order, when the CA does not say. The first are short because a validation
#: inside a data centre takes less than that; the last is repeated.
POLLS = (0.2, 0.4, 0.8, 1.5, 3.0, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class CreateOrder:
    """Ask for a new order."""


@dataclass(frozen=True, slots=True)
class FetchAuthorization:
    """Read an authorization of the order."""

    url: str


@dataclass(frozen=True, slots=True)
class Publish:
    """Make the answer to a challenge visible to the CA: the solver's work, no request."""

    authorization: Authorization
    challenge: Challenge


@dataclass(frozen=True, slots=True)
class Answer:
    """Tell the CA that a challenge can be validated."""

    challenge: Challenge


@dataclass(frozen=True, slots=True)
class Poll:
    """Look at the order again, after ``delay``."""

    url: str
    delay: timedelta


@dataclass(frozen=True, slots=True)
class Finalize:
    """Hand in the CSR."""

    order: Order


@dataclass(frozen=True, slots=True)
class Download:
    """Fetch the chain."""

    url: str


@dataclass(frozen=True, slots=True)
class Done:
    """The end: a chain."""

    chain: Chain


@dataclass(frozen=True, slots=True)
class Failed:
    """The end: no certificate from this order. ``error.kind`` says whether another one may succeed."""

    error: AcmeError


Action = CreateOrder | FetchAuthorization | Publish | Answer | Poll | Finalize | Download | Done | Failed


@dataclass(frozen=True, slots=True)
class Progress:
    """All that is known of one order. Begins empty."""

    order: Order | None = None
    #: By URL. Missing: not read yet, or to be read again.
    authorizations: Mapping[str, Authorization] = field(default_factory=dict[str, Authorization])
    #: URLs of challenges whose answer is visible.
    published: frozenset[str] = frozenset()
    #: URLs of challenges that the CA was told of.
    answered: frozenset[str] = frozenset()
    #: Whether the CSR was handed in.
    finalized: bool = False
    #: Looks at the order since it last moved.
    polls: int = 0
    chain: Chain | None = None

    def learn(self, fact: Order | Authorization | Chain) -> Progress:
        """With an answer of the CA taken in. Answers that are older than what is known change nothing."""
        if isinstance(fact, Chain):
            return replace(self, chain=fact)
        if isinstance(fact, Authorization):
            return replace(self, authorizations={**self.authorizations, fact.url: fact})
        order = orders.newer(self.order, fact)
        moved = self.order is None or order.status is not self.order.status
        known = self.authorizations
        if moved and order.status is OrderStatus.INVALID:
            # The pending ones may have failed meanwhile; they tell why.
            known = {url: seen for url, seen in known.items() if seen.status is not AuthorizationStatus.PENDING}
        return replace(self, order=order, authorizations=known, polls=0 if moved else self.polls + 1)

    def with_published(self, challenge_url: str) -> Progress:
        """With the answer to that challenge visible."""
        return replace(self, published=self.published | {challenge_url})

    def with_answered(self, challenge_url: str) -> Progress:
        """With the CA told of that challenge."""
        return replace(self, answered=self.answered | {challenge_url})

    def with_finalized(self) -> Progress:
        """With the CSR handed in."""
        return replace(self, finalized=True)


@dataclass(frozen=True, slots=True)
class _View:
    """What a rule looks at."""

    progress: Progress
    order: Order
    kinds: Collection[str]
    now: datetime


def plan(progress: Progress, kinds: Collection[str], now: datetime) -> tuple[Action, ...]:
    """What to do next: one action, or several that are independent of each other. Never empty.

    ``kinds``: types of challenge that can be solved, the preferred one first. ``now``: for error times.
    """
    if progress.order is None:
        return (CreateOrder(),)
    view = _View(progress, progress.order, kinds, now)
    for rule in RULES[view.order.status]:
        actions = rule(view)
        if actions:
            return actions
    return (_poll(view),)


def failure_of(order: Order, authorizations: Collection[Authorization], now: datetime) -> AcmeError:
    """Why an order is lost, in the CA's words: the challenges' errors with their names first, else the order's own."""
    lost = sorted((seen for seen in authorizations if seen.status.lost), key=lambda seen: seen.identifier)
    told = [(seen.identifier, problem) for seen in lost if (problem := seen.problem) is not None]
    if told:
        text = "; ".join(f"{identifier}: {problem}" for identifier, problem in told)
        return _error(f"the CA could not validate {text}", told[0][1], told[0][1].kind, now)
    if order.error is not None:
        return _error(f"the order is {order.status}: {order.error}", order.error, order.error.kind, now)
    if lost:
        text = ", ".join(f"{seen.identifier} ({seen.status})" for seen in lost)
        return _error(f"authorizations are lost: {text}", None, Kind.VALIDATION, now)
    return _error(f"the order is {order.status}, and the CA gives no reason", None, Kind.VALIDATION, now)


def _unread(view: _View) -> tuple[Action, ...]:
    """Authorizations that are not known yet."""
    return tuple(
        FetchAuthorization(url) for url in view.order.authorizations if url not in view.progress.authorizations
    )


def _lost(view: _View) -> tuple[Action, ...]:
    """One lost authorization loses the order, whatever state the CA still shows (section 7.1.6)."""
    seen = view.progress.authorizations.values()
    if view.order.status is OrderStatus.INVALID or any(found.status.lost for found in seen):
        return (Failed(failure_of(view.order, seen, view.now)),)
    return ()


def _solve(view: _View) -> tuple[Action, ...]:
    """The next step of each pending authorization. Valid ones need none: CAs reuse them."""
    actions: list[Action] = []
    for seen in view.progress.authorizations.values():
        if seen.status is not AuthorizationStatus.PENDING:
            continue
        found = next((offer for kind in view.kinds if (offer := seen.offered(kind)) is not None), None)
        if found is None:
            offered = ", ".join(sorted({offer.type for offer in seen.challenges})) or "nothing"
            text = f"no way to prove control of {seen.identifier}: the CA offers {offered}, not {list(view.kinds)}"
            return (Failed(_error(text, None, Kind.PERMANENT, view.now)),)
        # A challenge that is being validated already must not be answered twice.
        if found.status == "pending" and found.url not in view.progress.answered:
            actions.append(Answer(found) if found.url in view.progress.published else Publish(seen, found))
    return tuple(actions)


def _finalize(view: _View) -> tuple[Action, ...]:
    """Once: a CA that still says ready after that shows an old state."""
    return () if view.progress.finalized else (Finalize(view.order),)


def _collect(view: _View) -> tuple[Action, ...]:
    return (Download(view.order.certificate) if view.progress.chain is None else Done(view.progress.chain),)


_Rule = Callable[[_View], tuple[Action, ...]]

#: By state of the order: the first rule that has something to do, does it. None has: poll.
RULES: Mapping[OrderStatus, tuple[_Rule, ...]] = {
    OrderStatus.PENDING: (_unread, _lost, _solve),
    OrderStatus.READY: (_finalize,),
    OrderStatus.PROCESSING: (),
    OrderStatus.VALID: (_collect,),
    OrderStatus.INVALID: (_unread, _lost),
}


def _poll(view: _View) -> Poll:
    scheduled = timedelta(seconds=POLLS[min(view.progress.polls, len(POLLS) - 1)])
    asked = view.order.retry_after
    return Poll(view.order.url, scheduled if asked is None else max(asked, scheduled))


def _error(message: str, said: Problem | None, kind: Kind, now: datetime) -> AcmeError:
    return error_of(kind, cut(message, 3 * MESSAGE_LIMIT), said, 0, at=now)
