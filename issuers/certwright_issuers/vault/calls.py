"""Blocking calls in threads: bounded in number, each with a deadline that holds whatever the other side does.

One daemon thread per call and none in between: a hundred idle issuers cost nothing, and a thread that hangs in a name
look-up does not keep the process from ending. Starting one takes 0.05 ms, a request to Vault some milliseconds.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

#: Seconds between tries to cut the connection of a call that is overdue.
_CUT_AGAIN = 0.5


class Call:
    """One call under way. Its thread says which connection it uses, so that the call can be cut off from outside."""

    def __init__(self) -> None:
        self.is_overdue = False
        self._handle: socket.socket | None = None

    def uses(self, handle: socket.socket) -> None:
        """From now on the call waits for this connection; cut at once if the deadline has passed already."""
        self._handle = handle
        if self.is_overdue:
            self.cut()

    def cut(self) -> None:
        """End whatever the thread waits for on its connection."""
        self.is_overdue = True
        if self._handle is not None:
            with contextlib.suppress(OSError):
                self._handle.shutdown(socket.SHUT_RDWR)


class _Current(threading.local):
    call: Call | None = None


_current = _Current()


def connection_in_use(handle: socket.socket) -> None:
    """Called by a transport, in the thread of a call."""
    if _current.call is not None:
        _current.call.uses(handle)


class Calls:
    """The calls of one issuer."""

    def __init__(self, at_once: int) -> None:
        self._slots = asyncio.Semaphore(at_once)

    async def run(self, work: Callable[[], T], seconds: float) -> T:
        """What ``work`` returns or raises; TimeoutError after ``seconds``. A slot stays taken until its thread ends."""
        async with self._slots:
            call = Call()
            ended = _start(call, work)
            try:
                async with asyncio.timeout(seconds):
                    return await asyncio.shield(ended)
            except TimeoutError:
                if ended.done():
                    raise
                await _end(call, ended)
                raise TimeoutError from None
            except asyncio.CancelledError:
                call.cut()
                ended.add_done_callback(_forget)
                raise


async def _end(call: Call, ended: asyncio.Future[T]) -> None:
    """Cut the call's connections until its thread has ended, for instance while it still looks up a name."""
    while not ended.done():
        call.cut()
        await asyncio.wait({ended}, timeout=_CUT_AGAIN)
    _forget(ended)


def _forget(ended: asyncio.Future[T]) -> None:
    """Nobody waits for the result any more, so nobody shall be told that its error was not looked at."""
    if not ended.cancelled():
        ended.exception()


def _start(call: Call, work: Callable[[], T]) -> asyncio.Future[T]:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[T] = loop.create_future()

    def conclude(result: T | None, error: Exception | None) -> None:
        if ended.cancelled():
            return
        if error is not None:
            ended.set_exception(error)
        else:
            ended.set_result(result)  # type: ignore[arg-type]

    def run() -> None:
        _current.call = call
        result, error = None, None
        try:
            result = work()
        except Exception as problem:  # noqa: BLE001 (handed to the waiting coroutine)
            error = problem
        with contextlib.suppress(RuntimeError):  # the loop has been closed
            loop.call_soon_threadsafe(conclude, result, error)

    threading.Thread(target=run, daemon=True, name="vault-call").start()
    return ended
