"""The queue: each key once, never twice at a time, nobody starves, deadlines in one heap."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certwright.workqueue import Backoff, DeadlineHeap, Key, WorkQueue


def key(name: str, namespace: str = "ns") -> Key:
    return Key("Certificate", namespace, name)


async def test_a_key_added_twice_comes_once() -> None:
    """Adding a waiting key changes nothing."""
    queue = WorkQueue()
    queue.add(key("a"))
    queue.add(key("a"))
    assert await queue.get() == key("a")
    assert len(queue) == 0


async def test_a_key_added_while_worked_on_comes_again_afterwards_and_not_before() -> None:
    """Two workers never hold one key, and no change is lost."""
    queue = WorkQueue()
    queue.add(key("a"))
    await queue.get()
    queue.add(key("a"))
    assert len(queue) == 0
    queue.done(key("a"))
    assert await queue.get() == key("a")
    queue.done(key("a"))
    assert len(queue) == 0


async def test_namespaces_take_turns() -> None:
    """A burst in one namespace delays another namespace's key by one turn, not by the burst."""
    queue = WorkQueue()
    for number in range(100):
        queue.add(key(f"burst-{number}", "big"))
    queue.add(key("single", "small"))
    first, second = await queue.get(), await queue.get()
    assert {first.namespace, second.namespace} == {"big", "small"}


async def test_idle_waits_for_the_last_worker() -> None:
    """A graceful stop sees the end of the work in flight."""
    queue = WorkQueue()
    queue.add(key("a"))
    held = await queue.get()
    waiting = asyncio.create_task(queue.idle())
    await asyncio.sleep(0)
    assert not waiting.done()
    queue.done(held)
    await asyncio.wait_for(waiting, 1)


async def test_a_waiting_getter_wakes_on_add() -> None:
    """A worker that waits for a key gets the next one added."""
    queue = WorkQueue()
    getter = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.add(key("a"))
    assert await asyncio.wait_for(getter, 1) == key("a")


@pytest.mark.looptime
async def test_deadlines_come_in_order_and_the_last_setting_wins() -> None:
    """A moved deadline comes once, at its new time."""
    queue = WorkQueue()
    loop = asyncio.get_running_loop()
    queue.add_after(key("late"), 50)
    queue.add_after(key("moved"), 10)
    queue.add_after(key("moved"), 100)
    began = loop.time()
    assert await queue.get() == key("late")
    assert round(loop.time() - began) == 50
    assert await queue.get() == key("moved")
    assert round(loop.time() - began) == 100
    assert queue.deadlines == 0


@pytest.mark.looptime
async def test_a_forgotten_key_never_comes() -> None:
    """The deadline of a deleted object is dropped."""
    queue = WorkQueue()
    queue.add_after(key("a"), 1)
    queue.forget(key("a"))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(queue.get(), 10)


@given(st.lists(st.tuples(st.integers(0, 20), st.floats(0, 1000)), max_size=300))
def test_the_heap_pops_what_a_dictionary_would(moves: list[tuple[int, float]]) -> None:
    """However deadlines are moved, each key is popped once, at the last time set for it."""
    heap: DeadlineHeap[int] = DeadlineHeap()
    model: dict[int, float] = {}
    for item, at in moves:
        heap.set(item, at)
        model[item] = at
    assert len(heap) == len(model)
    assert heap.next() == (min(model.values()) if model else None)
    popped = heap.pop_due(500)
    assert sorted(popped) == sorted(item for item, at in model.items() if at <= 500)
    assert [model[item] for item in popped] == sorted(model[item] for item in popped)


def test_backoff_doubles_up_to_its_limit() -> None:
    """Pauses grow, never beyond the longest, and never below three quarters of the plan."""
    backoff = Backoff(1.0, 60.0)
    for failures, planned in ((1, 1), (2, 2), (3, 4), (7, 60), (1000, 60)):
        assert planned * 0.75 <= backoff.delay(failures) <= planned
