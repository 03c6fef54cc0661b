"""What people are told: conditions, and the Events that go with them.

Conditions are set by pure functions on values; Events leave through one bounded queue that never delays a reconcile, and
an Event that repeats within an hour is counted up instead of written anew, as ``kubectl describe`` expects.
"""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from certwright.api import Condition, ObjectMeta
from certwright.errors import AlreadyExists, Conflict, Fenced, KubeError, NotFound, Throttled, Transient
from certwright.kube import EVENTS, KubeClient

logger = logging.getLogger(__name__)

#: The API server refuses longer messages of core/v1 Events.
EVENT_MESSAGE_LIMIT = 1024
#: Conditions repeat what CAs and Secrets say; a person reads one paragraph.
CONDITION_MESSAGE_LIMIT = 4096
#: Events waiting to be written; beyond that new ones are dropped and counted, the conditions say the same anyway.
QUEUE_LIMIT = 20_000
#: Event writers at once. An issuance is five requests of a worker and two Events, so with 24 workers ten keep pace, however
#: slow the API server is; four were seen 4000 Events behind after a burst of 5000 Certificates on a machine that was busy.
WRITERS = 10
#: Seconds between the tries of one Event; after them it is dropped.
RETRY_PAUSES = (0.2, 1.0, 4.0)
AGGREGATION_WINDOW = timedelta(hours=1)
AGGREGATION_LIMIT = 4096


def find_condition(conditions: tuple[Condition, ...], type_: str) -> Condition | None:
    """The condition of this type."""
    return next((c for c in conditions if c.type == type_), None)


def is_true(conditions: tuple[Condition, ...], type_: str) -> bool:
    """Whether the condition exists with status True."""
    found = find_condition(conditions, type_)
    return found is not None and found.status == "True"


def with_condition(
    conditions: tuple[Condition, ...],
    type_: str,
    *,
    status: str,
    reason: str,
    message: str,
    now: datetime,
    generation: int | None = None,
) -> tuple[Condition, ...]:
    """``conditions`` with this one set. ``lastTransitionTime`` moves only when the status changes (API contract)."""
    old = find_condition(conditions, type_)
    keep_time = old is not None and old.status == status and old.last_transition_time is not None
    new = Condition(
        type=type_,
        status=status,
        reason=reason,
        message=message[:CONDITION_MESSAGE_LIMIT],
        last_transition_time=old.last_transition_time if old and keep_time else now.replace(microsecond=0),
        observed_generation=generation,
    )
    if old is None:
        return (*conditions, new)
    return tuple(new if c.type == type_ else c for c in conditions)


def without_condition(conditions: tuple[Condition, ...], type_: str) -> tuple[Condition, ...]:
    """``conditions`` without this type."""
    return tuple(c for c in conditions if c.type != type_)


@dataclass(frozen=True, slots=True)
class Subject:
    """The object an Event is about."""

    api_version: str
    kind: str
    meta: ObjectMeta


@dataclass(slots=True)
class _Written:
    name: str
    count: int
    last: datetime


class Reporter:
    """Writes Events in the background. Use as an async context manager."""

    def __init__(self, kube: KubeClient, instance: str) -> None:
        self._kube = kube
        self._instance = instance
        self._queue: asyncio.Queue[tuple[Subject, str, str, str, datetime]] = asyncio.Queue(QUEUE_LIMIT)
        self._written: OrderedDict[tuple[str, str, str], _Written] = OrderedDict()
        self._writers: list[asyncio.Task[None]] = []
        #: Time of the newest Event; each is later than the one before, so that names are unique and in order.
        self._last = datetime.now(UTC)
        self.dropped = 0

    async def __aenter__(self) -> Self:
        self._writers = [asyncio.create_task(self._write_all(), name=f"events-{i}") for i in range(WRITERS)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for writer in self._writers:
            writer.cancel()
        await asyncio.gather(*self._writers, return_exceptions=True)

    async def drain(self, seconds: float) -> None:
        """Give what is queued so long to be written."""
        try:
            async with asyncio.timeout(seconds):
                await self._queue.join()
        except TimeoutError:
            logger.info("%d Events were not written before the end", self._queue.qsize())

    def normal(self, subject: Subject, reason: str, message: str) -> None:
        """Something went as it should."""
        self._put(subject, "Normal", reason, message)

    def warning(self, subject: Subject, reason: str, message: str) -> None:
        """Something needs attention, or will be retried."""
        self._put(subject, "Warning", reason, message)

    def _put(self, subject: Subject, type_: str, reason: str, message: str) -> None:
        log = logger.info if type_ == "Normal" else logger.warning
        log("%s: %s", reason, message)
        self._last = max(datetime.now(UTC), self._last + timedelta(microseconds=1))
        try:
            self._queue.put_nowait((subject, type_, reason, message[:EVENT_MESSAGE_LIMIT], self._last))
        except asyncio.QueueFull:
            self.dropped += 1

    async def _write_all(self) -> None:
        while True:
            subject, type_, reason, message, when = await self._queue.get()
            try:
                await self._deliver(subject, type_, reason, message, when)
            except (KubeError, Fenced) as error:
                self.dropped += 1
                logger.debug("Event %s not written: %s", reason, error)
            finally:
                self._queue.task_done()

    async def _deliver(self, subject: Subject, type_: str, reason: str, message: str, when: datetime) -> None:
        for pause in RETRY_PAUSES:
            try:
                return await self._write(subject, type_, reason, message, when)
            except AlreadyExists:
                # Names are unique, so this one is ours and the answer to its creation was lost.
                return None
            except Throttled as error:
                await asyncio.sleep(error.retry_after)
            except (Transient, Conflict):
                await asyncio.sleep(pause)
        return await self._write(subject, type_, reason, message, when)

    async def _write(self, subject: Subject, type_: str, reason: str, message: str, when: datetime) -> None:
        namespace = subject.meta.namespace or "default"
        seen = (subject.meta.uid, reason, message)
        written = self._written.get(seen)
        stamp = when.strftime("%Y-%m-%dT%H:%M:%SZ")
        if written is not None and when - written.last < AGGREGATION_WINDOW:
            written.count += 1
            written.last = when
            patch = {"count": written.count, "lastTimestamp": stamp}
            try:
                await self._kube.merge_patch(EVENTS.path(namespace, written.name), patch, dict)
            except NotFound:
                del self._written[seen]
            else:
                return
        # As client-go names them: kubectl lists Events of one second in the order of their names.
        name = f"{subject.meta.name[:236]}.{int(when.timestamp() * 1e6):x}"
        await self._kube.create(
            EVENTS.path(namespace), self._body(subject, type_, reason, message, stamp, namespace, name), dict
        )
        self._written[seen] = _Written(name, 1, when)
        while len(self._written) > AGGREGATION_LIMIT:
            self._written.popitem(last=False)

    def _body(
        self, subject: Subject, type_: str, reason: str, message: str, stamp: str, namespace: str, name: str
    ) -> dict[str, Any]:
        return {
            "apiVersion": "v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": namespace},
            "involvedObject": {
                "apiVersion": subject.api_version,
                "kind": subject.kind,
                "namespace": subject.meta.namespace,
                "name": subject.meta.name,
                "uid": subject.meta.uid,
                "resourceVersion": subject.meta.resource_version,
            },
            "type": type_,
            "reason": reason,
            "message": message,
            "count": 1,
            "firstTimestamp": stamp,
            "lastTimestamp": stamp,
            "source": {"component": "certwright", "host": self._instance},
            "reportingComponent": "certwright",
            "reportingInstance": self._instance,
        }
