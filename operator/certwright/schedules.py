"""What is accepted as the cron schedule of a renewal window: by the webhook, and by the operator when it is used."""

from __future__ import annotations

import re

from croniter import croniter

#: Five fields of numbers, names, ranges, lists and steps, or a word. The library takes more: random fields, which would
#: give another time at each look, and a sixth field, read as seconds at the end where others read it at the beginning.
_CRON = re.compile(
    r"@(?:hourly|daily|midnight|weekly|monthly|yearly|annually)"
    r"|(?:(?:[0-9*?,/-]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec|sun|mon|tue|wed|thu|fri|sat)+(?: +|$)){5}",
    re.IGNORECASE,
)


def is_schedule(text: str) -> bool:
    """Whether ``text`` is a schedule; surrounding spaces don't count."""
    return _CRON.fullmatch(text.strip(" ")) is not None and croniter.is_valid(text.strip(" "))
