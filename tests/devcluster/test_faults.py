"""Which requests a fault meets."""

import json
from typing import Any

import pytest

from devcluster.faults import Fault, Faults, gone_event, status_body


def met(fault: Fault, requests: int) -> list[int]:
    """The numbers (from 1) of the requests it happens to."""
    return [number for number in range(1, requests + 1) if fault.meets("GET", "/api")]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"every": 3}, [3, 6]),
        ({"count": 2}, [1, 2]),
        ({"every": 2, "count": 2}, [2, 4]),
        ({"method": "PUT"}, []),
        ({"path_regex": "^/ap.$"}, [1, 2, 3, 4, 5, 6]),
        ({"path_regex": "^/apis"}, []),
    ],
)
def test_which_requests(options: dict[str, Any], expected: list[int]) -> None:
    fault = Fault(status=500, **options)
    assert met(fault, 6) == expected
    assert fault.hits == len(expected)


def test_only_matching_requests_are_counted() -> None:
    fault = Fault(status=500, method="PUT", every=2)
    assert [fault.meets(method, "/") for method in ("PUT", "GET", "PUT", "GET")] == [False, False, True, False]
    assert fault.seen == 2


def test_watch_faults_are_for_watches() -> None:
    fault = Fault(watch="cut")
    assert not fault.meets("GET", "/")
    assert fault.meets("WATCH", "/?watch=1")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"status": 500, "drop_after": True},
        {"drop_before": True, "drop_after": True},
        {"watch": "cut", "status": 410},
        {"watch": "cut", "method": "GET"},
        {"status": 500, "every": 0},
        {"status": 500, "count": 0},
    ],
)
def test_faults_that_could_never_happen_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"a fault is one of|start at 1|only watches"):
        Fault(**options)


def test_first_fault_wins_and_clear_ends_all() -> None:
    faults = Faults()
    first = faults.add(Fault(status=500, count=1))
    second = faults.add(Fault(status=503))
    assert [faults.for_request("GET", "/") for _ in range(2)] == [first, second]
    faults.clear()
    assert faults.for_request("GET", "/") is None


@pytest.mark.parametrize(
    ("code", "given", "reason"), [(409, "", "Conflict"), (409, "AlreadyExists", "AlreadyExists"), (418, "", "Unknown")]
)
def test_status_has_the_reason_that_clients_look_at(code: int, given: str, reason: str) -> None:
    status = json.loads(status_body(code, given))
    assert (status["kind"], status["code"], status["reason"]) == ("Status", code, reason)


def test_gone_event_is_one_line() -> None:
    assert gone_event().count(b"\n") == 1
    event = json.loads(gone_event())
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")
