"""Which kinds the process no longer hears of."""

from typing import Any

import pytest

from certwright.ingest import Ingest
from certwright.settings import ShimSettings
from certwright.store import Store
from certwright.workqueue import WorkQueue


@pytest.mark.parametrize(
    ("ages", "deaf"),
    [
        ({}, set()),
        ({"Certificate": 10, "Issuer": 70}, set()),
        ({"Certificate": 400, "Issuer": 10}, {"Certificate"}),
        # The API server is away, or the process was stopped: nobody is heard of.
        ({"Certificate": 400, "Issuer": 120}, set()),
    ],
    ids=["nothing yet", "bookmarks", "one is dead", "silence"],
)
def test_a_dead_watch_is_told_from_a_silent_server(
    monkeypatch: pytest.MonkeyPatch, ages: dict[str, int], deaf: set[str]
) -> None:
    ingest = Ingest(Store(), WorkQueue(), ShimSettings())
    clock: Any = iter([1000.0 - age for age in ages.values()] + [1000.0])
    monkeypatch.setattr("certwright.ingest.time.monotonic", lambda: next(clock))
    for kind in ages:
        ingest.hear(kind)
    assert ingest.deaf() == deaf
