"""Workers: what becomes of a key when the Lease is late, lost and won again."""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from certwright.errors import Fenced
from certwright.fence import Fence
from certwright.reconcile.context import Context
from certwright.settings import Settings
from certwright.worker import RECONCILERS, Workers
from certwright.workqueue import Key, WorkQueue

KEY = Key("Certificate", "ns", "web")


class World:
    """Workers whose reconcile of Certificates writes down what it was given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.fence = Fence()
        self.queue = WorkQueue()
        #: Reconciles that will meet the fence.
        self.late = 0
        self.seen: asyncio.Queue[Key] = asyncio.Queue()
        monkeypatch.setitem(cast("dict[str, Any]", RECONCILERS), "Certificate", self._reconcile)
        monkeypatch.setattr("certwright.worker.FENCED_PAUSE", 0.01)
        orders = SimpleNamespace(get=lambda _: None)
        nothing = SimpleNamespace(clear=lambda: None, names=list, all_keys=list, orders=orders)
        names = ("store", "signing_requests", "acme", "outside", "staged", "renewals")
        parts = dict.fromkeys(names, nothing)
        context: Any = SimpleNamespace(settings=Settings(), queue=self.queue, **parts)
        self.workers = Workers(cast("Context", context), self.fence)

    async def _reconcile(self, _: Context, key: Key) -> None:
        if self.late:
            self.late -= 1
            raise Fenced("late")
        self.seen.put_nowait(key)

    async def nothing_happens(self) -> None:
        """Long enough for several tries."""
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(self.seen.get(), 0.05)


@pytest.fixture
async def world(monkeypatch: pytest.MonkeyPatch) -> World:
    """Workers that lead."""
    made = World(monkeypatch)
    made.workers.start()
    made.workers.lead(leading=True)
    return made


async def test_a_late_lease_loses_no_key(world: World) -> None:
    """Renewed after all, nobody is told of a change: what was taken meanwhile is taken again."""
    world.queue.add(KEY)
    await world.nothing_happens()
    world.fence.open_until(float("inf"))
    assert await asyncio.wait_for(world.seen.get(), 5) == KEY
    await world.workers.drain(1)


async def test_a_write_that_meets_the_fence_is_not_the_end(world: World) -> None:
    """The fence closes in the middle of a reconcile."""
    world.fence.open_until(float("inf"))
    world.late = 1
    world.queue.add(KEY)
    assert await asyncio.wait_for(world.seen.get(), 5) == KEY
    await world.workers.drain(1)


async def test_a_lost_lease_ends_the_work(world: World) -> None:
    """Keys are not kept for the day it is won again: everything is looked at then."""
    world.queue.add(KEY)
    await world.nothing_happens()
    world.workers.lead(leading=False)
    world.fence.open_until(float("inf"))
    await world.nothing_happens()
    await world.workers.drain(1)


async def test_those_who_wait_for_a_slow_server_do_not_delay_the_end(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What stands in line is the next leader's; what is being worked on is waited for, and no worker was held up."""
    begun, gate = 0, asyncio.Event()

    async def slow(_: Context, __: Key) -> None:
        nonlocal begun
        begun += 1
        await gate.wait()

    monkeypatch.setitem(cast("dict[str, Any]", RECONCILERS), "Order", slow)
    world.fence.open_until(float("inf"))
    for number in range(300):
        world.queue.add(Key("Order", "ns", str(number)))
    world.queue.add(KEY)
    assert await asyncio.wait_for(world.seen.get(), 5) == KEY
    assert 60 < begun < 300
    assert world.queue.in_flight == 300
    ending = asyncio.create_task(world.workers.drain(5))
    await asyncio.sleep(0)
    assert world.queue.in_flight == begun
    gate.set()
    assert await ending
    assert world.queue.in_flight == 0
