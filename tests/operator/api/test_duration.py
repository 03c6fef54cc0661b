"""Durations as Go writes them."""

import contextlib
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certwright.api.duration import LIMIT, format_go_duration, parse_go_duration

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2160h", 2160 * HOUR),
        ("2160h0m0s", 2160 * HOUR),
        ("1.5h", 1.5 * HOUR),
        (".5h", 0.5 * HOUR),
        ("1h30m", 1.5 * HOUR),
        ("1h1h", 2 * HOUR),
        ("100ms", timedelta(milliseconds=100)),
        ("3us", timedelta(microseconds=3)),
        ("3µs", timedelta(microseconds=3)),
        ("2000ns", timedelta(microseconds=2)),
        ("-1h", -HOUR),
        ("+1h", HOUR),
        ("0", timedelta()),
        ("-0", timedelta()),
        ("0s", timedelta()),
        ("5.s", timedelta(seconds=5)),
    ],
)
def test_a_duration_is_read_as_go_reads_it(text: str, value: timedelta) -> None:
    """All units, fractions, repetition, signs."""
    assert parse_go_duration(text) == value


@pytest.mark.parametrize(
    "text",
    ["", "-", "h", "1", "1.5", "90d", "1 h", "1h ", "1hh", "--1h", "1h-5m", ".h", "1e3h", "٣h", "1H", "9" * 400 + "h"],
)
def test_anything_else_is_refused_with_its_text(text: str) -> None:
    """The message repeats what was written."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the text is what is checked
        parse_go_duration(text)
    assert repr(text) in str(caught.value)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (timedelta(), "0s"),
        (2160 * HOUR, "2160h0m0s"),
        (1.5 * HOUR, "1h30m0s"),
        (timedelta(seconds=90), "1m30s"),
        (timedelta(seconds=1.5), "1.5s"),
        (timedelta(milliseconds=100), "100ms"),
        (timedelta(microseconds=1500), "1.5ms"),
        (timedelta(microseconds=3), "3µs"),
        (-HOUR, "-1h0m0s"),
    ],
)
def test_a_duration_is_written_as_go_writes_it(value: timedelta, text: str) -> None:
    """So that an object read and written does not change."""
    assert format_go_duration(value) == text


@given(st.timedeltas(min_value=-timedelta(days=36500), max_value=timedelta(days=36500)))
def test_what_is_written_is_read_back(value: timedelta) -> None:
    """To the microsecond."""
    assert abs(parse_go_duration(format_go_duration(value)) - value) <= timedelta(microseconds=1)


@given(st.text(alphabet="0123456789.hmsnuµ+-", max_size=12))
def test_reading_is_total(text: str) -> None:
    """A duration within what Go can hold, or ValueError."""
    with contextlib.suppress(ValueError):
        assert abs(parse_go_duration(text)) <= LIMIT
