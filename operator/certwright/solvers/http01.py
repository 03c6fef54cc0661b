"""HTTP-01 without pods: every replica answers challenges (``server.py``), this module leads CAs there.

Per challenge an Ingress, or a path in an existing one; behind them the Service of ``frontend.py``. Everything is named and
owned by the Challenge alone, so that whichever replica leads next can go on or clean up.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from certwright.api import Challenge, HTTP01Ingress
from certwright.api.duration import parse_go_duration
from certwright.errors import KubeError
from certwright.kube import KubeClient
from certwright.settings import HTTP01Settings
from certwright.solvers.addresses import Addresses
from certwright.solvers.contract import Check, SolverRefused
from certwright.solvers.frontend import Frontend
from certwright.solvers.ingresses import Ingresses
from certwright.solvers.live import LiveChallenges
from certwright.solvers.selfcheck import SelfCheck
from certwright.solvers.server import PREFIX

#: Probes in a row that must pass, and seconds between them. Each is a new connection to each address, so replicas of an
#: ingress controller that lag behind are likely to be met (docs/divergences.md).
PASSES = 3
PASS_INTERVAL = 0.2
#: Seconds until the next probe after the first one that failed; half as much again each time, up to cert-manager's interval.
#: With twice as much, a controller that needs two seconds for a route was found out a second late.
FIRST_RETRY = 0.1
RETRY_GROWTH = 1.5
LONGEST_RETRY = 10.0
#: Seconds that a worker waits for a probe. One that takes longer goes on and is asked for at the next check.
PATIENCE = 0.25
SLOW_RETRY = 2.0
#: Seconds without success after which it is looked whether what was made is still there.
DOUBT_AFTER = 10.0


@dataclass(slots=True)
class _Progress:
    """What this process knows of a challenge's proof; lost without harm."""

    made_at: float
    passes: int = 0
    failures: int = 0
    message: str = ""
    probe: asyncio.Task[str | None] | None = None


class HTTP01Solver:
    """A :class:`~certwright.solvers.contract.ChallengeSolver`. Use as an async context manager."""

    def __init__(
        self,
        kube: KubeClient,
        settings: HTTP01Settings,
        live: LiveChallenges,
        self_check: SelfCheck,
        *,
        namespace: str = "",
    ) -> None:
        """``namespace``: the only one that is served, if that is set."""
        self._namespace = namespace
        self._ingresses = Ingresses(kube, settings.extra_labels)
        self._live = live
        self._self_check = self_check
        self._frontend = Frontend(kube, Addresses(kube, settings), live, settings.extra_labels, namespace)
        self._progress: dict[str, _Progress] = {}

    async def __aenter__(self) -> Self:
        await self._self_check.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for progress in self._progress.values():
            if progress.probe is not None:
                progress.probe.cancel()
        await self._self_check.__aexit__(kind, error, trace)

    # Present

    async def present(self, challenge: Challenge) -> None:
        """Route the challenge's path to the replicas. Raises SolverRefused, KubeError."""
        now = asyncio.get_running_loop().time()
        known = self._progress.get(challenge.metadata.uid)
        if known is not None and now - known.made_at < DOUBT_AFTER:
            return
        await self._present(challenge, doubtful=known is not None)
        self._progress.setdefault(challenge.metadata.uid, _Progress(made_at=now)).made_at = now

    async def _present(self, challenge: Challenge, *, doubtful: bool) -> None:
        ingress = ingress_of(challenge)
        await self._frontend.ensure(challenge.metadata.namespace, ingress.service_type or "NodePort", doubtful=doubtful)
        await self._ingresses.ensure(challenge, ingress, again=doubtful)

    # Check

    async def check(self, challenge: Challenge) -> Check:
        """See the contract. With waitInsteadOfSelfCheck nothing is asked."""
        wait = challenge.spec.solver.wait_instead_of_self_check
        if wait:
            return _waited(challenge, wait)
        loop = asyncio.get_running_loop()
        progress = self._progress.setdefault(challenge.metadata.uid, _Progress(made_at=loop.time()))
        if progress.failures and loop.time() - progress.made_at > DOUBT_AFTER:
            progress.made_at = loop.time()
            try:
                await self._present(challenge, doubtful=True)
            except (KubeError, SolverRefused) as error:
                return Check(ready=False, message=str(error), retry_after=DOUBT_AFTER)
        if progress.probe is None:
            progress.probe = asyncio.create_task(self._probe(challenge), name=f"self-check {challenge.metadata.name}")
        done, _ = await asyncio.wait({progress.probe}, timeout=PATIENCE)
        if not done:
            asked = progress.message or f"waiting for an answer from http://{challenge.spec.dns_name}"
            return Check(ready=False, message=asked, retry_after=SLOW_RETRY)
        failure = progress.probe.result()
        progress.probe = None
        return _judged(progress, failure)

    async def _probe(self, challenge: Challenge) -> str | None:
        spec = challenge.spec
        return await self._self_check.probe(spec.dns_name, PREFIX + spec.token, spec.key)

    # Clean up

    async def clean_up(self, challenge: Challenge) -> None:
        """Remove what was made for it. Raises KubeError."""
        meta = challenge.metadata
        progress = self._progress.pop(meta.uid, None)
        if progress is not None and progress.probe is not None:
            progress.probe.cancel()
        http01 = challenge.spec.solver.http01
        if http01 is not None and http01.ingress is not None:
            await self._ingresses.remove(challenge, http01.ingress)
            await self._frontend.release(meta.namespace, uid=meta.uid)

    async def sweep(self) -> None:
        """Remove what former leaders left behind: paths in others' Ingresses, and Services that nobody needs.

        For a new leader, once all Challenges are known. Raises KubeError.
        """
        await self._ingresses.sweep(self._namespace, self._live)
        await self._frontend.sweep()


def ingress_of(challenge: Challenge) -> HTTP01Ingress:
    """The stanza that says how to route. Raises :class:`SolverRefused` for what is not served."""
    http01 = challenge.spec.solver.http01
    if http01 is not None and http01.ingress is not None:
        return http01.ingress
    raise SolverRefused(
        "UnsupportedSolver",
        "the solver's http01.gatewayHTTPRoute is not supported: use http01.ingress"
        if http01 is not None and http01.gateway_http_route is not None
        else "the solver has no http01.ingress",
    )


def _waited(challenge: Challenge, wait: str) -> Check:
    """Ready once the time since the first presentation has passed."""
    try:
        duration = parse_go_duration(wait)
    except ValueError as error:
        raise SolverRefused("InvalidSolver", f"waitInsteadOfSelfCheck: {error}") from error
    now = datetime.now(UTC)
    left = ((challenge.status.presented_at or now) + duration - now).total_seconds()
    if left <= 0:
        return Check(ready=True)
    return Check(ready=False, message=f"waiting for {wait}, as waitInsteadOfSelfCheck says", retry_after=left)


def _judged(progress: _Progress, failure: str | None) -> Check:
    """What one more probe means."""
    if failure is None:
        progress.passes += 1
        progress.failures = 0
        if progress.passes >= PASSES:
            return Check(ready=True)
        return Check(ready=False, retry_after=PASS_INTERVAL)
    progress.passes = 0
    progress.failures += 1
    progress.message = failure
    pause = min(LONGEST_RETRY, FIRST_RETRY * RETRY_GROWTH ** min(progress.failures - 1, 30))
    return Check(ready=False, message=failure, retry_after=pause)
