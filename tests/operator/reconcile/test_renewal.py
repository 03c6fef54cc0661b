"""Renewal times: formulas, windows, jitter."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certwright.reconcile.renewal import renewal_of
from tests.operator.builders import NOW, certificate


def at(lifetime: timedelta, **spec: Any) -> datetime | None:
    return renewal_of(certificate(**spec).spec, NOW, NOW + lifetime).at


@pytest.mark.parametrize(
    ("spec", "lifetime", "before_expiry"),
    [
        ({}, timedelta(days=90), timedelta(days=30)),
        ({"duration": "1h"}, timedelta(days=90), timedelta(days=30)),
        ({"renewBefore": "240h"}, timedelta(days=90), timedelta(days=10)),
        ({"renewBefore": "240h", "renewBeforePercentage": 50}, timedelta(days=90), timedelta(days=10)),
        ({"renewBeforePercentage": 25}, timedelta(hours=100), timedelta(hours=25)),
        ({"renewBefore": "100h"}, timedelta(hours=99), timedelta(hours=33)),
        ({"renewBefore": "100h", "renewBeforePercentage": 10}, timedelta(hours=50), timedelta(hours=5)),
        ({"renewBeforePercentage": 100}, timedelta(hours=99), timedelta(hours=33)),
        ({"renewBefore": "nonsense"}, timedelta(hours=99), timedelta(hours=33)),
        ({"renewal": {"policy": "RenewBefore"}}, timedelta(days=90), timedelta(days=30)),
    ],
)
def test_when_it_is_due(spec: dict[str, Any], lifetime: timedelta, before_expiry: timedelta) -> None:
    """Contract rows 8.9 and 8.10: renewBefore, else the percentage that remains, else a third; what does not fit the real
    lifetime is skipped, and the spec's duration plays no part."""
    assert at(lifetime, **spec) == NOW + lifetime - before_expiry


def test_whole_seconds() -> None:
    """Contract row 8.11: a timer for a fraction would fire just before the time and miss it."""
    assert at(timedelta(seconds=100)) == NOW + timedelta(seconds=66)


def test_disabled_has_no_time() -> None:
    """Contract row 8.13: policy Disabled takes the time away, and only that."""
    assert at(timedelta(days=90), renewal={"policy": "Disabled"}) is None


def window(cron: str, length: str = "2h", zone: str = "") -> dict[str, Any]:
    return {"policy": "RenewBefore", "windows": [{"cron": cron, "windowDuration": length, "timezone": zone}]}


@pytest.mark.parametrize(
    ("renewal", "expected"),
    [
        (window("0 11 * * *"), datetime(2027, 1, 23, 12, tzinfo=UTC)),
        (window("0 10 * * *"), datetime(2027, 1, 24, 10, tzinfo=UTC)),
        (window("0 3 * * *"), datetime(2027, 1, 24, 3, tzinfo=UTC)),
        (window("0 4 * * *", zone="Europe/Berlin"), datetime(2027, 1, 24, 3, tzinfo=UTC)),
        (window("@daily"), datetime(2027, 1, 24, 0, tzinfo=UTC)),
        (window(" */15  1-2 ? JAN sun,MON "), datetime(2027, 1, 24, 1, tzinfo=UTC)),
    ],
    ids=["inside", "just over", "next", "time zone", "word", "names and steps"],
)
def test_windows_move_renewals_to_their_start(renewal: dict[str, Any], expected: datetime) -> None:
    """Due on 2027-01-23 12:00 UTC: at once inside a window (its end excluded), else at the next start."""
    assert at(timedelta(days=90), renewal=renewal) == expected


@pytest.mark.parametrize(
    ("cron", "expected"),
    [
        ("0 23-23 * * *", datetime(2027, 1, 23, 23, tzinfo=UTC)),
        ("0 0 31-31 01-1 *", datetime(2027, 1, 31, tzinfo=UTC)),
        ("0 3 * * mon-MON", datetime(2027, 1, 25, 3, tzinfo=UTC)),
        ("30-30/7 14 * * *", datetime(2027, 1, 23, 14, 30, tzinfo=UTC)),
    ],
)
def test_a_range_of_one_value_is_that_value(cron: str, expected: datetime) -> None:
    """Which the library takes for the whole field."""
    found = renewal_of(certificate(renewal=window(cron, "1m")).spec, NOW, NOW + timedelta(days=90))
    assert found.at == expected


@pytest.mark.parametrize(
    ("cron", "length", "expected"),
    [
        ("0 13 22 2 *", "2h", datetime(2027, 2, 22, 13, tzinfo=UTC)),
        ("0 15 22 2 *", "2h", None),
        ("0 15 22 2 *", "4h", datetime(2027, 2, 22, 15, tzinfo=UTC)),
    ],
    ids=["within its length after expiry", "later", "later, but longer"],
)
def test_a_window_may_begin_after_the_expiry_by_its_own_length(
    cron: str, length: str, expected: datetime | None
) -> None:
    """Contract row 8.12: expiry is 2027-02-22 12:00 UTC; a window too late for that leaves the plain time."""
    found = renewal_of(certificate(renewal=window(cron, length)).spec, NOW, NOW + timedelta(days=90))
    assert found.at == (expected or NOW + timedelta(days=60))
    assert bool(found.error) == (expected is None)


@pytest.mark.parametrize(
    "renewal",
    [
        window("0 0 30 2 *"),
        window("nonsense"),
        window("0 0 3 * * *"),
        window("R R * * *"),
        window("0 3 L * *"),
        window("0 3 * *"),
        window("61 3 * * *"),
        window("0 3 * * *", zone="Mars/Olympus"),
        window("@daily", "0s"),
    ],
    ids=["never", "no cron", "six fields", "at random", "last day", "four fields", "minute 61", "no zone", "no length"],
)
def test_windows_that_can_not_be_used_leave_the_plain_time_and_say_so(renewal: dict[str, Any]) -> None:
    """Contract rows 8.12 and 8.69: a certificate is never lost to a schedule."""
    found = renewal_of(certificate(renewal=renewal).spec, NOW, NOW + timedelta(days=90))
    assert found.at == NOW + timedelta(days=60)
    assert found.error


@given(
    lifetime=st.timedeltas(timedelta(seconds=10), timedelta(days=36500)),
    before=st.integers(0, 10**6),
    percentage=st.integers(-10, 200),
    jitter=st.floats(0, 1),
)
def test_it_is_always_within_the_lifetime(lifetime: timedelta, before: int, percentage: int, jitter: float) -> None:
    """Whatever the spec says, renewal comes after the begin and before the end."""
    spec = certificate(renewBefore=f"{before}s", renewBeforePercentage=percentage).spec
    found = renewal_of(spec, NOW, NOW + lifetime, jitter=jitter, seed="uid").at
    assert found is not None
    assert NOW <= found < NOW + lifetime


def test_jitter_is_stable_and_spreads() -> None:
    """One certificate keeps its time; many share out the span."""
    spec = certificate().spec

    def of(seed: str) -> datetime | None:
        return renewal_of(spec, NOW, NOW + timedelta(days=90), jitter=0.5, seed=seed).at

    times = {of(str(number)) for number in range(100)}
    assert of("1") == of("1")
    assert len(times) > 90
    assert all(NOW + timedelta(days=45) <= time <= NOW + timedelta(days=60) for time in times if time)
