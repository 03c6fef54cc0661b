"""What was seen of a number of issuances, and the figures made of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bench.usage import Usage

Figures = dict[str, Any]


def percentile(ascending: Sequence[float], share: float) -> float:
    """The smallest value that ``share`` of all values do not exceed (nearest rank)."""
    return ascending[max(0, math.ceil(share * len(ascending)) - 1)]


@dataclass(frozen=True)
class Issuances:
    """Certificates that were created and became Ready."""

    #: From the creation's request until the watch showed Ready, in seconds, ascending.
    latencies: list[float]
    #: From the first creation until the last Ready; one after the other: the sum of latencies.
    seconds: float
    #: Distinct serial numbers in all CertificateRequests seen.
    serials: int
    #: When the last one was seen Ready.
    last_ready: datetime
    #: The highest revision of any Certificate: above 1, something was issued again.
    highest_revision: int
    usage: Usage


def issuing_figures(seen: Issuances, ceiling_per_second: float, peak_rss_mib: float) -> Figures:
    """The ten figures that every workload has, and what helps to judge them."""
    n, usage, counts = len(seen.latencies), seen.usage, seen.usage.counts
    rate = n / seen.seconds
    lag = (counts.last_write - seen.last_ready).total_seconds() if counts.last_write else 0.0
    return {
        "certificates_per_second": round(rate, 2),
        "ceiling_per_second": round(ceiling_per_second, 2),
        "ready_p50_s": round(percentile(seen.latencies, 0.5), 4),
        "ready_p99_s": round(percentile(seen.latencies, 0.99), 4),
        "object_writes_per_issuance": round(counts.object_writes / n, 4),
        "events_per_issuance": round(counts.events / n, 4),
        "conflicts": counts.conflicts,
        "signings_per_certificate": round(seen.serials / n, 4),
        "operator_cpu_ms_per_issuance": round(usage.operator_cpu * 1000 / n, 2),
        "operator_rss_mb": round(peak_rss_mib, 1),
        "share_of_ceiling": round(rate / ceiling_per_second, 3),
        "n": n,
        "ready_max_s": round(seen.latencies[-1], 4),
        "highest_revision": seen.highest_revision,
        "failed_writes": counts.failures,
        "reads_per_issuance": round(counts.reads / n, 4),
        "last_write_after_last_ready_s": round(max(0.0, lag), 2),
        "apiserver_cpu_ms_per_issuance": round(usage.apiserver_cpu * 1000 / n, 2),
        "etcd_cpu_ms_per_issuance": round(usage.etcd_cpu * 1000 / n, 2),
        "driver_cpu_ms_per_issuance": round(usage.driver_cpu * 1000 / n, 2),
        "foreign_cpu_share": round(usage.foreign_share, 3),
        "load_average": round(usage.load_average, 2),
        "requests": dict(sorted(counts.by_request.items())),
    }


def latency_figures(prefix: str, ascending: Sequence[float]) -> Figures:
    """How long it took, in seconds, under names that begin with ``prefix``."""
    shares = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "max": 1.0}
    return {f"{prefix}_{name}_s": round(percentile(ascending, share), 4) for name, share in shares.items()}


def acme_figures(posts: int, alone: Issuances, beside: Issuances | None) -> Figures:
    """What the CA had to do for ``alone``, and how the burst ``beside`` hanging challenges went in comparison."""
    figures: Figures = {"acme_requests_per_issuance": round(posts / len(alone.latencies), 2)}
    if beside is not None:
        rates = [len(run.latencies) / run.seconds for run in (alone, beside)]
        figures["rate_beside_hanging"] = round(rates[1], 2)
        figures["share_of_rate_beside_hanging"] = round(rates[1] / rates[0], 3)
    return figures


def restart_figures(
    steady_s: float, serials: int, ready_s: float, cpu_s: float, rss_mib: float, usage: Usage
) -> Figures:
    """What a restart cost. ``steady_s``: from the process's start until it came to rest; ``ready_s``: see W2."""
    counts = usage.counts
    return {
        "restart_steady_s": round(steady_s, 2),
        "restart_object_writes": counts.object_writes,
        "restart_events": counts.events,
        "restart_conflicts": counts.conflicts,
        "restart_signings": serials,
        "restart_reads": counts.reads,
        "restart_cpu_s": round(cpu_s, 2),
        "restart_rss_mb": round(rss_mib, 1),
        "restart_first_ready_s": round(ready_s, 3),
        "restart_foreign_cpu_share": round(usage.foreign_share, 3),
        "restart_requests": dict(sorted(counts.by_request.items())),
    }
