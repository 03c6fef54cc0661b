"""Figures from what was seen, bars, and ratios between runs."""

import dataclasses
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bench.audit import Counts
from bench.figures import Issuances, acme_figures, issuing_figures, percentile, restart_figures
from bench.report import BARS, middle, ratios, table
from bench.usage import Usage
from bench.workloads import WORKLOADS, Load

NOW = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
#: What every result must have.
TEN = (
    "certificates_per_second",
    "ceiling_per_second",
    "ready_p50_s",
    "ready_p99_s",
    "object_writes_per_issuance",
    "events_per_issuance",
    "conflicts",
    "signings_per_certificate",
    "operator_cpu_ms_per_issuance",
    "operator_rss_mb",
)


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([5.0], 0.5, 5.0),
        ([5.0], 0.99, 5.0),
        ([1.0, 2.0], 0.5, 1.0),
        ([1.0, 2.0, 3.0], 0.5, 2.0),
        ([float(i) for i in range(1, 101)], 0.5, 50.0),
        ([float(i) for i in range(1, 101)], 0.99, 99.0),
        ([float(i) for i in range(1, 11)], 0.99, 10.0),
        ([1.0, 2.0], 0.0, 1.0),
    ],
)
def test_percentile_is_the_nearest_rank(values: list[float], share: float, expected: float) -> None:
    """A value that was measured, never one between two."""
    assert percentile(values, share) == expected


def usage(object_writes: int = 0, events: int = 0, conflicts: int = 0) -> Usage:
    """Ten seconds of an operator that used two of them."""
    counts = Counts(object_writes, events, conflicts, last_write=NOW + timedelta(seconds=3))
    return Usage(
        seconds=10,
        operator_cpu=2,
        apiserver_cpu=4,
        etcd_cpu=1,
        driver_cpu=0.5,
        foreign_share=0.25,
        load_average=3,
        counts=counts,
    )


def seen(serials: int = 4, **counted: int) -> Issuances:
    """Four issuances in two seconds."""
    return Issuances([0.1, 0.2, 0.3, 0.9], 2, serials, NOW, 1, usage(**counted))


def test_figures_are_per_issuance() -> None:
    """Counts and CPU are divided by the number of Certificates, conflicts are not."""
    figures = issuing_figures(seen(object_writes=16, events=8, conflicts=3), 8, 81.26)
    assert set(TEN) <= figures.keys()
    assert {name: figures[name] for name in TEN} == {
        "certificates_per_second": 2.0,
        "ceiling_per_second": 8.0,
        "ready_p50_s": 0.2,
        "ready_p99_s": 0.9,
        "object_writes_per_issuance": 4.0,
        "events_per_issuance": 2.0,
        "conflicts": 3,
        "signings_per_certificate": 1.0,
        "operator_cpu_ms_per_issuance": 500.0,
        "operator_rss_mb": 81.3,
    }
    assert figures["share_of_ceiling"] == 0.25
    assert figures["last_write_after_last_ready_s"] == 3.0


def test_a_second_signing_shows() -> None:
    """One Certificate signed twice among four."""
    assert issuing_figures(seen(serials=5), 8, 0)["signings_per_certificate"] == 1.25


def test_a_burst_beside_hanging_challenges_is_compared() -> None:
    """Half as fast, and seven requests for each of four."""
    alone = seen()
    beside = dataclasses.replace(alone, seconds=alone.seconds * 2)
    assert acme_figures(28, alone, beside) == {
        "acme_requests_per_issuance": 7.0,
        "rate_beside_hanging": 1.0,
        "share_of_rate_beside_hanging": 0.5,
    }
    assert acme_figures(28, alone, None) == {"acme_requests_per_issuance": 7.0}


def test_bars_say_when_they_are_missed() -> None:
    """A table marks each figure that has a bar."""
    good = issuing_figures(seen(object_writes=16, events=8), 3, 80) | {"certificates_per_second": 48.0}
    bad = good | {"object_writes_per_issuance": 4.25, "conflicts": 1, "signings_per_certificate": 0.75}
    assert "MISSED" not in table("w1", good)
    assert "reached" in table("w1", good)
    missed = [line.split()[0] for line in table("w1", bad).splitlines() if "MISSED" in line]
    assert missed == ["object_writes_per_issuance", "conflicts", "signings_per_certificate"]


def test_every_bar_names_a_figure() -> None:
    """A bar for a figure that nobody measures could never be missed."""
    figures = issuing_figures(seen(), 8, 80) | restart_figures(5, 0, 0.1, 3, 150, usage())
    figures |= acme_figures(7, seen(), seen())
    for workload in WORKLOADS:
        assert BARS[workload].keys() <= figures.keys()


def run(rate: float, conflicts: int = 0) -> dict[str, Any]:
    """A run of this rate."""
    return {"certificates_per_second": rate, "conflicts": conflicts, "name": "x", "zero": 0.0}


def test_the_middle_run_is_reported() -> None:
    """Of an even number the slower of the two in the middle."""
    assert middle([run(5.0), run(1.0), run(3.0)]) == run(3.0)
    assert middle([run(5.0), run(1.0)]) == run(1.0)


def test_ratios_have_their_spread() -> None:
    """Means against means; the spread is that of all pairs of runs. Zeros and words have none."""
    assert ratios([run(40.0), run(60.0)], [run(20.0)]) == {
        "certificates_per_second": {"ratio": 2.5, "least": 2.0, "most": 3.0}
    }


def test_certificates_are_dealt_out_to_the_namespaces() -> None:
    """Each namespace gets its share, and no name comes twice."""
    places = Load(count=7, namespaces=3, creators=2, algorithm="ECDSA").places("w1", 7)
    assert len(set(places)) == 7
    assert sorted({namespace for namespace, _ in places}) == ["bench-w1-000", "bench-w1-001", "bench-w1-002"]
    assert max(sum(namespace == wanted for namespace, _ in places) for wanted, _ in places) == 3
