"""Keystores, made without holding up the event loop.

A PKCS#12 store takes 3 to 30 ms of pure Python, with hundreds of CA certificates a second. One thread makes them, one
after the other: several would only take the GIL from each other, and with the switch interval that ``__main__`` sets
the loop gets it back within a millisecond.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor


class KeystoreFactory:
    """Makes keystores one at a time, in the order they were asked for."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="keystores")

    async def make(self, write: Callable[[], dict[str, bytes]]) -> dict[str, bytes]:
        """The files that ``write`` returns. Raises what it raises."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, write)

    def close(self) -> None:
        """Let the thread end; stores still waiting are not made."""
        self._pool.shutdown(wait=False, cancel_futures=True)
