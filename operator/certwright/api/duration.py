"""Durations as Go writes them: ``2160h0m0s``, ``1.5h``, ``100ms``. The API has no other form (no days)."""

from __future__ import annotations

import re
from datetime import timedelta

_UNITS = {
    "ns": 1e-9,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ms": 1e-3,
    "s": 1.0,
    "m": 60.0,
    "h": 3600.0,
}
_PART = re.compile(r"([0-9]+\.?[0-9]*|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h)")
#: Go's time.Duration is 64 bits of nanoseconds.
LIMIT = timedelta(microseconds=2**63 // 1000)


def parse_go_duration(text: str) -> timedelta:
    """Raises ValueError with the text if it is not a duration, or is longer than Go can hold (about 292 years)."""
    sign, body = (-1, text[1:]) if text.startswith("-") else (1, text.removeprefix("+"))
    if body == "0":
        return timedelta()
    seconds, at = 0.0, 0
    while at < len(body):
        match = _PART.match(body, at)
        if match is None:
            break
        seconds += float(match[1]) * _UNITS[match[2]]
        at = match.end()
    if not body or at != len(body):
        raise ValueError(f"{text!r} is not a duration such as 2160h or 1h30m")
    if seconds > LIMIT.total_seconds():
        raise ValueError(f"{text!r} is longer than the API can express")
    return sign * timedelta(seconds=seconds)


def format_go_duration(value: timedelta) -> str:
    """As Go prints it: ``2160h0m0s``, ``1m30s``, ``0s``, ``1.5s``."""
    micro = value // timedelta(microseconds=1)
    if micro == 0:
        return "0s"
    sign, micro = ("-", -micro) if micro < 0 else ("", micro)
    if micro < 1_000:
        return f"{sign}{micro}µs"
    if micro < 1_000_000:
        return f"{sign}{_trim(micro / 1_000)}ms"
    hours, rest = divmod(micro, 3_600_000_000)
    minutes, rest = divmod(rest, 60_000_000)
    head = f"{hours}h{minutes}m" if hours else f"{minutes}m" if minutes else ""
    return f"{sign}{head}{_trim(rest / 1_000_000)}s"


def _trim(number: float) -> str:
    return f"{number:.6f}".rstrip("0").rstrip(".")
