"""Counting an operator's requests from lines of an audit log as kube-apiserver 1.36 writes them."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bench.audit import Counts, Tail, count, read

OPERATOR = "system:serviceaccount:cert-manager:cert-manager"
START = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)
END = START + timedelta(seconds=10)
CERT_MANAGER = "cert-manager.io"


def line(verb: str, resource: str, code: int = 200, **other: Any) -> dict[str, Any]:
    """A line about a request of the operator's, one second after the start."""
    ref: dict[str, Any] = {"resource": resource, "namespace": "a", "name": "b", "apiVersion": "v1"}
    ref |= {name: other.pop(name) for name in ("apiGroup", "subresource") if name in other}
    return {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "Metadata",
        "auditID": "0",
        "stage": "ResponseComplete",
        "requestURI": "/",
        "verb": verb,
        "user": {"username": other.pop("user", OPERATOR), "groups": ["system:authenticated"]},
        "objectRef": ref,
        "responseStatus": {"metadata": {}, "code": code},
        "requestReceivedTimestamp": f"{START + timedelta(seconds=other.pop('after', 1)):%Y-%m-%dT%H:%M:%S.%fZ}",
        "stageTimestamp": "2026-11-25T12:00:01.100000Z",
    }


def counted(tmp_path: Path, *lines: dict[str, Any]) -> Counts:
    """The counts of a log with these lines."""
    log = tmp_path / "audit.log"
    log.write_text("".join(json.dumps(each) + "\n" for each in lines))
    return count(read(log), OPERATOR, START, END)


ISSUANCE = (
    line("create", "certificaterequests", 201, apiGroup=CERT_MANAGER),
    line("patch", "certificaterequests", apiGroup=CERT_MANAGER, subresource="status"),
    line("patch", "secrets", 201),
    line("patch", "certificates", apiGroup=CERT_MANAGER, subresource="status"),
    line("create", "events", 201),
    line("create", "events", 201),
    line("get", "secrets", 404),
)


def test_an_issuance_is_four_object_writes_two_events_and_its_reads(tmp_path: Path) -> None:
    """Every kind of request lands in its own count, under its own name."""
    counts = counted(tmp_path, *ISSUANCE)
    assert (counts.object_writes, counts.events, counts.reads, counts.conflicts, counts.failures) == (4, 2, 1, 0, 0)
    assert counts.by_request == {
        "create certificaterequests": 1,
        "patch certificaterequests/status": 1,
        "patch secrets": 1,
        "patch certificates/status": 1,
        "create events": 2,
        "get secrets 404": 1,
    }
    assert counts.last_write == START + timedelta(seconds=1)


@pytest.mark.parametrize(
    ("entry", "field"),
    [
        (line("patch", "certificates", 409, apiGroup=CERT_MANAGER, subresource="status"), "conflicts"),
        (line("create", "certificaterequests", 409, apiGroup=CERT_MANAGER), "conflicts"),
        (line("create", "events", 409), "conflicts"),
        (line("patch", "secrets", 403), "failures"),
        (line("create", "events", 500), "failures"),
        (line("update", "secrets"), "object_writes"),
        (line("delete", "secrets"), "object_writes"),
        (line("deletecollection", "secrets"), "object_writes"),
        (line("patch", "events"), "events"),
        (line("list", "secrets"), "reads"),
    ],
)
def test_each_request_is_counted_once(tmp_path: Path, entry: dict[str, Any], field: str) -> None:
    """One count has it, the others do not."""
    counts = counted(tmp_path, entry)
    numbers = {name: value for name, value in vars(counts).items() if isinstance(value, int)}
    assert {name: value for name, value in numbers.items() if value} == {field: 1}


@pytest.mark.parametrize(
    "entry",
    [
        line("update", "leases", apiGroup="coordination.k8s.io"),
        line("create", "subjectaccessreviews", 201, apiGroup="authorization.k8s.io"),
        line("create", "tokenreviews", 201, apiGroup="authentication.k8s.io"),
        line("patch", "secrets", user="system:serviceaccount:kube-system:generic-garbage-collector"),
        line("patch", "secrets", after=-1),
        line("patch", "secrets", after=11),
    ],
)
def test_what_is_not_the_workloads_is_not_counted(tmp_path: Path, entry: dict[str, Any]) -> None:
    """Leases, questions, other users, other times."""
    assert counted(tmp_path, entry) == Counts()


def test_watches_and_lines_without_an_object_are_no_reads(tmp_path: Path) -> None:
    """A watch's line comes when it ends; discovery has no object."""
    discovery = line("get", "x", user="somebody")
    del discovery["objectRef"], discovery["responseStatus"]
    counts = counted(tmp_path, line("watch", "certificates", apiGroup=CERT_MANAGER), discovery)
    assert (counts.reads, counts.object_writes) == (0, 0)


def test_rotated_files_are_read_and_a_line_half_written_is_not(tmp_path: Path) -> None:
    """The API server starts a new file at 100 MB, and may be writing while we read."""
    (tmp_path / "audit-2026-11-25T12-00-01.000.log").write_text(json.dumps(line("patch", "secrets")) + "\n")
    (tmp_path / "audit.log").write_text(json.dumps(line("patch", "secrets")) + "\n" + '{"verb": "pat')
    assert count(read(tmp_path / "audit.log"), OPERATOR, START, END).object_writes == 2


def test_the_tail_tells_of_new_writes_only(tmp_path: Path) -> None:
    """Half a line waits for its end; reads and Leases are none; a rotated log is read from its beginning."""
    log = tmp_path / "audit.log"
    log.write_text(json.dumps(line("patch", "secrets")) + "\n")
    tail = Tail(log, OPERATOR)
    assert not tail.has_written()
    write = json.dumps(line("create", "events", 201)) + "\n"
    with log.open("a") as out:
        out.write(json.dumps(line("list", "secrets")) + "\n" + write[:20])
    assert not tail.has_written()
    with log.open("a") as out:
        out.write(write[20:])
    assert tail.has_written()
    assert not tail.has_written()
    log.write_text(json.dumps(line("update", "leases")) + "\n")
    assert not tail.has_written()
    with log.open("a") as out:
        out.write(write)
    assert tail.has_written()


def test_the_tail_tells_when_a_watch_begins(tmp_path: Path) -> None:
    """Of these objects, by this user."""
    log = tmp_path / "audit.log"
    log.touch()
    tail = Tail(log, OPERATOR)
    others = [line("watch", "secrets"), line("list", "certificates"), line("watch", "certificates", user="somebody")]
    log.write_text("".join(json.dumps(each) + "\n" for each in others))
    assert not tail.has_watched("certificates")
    with log.open("a") as out:
        out.write(json.dumps(line("watch", "certificates", apiGroup=CERT_MANAGER)) + "\n")
    assert tail.has_watched("certificates")
