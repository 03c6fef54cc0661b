"""Which challenges are served, and to whom."""

import pytest

from certwright.solvers.live import FINAL, LiveChallenges, is_live
from tests.operator.solvers.builders import THUMBPRINT, challenge


def test_answers_by_host_and_token() -> None:
    live = LiveChallenges()
    live.put(challenge("www.example.com", "t1", object_name="a"))
    live.put(challenge("other.example.com", "t1", object_name="b", namespace="two"))
    live.put(challenge("192.0.2.1", "t2", object_name="c"))
    assert live.answer("www.example.com", "t1") == f"t1.{THUMBPRINT}"
    assert live.answer("WWW.example.com.", "t1") == f"t1.{THUMBPRINT}"
    assert live.answer("192.0.2.1", "t2") == f"t2.{THUMBPRINT}"
    assert live.answer("www.example.com", "t2") is None
    assert live.answer("third.example.com", "t1") is None
    assert live.answer("", "") is None
    assert len(live.with_token("t1")) == 2
    assert {c.metadata.name for c in live.in_namespace("ns")} == {"a", "c"}


def test_over_and_deleted_challenges_are_forgotten() -> None:
    live = LiveChallenges()
    live.put(challenge())
    live.put(challenge(status={"state": "valid"}))
    assert len(live) == 0
    live.put(challenge())
    live.drop("ns", "c-1")
    live.drop("ns", "c-1")
    assert (live.answer("www.example.com", "token-1"), live.with_token("token-1"), live.in_namespace("ns")) == (
        None,
        [],
        [],
    )


@pytest.mark.parametrize("state", sorted(FINAL))
def test_final_states_are_over(state: str) -> None:
    assert not is_live(challenge(status={"state": state}))


@pytest.mark.parametrize("state", ["", "pending", "processing", "ready"])
def test_other_states_are_not(state: str) -> None:
    assert is_live(challenge(status={"state": state}))


@pytest.mark.parametrize(
    "key",
    [
        "",
        "token-1",
        "token-1.",
        "token-1.short",
        "<script>",
        f"token-2.{THUMBPRINT}",
        f"token-1.{THUMBPRINT}\n",
        f"token-1.{THUMBPRINT}.{THUMBPRINT}",
        f"token-1.{THUMBPRINT[:-1]}",
        f"token-1.{THUMBPRINT}AAAA",
    ],
)
def test_keys_that_are_none_are_not_served(key: str) -> None:
    assert not is_live(challenge(key=key))


def test_dns_challenges_are_not_served() -> None:
    assert not is_live(challenge(type="DNS-01"))
