"""Which challenges are worked on."""

from datetime import timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from certwright.challengeslots import ChallengeSlots, Target
from certwright.workqueue import Key
from tests.operator.builders import NOW


def key(number: int) -> Key:
    return Key("Challenge", "ns", f"c{number}")


def target(name: str, kind: str = "HTTP-01") -> Target:
    return Target(name, kind)


def test_a_bounded_number_enters_and_the_oldest_waits_least() -> None:
    woken: list[Key] = []
    slots = ChallengeSlots(2, woken.append)
    assert slots.enter(key(1), target("a"), NOW)
    assert slots.enter(key(2), target("b"), NOW)
    assert not slots.enter(key(3), target("c"), NOW + timedelta(seconds=2))
    assert not slots.enter(key(4), target("d"), NOW + timedelta(seconds=1))
    woken.clear()
    slots.leave(key(1))
    assert woken == [key(4)]
    assert slots.enter(key(4), target("d"), NOW)
    assert slots.waiting == 1


def test_whoever_asks_and_may_begin_is_not_woken_as_well() -> None:
    woken: list[Key] = []
    slots = ChallengeSlots(2, woken.append)
    assert slots.enter(key(1), target("a"), NOW)
    slots.leave(key(1))
    assert slots.enter(key(1), target("a"), NOW)
    assert woken == []


def test_one_name_is_proved_once_at_a_time() -> None:
    woken: list[Key] = []
    slots = ChallengeSlots(60, woken.append)
    assert slots.enter(key(1), target("a"), NOW)
    assert not slots.enter(key(2), target("a"), NOW)
    assert slots.enter(key(3), target("a", "DNS-01"), NOW)
    woken.clear()
    slots.leave(key(1))
    assert woken == [key(2)]


def test_whoever_stops_waiting_is_never_woken() -> None:
    woken: list[Key] = []
    slots = ChallengeSlots(1, woken.append)
    for number in range(3):
        slots.enter(key(number), target("a"), NOW + timedelta(seconds=number))
    slots.leave(key(1))
    woken.clear()
    slots.leave(key(0))
    assert woken == [key(2)]
    slots.clear()
    assert (len(slots), slots.waiting) == (0, 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 11)), max_size=200))
@example([(True, 0), (True, 1), (True, 2), (True, 3), (True, 7), (False, 3), (False, 0)])
def test_slots_are_never_overbooked_and_never_idle(steps: list[tuple[bool, int]]) -> None:
    """After any sequence: at most 3 inside, no target twice, nobody waits whose target is free while there is room."""
    slots = ChallengeSlots(3, lambda _: None)
    present: set[int] = set()
    for at, (enters, number) in enumerate(steps):
        if enters:
            present.add(number)
            slots.enter(key(number), target(f"n{number % 4}"), NOW + timedelta(seconds=at))
        else:
            present.discard(number)
            slots.leave(key(number))
        inside = set(slots._inside)
        targets = list(slots._inside.values())
        assert len(inside) <= 3
        assert len(targets) == len(set(targets))
        assert inside | set(slots._waiting) == {key(n) for n in present}
        if len(inside) < 3:
            assert set(slots._waiting.values()) <= set(targets)
