"""The workloads: what is done to an operator, and what of it is measured.

Every workload returns the figures of :func:`bench.figures.issuing_figures`; those of W2 that are about the restart begin
with ``restart_``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Self

from bench import ceiling
from bench.acme import Acme
from bench.api import Api
from bench.audit import Tail
from bench.ceiling import Place
from bench.driver import (
    attempts,
    create_certificate,
    create_ingress,
    create_issuer,
    create_namespaces,
    each,
    wait_issuer,
)
from bench.figures import Figures, Issuances, acme_figures, issuing_figures, latency_figures, restart_figures
from bench.objects import Authority
from bench.subject import Subject
from bench.usage import Meter, Surroundings
from bench.watch import Stalled, Watcher

#: No write for so many seconds: all Events are written, nothing follows.
SETTLED_SECONDS = 2.0
#: What a burst's aftermath may take.
SETTLE_LIMIT = 300.0
#: After a restart: steady is the first of so many seconds at rest in a row (below 5 % of a core).
STEADY_SECONDS = 4.0
STEADY_LIMIT = 180.0
#: Between two single issuances, so that the Events of one do not fall into the next.
PAUSE_SECONDS = 0.4
#: The burst of W7, and the Ingresses created one after the other meanwhile.
BURST_COUNT, BURST_INGRESSES = 1000, 25
#: By then every challenge of W4 that will hang is hanging.
STUCK_SECONDS = 5.0
#: A ceiling needs no more Certificates than these to be known.
CEILING_COUNT = 1000


@dataclass(frozen=True)
class Load:
    """How much of a workload, and of which keys."""

    count: int
    namespaces: int
    creators: int
    algorithm: str

    def places(self, prefix: str, count: int) -> list[Place]:
        """Namespace and name of ``count`` Certificates, dealt out to the namespaces in turn."""
        return [(f"bench-{prefix}-{i % self.namespaces:03d}", f"c{i:05d}") for i in range(count)]


@dataclass
class Bench:
    """A cluster, an operator in it, and the clients around it. Use as an async context manager."""

    surroundings: Surroundings
    command: str
    load: Load
    #: The CA of the ClusterIssuer, where it is not a key in a Secret.
    acme: Acme | None = None
    authority: Authority = field(default_factory=Authority.make)
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        self.api = await self._stack.enter_async_context(Api(Path(self.surroundings.admin_kubeconfig)))
        #: Writes in the operator's place and under its rights.
        self.writer = await self._stack.enter_async_context(Api(Path(self.surroundings.operator_kubeconfig)))
        await create_issuer(self.api, self.authority, self.acme.issuer_spec() if self.acme else None)
        self.subject = self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        self.subject.stop()
        await self._stack.aclose()

    def start(self) -> Subject:
        """Start the operator."""
        log, kubeconfig = Path(self.surroundings.operator_log), Path(self.surroundings.operator_kubeconfig)
        return Subject(self.command, kubeconfig, log)

    async def prepare(self, *groups: Sequence[Place]) -> None:
        """Namespaces for these Certificates, the issuer Ready, one Certificate issued: everything is warm."""
        warm = [("bench-warm", "c00000")]
        await create_namespaces(self.api, {namespace for group in [*groups, warm] for namespace, _ in group})
        await wait_issuer(self.api, self.subject)
        await self.burst(warm)

    async def burst(self, places: Sequence[Place]) -> Issuances:
        """Create Certificates as fast as the API server takes them, and wait until all are Ready."""
        return await self._issue(places, self.load.creators, self._create)

    async def singly(self, places: Sequence[Place]) -> Issuances:
        """Create a Certificate when the one before has been Ready for a moment."""
        return await self._one_by_one(places, self._create)

    async def ingresses_singly(self, places: Sequence[Place]) -> Issuances:
        """The same with annotated Ingresses, whose Certificates have these names."""
        return await self._one_by_one(places, self._create_ingress)

    async def _one_by_one(
        self, places: Sequence[Place], create: Callable[[Place, Watcher], Awaitable[None]]
    ) -> Issuances:
        async def create_and_wait(place: Place, watcher: Watcher) -> None:
            await create(place, watcher)
            await watcher.wait_ready({place})
            await asyncio.sleep(PAUSE_SECONDS)

        seen = await self._issue(places, 1, create_and_wait)
        return replace(seen, seconds=sum(seen.latencies))

    async def _issue(
        self, places: Sequence[Place], creators: int, create: Callable[[Place, Watcher], Awaitable[None]]
    ) -> Issuances:
        watcher = Watcher(self.api)
        await watcher.start()
        loop = asyncio.get_running_loop()
        created_at: dict[Place, float] = {}

        async def timed(place: Place) -> None:
            created_at[place] = loop.time()
            await create(place, watcher)

        meter = Meter(self.surroundings, self.subject)
        await each(places, creators, timed)
        try:
            await watcher.wait_ready(set(places))
        except Stalled:
            self.subject.check()
            raise
        await self._settled()
        usage = meter.read()
        await watcher.stop()
        last = max(watcher.ready_at.values())
        return Issuances(
            latencies=sorted(watcher.ready_at[place] - created_at[place] for place in places),
            seconds=last - min(created_at.values()),
            serials=len(watcher.serials()),
            last_ready=datetime.now(UTC) - timedelta(seconds=loop.time() - last),
            highest_revision=max(watcher.revision.values()),
            usage=usage,
        )

    def tail(self) -> Tail:
        """What the operator asks of the API server from now on."""
        return Tail(Path(self.surroundings.audit_log), self.surroundings.operator_user)

    async def _settled(self) -> None:
        """Wait until the operator writes no more: of a burst, the Events come last."""
        tail = self.tail()
        quiet_since = began = time.monotonic()
        while (now := time.monotonic()) - quiet_since < SETTLED_SECONDS and now - began < SETTLE_LIMIT:
            await asyncio.sleep(0.2)
            self.subject.check()
            if tail.has_written():
                quiet_since = time.monotonic()

    async def _create(self, place: Place, _: Watcher) -> None:
        await create_certificate(self.api, *place, self.load.algorithm)

    async def _create_ingress(self, place: Place, _: Watcher) -> None:
        await create_ingress(self.api, *place, self.load.algorithm)

    async def ceiling(self, places: Sequence[Place]) -> tuple[float, Figures]:
        """Certificates per second that a bare client reaches in a burst, and what it was found to have written.

        The operator must not be running.
        """
        meter = Meter(self.surroundings, None)
        rate = await ceiling.measure_burst(self.api, self.writer, self.authority, places, self.load.creators)
        return rate, _ceiling_figures(meter, len(places))

    async def ceiling_singly(self, places: Sequence[Place]) -> tuple[float, Figures]:
        """The same, one after the other."""
        meter = Meter(self.surroundings, None)
        rate = await ceiling.measure_singly(self.api, self.writer, self.authority, places)
        return rate, _ceiling_figures(meter, len(places))


async def burst(bench: Bench) -> Figures:
    """W1: a burst of Certificates."""
    ours, bare = bench.load.places("w1", bench.load.count), bench.load.places("ceiling", bench.load.count)
    await bench.prepare(ours, bare)
    seen = await bench.burst(ours)
    peak = bench.subject.peak_rss_mib()
    bench.subject.stop()
    rate, extra = await bench.ceiling(bare)
    return {**issuing_figures(seen, rate, peak), **extra}


async def restart(bench: Bench) -> Figures:
    """W2: a burst, and then the operator stops and starts again with all of it Ready.

    Steady is the beginning of the first four seconds at less than 5 % of a core since it has begun to watch Certificates:
    before that, it may be waiting for the API server. Afterwards one more Certificate is created, to show that what came
    to rest is at work.
    """
    load = bench.load
    ours, more = load.places("w2", load.count), [("bench-warm", "after")]
    bare = load.places("ceiling", min(load.count, CEILING_COUNT))
    await bench.prepare(ours, bare)
    seen = await bench.burst(ours)
    peak = bench.subject.peak_rss_mib()
    bench.subject.stop()
    watcher = Watcher(bench.api)
    await watcher.start()
    tail = bench.tail()
    bench.subject = bench.start()
    meter = Meter(bench.surroundings, bench.subject)
    began = time.monotonic()
    async for _ in attempts(STEADY_LIMIT, "the operator does not watch Certificates"):
        bench.subject.check()
        if tail.has_watched("certificates"):
            break
    steady = await bench.subject.wait_rest(STEADY_SECONDS, STEADY_LIMIT) - began
    cpu, rss = bench.subject.cpu_seconds(), bench.subject.peak_rss_mib()
    usage = meter.read()
    serials = len(watcher.serials())
    await watcher.stop()
    first = await bench.singly(more)
    restarted = restart_figures(steady, serials, first.latencies[0], cpu, rss, usage)
    bench.subject.stop()
    rate, extra = await bench.ceiling(bare)
    return {**issuing_figures(seen, rate, peak), **restarted, **extra}


async def one_by_one(bench: Bench) -> Figures:
    """W6: single issuances on an idle cluster."""
    ours, bare = bench.load.places("w6", bench.load.count), bench.load.places("ceiling", bench.load.count)
    await bench.prepare(ours, bare)
    seen = await bench.singly(ours)
    peak = bench.subject.peak_rss_mib()
    bench.subject.stop()
    rate, extra = await bench.ceiling_singly(bare)
    return {**issuing_figures(seen, rate, peak), **extra}


async def ingresses(bench: Bench) -> Figures:
    """W7: annotated Ingresses one at a time, on an idle cluster and then during a burst of Certificates.

    From the Ingress to a Ready Certificate, which comes after the filled Secret.
    """
    load = bench.load
    ours, bare = load.places("w7", load.count), load.places("ceiling", load.count)
    meanwhile = load.places("w7b", BURST_INGRESSES)
    crowd = replace(load, namespaces=50).places("w1", BURST_COUNT)
    await bench.prepare(ours, meanwhile, crowd, bare)
    seen = await bench.ingresses_singly(ours)
    peak = bench.subject.peak_rss_mib()
    _, busy = await asyncio.gather(bench.burst(crowd), bench.ingresses_singly(meanwhile))
    bench.subject.stop()
    rate, extra = await bench.ceiling_singly(bare)
    return {**issuing_figures(seen, rate, peak), **latency_figures("during_burst", busy.latencies), **extra}


def stuck_places(load: Load) -> list[Place]:
    """One in twenty Certificates of W4 can't be proved, because its name's server never answers."""
    return load.places("w4s", max(1, load.count // 20))


async def acme(bench: Bench) -> Figures:
    """W4: a burst of Certificates from an ACME CA; where it looks at proofs, a second one with some that hang."""
    load, ca = bench.load, bench.acme
    if ca is None:
        raise ValueError("W4 without a CA")
    stuck = stuck_places(load) if ca.proves else []
    ours, bare = load.places("w4", load.count), load.places("ceiling", load.count)
    others = load.places("w4d", load.count - len(stuck))
    await bench.prepare(ours, stuck, others, bare)
    before = ca.posts()
    seen = await bench.burst(ours)
    posts, beside = ca.posts() - before, None
    if stuck:
        await each(stuck, load.creators, lambda place: create_certificate(bench.api, *place, load.algorithm))
        await asyncio.sleep(STUCK_SECONDS)
        beside = await bench.burst(others)
    peak = bench.subject.peak_rss_mib()
    bench.subject.stop()
    rate, extra = await bench.ceiling(bare)
    return {**issuing_figures(seen, rate, peak), **acme_figures(posts, seen, beside), **extra}


def _ceiling_figures(meter: Meter, n: int) -> Figures:
    """What the bare client was seen to write, and in which company."""
    usage = meter.read()
    return {
        "ceiling_object_writes_per_issuance": round(usage.counts.object_writes / n, 4),
        "ceiling_events_per_issuance": round(usage.counts.events / n, 4),
        "ceiling_apiserver_cpu_ms_per_issuance": round(usage.apiserver_cpu * 1000 / n, 2),
        "ceiling_driver_cpu_ms_per_issuance": round(usage.driver_cpu * 1000 / n, 2),
        "ceiling_foreign_cpu_share": round(usage.foreign_share, 3),
        "ceiling_load_average": round(usage.load_average, 2),
    }


@dataclass(frozen=True)
class Workload:
    """A workload's name for people, its function, and how much of it is usual."""

    title: str
    run: Callable[[Bench], Awaitable[Figures]]
    count: int
    namespaces: int


WORKLOADS = {
    "w1": Workload("burst of Certificates", burst, 1000, 50),
    "w2": Workload("restart with Ready Certificates", restart, 5000, 50),
    "w4": Workload("burst of Certificates by ACME, HTTP-01 through an ingress controller", acme, 100, 5),
    "w4a": Workload("burst of Certificates by ACME, from a CA that believes every proof", acme, 100, 5),
    "w6": Workload("one Certificate at a time on an idle cluster", one_by_one, 50, 5),
    "w7": Workload("one annotated Ingress at a time, idle and during a burst", ingresses, 100, 5),
}
#: Workloads with an ACME CA.
ACME = frozenset({"w4", "w4a"})
