"""When a challenge counts as visible: probes in a row, pauses between them, and no worker kept waiting."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest

from certwright.errors import Unreachable
from certwright.kube import KubeClient
from certwright.settings import HTTP01Settings
from certwright.solvers import http01
from certwright.solvers.addresses import Addresses
from certwright.solvers.contract import Check, SolverRefused
from certwright.solvers.http01 import HTTP01Solver
from certwright.solvers.live import LiveChallenges
from certwright.solvers.selfcheck import SelfCheck
from tests.operator.solvers.builders import challenge


class Probes:
    """Answers of a self-check, in order; the last one for ever."""

    def __init__(self, *answers: str | None, seconds: float = 0.0) -> None:
        self.answers = list(answers)
        self.seconds = seconds
        self.asked: list[tuple[str, str, str]] = []

    async def probe(self, name: str, path: str, key: str) -> str | None:
        self.asked.append((name, path, key))
        await asyncio.sleep(self.seconds)
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


class DeadKube:
    """An API server that does not answer."""

    def __getattr__(self, verb: str) -> Any:
        async def fail(*_: Any, **__: Any) -> None:
            raise Unreachable(f"{verb}: no answer")

        return fail


def solver(probes: Probes) -> HTTP01Solver:
    settings = HTTP01Settings(addresses=(("10.0.0.1", 8089),))
    return HTTP01Solver(
        cast("KubeClient", DeadKube()), settings, LiveChallenges(), cast("SelfCheck", cast("object", probes))
    )


async def checks(found: HTTP01Solver, count: int) -> list[Check]:
    return [await found.check(challenge()) for _ in range(count)]


async def test_three_passes_in_a_row_are_wanted() -> None:
    probes = Probes(None)
    assert await checks(solver(probes), 3) == [
        Check(ready=False, retry_after=0.2),
        Check(ready=False, retry_after=0.2),
        Check(ready=True),
    ]
    spec = challenge().spec
    assert probes.asked == [(spec.dns_name, f"/.well-known/acme-challenge/{spec.token}", spec.key)] * 3


async def test_a_failure_begins_anew() -> None:
    found = await checks(solver(Probes(None, None, "gone", None)), 6)
    assert [check.ready for check in found] == [False] * 5 + [True]
    assert [check.message for check in found] == ["", "", "gone", "", "", ""]


async def test_pauses_grow_by_half_up_to_ten_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http01, "DOUBT_AFTER", 1e9)
    found = await checks(solver(Probes("no")), 15)
    expected = [0.1, 0.15, 0.225, 0.34, 0.51, 0.76, 1.14, 1.71, 2.56, 3.84, 5.77, 8.65, 10.0, 10.0, 10.0]
    assert [check.retry_after for check in found] == pytest.approx(expected, rel=0.01)


async def test_a_slow_probe_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http01, "PATIENCE", 0.01)
    probes = Probes("slow and bad", seconds=0.1)
    found = solver(probes)
    assert await found.check(challenge()) == Check(
        ready=False, message="waiting for an answer from http://www.example.com", retry_after=http01.SLOW_RETRY
    )
    await asyncio.sleep(0.15)
    assert (await found.check(challenge())).message == "slow and bad"
    assert len(probes.asked) == 1


async def test_what_can_not_be_looked_after_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http01, "DOUBT_AFTER", -1)
    found = await checks(solver(Probes("no")), 2)
    assert found[1].message == "get: no answer"
    assert not found[1].ready


@pytest.mark.parametrize(("ago", "ready"), [(0, False), (29, False), (31, True)])
async def test_waiting_counts_from_the_first_presentation(ago: float, *, ready: bool) -> None:
    probes = Probes("not asked")
    spec: dict[str, Any] = {"solver": {"http01": {"ingress": {}}, "waitInsteadOfSelfCheck": "30s"}}
    presented = datetime.now(UTC) - timedelta(seconds=ago)
    found = await solver(probes).check(challenge(status={"presentedAt": presented}, **spec))
    assert found.ready is ready
    assert probes.asked == []
    if not ready:
        assert found.retry_after == pytest.approx(30 - ago, abs=1)


async def test_a_wait_that_is_none_is_refused() -> None:
    spec: dict[str, Any] = {"solver": {"http01": {"ingress": {}}, "waitInsteadOfSelfCheck": "soon"}}
    with pytest.raises(SolverRefused):
        await solver(Probes(None)).check(challenge(**spec))


@pytest.mark.parametrize(
    ("stanza", "words"),
    [({"gatewayHTTPRoute": {}}, "gatewayHTTPRoute is not supported"), ({}, "the solver has no http01.ingress")],
)
async def test_other_routes_are_refused_and_have_nothing_to_clean_up(stanza: dict[str, Any], words: str) -> None:
    found = solver(Probes(None))
    refused = challenge(solver={"http01": stanza})
    with pytest.raises(SolverRefused) as error:
        await found.present(refused)
    assert words in error.value.message
    await found.clean_up(refused)


async def test_without_an_address_it_is_told() -> None:
    """On a machine that has none but loopback."""
    nowhere = Addresses(cast("KubeClient", DeadKube()), HTTP01Settings())
    with pytest.raises(SolverRefused, match="does not know where an ingress controller reaches it"):
        await nowhere.current()
