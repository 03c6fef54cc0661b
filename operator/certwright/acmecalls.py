"""Requests to ACME servers, counted and timed for Prometheus."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from prometheus_client.core import Metric, UnknownMetricFamily

from certwright_issuers.acme.transport import Exchange

COUNT = "certmanager_http_acme_client_request_count"
DURATION = "certmanager_http_acme_client_request_duration_seconds"
LABELS: tuple[str, ...] = ("scheme", "host", "action", "method", "status")
QUANTILES = (0.5, 0.9, 0.99)
#: Quantiles are those of the last ten minutes, as with Go's client library, and of at most so many requests.
RECENT_SECONDS = 600.0
RECENT_REQUESTS = 500
#: Combinations of labels that are told apart. Application teams name the hosts, so there is no end to them.
SERIES_LIMIT = 1000
OTHER_HOST = "other"
#: Label ``status`` where there was no answer; cert-manager's dashboards know it as that.
NO_ANSWER = "999"


@dataclass(slots=True)
class _Series:
    count: int = 0
    seconds: float = 0.0
    recent: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=RECENT_REQUESTS))


class AcmeCalls:
    """Fed by ``TransportPool(observe=...)``. ``clock`` in seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._series: dict[tuple[str, ...], _Series] = {}

    def observe(self, exchange: Exchange) -> None:
        """One request was made."""
        status = str(exchange.status) if exchange.status else NO_ANSWER
        labels = (exchange.scheme, exchange.host, exchange.action, exchange.method, status)
        if labels not in self._series and len(self._series) >= SERIES_LIMIT:
            labels = (exchange.scheme, OTHER_HOST, *labels[2:])
        series = self._series.setdefault(labels, _Series())
        series.count += 1
        series.seconds += exchange.seconds
        series.recent.append((self._clock(), exchange.seconds))

    def families(self) -> Iterator[Metric]:
        """A counter and a summary."""
        counts = UnknownMetricFamily(COUNT, "Requests to ACME servers.", labels=LABELS)
        durations = Metric(DURATION, "How long requests to ACME servers took.", "summary")
        since = self._clock() - RECENT_SECONDS
        for values, series in self._series.items():
            counts.add_metric(values, series.count)
            labels = dict(zip(LABELS, values, strict=True))
            recent = sorted(seconds for at, seconds in series.recent if at >= since)
            for share in QUANTILES:
                durations.add_sample(DURATION, {**labels, "quantile": str(share)}, _quantile(recent, share))
            durations.add_sample(f"{DURATION}_sum", labels, series.seconds)
            durations.add_sample(f"{DURATION}_count", labels, series.count)
        yield counts
        yield durations


def _quantile(ascending: list[float], share: float) -> float:
    """The smallest value that ``share`` of all do not exceed; not a number where there are none."""
    return ascending[math.ceil(share * len(ascending)) - 1] if ascending else math.nan
