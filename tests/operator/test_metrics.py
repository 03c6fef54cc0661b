"""Figures for Prometheus: names, types, labels and values of the contract (section 6.3)."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from certwright.acmecalls import AcmeCalls
from certwright.api import Challenge, Issuer
from certwright.fence import Fence, clock
from certwright.looplag import LoopLag
from certwright.metrics import metrics_page, render, snapshot
from certwright.store import Store
from certwright.worker import RECONCILERS, Workers
from certwright_issuers.acme.transport import Exchange
from tests.operator.builders import certificate

Labels = tuple[tuple[str, str], ...]
CERTIFICATE = {"name": "web", "namespace": "ns", "issuer_name": "ca", "issuer_kind": "", "issuer_group": ""}
#: What cert-manager has besides: go_*, and figures of Venafi's issuers.
CONTRACT = {
    "certmanager_clock_time_seconds": "counter",
    "certmanager_clock_time_seconds_gauge": "gauge",
    "certmanager_http_acme_client_request_count": "counter",
    "certmanager_http_acme_client_request_duration_seconds": "summary",
    "certmanager_controller_sync_call_count": "counter",
    "certmanager_controller_sync_error_count": "counter",
    "certmanager_certificate_ready_status": "gauge",
    "certmanager_certificate_not_after_timestamp_seconds": "gauge",
    "certmanager_certificate_not_before_timestamp_seconds": "gauge",
    "certmanager_certificate_expiration_timestamp_seconds": "gauge",
    "certmanager_certificate_renewal_timestamp_seconds": "gauge",
    "certmanager_certificate_challenge_status": "gauge",
    "certmanager_issuer_ready_status": "gauge",
    "certmanager_clusterissuer_ready_status": "gauge",
    "process_resident_memory_bytes": "gauge",
    "process_cpu_seconds_total": "counter",
    "process_start_time_seconds": "gauge",
}


def page(store: Store, fence: Fence | None = None, calls: AcmeCalls | None = None, **counts: dict[str, int]) -> str:
    zeros = dict.fromkeys(RECONCILERS, 0)
    workers = cast("Workers", SimpleNamespace(**{"syncs": zeros, "sync_errors": zeros, **counts}))
    return render(snapshot(store, workers, fence or Fence(), LoopLag(), calls or AcmeCalls()))


def series(text: str, name: str) -> dict[Labels, float]:
    """Value by sorted labels. The library's parser, unlike Prometheus, gives the samples of counters an ending."""
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {tuple(sorted(s.labels.items())): s.value for s in samples if s.name in {name, f"{name}_total"}}


def labels(**given: str) -> Labels:
    return tuple(sorted(given.items()))


def test_names_and_types_are_those_of_the_contract() -> None:
    """Counters included, whose names do not end in _total."""
    lines = page(Store()).splitlines()
    types = dict(line.removeprefix("# TYPE ").split() for line in lines if line.startswith("# TYPE "))
    assert {name: types.get(name) for name in CONTRACT} == CONTRACT
    assert {name for name in types if name.startswith("certmanager_")} <= set(CONTRACT)


def test_controllers_are_counted_by_their_names() -> None:
    """Every kind that is reconciled has its series; the shim has cert-manager's name for it."""
    text = page(Store(), syncs=dict.fromkeys(RECONCILERS, 0) | {"Ingress": 3, "Certificate": 2})
    found = series(text, "certmanager_controller_sync_call_count")
    assert found[labels(controller="ingress-shim")] == 3
    assert found[labels(controller="certificates")] == 2
    assert len(found) == len(RECONCILERS)


READY: list[tuple[list[dict[str, Any]], str]] = [
    ([], "Unknown"),
    ([{"type": "Issuing", "status": "True"}], "Unknown"),
    ([{"type": "Ready", "status": "True"}], "True"),
    ([{"type": "Ready", "status": "False"}], "False"),
    ([{"type": "Ready", "status": "Unknown"}], "Unknown"),
]


@pytest.mark.parametrize(("conditions", "expected"), READY)
def test_ready_is_three_series_of_which_one_is_1(conditions: list[dict[str, Any]], expected: str) -> None:
    """Of Certificates, Issuers and ClusterIssuers; no condition counts as Unknown; the issuer is as the spec has it."""
    store = Store()
    store.put_certificate(certificate(status={"conditions": conditions}))
    for kind, namespace in (("Issuer", "ns"), ("ClusterIssuer", "")):
        body = {"metadata": {"name": "ca", "namespace": namespace}, "status": {"conditions": conditions}}
        store.put_issuer(kind, msgspec.convert(body, Issuer))
    text = page(store)
    for name, own in (
        ("certificate", CERTIFICATE),
        ("issuer", {"name": "ca", "namespace": "ns"}),
        ("clusterissuer", {"name": "ca"}),
    ):
        assert series(text, f"certmanager_{name}_ready_status") == {
            labels(condition=condition, **own): float(condition == expected)
            for condition in ("True", "False", "Unknown")
        }


