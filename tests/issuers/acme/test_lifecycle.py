"""The order's life as a table, fed with states: no I/O, no clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers.acme import lifecycle
from certwright_issuers.acme.authorization import Authorization, AuthorizationStatus
from certwright_issuers.acme.chain import Chain
from certwright_issuers.acme.challenge import Challenge
from certwright_issuers.acme.lifecycle import (
    Action,
    Answer,
    CreateOrder,
    Done,
    Download,
    Failed,
    FetchAuthorization,
    Finalize,
    Poll,
    Progress,
    Publish,
    plan,
)
from certwright_issuers.acme.order import Order, OrderStatus
from certwright_issuers.acme.problem import AcmeUnavailable, Kind, Problem, ValidationFailed

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
URLS = ("https://ca.example/z/1", "https://ca.example/z/2")


def order(status: str, **more: object) -> Order:
    """An order for two names."""
    fields = {"authorizations": URLS, "finalize": "https://ca.example/f", "certificate": "https://ca.example/c", **more}
    return Order("https://ca.example/o", OrderStatus(status), **fields)  # type: ignore[arg-type]


def authz(number: int, status: str, error: Problem | None = None, challenge: str = "pending") -> Authorization:
    """An authorization that offers http-01."""
    offer = Challenge("http-01", f"https://ca.example/h/{number}", "t" * 30, challenge, error)
    return Authorization(URLS[number - 1], f"{number}.example", AuthorizationStatus(status), (offer,))


def next_of(progress: Progress) -> tuple[Action, ...]:
    """The plan of a client that can do http-01."""
    return plan(progress, ["http-01"], NOW)


def test_the_whole_way() -> None:
    """From nothing to a chain: each step is planned once what the one before it brought is known."""
    progress = Progress()
    assert next_of(progress) == (CreateOrder(),)
    progress = progress.learn(order("pending"))
    assert next_of(progress) == tuple(FetchAuthorization(url) for url in URLS)
    first, second = authz(1, "pending"), authz(2, "pending")
    progress = progress.learn(first).learn(second)
    assert next_of(progress) == (Publish(first, first.challenges[0]), Publish(second, second.challenges[0]))
    progress = progress.with_published(first.challenges[0].url)
    assert next_of(progress) == (Answer(first.challenges[0]), Publish(second, second.challenges[0]))
    progress = progress.with_published(second.challenges[0].url)
    progress = progress.with_answered(first.challenges[0].url).with_answered(second.challenges[0].url)
    assert isinstance(next_of(progress)[0], Poll)
    ready = order("ready")
    progress = progress.learn(ready)
    assert next_of(progress) == (Finalize(ready),)
    progress = progress.with_finalized().learn(order("processing"))
    assert isinstance(next_of(progress)[0], Poll)
    progress = progress.learn(order("valid"))
    assert next_of(progress) == (Download("https://ca.example/c"),)
    chain = Chain(())
    assert next_of(progress.learn(chain)) == (Done(chain),)


def test_valid_authorizations_are_skipped() -> None:
    """An authorization that the CA reuses costs no challenge."""
    progress = Progress(order("pending")).learn(authz(1, "valid")).learn(authz(2, "pending"))
    assert [type(action) for action in next_of(progress)] == [Publish]
    assert isinstance(next_of(Progress(order("ready")))[0], Finalize)


def test_a_challenge_in_validation_is_not_answered_again() -> None:
    """After a restart the authorization shows that the CA is at work: wait for the order."""
    progress = Progress(order("pending")).learn(authz(1, "pending", challenge="processing")).learn(authz(2, "valid"))
    assert isinstance(next_of(progress)[0], Poll)


@pytest.mark.parametrize("status", ["invalid", "deactivated", "expired", "revoked"])
def test_a_lost_authorization_ends_the_order(status: str) -> None:
    """Whatever made it unusable, the order can't become ready any more."""
    progress = Progress(order("pending")).learn(authz(1, status)).learn(authz(2, "valid"))
    (end,) = next_of(progress)
    assert isinstance(end, Failed)
    assert "1.example" in end.error.message


