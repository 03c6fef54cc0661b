"""What an operator asked of the API server, counted from the audit log.

The log has one line for each finished request (policy level Metadata). Counted are the lines of one user whose request
was received within a window of time. A request that changed nothing counts like any other: the API server had the work.

* *object write*: create, update, patch or delete that succeeded, of anything but Events, Leases, and reviews of access
  or tokens;
* *event*: create, update or patch of an Event that succeeded;
* *conflict*: any write answered with 409;
* *failure*: any other write answered with an error;
* *read*: get or list; watches are counted when they end, and not here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import msgspec

WRITES = frozenset({"create", "update", "patch", "delete", "deletecollection"})
READS = frozenset({"get", "list"})
#: Groups whose "objects" are questions.
QUESTIONS = frozenset({"authorization.k8s.io", "authentication.k8s.io"})


class _User(msgspec.Struct, gc=False):
    username: str = ""


class _ObjectRef(msgspec.Struct, gc=False):
    resource: str = ""
    subresource: str = ""
    api_group: str = msgspec.field(default="", name="apiGroup")


class _Answer(msgspec.Struct, gc=False):
    code: int = 0


class Entry(msgspec.Struct, gc=False):
    """One line of the log; ``received`` is aware."""

    verb: str
    received: datetime = msgspec.field(name="requestReceivedTimestamp")
    user: _User = msgspec.field(default_factory=_User)
    object_ref: _ObjectRef = msgspec.field(default_factory=_ObjectRef, name="objectRef")
    answer: _Answer = msgspec.field(default_factory=_Answer, name="responseStatus")


@dataclass
class Counts:
    """Requests by what they were."""

    object_writes: int = 0
    events: int = 0
    conflicts: int = 0
    failures: int = 0
    reads: int = 0
    #: ``<verb> <resource>[/<subresource>]`` and, if not success, the status: how many.
    by_request: Counter[str] = field(default_factory=Counter[str])
    #: When the last write or Event was received.
    last_write: datetime | None = None


def count(entries: Iterable[Entry], user: str, start: datetime, end: datetime) -> Counts:
    """Count what ``user`` asked from ``start`` up to ``end``."""
    counts = Counts()
    for entry in entries:
        if entry.user.username == user and start <= entry.received <= end:
            _add(counts, entry)
    return counts


def _add(counts: Counts, entry: Entry) -> None:
    ref, code = entry.object_ref, entry.answer.code
    if _is_question(entry):
        return
    what = f"{entry.verb} {ref.resource}{'/' + ref.subresource if ref.subresource else ''}"
    counts.by_request[what if code < 400 else f"{what} {code}"] += 1
    if entry.verb in READS:
        counts.reads += 1
    if entry.verb not in WRITES:
        return
    counts.last_write = max(counts.last_write or entry.received, entry.received)
    if code == 409:
        counts.conflicts += 1
    elif code >= 400:
        counts.failures += 1
    elif ref.resource == "events":
        counts.events += 1
    else:
        counts.object_writes += 1


class Tail:
    """The log from now on, for whoever waits until it tells nothing more.

    A file that is rotated away meanwhile takes its last lines along.
    """

    def __init__(self, log: Path, user: str) -> None:
        self._log = log
        self._user = user
        self._offset = log.stat().st_size

    def has_written(self) -> bool:
        """Whether the user has written anything since the last look, Leases apart."""
        return any(entry.verb in WRITES and not _is_question(entry) for entry in self._new())

    def has_watched(self, resource: str) -> bool:
        """Whether the user has begun to watch these since the last look."""
        return any(entry.verb == "watch" and entry.object_ref.resource == resource for entry in self._new())

    def _new(self) -> list[Entry]:
        if self._log.stat().st_size < self._offset:
            self._offset = 0
        with self._log.open("rb") as lines:
            lines.seek(self._offset)
            whole = lines.read().rpartition(b"\n")[0]
        self._offset += len(whole)
        entries = (msgspec.json.decode(line, type=Entry) for line in whole.splitlines() if line)
        return [entry for entry in entries if entry.user.username == self._user]


def _is_question(entry: Entry) -> bool:
    """Leases and reviews: nothing that is counted."""
    return entry.object_ref.resource == "leases" or entry.object_ref.api_group in QUESTIONS


def read(log: Path) -> Iterator[Entry]:
    """All lines, those of files the API server has rotated away included."""
    for file in sorted(log.parent.glob(f"{log.stem}*{log.suffix}")):
        with file.open("rb") as lines:
            for line in lines:
                if line.endswith(b"\n"):
                    yield msgspec.json.decode(line, type=Entry)
