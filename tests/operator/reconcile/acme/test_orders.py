"""Orders: what is remembered of the CA's order when the API server does not take it."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from certwright.errors import Forbidden, Refused, Unreachable
from certwright.reconcile.requeststatus import with_outcome
from certwright.reconcile.waiting import waits_for_order
from tests.operator.reconcile.acme.world import World


class Lost:
    """Writes of an Order's status that fail so many times."""

    def __init__(self, times: int) -> None:
        self.times = times

    def __call__(self, method: str, path: str) -> None:
        if method == "PATCH" and "/orders/" in path and path.endswith("/status") and self.times:
            self.times -= 1
            raise Unreachable(f"{method} {path}: HTTP 500")


async def test_an_order_whose_url_could_not_be_written_is_not_made_again() -> None:
    """As long as the process lives it knows the URL; the Order then looks as ever."""
    world = World()
    key = await world.begin()
    world.kube.fault = Lost(3)
    for _ in range(3):
        with pytest.raises(Unreachable):
            await world.look_at_order(key)
    await world.look_at_order(key)
    order = world.context.store.orders.get(key)
    assert order is not None
    assert order.status.url == "https://ca.test/order/1"
    assert [a.url for a in order.status.authorizations] == ["https://ca.test/authz/1"]
    assert world.ca.asked["new-order"] == 1
    world.the_challenge()


async def test_an_order_of_another_account_is_made_anew() -> None:
    """The issuer's key was replaced meanwhile: the old account's order is of no use."""
    world = World()
    key = await world.begin()
    world.kube.fault = Lost(1)
    with pytest.raises(Unreachable):
        await world.look_at_order(key)
    world.ca.account_url = "https://ca.test/account/2"
    await world.look_at_order(key)
    order = world.context.store.orders.get(key)
    assert order is not None
    assert order.status.url == "https://ca.test/order/2"


async def test_a_crash_before_the_url_is_written_costs_another_order() -> None:
    """Nothing tells the next process of the first one (docs/reference.md): only the CA can give it again."""
    world = World()
    key = await world.begin()
    world.kube.fault = Lost(1)
    with pytest.raises(Unreachable):
        await world.look_at_order(key)
    world.restart()
    await world.look_at_order(key)
    order = world.context.store.orders.get(key)
    assert order is not None
    assert order.status.url == "https://ca.test/order/2"
    world.restart()
    await world.look_at_order(key)
    assert world.ca.asked["new-order"] == 2


async def test_an_order_that_the_cluster_refuses_is_told_and_made_later() -> None:
    """In the words of the API server on the request, and by it on the Certificate."""

    def refuse(method: str, path: str) -> None:
        if method == "POST" and path.endswith("/orders"):
            raise Refused("POST orders: a policy says no")

    world = World()
    world.kube.fault = refuse
    refused = await world.look_at_request()
    assert (refused.state, refused.event_reason) == ("Pending", "OrderCreatingError")
    assert refused.message == "Failed to create Order resource: POST orders: a policy says no"
    assert refused.retry_after == timedelta(seconds=30)
    request = msgspec.structs.replace(
        world.request, status=with_outcome(world.context, world.request, world.request.status.conditions, refused)
    )
    assert waits_for_order(world.context, [request]) == refused.message
    world.kube.fault = lambda *_: None
    assert (await world.look_at_request()).event_reason == "OrderCreated"
    assert waits_for_order(world.context, [world.request]) == ""


async def test_a_challenge_that_the_cluster_refuses_is_told_and_made_later() -> None:
    """A quota, for one: the Order says so, once in an Event, and the CA is not asked again."""

    def refuse(method: str, path: str) -> None:
        if method == "POST" and "/challenges" in path:
            raise Forbidden("POST challenges: exceeded quota: q")

    world = World()
    key = await world.begin()
    world.kube.fault = refuse
    told = "Failed to create Challenge: POST challenges: exceeded quota: q"
    for _ in range(2):
        assert await world.look_at_order(key) == 60
        order = world.context.store.orders.get(key)
        assert order is not None
        assert (order.status.state, order.status.reason) == ("pending", told)
    assert world.events == [("ChallengeCreatingError", told)]
    world.kube.fault = lambda *_: None
    await world.look_at_order(key)
    order = world.context.store.orders.get(key)
    assert order is not None
    assert order.status.reason == ""
    world.the_challenge()
    assert world.ca.asked["new-order"] == 1
