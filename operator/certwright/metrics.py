"""Figures for Prometheus, under cert-manager's names, computed from the store when they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric, UnknownMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from certwright.acmecalls import AcmeCalls
from certwright.api import Certificate, CertificateStatus, Challenge, Condition, Issuer
from certwright.api.acme import STATES
from certwright.fence import Fence
from certwright.looplag import LoopLag
from certwright.reporter import find_condition
from certwright.store import Store
from certwright.worker import Workers
from certwright.workqueue import Key

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


#: A Challenge whose authorization has not been read yet has no state.
UNKNOWN_STATE = "unknown"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What is shown, taken at one moment; the objects themselves never change."""

    certificates: tuple[Certificate, ...]
    issuers: tuple[tuple[Key, Issuer], ...]
    challenges: tuple[Challenge, ...]
    acme_calls: tuple[Metric, ...]
    #: Reconciles begun and failed, by kind.
    syncs: dict[str, int]
    sync_errors: dict[str, int]
    leading: bool
    #: Seconds.
    loop_lag: float


def snapshot(store: Store, workers: Workers | None, fence: Fence, lag: LoopLag, calls: AcmeCalls) -> Snapshot:
    """Nothing is kept between scrapes, so no series outlives its object."""
    return Snapshot(
        certificates=tuple(store.certificates.values()),
        issuers=tuple(store.issuers.items()),
        challenges=tuple(store.challenges.values()),
        acme_calls=tuple(calls.families()),
        syncs=dict(workers.syncs) if workers else {},
        sync_errors=dict(workers.sync_errors) if workers else {},
        leading=fence.is_open,
        loop_lag=lag.longest,
    )


class SnapshotCollector(Collector):
    """The families of a snapshot."""

    def __init__(self, seen: Snapshot) -> None:
        self._seen = seen

    def collect(self) -> Iterator[Metric]:
        """All families."""
        yield from self._certificates()
        yield from self._issuers()
        yield self._challenges()
        yield from self._seen.acme_calls
        yield from self._controller()

    def _certificates(self) -> Iterator[Metric]:
        ready = GaugeMetricFamily(
            f"{PREFIX}_certificate_ready_status",
            "Whether the certificate is ready: one of three series is 1.",
            labels=("name", "namespace", "condition", *ISSUER_LABELS),
        )
        for certificate in self._seen.certificates:
            name, namespace, *issuer = _labels(certificate)
            for condition, value in _three(certificate.status.conditions):
                ready.add_metric([name, namespace, condition, *issuer], value)
        yield ready
        for what, (text, time_of) in TIMES.items():
            family = GaugeMetricFamily(
                f"{PREFIX}_certificate_{what}_timestamp_seconds", text, labels=("name", "namespace", *ISSUER_LABELS)
            )
            for certificate in self._seen.certificates:
                when = time_of(certificate.status)
                family.add_metric(_labels(certificate), when.timestamp() if when else 0.0)
            yield family

    def _issuers(self) -> Iterator[Metric]:
        text = "Whether the issuer is ready: one of three series is 1."
        issuers = GaugeMetricFamily(f"{PREFIX}_issuer_ready_status", text, labels=("name", "namespace", "condition"))
        clusters = GaugeMetricFamily(f"{PREFIX}_clusterissuer_ready_status", text, labels=("name", "condition"))
        for key, issuer in self._seen.issuers:
            for condition, value in _three(issuer.status.conditions):
                if key.namespace:
                    issuers.add_metric([key.name, key.namespace, condition], value)
                else:
                    clusters.add_metric([key.name, condition], value)
        yield issuers
        yield clusters

    def _challenges(self) -> Metric:
        family = GaugeMetricFamily(
            f"{PREFIX}_certificate_challenge_status",
            "In which state the challenge is: one of eight series is 1.",
            labels=("status", "domain", "reason", "processing", "name", "namespace", "type"),
        )
        for challenge in self._seen.challenges:
            meta, spec, status = challenge.metadata, challenge.spec, challenge.status
            processing = "true" if status.processing else "false"
            labels = [spec.dns_name, status.reason, processing, meta.name, meta.namespace, spec.type]
            for state in (*STATES, UNKNOWN_STATE):
                family.add_metric([state, *labels], 1.0 if state == (status.state or UNKNOWN_STATE) else 0.0)
        return family

    def _controller(self) -> Iterator[Metric]:
        now = datetime.now(UTC).timestamp()
        yield UnknownMetricFamily(f"{PREFIX}_clock_time_seconds", "The clock (deprecated).", value=now)
        yield GaugeMetricFamily(f"{PREFIX}_clock_time_seconds_gauge", "The clock.", value=now)
        calls = UnknownMetricFamily(f"{PREFIX}_controller_sync_call_count", "Reconciles begun.", labels=("controller",))
        errors = UnknownMetricFamily(
            f"{PREFIX}_controller_sync_error_count", "Reconciles that failed.", labels=("controller",)
        )
        for family, counts in ((calls, self._seen.syncs), (errors, self._seen.sync_errors)):
            for kind, count in counts.items():
                family.add_metric([CONTROLLERS.get(kind, f"{kind.lower()}s")], count)
        yield calls
        yield errors
        yield GaugeMetricFamily(
            "certwright_leader", "Whether this replica may write.", value=1.0 if self._seen.leading else 0.0
        )
        yield GaugeMetricFamily(
            "certwright_event_loop_lag_seconds",
            "The longest that the event loop was held up within the last one to two minutes.",
            value=self._seen.loop_lag,
        )


async def metrics_page(
    store: Store, workers: Workers | None, fence: Fence, lag: LoopLag, calls: AcmeCalls
) -> tuple[int, str, str]:
    """Status, content type and body of a scrape.

    Made in a thread: half a second of work for 10,000 Certificates, which the event loop does not wait for.
    """
    seen = snapshot(store, workers, fence, lag, calls)
    return 200, CONTENT_TYPE_PLAIN_0_0_4, await asyncio.to_thread(render, seen)


def render(seen: Snapshot) -> str:
    """The text that Prometheus reads."""
    registry = CollectorRegistry()
    registry.register(SnapshotCollector(seen))
    ProcessCollector(registry=registry)
    # The library ends the names of counters with _total; cert-manager's have no such ending. So they are made without a
    # type, and get it here.
    return generate_latest(registry).decode().replace(" untyped\n", " counter\n")


def _labels(certificate: Certificate) -> list[str]:
    ref = certificate.spec.issuer_ref
    return [certificate.metadata.name, certificate.metadata.namespace, ref.name, ref.kind, ref.group]


def _three(conditions: tuple[Condition, ...]) -> list[tuple[str, float]]:
    ready = find_condition(conditions, "Ready")
    status = ready.status if ready else "Unknown"
    return [(condition, 1.0 if condition == status else 0.0) for condition in CONDITIONS]
