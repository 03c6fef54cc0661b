"""What a challenge solver is: it makes a proof visible to the CA, says whether the CA would see it, and removes it.

``reconcile`` owns the Challenge object and its status; a solver owns what it creates for one and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from certwright.api import ACMEAuthorization, ACMEChallenge, Challenge, Order, Solver


class SolverRefused(Exception):
    """The challenge can't be met as it is configured; the message says what to change. Not worth a retry by itself."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Check:
    """Whether the CA would find the proof now. ``message`` is for ``status.reason``; it holds nothing of a response.

    Not ready and no message: found, but not yet often enough.
    """

    ready: bool
    message: str = ""
    #: Seconds until another look makes sense; None when ready.
    retry_after: float | None = None


class ChallengeSolver(Protocol):
    """One way to meet challenges.

    MUST: be idempotent in all three; bound every call in time; know what it created by the Challenge alone (owner
    references and labels), so that another replica can clean up.
    MUST NOT: sleep until something becomes true (return a Check instead), or assume that ``present`` ran before
    ``clean_up``.
    """

    async def present(self, challenge: Challenge) -> None:
        """Make the proof visible. Raises SolverRefused, KubeError."""
        ...

    async def check(self, challenge: Challenge) -> Check:
        """Look the way the CA will. Called after ``present``; never raises for a proof that is not visible yet."""
        ...

    async def clean_up(self, challenge: Challenge) -> None:
        """Remove everything that was created for this challenge. Raises KubeError."""
        ...


@dataclass(frozen=True, slots=True)
class Picked:
    """How one authorization is to be met: what goes into the Challenge."""

    #: HTTP-01 or DNS-01, as ``Challenge.spec.type`` has it.
    type: str
    #: The issuer's stanza with the Order's overriding annotations applied (contract section 3.1.2).
    solver: Solver
    #: Which of the CA's offers is taken.
    offer: ACMEChallenge


class Solvers(Protocol):
    """All solvers of this process: which one meets which challenge. Pure look-ups, no I/O."""

    def pick(self, solvers: Sequence[Solver], order: Order, authorization: ACMEAuthorization) -> Picked:
        """Choose among an issuer's ``solvers``. The same for the same arguments.

        Raises SolverRefused when none matches, with words that name the identifier and what would help.
        """
        ...

    def for_challenge(self, challenge: Challenge) -> ChallengeSolver:
        """The solver for ``challenge.spec.solver``. Raises SolverRefused for a kind that is not served."""
        ...
