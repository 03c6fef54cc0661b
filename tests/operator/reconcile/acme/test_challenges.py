"""Challenges in virtual time: a self-check that never succeeds, and a clean-up that never does."""

from __future__ import annotations

from datetime import timedelta

import pytest

from certwright.api.groups import FINALIZER_CHALLENGE
from certwright.errors import Forbidden, KubeError, Refused, Unreachable
from certwright.kube import CHALLENGES
from certwright.reconcile.acme.challenges import CHECK_LIMIT, CLEAN_UP_LIMIT
from certwright.solvers.contract import Check, SolverRefused
from certwright.workqueue import Key
from certwright_issuers.acme.authorization import AuthorizationStatus
from certwright_issuers.acme.problem import Problem
from tests.operator.reconcile.acme.world import World

WAITING = "Waiting for HTTP-01 challenge propagation: nothing answers on port 80"


async def challenged(world: World) -> Key:
    """An Order whose Challenge waits to be worked on."""
    order = await world.begin()
    await world.look_at_order(order)
    key, _ = world.the_challenge()
    return key


def reason_of(world: World) -> str:
    return world.the_challenge()[1].status.reason


async def until_answered(world: World, key: Key) -> list[timedelta]:
    """Look at a Challenge whenever it wants to be, until the CA is told; how long after the begin each look was."""
    began, looks = world.clock, list[timedelta]()
    while not world.ca.asked["answer"]:
        assert world.clock - began < timedelta(hours=2)
        looks.append(world.clock - began)
        again = await world.look_at_challenge(key)
        assert again is not None
        world.wait(seconds=again)
    return looks


async def test_a_self_check_that_fails_for_45_minutes_gives_way_to_the_ca() -> None:
    """Not before, and with few looks; the Challenge says first what is missing, then that the CA decides."""
    world = World()
    key = await challenged(world)
    looks = await until_answered(world, key)
    assert timedelta(minutes=45) == CHECK_LIMIT
    assert CHECK_LIMIT <= looks[-1] <= CHECK_LIMIT + timedelta(minutes=1)
    assert looks[-2] < CHECK_LIMIT
    assert len(looks) < 120
    assert world.ca.asked == {"new-order": 1, "authorization": 1, "answer": 1}
    assert reason_of(world) == (
        "The self-check has failed for 45 minutes and may be wrong, so the CA is asked to look: nothing answers on port 80"
    )


async def test_what_is_waited_for_is_said_meanwhile() -> None:
    """After ten seconds, and once in Events."""
    world = World()
    key = await challenged(world)
    for _ in range(10):
        again = await world.look_at_challenge(key)
        assert again is not None
        world.wait(seconds=again)
    assert reason_of(world) == WAITING
    name = world.the_challenge()[1].metadata.name
    assert world.events == [
        ("Created", f'Created Challenge resource "{name}" for domain "web.example.test"'),
        ("Started", "Challenge scheduled for processing"),
        ("Presented", "Presented challenge using HTTP-01 challenge mechanism"),
    ]
    assert world.ca.asked["answer"] == 0


@pytest.mark.parametrize("error", [SolverRefused("UnsupportedSolver", "not built"), Forbidden("POST ingresses: quota")])
async def test_a_challenge_that_can_not_be_set_up_does_not_bother_the_ca(error: Exception) -> None:
    """It is looked at every 30 seconds, maybe for days; the CA is asked about it once."""
    world = World()
    key = await challenged(world)
    world.solver.present_fails = error
    for _ in range(5):
        assert await world.look_at_challenge(key) == 30
        world.wait(seconds=30)
    assert len(world.events) == 1
    assert world.ca.asked["authorization"] == 1
    world.solver.present_fails = None
    world.solver.says = Check(ready=True)
    await world.look_at_challenge(key)
    assert world.ca.asked == {"new-order": 1, "authorization": 1, "answer": 1}


async def test_a_restart_does_not_begin_the_45_minutes_anew() -> None:
    """They count from the first time the proof was set up, which is in the status."""
    world = World()
    key = await challenged(world)
    await world.look_at_challenge(key)
    world.wait(minutes=44)
    world.restart()
    await world.look_at_challenge(key)
    assert world.ca.asked["answer"] == 0
    world.wait(minutes=2)
    world.restart()
    await world.look_at_challenge(key)
    assert world.ca.asked["answer"] == 1


@pytest.mark.parametrize("verdict", [AuthorizationStatus.VALID, AuthorizationStatus.INVALID])
async def test_the_cas_verdict_counts(verdict: AuthorizationStatus) -> None:
    """Whatever the self-check saw: valid is valid, and an error is told in the CA's words. Nothing set up is left."""
    world = World()
    key = await challenged(world)
    await until_answered(world, key)
    world.ca.status = verdict
    world.ca.problem = Problem("connection", "no route to host")
    assert await world.look_at_challenge(key) is None
    status = world.the_challenge()[1].status
    assert status.state == str(verdict)
    if verdict is AuthorizationStatus.VALID:
        assert status.reason == "Successfully authorized domain"
    else:
        assert status.reason.startswith("Error accepting authorization: ")
        assert "no route to host" in status.reason
    assert world.solver.presented == []


@pytest.mark.parametrize(
    "error", [Unreachable("PATCH ingresses/shared: timed out"), Refused("PATCH: a policy says no")]
)
async def test_a_clean_up_that_never_succeeds_keeps_a_challenge_for_ten_minutes(error: KubeError) -> None:
    """Until then it is tried again and told; then the object, and with it its namespace, may go."""
    world = World(name="shared")
    key = await challenged(world)
    await world.look_at_challenge(key)
    assert world.the_challenge()[1].metadata.finalizers == (FINALIZER_CHALLENGE,)
    world.solver.clean_up_fails = error
    await world.delete_challenge()
    path = CHALLENGES.path("ns", key.name)
    for _ in range(10):
        with pytest.raises(type(error)):
            await world.look_at_challenge(key)
        assert world.kube.objects[path]["metadata"]["finalizers"] == [FINALIZER_CHALLENGE]
        world.wait(seconds=59)
    assert ("CleanUpError", f"The clean-up is tried again: {error}") in world.events
    assert timedelta(seconds=10 * 59) < CLEAN_UP_LIMIT == timedelta(minutes=10)
    world.wait(seconds=10)
    assert await world.look_at_challenge(key) is None
    assert path not in world.kube.objects
    told = f"The challenge is let go without clean-up, something may be left: {error}"
    assert world.events[-1] == ("CleanUpError", told)


async def test_a_clean_up_that_succeeds_at_last_lets_go_at_once() -> None:
    """Nothing is said of something left."""
    world = World(name="shared")
    key = await challenged(world)
    await world.look_at_challenge(key)
    world.solver.clean_up_fails = Unreachable("timed out")
    await world.delete_challenge()
    with pytest.raises(Unreachable):
        await world.look_at_challenge(key)
    world.solver.clean_up_fails = None
    world.wait(seconds=60)
    assert await world.look_at_challenge(key) is None
    assert CHALLENGES.path("ns", key.name) not in world.kube.objects
    assert not [message for _, message in world.events if "let go" in message]
