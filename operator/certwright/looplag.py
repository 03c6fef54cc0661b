"""How long the event loop is held up: the figure that tells whether something slow runs where it must not."""

from __future__ import annotations

import asyncio
import time

#: Seconds between two looks. A hold-up is seen up to this much shorter than it was; 50 wake-ups a second cost next to
#: nothing.
INTERVAL = 0.02
#: Seconds over which the longest hold-up is kept, so that a scrape every minute misses none.
WINDOW = 60.0


class LoopLag:
    """Measures by being late: a timer that runs 30 ms after its time was held up for at least 30 ms."""

    def __init__(self) -> None:
        self._due = 0.0
        self._window_end = 0.0
        self._now = 0.0
        self._before = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Measure the running loop until :meth:`stop`."""
        self._window_end = time.monotonic() + WINDOW
        self._schedule()

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()

    @property
    def longest(self) -> float:
        """Seconds: the longest hold-up of the last one to two windows."""
        return max(self._now, self._before)

    def _schedule(self) -> None:
        # The clock of the loop stands still while a callback runs (uvloop), so it can't tell lateness.
        self._due = time.monotonic() + INTERVAL
        self._timer = asyncio.get_running_loop().call_later(INTERVAL, self._look)

    def _look(self) -> None:
        moment = time.monotonic()
        if moment >= self._window_end:
            self._before, self._now = self._now, 0.0
            self._window_end = moment + WINDOW
        self._now = max(self._now, moment - self._due)
        self._schedule()
