"""The operator as a whole: what runs, in which order it starts, and how it stops.

Start: wait for the CRDs, list everything once, serve health, watch (Kopf for our kinds, ``secretwatch`` for Secrets),
campaign for the Lease, work. Stop: take no more keys, let those in flight finish, give the Lease back, end the watches.
"""

from __future__ import annotations

import asyncio
import logging
import random
import signal
from collections.abc import Awaitable
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, cast

import kopf

from certwright import __version__
from certwright.access import Access, load_access
from certwright.accounts import Accounts
from certwright.acmecalls import AcmeCalls
from certwright.approver import Approver
from certwright.errors import Fenced, KubeError
from certwright.fence import Fence
from certwright.firstlists import FirstLists, retrying
from certwright.handlers import REGISTRY, watch_cluster_issuers, watch_ingresses
from certwright.health import ClockSkew, Page, Server
from certwright.ingest import Ingest
from certwright.issuerpool import IssuerPool
from certwright.keyfactory import KeyFactory
from certwright.keystorefactory import KeystoreFactory
from certwright.kube import KubeClient
from certwright.leases import LeaseThread, own_identity
from certwright.looplag import LoopLag
from certwright.metrics import metrics_page
from certwright.reconcile.acme.memory import AcmeMemory
from certwright.reconcile.context import Context
from certwright.reconcile.outside import Outside
from certwright.reporter import Reporter
from certwright.secretwatch import SecretWatch
from certwright.settings import Settings
from certwright.signingrequests import SigningRequests
from certwright.signingrequestwatch import SigningRequestWatch
from certwright.solvers.http01 import HTTP01Solver
from certwright.solvers.ownaddress import own_address
from certwright.solvers.registry import SolverRegistry
from certwright.solvers.resolver import NameserverResolver, SystemResolver
from certwright.solvers.selfcheck import SelfCheck
from certwright.solvers.server import SolverServer
from certwright.store import Store
from certwright.worker import Workers
from certwright.workqueue import WorkQueue
from certwright_issuers.acme.transport import TransportPool

logger = logging.getLogger(__name__)

#: Kopf ending more often than this within ten minutes ends the process: a fresh one may see clearer.
KOPF_RESTARTS = 5
#: Seconds between two looks at whether every kind is still heard of.
LISTEN_PAUSE = 60.0
#: What Events may take after the last reconcile.
EVENT_DRAIN = 0.5


