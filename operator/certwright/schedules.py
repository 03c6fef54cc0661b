"""The cron schedule of a renewal window: what is accepted, by the webhook and by the operator, and when it begins."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

from croniter import croniter

#: Five fields of numbers, names, ranges, lists and steps, or a word. The library takes more: random fields, which would
#: give another time at each look, and a sixth field, read as seconds at the end where others read it at the beginning.
_CRON = re.compile(
    r"@(?:hourly|daily|midnight|weekly|monthly|yearly|annually)"
    r"|(?:(?:[0-9*?,/-]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)+(?: +|$)){5}",
    re.IGNORECASE,
)

#: A range, with a step or without.
_RANGE = re.compile(r"([0-9]+|[a-z]{3})-([0-9]+|[a-z]{3})(/[0-9]+)?", re.IGNORECASE)


def is_schedule(text: str) -> bool:
    """Whether ``text`` is a schedule; surrounding spaces don't count."""
    return _CRON.fullmatch(text.strip(" ")) is not None and croniter.is_valid(_library_form(text))


def starts_after(text: str, moment: datetime) -> Iterator[datetime]:
    """When a schedule begins after ``moment``, in its time zone. Raises ValueError and CroniterError."""
    return croniter(_library_form(text), moment).all_next(datetime)


def _library_form(text: str) -> str:
    """The library takes a range of one value, such as 23-23, for the whole field, and knows ? for days only."""
    return _RANGE.sub(_single, text.strip(" ").replace("?", "*"))


def _single(found: re.Match[str]) -> str:
    low, high = (part.lstrip("0") or "0" for part in found.group(1, 2))
    return low if low.lower() == high.lower() else found[0]
