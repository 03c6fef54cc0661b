"""A certificate from an ACME server in one call: walks RFC 8555 section 7.1 in order, and waits where that says wait.

For programs that can afford to stay alive for the minutes this may take. An operator calls :class:`.client.Client`
step by step instead.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol

from certwright_issuers.acme import challenge
from certwright_issuers.acme.authorization import Authorization, AuthorizationStatus
from certwright_issuers.acme.chain import Chain
from certwright_issuers.acme.challenge import Challenge
from certwright_issuers.acme.client import Client
from certwright_issuers.acme.lifecycle import (
    Action,
    Answer,
    CreateOrder,
    Done,
    Download,
    Failed,
    FetchAuthorization,
    Finalize,
    Poll,
    Progress,
    Publish,
    plan,
)
from certwright_issuers.acme.order import Identifier, Order
from certwright_issuers.contract import Unavailable


@dataclass(frozen=True, slots=True)
class Publication:
    """What a solver has to make visible for one challenge."""

    #: http-01 or dns-01.
    type: str
    #: The name or address, without ``*.``.
    identifier: str
    token: str
    #: The file's whole content, or the TXT record's text.
    value: str


class Solver(Protocol):
    """Makes challenge answers visible.

    ``publish`` MUST return only when the CA can see the answer, and MUST keep other answers at the same place (a name
    and its wildcard share one TXT name). ``withdraw`` MUST NOT assume that ``publish`` succeeded. Both may be called
    for several challenges at once. What they raise ends the issuance.
    """

    @property
    def kinds(self) -> Sequence[str]:
        """Types it can solve, the preferred one first."""
        ...

    async def publish(self, publication: Publication) -> None:
        """Make it visible."""
        ...

    async def withdraw(self, publication: Publication) -> None:
        """Remove exactly this answer."""
        ...


@dataclass(frozen=True, slots=True)
class Wish:
    """What is wanted; the names must be those of the CSR."""

    identifiers: tuple[Identifier, ...]
    csr_der: bytes
    not_after: datetime | None = None
    profile: str = ""
    replaces: str = ""
    preferred_chain: str = ""


async def issue(client: Client, wish: Wish, solver: Solver, *, timeout: float = 600.0) -> Chain:  # noqa: ASYNC109
    """Obtain a certificate within ``timeout`` seconds. The account must be registered.

    Whatever happens, all published answers are withdrawn, and authorizations that are still pending are given up.
    Raises the errors of :mod:`certwright_issuers.contract`.
    """
    walk = _Walk(client, wish, solver)
    try:
        async with asyncio.timeout(timeout):
            return await walk.run()
    except TimeoutError as error:
        state = walk.progress.order.status if walk.progress.order else "missing"
        text = f"no certificate within {timeout:g} seconds; the order is {state}"
        raise Unavailable("Timeout", text) from error
    finally:
        await walk.tidy()


class _Walk:
    """One issuance: the state, and the effect of each action on it."""

    def __init__(self, client: Client, wish: Wish, solver: Solver) -> None:
        self.progress = Progress()
        self._client = client
        self._wish = wish
        self._solver = solver
        self._published: list[Publication] = []

    async def run(self) -> Chain:
        while True:
            actions = plan(self.progress, self._solver.kinds, datetime.now(UTC))
            if isinstance(actions[0], Done):
                return actions[0].chain
            if isinstance(actions[0], Failed):
                raise actions[0].error
            await _together(self._act(action) for action in actions)

    async def tidy(self) -> None:
        """Best effort: nothing that fails here may hide the result."""
        pending = [
            seen.url for seen in self.progress.authorizations.values() if seen.status is AuthorizationStatus.PENDING
        ]
        given_up = [] if self.progress.chain is not None or not self.progress.order else pending
        await asyncio.gather(
            *(self._solver.withdraw(publication) for publication in self._published),
            *(self._client.deactivate_authorization(url) for url in given_up),
            return_exceptions=True,
        )

    async def _act(self, action: Action) -> None:
        client, wish = self._client, self._wish
        fact: Order | Authorization | Chain
        match action:
            case CreateOrder():
                fact = await client.new_order(
                    wish.identifiers, not_after=wish.not_after, profile=wish.profile, replaces=wish.replaces
                )
            case FetchAuthorization(url):
                fact = await client.get_authorization(url)
            case Poll(url, delay):
                await asyncio.sleep(delay.total_seconds())
                fact = await client.get_order(url)
            case Finalize(order):
                fact = await client.finalize(order.url, order.finalize, wish.csr_der)
                self.progress = self.progress.with_finalized()
            case Download(url):
                fact = await client.download(url, wish.preferred_chain)
            case Publish(seen, found):
                await self._publish(seen, found)
                return
            case Answer(found):
                await self._answer(found)
                return
            case Done() | Failed():
                raise AssertionError("handled by run")
        self.progress = self.progress.learn(fact)

    async def _publish(self, seen: Authorization, found: Challenge) -> None:
        value = challenge.VALUES[found.type](found.token, self._client.key)
        publication = Publication(found.type, seen.identifier, found.token, value)
        self._published.append(publication)
        await self._solver.publish(publication)
        self.progress = self.progress.with_published(found.url)

    async def _answer(self, found: Challenge) -> None:
        await self._client.answer_challenge(found.url)
        self.progress = self.progress.with_answered(found.url)


async def _together(steps: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Run all; the first failure stops the others, and is raised as itself and not as a group."""
    try:
        async with asyncio.TaskGroup() as group:
            for step in steps:
                group.create_task(step)
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
