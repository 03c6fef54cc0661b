"""Which challenges are worked on: a bounded number, the longest waiting first, never two for one name and type.

Two challenges for one name (a name and its wildcard, or the same name in two namespaces) would disturb each other, so
the second waits for the first (API contract section 2.6, row 8.45). A slot is held while something is being done for a
challenge and given back while it waits for the world outside, so that names which never become valid keep nobody from
being served.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from certwright.workqueue import Key


class Target(NamedTuple):
    """What a challenge proves: two with equal targets never run at a time."""

    name: str
    type: str


class ChallengeSlots:
    """One event loop; not thread safe. Each operation costs O(log n)."""

    def __init__(self, limit: int, wake: Callable[[Key], None]) -> None:
        """``wake`` is called for each challenge that may begin now; it must ask again with :meth:`enter`."""
        self._limit = limit
        self._wake = wake
        self._inside: dict[Key, Target] = {}
        self._busy: dict[Target, Key] = {}
        self._waiting: dict[Key, Target] = {}
        self._lines: defaultdict[Target, list[tuple[datetime, Key]]] = defaultdict(list)
        #: The first of each line whose target is not busy. May hold entries that are out of date.
        self._heads: list[tuple[datetime, Key]] = []

    def __len__(self) -> int:
        return len(self._inside)

    @property
    def waiting(self) -> int:
        """How many wait for a slot."""
        return len(self._waiting)

    def enter(self, key: Key, target: Target, since: datetime) -> bool:
        """Whether ``key`` has a slot now. If not it waits, those with an earlier ``since`` first, and is woken."""
        if key in self._inside:
            return True
        if key not in self._waiting:
            self._waiting[key] = target
            heapq.heappush(self._lines[target], (since, key))
            self._offer(target)
        self._fill(asking=key)
        return key in self._inside

    def leave(self, key: Key) -> None:
        """Give the slot back, or stop waiting for one. Harmless for a key that has neither."""
        target = self._waiting.pop(key, None)
        if target is None:
            target = self._inside.pop(key, None)
            if target is None:
                return
            del self._busy[target]
        # Also behind one that only waited: it may have been the head of its line.
        self._offer(target)
        self._fill()

    def clear(self) -> None:
        """Forget everything: somebody else works now."""
        self._inside.clear()
        self._busy.clear()
        self._waiting.clear()
        self._lines.clear()
        self._heads.clear()

    def _offer(self, target: Target) -> None:
        """Put the first of this line among the heads, unless its target is busy."""
        line = self._lines.get(target)
        while line and self._waiting.get(line[0][1]) != target:
            heapq.heappop(line)
        if not line:
            self._lines.pop(target, None)
        elif target not in self._busy:
            heapq.heappush(self._heads, line[0])

    def _fill(self, asking: Key | None = None) -> None:
        """Give out what is free. ``asking`` learns of it by itself: woken, it would come again for ever."""
        while self._heads and len(self._inside) < self._limit:
            _, key = heapq.heappop(self._heads)
            target = self._waiting.get(key)
            if target is None or target in self._busy:
                continue
            del self._waiting[key]
            line = self._lines[target]
            if line and line[0][1] == key:
                # Else it would count as waiting since then when it comes again.
                heapq.heappop(line)
            self._inside[key] = target
            self._busy[target] = key
            if key != asking:
                self._wake(key)