class Runtime:
    """One operator process."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._fence = Fence()
        self._lag = LoopLag()
        self._stopping = asyncio.Event()
        self._synced = False
        self._loop = asyncio.get_running_loop()
        self._store = Store()
        self._queue = WorkQueue()
        self._ingest = Ingest(self._store, self._queue, settings.shim)
        self._workers: Workers | None = None
        self._lease: LeaseThread | None = None
        self._skew = ClockSkew()
        self._acme_calls = AcmeCalls()
        self._http01: HTTP01Solver | None = None
        self._sweeping: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Run until told to stop by a signal. Raises NoAccess when there is no cluster to talk to."""
        access = load_access(self._settings.kubeconfig, self._settings.context, self._settings.master)
        if self._settings.shim.enabled:
            watch_ingresses()
        if not self._settings.namespace:
            watch_cluster_issuers()
        self._install_signals()
        async with AsyncExitStack() as stack:
            self._lag.start()
            stack.callback(self._lag.stop)
            kube = await stack.enter_async_context(KubeClient(access, self._settings.kube, self._fence))
            await self._serve(stack)
            reporter = await stack.enter_async_context(Reporter(kube, own_identity().partition("_")[0]))
            keys = KeyFactory(self._settings.issuance.key_threads)
            stack.callback(keys.close)
            keystores = KeystoreFactory()
            stack.callback(keystores.close)
            transports = TransportPool(self._acme_calls.observe)
            stack.push_async_callback(transports.close)
            accounts = Accounts(kube, keys, transports, self._settings)
            pool = IssuerPool(kube, self._store, accounts, self._settings)
            http01 = self._http01 = await stack.enter_async_context(await self._http01_solver(kube, access))
            context = Context(
                settings=self._settings,
                kube=kube,
                store=self._store,
                queue=self._queue,
                reporter=reporter,
                issuers=pool,
                approver=Approver(kube, self._settings.approval),
                outside=Outside(self._queue),
                keys=keys,
                keystores=keystores,
                acme=AcmeMemory(self._settings.acme.max_challenges, self._queue.add),
                solvers=SolverRegistry({"HTTP-01": http01}),
                signing_requests=SigningRequests(self._settings.namespace),
                now=lambda: datetime.now(UTC),
            )
            secrets = SecretWatch(kube, self._store, self._settings.namespace, self._ingest.secret)
            lists = FirstLists(kube, self._ingest, self._settings)
            if not await self._until_stopped(self._sync(lists, secrets)):
                return
            workers = self._workers = Workers(context, self._fence)
            workers.start()
            background = [
                asyncio.create_task(secrets.run(), name="secrets"),
                asyncio.create_task(self._watch(access), name="kopf"),
                asyncio.create_task(self._listen(), name="the watch on watches"),
            ]
            if self._settings.signing_requests:
                watch = SigningRequestWatch(kube, context.signing_requests, self._queue.add)
                background.append(asyncio.create_task(watch.run(), name="signing requests"))
            for task in background:
                task.add_done_callback(self._ended)
            self._campaign(access)
            await self._stopping.wait()
            await self._stop(workers, reporter, background)

    async def _until_stopped(self, work: Awaitable[None]) -> bool:
        """Do the work unless told to stop before it ends; whether it ended."""
        working = asyncio.ensure_future(work)
        stopped = asyncio.ensure_future(self._stopping.wait())
        await asyncio.wait({working, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if not working.done():
            working.cancel()
            with suppress(asyncio.CancelledError):
                await working
            return False
        working.result()
        return True

    async def _stop(self, workers: Workers, reporter: Reporter, background: list[asyncio.Task[None]]) -> None:
        logger.info("stopping")
        await workers.drain(self._settings.grace_period)
        await reporter.drain(EVENT_DRAIN)
        if self._lease is not None:
            await asyncio.to_thread(self._lease.release)
        for task in background:
            task.cancel()
        await asyncio.wait(background, timeout=5)
        logger.info("stopped")

    # Start

    async def _sync(self, lists: FirstLists, secrets: SecretWatch) -> None:
        """List everything once, so that no decision is made on half a picture."""
        await retrying(lists.await_crds)
        began = self._loop.time()
        await retrying(lists.list_all)
        count = await retrying(secrets.prime)
        self._synced = True
        logger.info(
            "knows %d Certificates, %d CertificateRequests, %d issuers and %d issued Secrets after %.1f s",
            len(self._store.certificates),
            len(self._store.requests),
            len(self._store.issuers),
            count,
            self._loop.time() - began,
        )

    # Watches

    async def _listen(self) -> None:
        """End the process when a watch is dead although the API server is not: nobody would ever know of its kind again."""
        before: set[str] = set()
        while True:
            await asyncio.sleep(LISTEN_PAUSE)
            deaf = self._ingest.deaf()
            # Twice: after a pause of the whole process some kinds are heard of earlier than others.
            if deaf & before:
                raise RuntimeError(f"nothing is heard any more of {', '.join(sorted(deaf))}")
            before = deaf

    async def _watch(self, access: Access) -> None:
        """Kopf, started again when it ends by itself (some faults of a watch end it)."""
        ends: list[float] = []
        while True:
            started = asyncio.Event()
            signals = asyncio.create_task(self._take_signals_back(started))
            try:
                await kopf.operator(
                    registry=REGISTRY,
                    # Kopf would ask for the user's name, and a container's user has none.
                    identity=cast("Any", own_identity()),
                    memo=kopf.Memo(ingest=self._ingest, access=access),
                    ready_flag=started,
                    standalone=True,
                    clusterwide=not self._settings.namespace,
                    namespaces=[self._settings.namespace] if self._settings.namespace else [],
                )
            except Exception:
                logger.exception("the watches ended")
            finally:
                signals.cancel()
            now = self._loop.time()
            ends = [end for end in ends if now - end < 600] + [now]
            if len(ends) > KOPF_RESTARTS:
                raise RuntimeError(f"the watches ended {len(ends)} times in ten minutes")
            await asyncio.sleep(1 + random.random())  # noqa: S311 (spreading load, not secrecy)

    # Leadership

    def _campaign(self, access: Access) -> None:
        if not self._settings.lease.enabled:
            self._fence.open_until(float("inf"))
            self._lead(leading=True)
            return
        self._lease = LeaseThread(access, self._settings.lease, self._fence, self._leadership_changed)
        self._lease.start()

    def _leadership_changed(self, leading: bool) -> None:  # noqa: FBT001 (the callback's only argument)
        """Called by the Lease thread."""
        self._loop.call_soon_threadsafe(lambda: self._lead(leading=leading))

    def _lead(self, *, leading: bool) -> None:
        if self._workers is None or self._stopping.is_set():
            return
        self._workers.lead(leading=leading)
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._sweeping = asyncio.create_task(self._sweep(), name="sweep") if leading else None

    async def _sweep(self) -> None:
        """Remove what a former leader has left of HTTP-01 challenges. The next leader gets what fails here."""
        if self._http01 is None:
            return
        try:
            await self._http01.sweep()
        except (KubeError, Fenced) as error:
            logger.warning("left-overs of HTTP-01 challenges can't be looked for: %s", error)

    # Health and end

    async def _serve(self, stack: AsyncExitStack) -> None:
        serving = self._settings.serving
        pages = {"/livez": self._livez, "/healthz": self._livez, "/readyz": self._readyz}
        await stack.enter_async_context(Server(serving.health_address, pages))
        metrics = {
            "/metrics": lambda: metrics_page(self._store, self._workers, self._fence, self._lag, self._acme_calls)
        }
        await stack.enter_async_context(Server(serving.metrics_address, metrics))
        answers = self._store.live_challenges.answer
        await stack.enter_async_context(SolverServer(self._settings.http01.listen_address, answers))

    async def _http01_solver(self, kube: KubeClient, access: Access) -> HTTP01Solver:
        settings, http01 = self._settings, self._settings.http01
        if http01.listen_address and not (http01.addresses or http01.service or http01.pod_ip):
            found = await asyncio.to_thread(own_address, access.server, http01.listen_host)
            http01 = replace(http01, pod_ip=found)
        nameservers = http01.nameservers
        resolver = NameserverResolver(nameservers) if nameservers else SystemResolver()
        self_check = SelfCheck(settings.egress, resolver, f"certwright/{__version__}")
        return HTTP01Solver(kube, http01, self._store.live_challenges, self_check, namespace=settings.namespace)

    def _livez(self) -> Page:
        """Bad when only a new process helps: it would never write again, or its deadlines are wrong."""
        if self._lease is not None and not self._lease.is_healthy and not self._stopping.is_set():
            return 503, "text/plain", "the Lease is not renewed"
        if self._skew.is_too_large:
            return 503, "text/plain", f"the clock was set, or stood still, by {self._skew.seconds:.0f} s"
        return 200, "text/plain", "ok"

    def _readyz(self) -> Page:
        """Good once everything is known; a replica that waits for the Lease is ready, too."""
        return (200, "text/plain", "ok") if self._synced else (503, "text/plain", "still listing")

    def _install_signals(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            self._loop.add_signal_handler(number, self._stopping.set)

    async def _take_signals_back(self, started: asyncio.Event) -> None:
        """Kopf installs signal handlers of its own when it starts; ours drain the queue and give the Lease back first."""
        await started.wait()
        self._install_signals()

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A background task ends only when cancelled; anything else ends the process."""
        if task.cancelled() or self._stopping.is_set():
            return
        logger.critical("%s ended, so does the process", task.get_name(), exc_info=task.exception())
        self._stopping.set()
