"""Whether this replica may write, checked at the last moment before each write.

The Lease thread moves the fence forward each time it renews. A process that was stopped for a minute and wakes finds the
fence in the past before its Lease thread has run again, so nothing stale is written. The clock counts time in suspend.
"""

from __future__ import annotations

import time

from certwright.errors import Fenced


def clock() -> float:
    """Seconds since boot, suspend included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Fence:
    """Open until a given instant. Written by the Lease thread, read by the event loop; a float is swapped atomically."""

    def __init__(self) -> None:
        self._until = 0.0

    def open_until(self, until: float) -> None:
        """Allow writes up to ``until`` on :func:`clock`."""
        self._until = until

    def close(self) -> None:
        """Allow no writes."""
        self._until = 0.0

    @property
    def is_open(self) -> bool:
        """Whether a write may be begun now."""
        return clock() < self._until

    def check(self) -> None:
        """Raise :class:`Fenced` unless writes are allowed now."""
        if clock() >= self._until:
            raise Fenced("the Lease is not held; nothing is written")
