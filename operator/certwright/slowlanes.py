"""Reconciles that talk to servers which may take a minute to answer: a task for each, and a lane for each server.

A lane has so many tasks at a time; further keys stand in line, and those of other lanes pass them. So a CA that hangs
keeps nobody waiting but those who want something of it, however many they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Hashable
from dataclasses import dataclass, field
from typing import Any

from certwright.workqueue import FairLine, Key


@dataclass(slots=True)
class _Lane:
    running: int = 0
    waiting: FairLine = field(default_factory=FairLine)


class SlowLanes:
    """One event loop; not thread safe."""

    def __init__(self, width: int, work: Callable[[Key], Coroutine[Any, Any, None]]) -> None:
        """``width``: tasks of one lane at a time. ``work`` must not raise."""
        self._width = width
        self._work = work
        self._lanes: dict[Hashable, _Lane] = {}
        self.tasks: set[asyncio.Task[None]] = set()

    def add(self, lane: Hashable, key: Key) -> None:
        """Have ``key`` worked on as soon as there is room."""
        found = self._lanes.setdefault(lane, _Lane())
        if found.running < self._width:
            self._begin(lane, found, key)
        else:
            found.waiting.add(key)

    def give_up(self) -> list[Key]:
        """Take everybody out of the lines; what is being worked on goes on."""
        given_up: list[Key] = []
        for lane in self._lanes.values():
            while lane.waiting:
                given_up.append(lane.waiting.pop())
        return given_up

    def _begin(self, lane: Hashable, found: _Lane, key: Key) -> None:
        found.running += 1
        task = asyncio.create_task(self._work(key), name=str(key))
        self.tasks.add(task)
        task.add_done_callback(lambda task: self._ended(lane, found, task))

    def _ended(self, lane: Hashable, found: _Lane, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        found.running -= 1
        if found.waiting:
            self._begin(lane, found, found.waiting.pop())
        elif not found.running:
            del self._lanes[lane]