def test_times_are_seconds_and_0_where_there_are_none() -> None:
    """Expiration is another word for not after."""
    store = Store()
    store.put_certificate(certificate(status={"notAfter": "1970-01-02T00:00:00Z", "notBefore": "1970-01-01T00:01:00Z"}))
    text = page(store)
    for name, expected in (("not_after", 86400), ("expiration", 86400), ("not_before", 60), ("renewal", 0)):
        found = series(text, f"certmanager_certificate_{name}_timestamp_seconds")
        assert found == {labels(**CERTIFICATE): expected}


@pytest.mark.parametrize(("state", "expected"), [("pending", "pending"), ("valid", "valid"), ("", "unknown")])
def test_a_challenge_has_a_series_for_each_state(state: str, expected: str) -> None:
    """One of eight is 1."""
    body = {
        "metadata": {"name": "c", "namespace": "ns", "uid": "1", "resourceVersion": "1"},
        "spec": {"dnsName": "a.example.test", "type": "HTTP-01"},
        "status": {"state": state, "reason": 'said "no"\nand more', "processing": True},
    }
    store = Store()
    store.challenges.put(msgspec.convert(body, Challenge))
    found = series(page(store), "certmanager_certificate_challenge_status")
    own = {"domain": "a.example.test", "reason": 'said "no"\nand more', "processing": "true", "type": "HTTP-01"}
    states = {"ready", "valid", "errored", "expired", "invalid", "processing", "unknown", "pending"}
    assert found == {
        labels(status=status, name="c", namespace="ns", **own): float(status == expected) for status in states
    }


def test_who_leads_is_shown() -> None:
    """By the fence, which is what counts."""
    fence = Fence()
    assert series(page(Store(), fence), "certwright_leader") == {(): 0}
    fence.open_until(clock() + 60)
    assert series(page(Store(), fence), "certwright_leader") == {(): 1}


def exchange(seconds: float = 0.5, status: int = 200, host: str = "acme.test") -> Exchange:
    return Exchange("new-order", "https", host, "POST", status, seconds)


ACME = {"scheme": "https", "action": "new-order", "method": "POST"}


def test_requests_to_acme_servers_are_counted_and_timed() -> None:
    """Quantiles of the last ten minutes, sum and count of all time; no answer is 999."""
    now = 0.0
    calls = AcmeCalls(lambda: now)
    for seconds in range(1, 11):
        calls.observe(exchange(float(seconds)))
    calls.observe(exchange(status=0))
    text = page(Store(), calls=calls)
    answered, lost = labels(host="acme.test", status="200", **ACME), labels(host="acme.test", status="999", **ACME)
    assert series(text, "certmanager_http_acme_client_request_count") == {answered: 10, lost: 1}
    name = "certmanager_http_acme_client_request_duration_seconds"
    assert series(text, f"{name}_sum")[answered] == 55
    assert series(text, f"{name}_count")[answered] == 10
    quantiles = {dict(key)["quantile"]: value for key, value in series(text, name).items() if ("status", "200") in key}
    assert quantiles == {"0.5": 5, "0.9": 9, "0.99": 10}
    now = 601.0
    later = page(Store(), calls=calls)
    assert all(value != value for value in series(later, name).values())  # noqa: PLR0124 (not a number)
    assert series(later, f"{name}_count")[answered] == 10


def test_series_of_acme_servers_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Issuers can name any number of hosts."""
    monkeypatch.setattr("certwright.acmecalls.SERIES_LIMIT", 3)
    calls = AcmeCalls()
    for number in range(10):
        calls.observe(exchange(host=f"{number}.test"))
    found = series(page(Store(), calls=calls), "certmanager_http_acme_client_request_count")
    assert found[labels(host="other", status="200", **ACME)] == 7
    assert len(found) == 4


async def test_a_scrape_does_not_hold_up_the_event_loop() -> None:
    """The page of 1,000 Certificates takes some 50 ms of work; meanwhile the loop turns."""
    store, one = Store(), certificate()
    for number in range(1000):
        meta = msgspec.structs.replace(one.metadata, name=f"web-{number}", uid=str(number))
        store.put_certificate(msgspec.structs.replace(one, metadata=meta))
    making = asyncio.ensure_future(metrics_page(store, None, Fence(), LoopLag(), AcmeCalls()))
    turns = 0
    while not making.done():
        turns += 1
        await asyncio.sleep(0.001)
    status, _, text = await making
    assert status == 200
    assert text.count("certmanager_certificate_ready_status{") == 3000
    assert turns > 3
