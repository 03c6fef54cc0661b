"""Figures for Prometheus: names, labels and values of the contract (section 6.3)."""

from types import SimpleNamespace
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from certwright.fence import Fence
from certwright.looplag import LoopLag
from certwright.metrics import render_metrics
from certwright.store import Store
from certwright.worker import RECONCILERS, Workers
from tests.operator.builders import certificate


def scraped(store: Store, **counts: dict[str, int]) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Value by name and sorted labels."""
    zeros = dict.fromkeys(RECONCILERS, 0)
    workers = cast("Workers", SimpleNamespace(**{"syncs": zeros, "sync_errors": zeros, **counts}))
    status, _, text = render_metrics(store, workers, Fence(), LoopLag())
    assert status == 200
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {(sample.name, tuple(sorted(sample.labels.items()))): sample.value for sample in samples}


def labels(**given: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(given.items()))


def test_controllers_are_counted_by_their_names() -> None:
    """Every kind that is reconciled has its series; the shim has cert-manager's name for it."""
    found = scraped(Store(), syncs=dict.fromkeys(RECONCILERS, 0) | {"Ingress": 3, "Certificate": 2})
    name = "certmanager_controller_sync_call_count"
    assert found[name, labels(controller="ingress-shim")] == 3
    assert found[name, labels(controller="certificates")] == 2
    assert len([key for key in found if key[0] == name]) == len(RECONCILERS)


@pytest.mark.parametrize(
    ("conditions", "expected"),
    [
        ([], "Unknown"),
        ([{"type": "Issuing", "status": "True"}], "Unknown"),
        ([{"type": "Ready", "status": "True"}], "True"),
        ([{"type": "Ready", "status": "False"}], "False"),
        ([{"type": "Ready", "status": "Unknown"}], "Unknown"),
    ],
)
def test_ready_is_three_series_of_which_one_is_1(conditions: list[dict[str, Any]], expected: str) -> None:
    """No condition counts as Unknown; the issuer is as the spec has it, empty where it is."""
    store = Store()
    store.put_certificate(certificate(status={"conditions": conditions}))
    found = scraped(store)
    issuer = {"issuer_name": "ca", "issuer_kind": "", "issuer_group": ""}
    series = {
        condition: found[
            "certmanager_certificate_ready_status", labels(name="web", namespace="ns", condition=condition, **issuer)
        ]
        for condition in ("True", "False", "Unknown")
    }
    assert series == {condition: float(condition == expected) for condition in series}
