"""What is known of Orders and Challenges between two looks at them. All of it may be lost at any time: a restart costs
requests to the CA, never a certificate."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from certwright.api import Challenge
from certwright.challengeslots import ChallengeSlots
from certwright.workqueue import Key
from certwright_issuers.acme.authorization import Authorization
from certwright_issuers.acme.client import Client

#: Authorizations kept: those of the orders made within the last minutes.
AUTHORIZATIONS = 5000


@dataclass(slots=True)
class Memo:
    """One Order or Challenge, as far as this process has brought it."""

    uid: str
    #: Failures in a row that are worth a retry.
    failures: int = 0
    #: Not to be worked on before; but see ``refused``.
    not_before: datetime | None = None
    #: URL of the account that the CA has refused: another account need not wait.
    refused: str = ""
    #: An Order's CSR was handed in, or the CA was told of a Challenge, by this process.
    submitted: bool = False
    #: Looks at the CA's state since then.
    polls: int = 0
    #: The CA's order of an Order, and the account that made it, until that is in the status.
    made: tuple[str, str] | None = None
    #: When a Challenge gave its slot back last: it lines up again behind those that have waited since before.
    line_up: datetime | None = None
    #: A Challenge whose proof is set up, as it was then.
    presented: Challenge | None = None
    #: An Order's authorizations that were pending at its creation, and the account they belong to.
    pending: tuple[str, ...] = ()
    client: Client | None = None


class AcmeMemory:
    """All memos, the slots of challenges, and authorizations that were read but not used yet."""

    def __init__(self, max_challenges: int, wake: Callable[[Key], None]) -> None:
        self.slots = ChallengeSlots(max_challenges, wake)
        self._memos: dict[Key, Memo] = {}
        self._authorizations: OrderedDict[str, Authorization] = OrderedDict()

    def memo(self, key: Key, uid: str) -> Memo:
        """The memo of this very object; a new one of the same name begins anew."""
        found = self._memos.get(key)
        if found is None or found.uid != uid:
            found = self._memos[key] = Memo(uid)
        return found

    def forget(self, key: Key) -> Memo | None:
        """The object is gone, or needs nothing more: what was known of it."""
        self.slots.leave(key)
        return self._memos.pop(key, None)

    def remember(self, seen: Authorization) -> None:
        """An authorization was read."""
        self._authorizations[seen.url] = seen
        if len(self._authorizations) > AUTHORIZATIONS:
            self._authorizations.popitem(last=False)

    def take(self, url: str) -> Authorization | None:
        """The authorization as it was read last, once."""
        return self._authorizations.pop(url, None)

    def clear(self) -> None:
        """Another replica works now."""
        self._memos.clear()
        self._authorizations.clear()
        self.slots.clear()
