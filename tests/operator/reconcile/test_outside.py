"""Calls beside the workers: quick ones are waited for, slow ones are fetched later, and nobody else is held up."""

from __future__ import annotations

import asyncio
import time

import pytest

from certwright.reconcile import outside
from certwright.reconcile.outside import WIDTH, Outside, Waiting
from certwright.workqueue import Key, WorkQueue

KEY = Key("Certificate", "ns", "a")


def key(number: int) -> Key:
    return Key("Certificate", "ns", str(number))


async def forty_two() -> int:
    return 42


async def fails() -> int:
    raise ValueError("no")


async def test_a_quick_answer() -> None:
    """Needs no second look; an error comes through; each is fetched once."""
    calls = Outside(WorkQueue())
    assert await calls.call("lane", "a", KEY, forty_two) == 42
    with pytest.raises(ValueError, match="no"):
        await calls.call("lane", "a", KEY, fails)
    assert not calls.knows("lane", "a")
    assert calls._lanes == {}


async def test_a_slow_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The worker goes on; the key comes back with the answer; the work is done once."""
    monkeypatch.setattr(outside, "PATIENCE", 0.01)
    queue, gate, begun = WorkQueue(), asyncio.Event(), []
    calls = Outside(queue)

    async def slow() -> int:
        begun.append(1)
        await gate.wait()
        return 42

    for _ in range(3):
        with pytest.raises(Waiting):
            await calls.call("lane", "a", KEY, slow)
    assert calls.knows("lane", "a")
    assert (len(queue), queue.deadlines) == (0, 1)
    gate.set()
    assert await asyncio.wait_for(queue.get(), 1) == KEY
    assert await calls.call("lane", "a", KEY, slow) == 42
    assert begun == [1]


async def test_a_lane_that_hangs_costs_its_patience_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then nobody waits in it any more; another lane is as quick as ever."""
    monkeypatch.setattr(outside, "PATIENCE", 0.05)
    calls, never = Outside(WorkQueue()), asyncio.Event()
    began = time.monotonic()
    for number in range(200):
        with pytest.raises(Waiting):
            await calls.call("hangs", number, key(number), never.wait)
    assert time.monotonic() - began < 0.5
    assert await calls.call("well", "a", KEY, forty_two) == 42
    calls.clear()


async def test_a_full_lane_calls_those_who_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    """In their order, as places become free; none is forgotten."""
    monkeypatch.setattr(outside, "PATIENCE", 0.001)
    queue, gate = WorkQueue(), asyncio.Event()
    calls, answered, running, most = Outside(queue), set[Key](), 0, 0

    async def work() -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await gate.wait()
        await asyncio.sleep(0)
        running -= 1
        return 1

    for number in range(5 * WIDTH):
        queue.add(key(number))
    for number in range(5 * WIDTH):
        with pytest.raises(Waiting):
            await calls.call("lane", key(number), await queue.get(), work)
        queue.done(key(number))
    await asyncio.sleep(0)
    assert most == WIDTH
    gate.set()
    async with asyncio.timeout(5):
        while len(answered) < 5 * WIDTH:
            taken = await queue.get()
            try:
                await calls.call("lane", taken, taken, work)
                answered.add(taken)
            except Waiting:
                pass
            queue.done(taken)
    assert most == WIDTH
    assert calls._lanes == {}


async def test_answers_that_nobody_fetches_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their objects are gone."""
    monkeypatch.setattr(outside, "PATIENCE", 0.001)
    monkeypatch.setattr(outside, "KEPT", 0.01)
    calls = Outside(WorkQueue())

    async def late() -> int:
        await asyncio.sleep(0.01)
        raise ValueError("nobody hears this")

    with pytest.raises(Waiting):
        await calls.call("lane", "a", KEY, late)
    await asyncio.sleep(0.1)
    assert calls._lanes == {}


async def test_a_lost_lease_gives_up_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls are cancelled, and a later one begins anew."""
    monkeypatch.setattr(outside, "PATIENCE", 0.001)
    calls, never = Outside(WorkQueue()), asyncio.Event()
    with pytest.raises(Waiting):
        await calls.call("lane", "a", KEY, never.wait)
    calls.clear()
    await asyncio.sleep(0)
    assert not calls.knows("lane", "a")
    assert await calls.call("lane", "a", KEY, forty_two) == 42
