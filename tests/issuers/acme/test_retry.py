"""The retry schedule against the promises it makes: to users (no expiry) and to CAs (limits)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers.acme import ari, retry
from certwright_issuers.acme.problem import AcmeRateLimited, Kind, ValidationFailed
from certwright_issuers.acme.retry import Failure, next_attempt
from certwright_issuers.contract import ConfigInvalid, IssuerError, RateLimited, RequestRejected, Unavailable

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
RETRIED = st.sampled_from(sorted(retry.SCHEDULES))
LIFETIME = st.sampled_from([timedelta(days=days) for days in (1, 6, 10, 47, 90, 398)])


def attempts(kind: Kind, begin: datetime, until: datetime, not_after: datetime | None, seed: str) -> list[datetime]:
    """The times of all tries from the first one at ``begin``, if each of them fails until ``until``."""
    times, count = [begin], 0
    while times[-1] < until and count < 5000:
        count += 1
        following = next_attempt(Failure(kind, times[-1], count), seed=seed, not_after=not_after)
        assert following is not None
        times.append(following)
    return times


@given(RETRIED, st.integers(1, 10_000), st.floats(1, 40 * 86400), LIFETIME | st.just(HOUR))
def test_the_cas_word_beats_every_schedule(kind: Kind, count: int, wait: float, lifetime: timedelta) -> None:
    """A time in the future is taken exactly, also beyond the expiry and however often it failed."""
    told = NOW + timedelta(seconds=wait)
    assert next_attempt(Failure(kind, NOW, count, told), seed="x", not_after=NOW + lifetime) == told


@given(RETRIED, st.integers(1, 100), st.floats(0, 1e6))
def test_a_time_in_the_past_makes_no_hot_loop(kind: Kind, count: int, ago: float) -> None:
    """Retry-After of zero or a stale date leaves the schedule in charge."""
    at = next_attempt(Failure(kind, NOW, count, NOW - timedelta(seconds=ago)), seed="x")
    assert at is not None
    assert at - NOW >= timedelta(seconds=5)


@given(RETRIED, LIFETIME, st.floats(0, 1), st.text("abc", max_size=3))
def test_no_certificate_expires_while_the_ca_is_reachable(
    kind: Kind, lifetime: timedelta, share: float, seed: str
) -> None:
    """If the cause disappears at any time, 20 minutes before the expiry at the latest, a try falls before the expiry.

    Virtual time: from the backstop of ARI's local rule on, for lifetimes from a day to 398 days.
    """
    not_after = NOW + lifetime
    begin = ari.backstop(NOW, not_after)
    cured = begin + (not_after - timedelta(minutes=20) - begin) * share
    tries = attempts(kind, begin, not_after, not_after, seed)
    assert any(cured <= at < not_after for at in tries)


@given(LIFETIME | st.none(), st.text("abc", max_size=3))
def test_failed_validations_stay_below_the_limit(lifetime: timedelta | None, seed: str) -> None:
    """Let's Encrypt allows 5 failures per name and hour; any window of an hour holds at most 5 tries, also near expiry."""
    not_after = None if lifetime is None else NOW + lifetime
    tries = attempts(Kind.VALIDATION, NOW, NOW + (lifetime or timedelta(days=9)) + timedelta(days=2), not_after, seed)
    for index in range(len(tries) - 5):
        assert tries[index + 5] - tries[index] > HOUR


@given(RETRIED, st.integers(1, 60))
def test_without_a_certificate_the_schedule_alone_counts(kind: Kind, count: int) -> None:
    """Each row of the list, lengthened by at most a tenth; the last one for ever."""
    row = retry.SCHEDULES[kind][min(count, len(retry.SCHEDULES[kind])) - 1]
    at = next_attempt(Failure(kind, NOW, count), seed="x")
    assert at is not None
    assert row <= at - NOW <= row * (1 + retry.JITTER)


@given(RETRIED, st.integers(1, 60))
def test_an_expired_certificate_is_tried_every_hour(kind: Kind, count: int) -> None:
    """The service is down, so the wait of a day is over."""
    at = next_attempt(Failure(kind, NOW, count), seed="x", not_after=NOW - HOUR)
    assert at is not None
    assert at - NOW <= 1.1 * HOUR


def test_what_is_final_is_not_retried() -> None:
    """1.6 million requests came from one client that kept asking for a name that was refused."""
    assert next_attempt(Failure(Kind.PERMANENT, NOW, 1), seed="x", not_after=NOW + HOUR) is None


def test_failures_that_came_together_do_not_return_together() -> None:
    """A thousand certificates are spread over the jitter; each time is the same after a restart."""
    times = {next_attempt(Failure(Kind.VALIDATION, NOW, 4), seed=str(n)) for n in range(1000)}
    assert len(times) == 1000
    assert next_attempt(Failure(Kind.VALIDATION, NOW, 4), seed="7") in times


@pytest.mark.parametrize(
    ("error", "kind", "told"),
    [
        (RateLimited("r", "m", NOW + HOUR), Kind.RATE_LIMITED, NOW + HOUR),
        (Unavailable("r", "m", HOUR), Kind.TRANSIENT, NOW + HOUR),
        (Unavailable("r", "m"), Kind.TRANSIENT, None),
        (ValidationFailed("r", "m"), Kind.VALIDATION, None),
        (RequestRejected("r", "m"), Kind.PERMANENT, None),
        (ConfigInvalid("r", "m"), Kind.CONFIGURATION, None),
    ],
)
def test_errors_of_the_contract_are_classed(error: IssuerError, kind: Kind, told: datetime | None) -> None:
    """Errors of this package say their class themselves, others by their place in the tree."""
    assert retry.failure(error, NOW, 1) == Failure(kind, NOW, 1, told)


def test_an_unstated_limit_follows_the_schedule() -> None:
    """The time shown for a limit without Retry-After is a guess, so repeated limits wait longer."""
    error = AcmeRateLimited("RateLimited", "m", NOW + timedelta(minutes=15))
    error.stated = False
    waits = [next_attempt(retry.failure(error, NOW, count), seed="x") for count in (1, 2, 5)]
    assert [int((at - NOW) / timedelta(minutes=15)) for at in waits if at is not None] == [1, 2, 16]
