"""How the pool of issuers and the accounts ask a CA without waiting for it (``reconcile/outside``)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Beside(Protocol):
    """Has something done that may take long, for one issuer."""

    async def __call__(self, lane: Hashable, name: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        """What ``work`` returns or raises. ``lane``: shared by all that ask the same system. ``name``: of this question.

        Raises something else than an IssuerError if there is no answer yet. Whoever asks again by the same name gets the
        answer, so the name holds everything that the answer depends on.
        """
        ...
