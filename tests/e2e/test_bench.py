"""The benchmark itself, and with it the promise of what one issuance costs the API server."""

import json
import subprocess
import sys
from pathlib import Path

from tests.e2e.harness import ROOT

ISSUANCE = {
    "create certificaterequests": 1,
    "patch certificaterequests/status": 1,
    "patch secrets": 1,
    "patch certificates/status": 1,
    "create events": 2,
}


def test_one_issuance_costs_four_writes_and_two_events(tmp_path: Path) -> None:
    """No conflict, no failed write, and one signing each, by the audit log of a cluster of the benchmark's own."""
    count = 3
    argv = [sys.executable, "-m", "bench", "w6", "--count", str(count), "--results", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "w6.json").read_text())
    writes = {what: n for what, n in figures["requests"].items() if not what.startswith(("get ", "list ", "watch "))}
    assert writes == {what: n * count for what, n in ISSUANCE.items()}
    assert (figures["object_writes_per_issuance"], figures["events_per_issuance"]) == (4, 2)
    assert (figures["conflicts"], figures["failed_writes"]) == (0, 0)
    assert (figures["signings_per_certificate"], figures["highest_revision"], figures["n"]) == (1, 1, count)
    # What a bare client writes is the same, or the ceiling would be that of something else.
    bare = [figures[f"ceiling_{name}"] for name in ("object_writes_per_issuance", "events_per_issuance")]
    assert bare == [4, 2]
    assert 0 < figures["ready_p50_s"] <= figures["ready_max_s"]
    assert figures["ceiling_per_second"] > 0
    assert figures["operator_rss_mb"] > 10
    assert "reached" in done.stdout


def test_an_acme_issuance_stays_within_its_budget(tmp_path: Path) -> None:
    """Proved through the ingress controller after a self-check; beside a name that hangs, too."""
    argv = [sys.executable, "-m", "bench", "w4", "--count", "4", "--results", str(tmp_path)]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "w4.json").read_text())
    # Service and EndpointSlice of each namespace are shared by its challenges: with four of them they count fully.
    assert figures["object_writes_per_issuance"] <= 20
    assert figures["events_per_issuance"] <= 6
    assert figures["acme_requests_per_issuance"] <= 9
    assert (figures["signings_per_certificate"], figures["highest_revision"], figures["n"]) == (1, 1, 4)
    assert figures["share_of_rate_beside_hanging"] > 0.2


def test_an_operator_that_ends_at_once_is_a_failed_measurement(tmp_path: Path) -> None:
    """Its last words are told, and nothing is saved."""
    command = f"{sys.executable} -c \"raise SystemExit('no such operator')\""
    argv = [sys.executable, "-m", "bench", "w6", "--count", "1", "--results", str(tmp_path), "--operator", command]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 1
    assert "no such operator" in done.stderr
    assert not (tmp_path / "w6.json").exists()
