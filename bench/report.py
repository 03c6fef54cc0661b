"""Figures for people: a table with the bars beside them, and ratios between two operators."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Any

from bench.figures import Figures


@dataclass(frozen=True)
class Bar:
    """What a figure has to reach, in words and as a test."""

    text: str
    holds: Callable[[Any], bool]


def at_most(limit: float) -> Bar:
    """Not above."""
    return Bar(f"<= {limit:g}", lambda value: value <= limit)


def at_least(limit: float) -> Bar:
    """Not below."""
    return Bar(f">= {limit:g}", lambda value: value >= limit)


def exactly(wanted: float) -> Bar:
    """Neither."""
    return Bar(f"= {wanted:g}", lambda value: value == wanted)


#: With ECDSA keys on 2 cores, and the CA issuer except in w4 (see docs/performance.md).
BARS: dict[str, dict[str, Bar]] = {
    "w1": {
        "certificates_per_second": at_least(48),
        "share_of_ceiling": at_least(0.5),
        "ready_p99_s": at_most(25),
        "object_writes_per_issuance": at_most(4),
        "events_per_issuance": at_most(2),
        "conflicts": exactly(0),
        "signings_per_certificate": exactly(1),
    },
    "w2": {
        "object_writes_per_issuance": at_most(4),
        "events_per_issuance": at_most(2),
        "conflicts": exactly(0),
        "signings_per_certificate": exactly(1),
        "restart_steady_s": at_most(15),
        "restart_object_writes": exactly(0),
        "restart_signings": exactly(0),
        "restart_rss_mb": at_most(250),
    },
    "w4": {
        "certificates_per_second": at_least(6),
        "object_writes_per_issuance": at_most(18),
        "events_per_issuance": at_most(6),
        "signings_per_certificate": exactly(1),
        "acme_requests_per_issuance": at_most(9),
        "share_of_rate_beside_hanging": at_least(0.9),
    },
    "w4a": {
        "certificates_per_second": at_least(9),
        "object_writes_per_issuance": at_most(18),
        "events_per_issuance": at_most(6),
        "signings_per_certificate": exactly(1),
        "acme_requests_per_issuance": at_most(9),
    },
    "w6": {
        "ready_p50_s": at_most(0.1),
        "object_writes_per_issuance": at_most(4),
        "events_per_issuance": at_most(2),
        "conflicts": exactly(0),
        "signings_per_certificate": exactly(1),
    },
    "w7": {
        "ready_p50_s": at_most(0.1),
        "ready_p99_s": at_most(1),
        "object_writes_per_issuance": at_most(5),
        "events_per_issuance": at_most(3),
        "conflicts": exactly(0),
        "signings_per_certificate": exactly(1),
    },
}


def table(workload: str, figures: Figures) -> str:
    """One line a figure: its name, its value, and the bar with a verdict where there is one."""
    lines: list[str] = []
    for name, value in figures.items():
        if isinstance(value, dict):
            continue
        bar = BARS[workload].get(name)
        verdict = f"{bar.text:>10}  {'reached' if bar.holds(value) else 'MISSED'}" if bar else ""
        lines.append(f"  {name:<40} {value!s:>14} {verdict}".rstrip())
    return "\n".join(lines)


def middle(runs: Sequence[Figures]) -> Figures:
    """The run whose rate is in the middle; the slower one of two."""
    return sorted(runs, key=lambda run: run["certificates_per_second"])[(len(runs) - 1) // 2]


def ratios(ours: Sequence[Figures], theirs: Sequence[Figures]) -> dict[str, dict[str, float]]:
    """Mean of ours by mean of theirs for each measured number, with the smallest and largest ratio of single runs."""
    found: dict[str, dict[str, float]] = {}
    for name, value in theirs[0].items():
        if not isinstance(value, float) or any(not run.get(name) for run in [*ours, *theirs]):
            continue
        singles = [a[name] / b[name] for a in ours for b in theirs]
        whole = mean(run[name] for run in ours) / mean(run[name] for run in theirs)
        found[name] = {"ratio": round(whole, 3), "least": round(min(singles), 3), "most": round(max(singles), 3)}
    return found


def ratio_table(found: dict[str, dict[str, float]]) -> str:
    """One line a ratio."""
    return "\n".join(f"  {name:<40} {row['ratio']:>8} ({row['least']} to {row['most']})" for name, row in found.items())
