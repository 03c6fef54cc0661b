"""Calls to systems outside the cluster, made beside the workers, so that one that hangs holds up nobody else.

A worker waits a moment for the answer, which is enough for a CA that is well. Otherwise it takes other keys, the call goes
on, and its key is looked at again when there is an answer. Calls to one system share a lane: their number is bounded, and
once one of them has not been answered in time nobody waits for the others of that lane any more.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

from certwright.workqueue import Key, WorkQueue

T = TypeVar("T")

#: Seconds that a worker waits for an answer. A signature by Vault takes 5 to 20 ms.
PATIENCE = 0.25
#: Calls of one lane at a time; issuers have narrower bounds of their own.
WIDTH = 16
#: Seconds after which a key looks by itself, in case nobody has told it to.
FALLBACK = 60.0
#: Seconds that an answer is kept which nobody fetches, because its object is gone.
KEPT = 300.0


class Waiting(Exception):
    """There is no answer yet; the key that waits has its next look already, and an earlier one when there is."""


@dataclass(slots=True)
class _Call:
    task: asyncio.Task[Any]
    waiter: Key
    is_late: bool = False


@dataclass(slots=True)
class _Lane:
    calls: dict[Hashable, _Call] = field(default_factory=dict[Hashable, _Call])
    waiting: OrderedDict[Key, None] = field(default_factory=OrderedDict[Key, None])

    @property
    def running(self) -> int:
        return sum(not call.task.done() for call in self.calls.values())

    @property
    def is_slow(self) -> bool:
        return any(call.is_late and not call.task.done() for call in self.calls.values())


class Outside:
    """All calls under way and all answers that have not been fetched yet."""

    def __init__(self, queue: WorkQueue) -> None:
        self._queue = queue
        self._lanes: dict[Hashable, _Lane] = {}

    async def call(self, lane: Hashable, name: Hashable, waiter: Key, work: Callable[[], Awaitable[T]]) -> T:
        """What ``work`` returns or raises, begun now or by an earlier call of this ``name``.

        Raises :class:`Waiting` if there is no answer yet, and if the lane is full.
        """
        calls = self._lanes.setdefault(lane, _Lane())
        found = calls.calls.get(name)
        if found is None:
            if calls.running >= WIDTH:
                calls.waiting[waiter] = None
                raise self._waits(waiter)
            found = self._begin(lane, name, waiter, work)
        if not found.task.done() and not calls.is_slow:
            await asyncio.wait({found.task}, timeout=PATIENCE)
        if not found.task.done():
            found.is_late = True
            raise self._waits(waiter)
        self._forget(lane, name, found)
        return cast("T", found.task.result())

    def knows(self, lane: Hashable, name: Hashable) -> bool:
        """Whether such a call is under way, or has an answer that nobody has fetched."""
        calls = self._lanes.get(lane)
        return calls is not None and name in calls.calls

    def _waits(self, waiter: Key) -> Waiting:
        self._queue.add_after(waiter, FALLBACK)
        return Waiting()

    def clear(self) -> None:
        """Give up all calls: the Lease is somebody else's."""
        lanes, self._lanes = self._lanes, {}
        for lane in lanes.values():
            for call in lane.calls.values():
                call.task.cancel()

    def _begin(self, lane: Hashable, name: Hashable, waiter: Key, work: Callable[[], Awaitable[T]]) -> _Call:
        call = _Call(asyncio.ensure_future(_awaited(work)), waiter)
        self._lanes[lane].calls[name] = call
        call.task.add_done_callback(lambda _: self._ended(lane, name, call))
        return call

    def _ended(self, lane: Hashable, name: Hashable, call: _Call) -> None:
        """Wake whoever waits for this answer, and those who wait for a place."""
        if call.is_late:
            self._queue.add(call.waiter)
        calls = self._lanes.get(lane)
        if calls is None or calls.calls.get(name) is not call:
            return
        for _ in range(min(WIDTH - calls.running, len(calls.waiting))):
            self._queue.add(calls.waiting.popitem(last=False)[0])
        asyncio.get_running_loop().call_later(KEPT, self._forget, lane, name, call)

    def _forget(self, lane: Hashable, name: Hashable, call: _Call) -> None:
        calls = self._lanes.get(lane)
        if calls is None or calls.calls.get(name) is not call:
            return
        del calls.calls[name]
        if not call.task.cancelled():
            call.task.exception()  # so that nobody is told that it was not looked at
        if not calls.calls and not calls.waiting:
            del self._lanes[lane]


async def _awaited(work: Callable[[], Awaitable[T]]) -> T:
    return await work()
