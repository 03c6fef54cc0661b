"""The queue of keys and the heap of deadlines: what is to be looked at, now and later.

A key is in the queue at most once, is never worked on twice at a time, and is looked at again when it was added while
being worked on. Keys are served round robin over their namespaces, so that one tenant's burst of thousands does not
delay another tenant's single certificate. Deadlines are one heap and one timer for all keys; a later ``add_at`` of the
same key replaces the earlier one.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)


class Key(NamedTuple):
    """An object to be reconciled. ``namespace`` is empty for cluster-scoped kinds."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.namespace}/{self.name}" if self.namespace else f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Backoff:
    """Pauses in seconds: ``first`` doubled per failure up to ``longest``, each reduced by up to a quarter at random."""

    first: float
    longest: float

    def delay(self, failures: int) -> float:
        """The pause after the ``failures``-th failure in a row (from 1)."""
        base: float = min(self.longest, self.first * 2.0 ** min(failures - 1, 30))
        return base * (1 - random.random() / 4)  # noqa: S311 (spreading load, not secrecy)


class DeadlineHeap(Generic[K]):
    """At most one due time per key; a heap with lazy deletion, so that moving a deadline costs O(log n)."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._due)

    def set(self, key: K, at: float) -> None:
        """Replace the deadline of ``key``."""
        if self._due.get(key) == at:
            return
        self._due[key] = at
        self._count += 1
        heapq.heappush(self._heap, (at, self._count, key))
        if len(self._heap) > 64 and len(self._heap) > 2 * len(self._due):
            self._heap = [(due, i, k) for i, (k, due) in enumerate(self._due.items())]
            self._count = len(self._heap)
            heapq.heapify(self._heap)

    def drop(self, key: K) -> None:
        """Forget the deadline of ``key``."""
        self._due.pop(key, None)

    def pop_due(self, now: float) -> list[K]:
        """Remove and return all keys due at ``now``, the most overdue first."""
        due: list[K] = []
        while self._heap and self._heap[0][0] <= now:
            at, _, key = heapq.heappop(self._heap)
            if self._due.get(key) == at:
                del self._due[key]
                due.append(key)
        return due

    def next(self) -> float | None:
        """When the next key is due."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None


class FairLine:
    """Keys in line, each at most once, served round robin over their namespaces."""

    def __init__(self) -> None:
        self._keys: OrderedDict[str, OrderedDict[Key, None]] = OrderedDict()

    def __len__(self) -> int:
        return sum(len(keys) for keys in self._keys.values())

    def __bool__(self) -> bool:
        return bool(self._keys)

    def __iter__(self) -> Iterator[Key]:
        return (key for keys in self._keys.values() for key in keys)

    def add(self, key: Key) -> None:
        """Put ``key`` at the end of its namespace's line, unless it is in it."""
        self._keys.setdefault(key.namespace, OrderedDict())[key] = None

    def pop(self) -> Key:
        """Remove and return the next key. There must be one."""
        namespace, keys = next(iter(self._keys.items()))
        key, _ = keys.popitem(last=False)
        if keys:
            self._keys.move_to_end(namespace)
        else:
            del self._keys[namespace]
        return key

    def clear(self) -> None:
        """Forget all of them."""
        self._keys.clear()


class WorkQueue:
    """Keys to reconcile. One event loop; not thread safe."""

    def __init__(self) -> None:
        self._ready = FairLine()
        self._working: set[Key] = set()
        self._again: set[Key] = set()
        self._deadlines: DeadlineHeap[Key] = DeadlineHeap()
        self._wakeup = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = 0.0
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._ready)

    @property
    def in_flight(self) -> int:
        """Keys being worked on."""
        return len(self._working)

    @property
    def deadlines(self) -> int:
        """Keys that will come by themselves."""
        return len(self._deadlines)

    def add(self, key: Key) -> None:
        """Have ``key`` looked at as soon as a worker is free."""
        if key in self._working:
            self._again.add(key)
            return
        self._ready.add(key)
        self._wakeup.set()

    def add_at(self, key: Key, at: float) -> None:
        """Have ``key`` looked at when the loop's clock reaches ``at`` (seconds); replaces its earlier deadline."""
        self._deadlines.set(key, at)
        self._arm()

    def add_after(self, key: Key, delay: float) -> None:
        """Have ``key`` looked at in ``delay`` seconds."""
        self.add_at(key, asyncio.get_running_loop().time() + delay)

    def forget(self, key: Key) -> None:
        """Drop the deadline of an object that is gone."""
        self._deadlines.drop(key)

    def clear(self) -> None:
        """Forget everything that is waiting; what is being worked on goes on."""
        self._ready.clear()
        self._again.clear()
        self._deadlines = DeadlineHeap()
        self._wakeup.clear()

    async def get(self) -> Key:
        """The next key. The caller must say ``done`` when finished with it."""
        while not self._ready:
            self._wakeup.clear()
            await self._wakeup.wait()
        key = self._ready.pop()
        self._working.add(key)
        self._idle.clear()
        return key

    def done(self, key: Key) -> None:
        """End the work on ``key``; it is added again if it was added meanwhile."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
        if not self._working:
            self._idle.set()

    async def idle(self) -> None:
        """Wait until no key is being worked on."""
        await self._idle.wait()

    def _arm(self) -> None:
        at = self._deadlines.next()
        if at is None or (self._timer is not None and self._timer_at <= at):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = asyncio.get_running_loop().call_at(at, self._ring)

    def _ring(self) -> None:
        self._timer = None
        for key in self._deadlines.pop_due(asyncio.get_running_loop().time()):
            self.add(key)
        self._arm()
