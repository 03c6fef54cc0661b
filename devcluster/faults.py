"""Which request a fault meets; pure, the proxy acts on it."""

from __future__ import annotations

import json
import re
import threading
from dataclasses import dataclass, field
from typing import Literal

#: ``gone``: an ERROR event with status 410, then the end; ``cut``: the connection breaks; ``stall``: it stays, silent.
WatchFault = Literal["gone", "cut", "stall"]


@dataclass
class Fault:
    """What happens to which requests. ``seen`` counts matching requests, ``hits`` those that met the fault."""

    method: str | None = None
    path_regex: str = ""
    status: int | None = None
    reason: str = ""
    retry_after: int | None = None
    drop_before: bool = False
    drop_after: bool = False
    delay: float = 0.0
    watch: WatchFault | None = None
    after_events: int = 0
    every: int = 1
    count: int | None = None
    seen: int = field(default=0, init=False)
    hits: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Refuse what could never happen, so that a test does not pass because its fault was none."""
        kinds = [self.status is not None, self.drop_before, self.drop_after, self.watch is not None]
        if sum(kinds) > 1 or not (any(kinds) or self.delay):
            raise ValueError(
                "a fault is one of status, drop_before, drop_after and watch, or a delay, or one and a delay"
            )
        if self.every < 1 or (self.count is not None and self.count < 1):
            raise ValueError("every and count start at 1")
        if self.watch is not None and self.method not in {None, "WATCH"}:
            raise ValueError("only watches have watch faults: leave method out")
        if self.watch is not None:
            self.method = "WATCH"
        re.compile(self.path_regex)

    def meets(self, method: str, path_and_query: str) -> bool:
        """Whether it happens to this request; counts."""
        if self.method not in {None, method} or not re.search(self.path_regex, path_and_query):
            return False
        self.seen += 1
        if self.seen % self.every or (self.count is not None and self.hits >= self.count):
            return False
        self.hits += 1
        return True


class Faults:
    """The faults of a proxy, changed by a test's thread and asked by the proxy's."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._faults: list[Fault] = []

    def add(self, fault: Fault) -> Fault:
        """From the next request on."""
        with self._lock:
            self._faults.append(fault)
        return fault

    def clear(self) -> None:
        """No faults from the next request on."""
        with self._lock:
            self._faults.clear()

    def for_request(self, method: str, path_and_query: str) -> Fault | None:
        """The first fault, in the order they were added, that happens to this request. Later ones don't count it."""
        with self._lock:
            return next((fault for fault in self._faults if fault.meets(method, path_and_query)), None)


#: The reasons apimachinery's errors.go gives these codes; clients look at the reason, not at the code alone.
REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    409: "Conflict",
    410: "Expired",
    422: "Invalid",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


def status_body(code: int, reason: str = "") -> bytes:
    """A Status object as the API server sends it with an error."""
    return json.dumps(status_object(code, reason)).encode()


def status_object(code: int, reason: str = "") -> dict[str, object]:
    """The Status of an error; the usual reason of the code unless one is given (409 is AlreadyExists, too)."""
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"fault injected by devcluster ({code})",
        "reason": reason or REASONS.get(code, "Unknown"),
        "code": code,
    }


def gone_event() -> bytes:
    """The line with which the API server ends a watch whose resourceVersion is too old."""
    return json.dumps({"type": "ERROR", "object": status_object(410)}).encode() + b"\n"