def test_an_invalid_order_is_looked_into() -> None:
    """Authorizations that were pending are read again, and their errors are the answer, each with its name."""
    progress = Progress(order("pending")).learn(authz(1, "pending")).learn(authz(2, "pending"))
    progress = progress.learn(order("invalid"))
    assert next_of(progress) == tuple(FetchAuthorization(url) for url in URLS)
    progress = progress.learn(authz(1, "invalid", Problem("dns", "NXDOMAIN"))).learn(authz(2, "pending"))
    (end,) = next_of(progress)
    assert isinstance(end, Failed)
    assert isinstance(end.error, ValidationFailed)
    assert end.error.message == "the CA could not validate 1.example: dns: NXDOMAIN"
    assert end.error.reason == "Dns"


def test_an_order_that_failed_at_finalize_tells_its_own_error() -> None:
    """All authorizations are valid, so the cause is in the order, and its type decides the class."""
    done = Progress(order("processing")).learn(authz(1, "valid")).learn(authz(2, "valid"))
    (end,) = next_of(done.learn(order("invalid", error=Problem("serverInternal", "no SCT"))))
    assert isinstance(end, Failed)
    assert isinstance(end.error, AcmeUnavailable)
    assert "serverInternal: no SCT" in end.error.message


def test_an_order_that_failed_without_a_reason_says_so() -> None:
    """The message does not pretend to know."""
    done = Progress(order("pending")).learn(authz(1, "valid")).learn(authz(2, "valid"))
    (end,) = next_of(done.learn(order("invalid")))
    assert isinstance(end, Failed)
    assert "gives no reason" in end.error.message
    assert end.error.kind is Kind.VALIDATION


def test_messages_about_a_hundred_names_are_bounded() -> None:
    """A status field must hold them."""
    urls = tuple(f"https://ca.example/z/{n}" for n in range(100))
    lost = [
        Authorization(
            url,
            f"{url}.example",
            AuthorizationStatus.INVALID,
            (Challenge("dns-01", url, "", "invalid", Problem("dns", "x" * 600)),),
        )
        for url in urls
    ]
    assert len(lifecycle.failure_of(order("invalid", authorizations=urls), lost, NOW).message) <= 3000


def test_polling_slows_down_and_obeys_the_ca(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.2 s first, 10 s at last, from the start again when the order has moved, and never earlier than Retry-After."""
    monkeypatch.undo()
    progress = Progress(order("processing"))
    delays = []
    for _ in range(9):
        (poll,) = next_of(progress)
        assert isinstance(poll, Poll)
        delays.append(poll.delay.total_seconds())
        progress = progress.learn(order("processing"))
    assert delays == [0.2, 0.4, 0.8, 1.5, 3.0, 5.0, 10.0, 10.0, 10.0]
    (poll,) = next_of(Progress(order("processing", retry_after=timedelta(seconds=7))))
    assert isinstance(poll, Poll)
    assert poll.delay == timedelta(seconds=7)


def test_finalize_is_not_repeated_for_a_stale_answer() -> None:
    """A CA that answers finalize with the old state is polled, not finalized in a loop."""
    progress = Progress(order("ready")).with_finalized().learn(order("ready"))
    assert isinstance(next_of(progress)[0], Poll)


@given(st.lists(st.sampled_from(OrderStatus), max_size=12))
def test_no_sequence_of_answers_confuses_the_plan(seen: list[OrderStatus]) -> None:
    """Whatever states a CA shows in whatever order, there is a next step, and an end stays an end."""
    progress, ended = Progress(authorizations={url: authz(n, "valid") for n, url in enumerate(URLS, 1)}), False
    for status in seen:
        progress = progress.learn(order(status.value))
        actions = next_of(progress)
        assert actions
        final = progress.order is not None and progress.order.status in (OrderStatus.VALID, OrderStatus.INVALID)
        assert final or not ended
        ended = final
