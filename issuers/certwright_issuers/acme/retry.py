"""When to try again: pure arithmetic on what failed, how often, and how long the present certificate still lives.

Three rules, the first one that applies wins:

1. The CA named a time in the future: exactly then. No schedule overrides it.
2. The failure is final for the request: never, until somebody changes it.
3. The schedule of the failure's class; but while a certificate is still valid never later than after an eighth of the
   time it has left. So attempts come closer and closer before the expiry, whatever the lifetime, and a cause that
   disappears is noticed while there is time. :data:`FLOOR` bounds how close: the CA's limit on failures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from certwright_issuers.acme.problem import Kind
from certwright_issuers.contract import ConfigInvalid, IssuerError, RateLimited, Unavailable
from certwright_issuers.digest import share_of

_S, _M, _H = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)

#: Wait after the 1st, 2nd ... failure; the last is repeated. Running totals beside the rows.
SCHEDULES: Mapping[Kind, Sequence[timedelta]] = {
    # Costs the CA one request and counts towards no limit: quick at first, then a load that an outage can bear.
    Kind.TRANSIENT: (
        5 * _S,
        10 * _S,  # 15 s
        30 * _S,  # 45 s
        1 * _M,  # 1 m 45 s
        2 * _M,
        5 * _M,  # 9 m
        10 * _M,  # 19 m
        20 * _M,
        30 * _M,  # 1 h 9 m
        1 * _H,
    ),
    # Counts towards "failed authorizations per identifier, account and hour" (Let's Encrypt: 5), so at most 4 an hour,
    # and ends at one a day: a name that never validates must not be asked for a thousand times (integration guide).
    Kind.VALIDATION: (
        15 * _M,
        15 * _M,  # 30 m
        30 * _M,  # 1 h
        1 * _H,  # 2 h
        2 * _H,
        4 * _H,  # 8 h
        8 * _H,
        12 * _H,  # 28 h
        24 * _H,
    ),
    # The CA's words without a time: as long as its slowest common limits take to refill.
    Kind.RATE_LIMITED: (
        15 * _M,
        30 * _M,
        1 * _H,
        2 * _H,
        4 * _H,  # 7 h 45 m
        12 * _H,
        24 * _H,
    ),
    # The owner may mend it where nothing tells us of it: at the CA (account, profile). A change here comes sooner.
    Kind.CONFIGURATION: (
        15 * _M,
        1 * _H,
        4 * _H,
        24 * _H,
    ),
}

#: The shortest wait that a nearing expiry may cause.
FLOOR: Mapping[Kind, timedelta] = {
    Kind.TRANSIENT: 1 * _M,
    Kind.VALIDATION: 15 * _M,
    Kind.RATE_LIMITED: 15 * _M,
    Kind.CONFIGURATION: 15 * _M,
}

#: The longest wait without a valid certificate after there was one: the service is down.
EXPIRED_CEILING = 1 * _H

#: Part of the remaining lifetime that one wait may take.
SHARE = 8

#: Up to this part is added to a scheduled wait, so that certificates that failed together do not return together.
JITTER = 0.1


@dataclass(frozen=True, slots=True)
class Failure:
    """The last failure of one certificate. All of it fits into a status field, so that restarts forget nothing."""

    kind: Kind
    #: When it happened; aware.
    at: datetime
    #: How many in a row, this one included; 1 or more.
    count: int = 1
    #: The time that the CA named, if it did.
    not_before: datetime | None = None


def failure(error: IssuerError, at: datetime, count: int) -> Failure:
    """The failure that an error of this package or of the contract stands for."""
    kind = kind_of(error)
    if isinstance(error, RateLimited):
        # A limit without a time gets one for display; the schedule knows better after the second.
        stated = getattr(error, "stated", True)
        return Failure(kind, at, count, error.retry_at if stated else None)
    wait = error.retry_after if isinstance(error, Unavailable) else None
    return Failure(kind, at, count, None if wait is None else at + wait)


def kind_of(error: IssuerError) -> Kind:
    """The class of an error: its own, else by its place in the contract's tree."""
    kind = getattr(error, "kind", None)
    if isinstance(kind, Kind):
        return kind
    if isinstance(error, RateLimited):
        return Kind.RATE_LIMITED
    if isinstance(error, ConfigInvalid):
        return Kind.CONFIGURATION
    return Kind.TRANSIENT if isinstance(error, Unavailable) else Kind.PERMANENT


def next_attempt(failed: Failure, *, seed: str, not_after: datetime | None = None) -> datetime | None:
    """When to try again; None: not before the request changes.

    ``seed``: anything that names the certificate; the same seed gives the same answer. ``not_after``: end of the
    certificate in use; None if there never was one.
    """
    if failed.not_before is not None and failed.not_before > failed.at:
        return failed.not_before
    schedule = SCHEDULES.get(failed.kind)
    if schedule is None:
        return None
    wait = schedule[min(failed.count, len(schedule)) - 1]
    floor = FLOOR[failed.kind]
    if not_after is not None:
        remaining = not_after - failed.at
        ceiling = remaining / SHARE if remaining > timedelta(0) else EXPIRED_CEILING
        wait = min(wait, max(ceiling, floor))
    return failed.at + wait * (1 + JITTER * share_of(f"{seed}|{failed.at.isoformat()}|{failed.count}"))
