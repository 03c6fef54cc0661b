"""Workers: take a key, reconcile it, decide from the outcome when it is looked at again."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Hashable

from certwright.api import Challenge, Order
from certwright.errors import (
    AlreadyExists,
    Conflict,
    Fenced,
    Forbidden,
    Gone,
    KubeError,
    NotFound,
    Throttled,
    Transient,
)
from certwright.fence import Fence
from certwright.logs import current_key
from certwright.reconcile.acme.challenges import reconcile_challenge
from certwright.reconcile.acme.orders import reconcile_order
from certwright.reconcile.certificate import reconcile_certificate
from certwright.reconcile.context import Context, Retry, about_certificate, about_ingress
from certwright.reconcile.ingress import reconcile_ingress
from certwright.reconcile.issuers import reconcile_issuer
from certwright.reconcile.outside import Waiting
from certwright.reconcile.signing import reconcile_request
from certwright.reconcile.signingrequests import reconcile_signing_request
from certwright.signingrequests import key_of
from certwright.slowlanes import SlowLanes
from certwright.store import issuer_key
from certwright.workqueue import Backoff, Key

logger = logging.getLogger(__name__)

#: Seconds to wait at most after a conflict, however often it repeats.
CONFLICT_LONGEST = 2.0
#: A namespace on its way out takes nothing new, and its objects go with it: nobody needs advice, or hurry.
TERMINATING_RECHECK = 15.0
RECONCILERS = {
    "Certificate": reconcile_certificate,
    "CertificateRequest": reconcile_request,
    "Issuer": reconcile_issuer,
    "ClusterIssuer": reconcile_issuer,
    "Ingress": reconcile_ingress,
    "CertificateSigningRequest": reconcile_signing_request,
    "Order": reconcile_order,
    "Challenge": reconcile_challenge,
}
#: Seconds until a key is taken again that could not be worked on because the Lease was late.
FENCED_PAUSE = 0.5
#: Kinds whose reconcile talks to servers that may take a minute to answer: no worker waits for them (``slowlanes``).
SLOW = frozenset({"Issuer", "ClusterIssuer", "Order", "Challenge"})


class Workers:
    """A fixed number of tasks; they rest while the Lease is somebody else's."""

    def __init__(self, context: Context, fence: Fence) -> None:
        self._context = context
        self._fence = fence
        self._leading = asyncio.Event()
        self._failures: dict[Key, int] = {}
        settings = context.settings.queue
        self._backoff = Backoff(settings.min_backoff, settings.max_backoff)
        self._tasks: list[asyncio.Task[None]] = []
        width = context.settings.acme.max_challenges + settings.slow_workers
        self._slow = SlowLanes(width, self._take)
        #: Reconciles begun, and those of them that failed; conflicts are no failures.
        self.syncs: dict[str, int] = dict.fromkeys(RECONCILERS, 0)
        self.sync_errors: dict[str, int] = dict.fromkeys(RECONCILERS, 0)

    def start(self) -> None:
        """Create the tasks."""
        self._tasks = [
            asyncio.create_task(self._run(), name=f"worker-{i}") for i in range(self._context.settings.queue.workers)
        ]

    def lead(self, *, leading: bool) -> None:
        """Begin to work on everything that is known, or rest."""
        if not leading:
            self._leading.clear()
            self._context.queue.clear()
            self._give_up_waiting()
            self._context.staged.clear()
            self._context.renewals.clear()
            self._context.acme.clear()
            self._context.outside.clear()
            return
        for key in self._context.store.all_keys():
            self._context.queue.add(key)
        for name in self._context.signing_requests.names():
            self._context.queue.add(key_of(name))
        self._leading.set()

    async def drain(self, seconds: float) -> bool:
        """Take no more keys and let those in flight finish; False if they did not in time. Ends the tasks."""
        self._leading.clear()
        self._give_up_waiting()
        try:
            async with asyncio.timeout(seconds):
                await self._context.queue.idle()
        except TimeoutError:
            logger.warning(
                "%d reconciles were abandoned; the next leader goes on with them", self._context.queue.in_flight
            )
            return False
        finally:
            ending = [*self._tasks, *self._slow.tasks]
            for task in ending:
                task.cancel()
            await asyncio.gather(*ending, return_exceptions=True)
        return True

    async def _run(self) -> None:
        queue = self._context.queue
        while True:
            await self._leading.wait()
            key = await queue.get()
            if key.kind in SLOW:
                self._slow.add(self._lane(key), key)
            else:
                await self._take(key)

    def _lane(self, key: Key) -> Hashable:
        """Whom the reconcile of a key may have to wait for: an issuer's server, for its orders or the self-checks."""
        store = self._context.store
        found: Order | Challenge | None
        match key.kind:
            case "Order":
                found = store.orders.get(key)
            case "Challenge":
                found = store.challenges.get(key)
            case _:
                return key
        return key.kind, issuer_key(found.spec.issuer_ref, key.namespace) if found is not None else None

    def _give_up_waiting(self) -> None:
        for key in self._slow.give_up():
            self._context.queue.done(key)

    async def _take(self, key: Key) -> None:
        current_key.set(str(key))
        try:
            # Whoever leads looks at everything again, so a key taken after the Lease was lost may be dropped.
            if self._leading.is_set():
                self._fence.check()
                await self._work(key)
        except Fenced:
            self._fenced(key)
        except Waiting:
            return
        finally:
            self._context.queue.done(key)
            current_key.set("")

    async def _work(self, key: Key) -> None:
        self.syncs[key.kind] += 1
        try:
            again = await RECONCILERS[key.kind](self._context, key)
        except (Fenced, Waiting):
            raise
        except Retry as retry:
            self._later(key, retry.after, str(retry))
        except Throttled as error:
            self.sync_errors[key.kind] += 1
            self._later(key, error.retry_after, str(error))
        except (Conflict, AlreadyExists, NotFound, Gone) as error:
            await self._reread(key, error)
        except Forbidden as error:
            self._forbidden(key, error)
        except Transient as error:
            self.sync_errors[key.kind] += 1
            self._later(key, None, str(error))
        except KubeError as error:
            self.sync_errors[key.kind] += 1
            logger.error("refused by the API server: %s", error)
            self._later(key, None, str(error))
        except Exception:
            # The border: a bug in one object's reconcile must not take the others with it.
            self.sync_errors[key.kind] += 1
            logger.exception("reconcile failed")
            self._later(key, None, "internal error")
        else:
            self._failures.pop(key, None)
            self._context.queue.add_after(
                key, again if again is not None else self._context.settings.queue.resync_period
            )

    def _fenced(self, key: Key) -> None:
        """The Lease was not renewed in time. It may still be, and then nobody looks at everything again; so keep the key.

        Once it is known to be lost, whoever leads next looks at everything, and keys may go.
        """
        if self._leading.is_set():
            self._context.queue.add_after(key, FENCED_PAUSE)

    async def _reread(self, key: Key, error: KubeError) -> None:
        """The world is not what the decision was made on: read it again, then decide again."""
        try:
            if key.kind == "Certificate":
                await self._context.refresh(key)
            elif key.kind == "CertificateRequest":
                await self._context.refresh_request(key.namespace, key.name)
            elif key.kind == "Ingress":
                await self._context.refresh_ingress(key)
            elif key.kind == "CertificateSigningRequest":
                await self._context.refresh_signing_request(key.name)
            elif key.kind == "Order":
                await self._context.refresh_order(key)
            elif key.kind == "Challenge":
                await self._context.refresh_challenge(key)
            else:
                await self._context.refresh_issuer(key)
        except KubeError as second:
            error = second
        # What was read is new: no reason to wait longer and longer.
        self._later(key, None, str(error), longest=CONFLICT_LONGEST)

    def _later(self, key: Key, after: float | None, why: str, longest: float = math.inf) -> None:
        failures = self._failures.get(key, 0) + 1
        self._failures[key] = failures
        delay = min(longest, self._backoff.delay(failures)) if after is None else max(0.0, after)
        logger.info("again in %.1f s: %s", delay, why)
        self._context.queue.add_after(key, delay)

    def _forbidden(self, key: Key, error: KubeError) -> None:
        """Name a missing permission where the user looks."""
        if "being terminated" in str(error):
            self._later(key, TERMINATING_RECHECK, str(error))
            return
        self._later(key, None, str(error))
        self.sync_errors[key.kind] += 1
        logger.error("not permitted: %s", error)
        certificate = self._context.store.certificates.get(key)
        if certificate is not None:
            self._context.reporter.warning(about_certificate(certificate), "Forbidden", str(error))
        ingress = self._context.store.ingresses.get(key)
        if ingress is not None:
            self._context.reporter.warning(about_ingress(ingress), "Forbidden", str(error))
