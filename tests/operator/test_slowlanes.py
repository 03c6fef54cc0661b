"""Tasks for keys that may wait for long: bounded for each server, and fair."""

from __future__ import annotations

import asyncio
from collections import defaultdict

from certwright.slowlanes import SlowLanes
from certwright.workqueue import Key


class World:
    """Work that lasts until it is let go, lane by lane (the lane is the key's kind)."""

    def __init__(self, width: int) -> None:
        self.begun: list[Key] = []
        self.gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self.lanes = SlowLanes(width, self._work)

    async def _work(self, key: Key) -> None:
        self.begun.append(key)
        await self.gates[key.kind].wait()

    async def end(self, lane: str) -> None:
        """Let the work of a lane go on until there is none."""
        self.gates[lane].set()
        while tasks := [task for task in self.lanes.tasks if task.get_name().startswith(f"{lane} ")]:
            await asyncio.wait(tasks)
            # Whoever was in line begins when the loop has told of the end.
            await asyncio.sleep(0)

    def add(self, lane: str, namespace: str, name: int) -> Key:
        key = Key(lane, namespace, str(name))
        self.lanes.add(lane, key)
        return key


async def test_a_lane_that_hangs_holds_up_no_other() -> None:
    """However many want something of it."""
    world = World(width=3)
    for number in range(1000):
        world.add("hangs", "ns", number)
    keys = [world.add("well", "ns", number) for number in range(50)]
    await asyncio.wait_for(world.end("well"), 5)
    assert [key for key in world.begun if key.kind == "well"] == keys
    assert len([key for key in world.begun if key.kind == "hangs"]) == 3
    await asyncio.wait_for(world.end("hangs"), 5)


async def test_those_in_line_are_served_round_robin_over_their_namespaces() -> None:
    """One tenant's burst does not delay another tenant's single key; nobody is forgotten, nothing is left."""
    world = World(width=1)
    burst = [world.add("lane", "tenant", number) for number in range(100)]
    single = world.add("lane", "other", 0)
    await asyncio.wait_for(world.end("lane"), 5)
    assert world.begun.index(single) <= 2
    assert set(world.begun) == {*burst, single}
    assert len(world.begun) == 101
    assert world.lanes._lanes == {}


async def test_whoever_is_in_line_can_be_given_up() -> None:
    """What is being worked on goes on."""
    world = World(width=2)
    keys = [world.add("lane", "ns", number) for number in range(5)]
    assert world.lanes.give_up() == keys[2:]
    await asyncio.wait_for(world.end("lane"), 5)
    assert world.begun == keys[:2]
