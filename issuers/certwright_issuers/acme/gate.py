"""Who must wait after a rate limit: a CA that has said "later" is not asked again by other certificates at once.

A CA limits several things and does not say which in a form that programs can read. A limit on one set of names must not
stop the others for hours, and one on the account must not be tried by each of a thousand certificates in turn. So the
set that was refused waits as long as the CA said, and all others of the account wait :data:`PAUSE`.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime, timedelta

from certwright_issuers.acme.problem import AcmeRateLimited

#: Let's Encrypt's limit on new orders refills one every 36 seconds; its limit on requests each second.
PAUSE = timedelta(seconds=40)
#: Refused sets that are remembered; the oldest are forgotten first.
SIZE = 5000


class Gate:
    """The rate limits that one account has met. Times are aware."""

    def __init__(self) -> None:
        self._sets: dict[Hashable, AcmeRateLimited] = {}
        self._all: tuple[datetime, AcmeRateLimited] | None = None

    def check(self, names: Hashable, now: datetime) -> None:
        """Raise :class:`AcmeRateLimited` with the CA's own words if it is too early for this set of names."""
        known = self._sets.get(names)
        if known is not None:
            if now < known.retry_at:
                raise _again(known, known.retry_at)
            del self._sets[names]
        if self._all is not None and now < self._all[0]:
            raise _again(self._all[1], self._all[0])

    def close(self, names: Hashable, error: AcmeRateLimited, now: datetime) -> None:
        """Note that the CA refused an order for this set."""
        self._sets.pop(names, None)
        self._sets[names] = error
        if len(self._sets) > SIZE:
            del self._sets[next(iter(self._sets))]
        self._all = (min(error.retry_at, now + PAUSE), error)


def _again(error: AcmeRateLimited, until: datetime) -> AcmeRateLimited:
    """A new object: raising the old one again would grow its traceback for ever."""
    copy = AcmeRateLimited(error.reason, error.message, until)
    copy.problem, copy.http_status, copy.stated = error.problem, error.http_status, error.stated
    return copy
