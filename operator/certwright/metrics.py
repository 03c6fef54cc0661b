"""Figures for Prometheus, under cert-manager's names, computed from the store when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from certwright.api import Certificate, CertificateStatus, Condition
from certwright.fence import Fence
from certwright.looplag import LoopLag
from certwright.reporter import find_condition
from certwright.store import Store
from certwright.worker import Workers

PREFIX = "certmanager"
CONDITIONS = ("True", "False", "Unknown")
ISSUER_LABELS = ("issuer_name", "issuer_kind", "issuer_group")
#: Where the label ``controller`` is not the plural of the kind.
CONTROLLERS = {"Ingress": "ingress-shim"}
#: Metric -> the time of a Certificate's status it shows (contract section 6.3).
TIMES: dict[str, tuple[str, Callable[[CertificateStatus], datetime | None]]] = {
    "not_after": ("The timestamp after which the certificate is not valid.", lambda s: s.not_after),
    "not_before": ("The timestamp before which the certificate is not valid.", lambda s: s.not_before),
    "expiration": (
        "The timestamp after which the certificate is not valid (same as not_after).",
        lambda s: s.not_after,
    ),
    "renewal": ("The timestamp at which the certificate will be renewed.", lambda s: s.renewal_time),
}


class StoreCollector(Collector):
    """Walks the store at each scrape; nothing is kept in between, so no series outlives its object."""

    def __init__(self, store: Store, workers: Workers | None, fence: Fence, lag: LoopLag) -> None:
        self._store = store
        self._workers = workers
        self._fence = fence
        self._lag = lag

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._certificates()
        yield from self._issuers()
        yield from self._controller()

    def _certificates(self) -> Iterator[Metric]:
        ready = GaugeMetricFamily(
            f"{PREFIX}_certificate_ready_status",
            "Whether the certificate is ready: one of three series is 1.",
            labels=("name", "namespace", "condition", *ISSUER_LABELS),
        )
        for certificate in self._store.certificates.values():
            name, namespace, *issuer = _labels(certificate)
            for condition, value in _three(certificate.status.conditions):
                ready.add_metric([name, namespace, condition, *issuer], value)
        yield ready
        for what, (text, time_of) in TIMES.items():
            family = GaugeMetricFamily(
                f"{PREFIX}_certificate_{what}_timestamp_seconds", text, labels=("name", "namespace", *ISSUER_LABELS)
            )
            for certificate in self._store.certificates.values():
                when = time_of(certificate.status)
                family.add_metric(_labels(certificate), when.timestamp() if when else 0.0)
            yield family

    def _issuers(self) -> Iterator[Metric]:
        text = "Whether the issuer is ready: one of three series is 1."
        issuers = GaugeMetricFamily(f"{PREFIX}_issuer_ready_status", text, labels=("name", "namespace", "condition"))
        clusters = GaugeMetricFamily(f"{PREFIX}_clusterissuer_ready_status", text, labels=("name", "condition"))
        for key, issuer in self._store.issuers.items():
            for condition, value in _three(issuer.status.conditions):
                if key.namespace:
                    issuers.add_metric([key.name, key.namespace, condition], value)
                else:
                    clusters.add_metric([key.name, condition], value)
        yield issuers
        yield clusters

    def _controller(self) -> Iterator[Metric]:
        now = datetime.now(UTC).timestamp()
        yield UnknownMetricFamily(f"{PREFIX}_clock_time_seconds", "The clock (deprecated).", value=now)
        yield GaugeMetricFamily(f"{PREFIX}_clock_time_seconds_gauge", "The clock.", value=now)
        calls = UnknownMetricFamily(f"{PREFIX}_controller_sync_call_count", "Reconciles begun.", labels=("controller",))
        errors = UnknownMetricFamily(
            f"{PREFIX}_controller_sync_error_count", "Reconciles that failed.", labels=("controller",)
        )
        if self._workers is not None:
            for family, counts in ((calls, self._workers.syncs), (errors, self._workers.sync_errors)):
                for kind, count in counts.items():
                    family.add_metric([CONTROLLERS.get(kind, f"{kind.lower()}s")], count)
        yield calls
        yield errors
        yield GaugeMetricFamily(
            "certwright_leader", "Whether this replica may write.", value=1.0 if self._fence.is_open else 0.0
        )
        yield GaugeMetricFamily(
            "certwright_event_loop_lag_seconds",
            "The longest that the event loop was held up within the last one to two minutes.",
            value=self._lag.longest,
        )


def render_metrics(store: Store, workers: Workers | None, fence: Fence, lag: LoopLag) -> tuple[int, str, str]:
    """Status, content type and body of a scrape."""
    registry = CollectorRegistry()
    registry.register(StoreCollector(store, workers, fence, lag))
    ProcessCollector(registry=registry)
    return 200, CONTENT_TYPE_PLAIN_0_0_4, generate_latest(registry).decode()


def _labels(certificate: Certificate) -> list[str]:
    ref = certificate.spec.issuer_ref
    return [certificate.metadata.name, certificate.metadata.namespace, ref.name, ref.kind, ref.group]


def _three(conditions: tuple[Condition, ...]) -> list[tuple[str, float]]:
    ready = find_condition(conditions, "Ready")
    status = ready.status if ready else "Unknown"
    return [(condition, 1.0 if condition == status else 0.0) for condition in CONDITIONS]
