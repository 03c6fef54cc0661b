"""Which replica writes: a coordination.k8s.io Lease, kept by a thread of its own.

The thread has its own blocking client, so a busy event loop never costs the Lease. It moves the fence (``fence.py``)
ahead at each renewal and calls back when leadership is won or lost. Semantics are those of client-go's leader election,
cert-manager's included: a candidate waits the holder's whole lease duration from the moment *it* saw the last renewal,
so clocks of two machines are never compared; a holder that releases empties ``holderIdentity``.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, cast

from kubernetes import client as kubernetes_client
from kubernetes import watch as kubernetes_watch
from urllib3.exceptions import HTTPError

from certwright.access import Access
from certwright.fence import Fence, clock
from certwright.settings import LeaseSettings

logger = logging.getLogger(__name__)

#: Seconds to connect and to read: a Lease request that takes longer is as good as failed.
REQUEST_TIMEOUT = (3.0, 5.0)
#: Seconds beyond the Lease's duration after which a leader that does not renew is taken for stuck (contract section 6.3).
RENEWAL_SLACK = 20.0
_ERRORS = (kubernetes_client.ApiException, HTTPError, OSError)


def own_identity() -> str:
    """Unique per process, telling for a person who reads the Lease."""
    return f"{socket.gethostname()}-{os.getpid()}_{uuid.uuid4()}"


class LeaseThread(threading.Thread):
    """Campaigns for the Lease, keeps it, and gives it back.

    ``on_change`` is called from this thread with True when the Lease is won and False when it is lost.
    """

    def __init__(
        self, access: Access, settings: LeaseSettings, fence: Fence, on_change: Callable[[bool], None]
    ) -> None:
        super().__init__(name="lease", daemon=True)
        self.identity = own_identity()
        self._settings = settings
        self._fence = fence
        self._on_change = on_change
        self._api: Any = kubernetes_client.CoordinationV1Api(access.blocking_client())
        self._leaving = threading.Event()
        self._lease: Any = None
        self._seen_at = 0.0
        self._leading = False
        self._renewed_at = clock()

    def run(self) -> None:
        """Campaign and renew until told to release."""
        while not self._leaving.is_set():
            try:
                pause = self._renew() if self._leading else self._campaign()
            except _ERRORS as error:
                logger.warning("Lease %s/%s: %s", self._settings.namespace, self._settings.name, _brief(error))
                pause = self._settings.retry_period
                self._lease = None
            if self._leading and not self._fence.is_open:
                self._lost("it could not be renewed in time")
            self._leaving.wait(pause)

    @property
    def is_healthy(self) -> bool:
        """False when this thread has died, or believes to lead though it has not renewed for far too long."""
        overdue = clock() - self._renewed_at > self._settings.duration + RENEWAL_SLACK
        return self.is_alive() and not (self._leading and overdue)

    def release(self) -> None:
        """Stop campaigning; if the Lease is held, close the fence and give it back. Blocks for seconds at most."""
        self._leaving.set()
        self._fence.close()
        if self.is_alive() and threading.current_thread() is not self:
            self.join(timeout=2)
        # A renewal that was on its way has opened it again.
        self._fence.close()
        if not self._leading:
            return
        self._leading = False
        try:
            lease = self._read()
            if lease.spec.holder_identity == self.identity:
                lease.spec.holder_identity = ""
                lease.spec.lease_duration_seconds = 1
                lease.spec.renew_time = datetime.now(UTC)
                self._replace(lease)
                logger.info("Lease released")
        except _ERRORS as error:
            logger.warning("Lease not released, others will wait %s s: %s", self._settings.duration, _brief(error))

    def _campaign(self) -> float:
        """Take the Lease if it is free, else watch it until it changes or runs out; how long to wait before the next."""
        if self._lease is None:
            try:
                self._observe(self._read())
            except kubernetes_client.ApiException as error:
                if _status(error) != 404:
                    raise
                self._create()
                return self._settings.renew_interval
        spec: Any = cast("Any", self._lease).spec
        free_at = self._seen_at + float(spec.lease_duration_seconds or self._settings.duration)
        if not spec.holder_identity or spec.holder_identity == self.identity or clock() >= free_at:
            self._take()
            return self._settings.renew_interval
        self._watch(free_at - clock())
        return 0.0

    def _watch(self, seconds: float) -> None:
        """Wait for a change of the Lease for at most so long."""
        stream: Any = cast("Any", kubernetes_watch).Watch()
        for event in stream.stream(
            self._api.list_namespaced_lease,
            self._settings.namespace,
            field_selector=f"metadata.name={self._settings.name}",
            resource_version=self._lease.metadata.resource_version,
            timeout_seconds=max(1, round(seconds)),
            _request_timeout=(REQUEST_TIMEOUT[0], seconds + 2),
        ):
            if event["type"] == "DELETED":
                self._lease = None
                return
            self._observe(event["object"])
            if not self._lease.spec.holder_identity or self._leaving.is_set():
                return

    def _observe(self, lease: Any) -> None:
        self._lease = lease
        self._seen_at = clock()

    def _create(self) -> None:
        now = datetime.now(UTC)
        spec = kubernetes_client.V1LeaseSpec(
            holder_identity=self.identity,
            lease_duration_seconds=round(self._settings.duration),
            acquire_time=now,
            renew_time=now,
            lease_transitions=0,
        )
        metadata = kubernetes_client.V1ObjectMeta(name=self._settings.name, namespace=self._settings.namespace)
        asked_at = clock()
        self._lease = self._api.create_namespaced_lease(
            self._settings.namespace,
            kubernetes_client.V1Lease(metadata=metadata, spec=spec),
            _request_timeout=REQUEST_TIMEOUT,
        )
        self._won(asked_at)

    def _take(self) -> None:
        spec = self._lease.spec
        if spec.holder_identity != self.identity:
            spec.lease_transitions = (spec.lease_transitions or 0) + 1
            spec.acquire_time = datetime.now(UTC)
        spec.holder_identity = self.identity
        spec.lease_duration_seconds = round(self._settings.duration)
        spec.renew_time = datetime.now(UTC)
        asked_at = clock()
        # The resourceVersion inside makes this fail if anybody else was faster.
        self._lease = self._replace(self._lease)
        self._won(asked_at)

    def _renew(self) -> float:
        asked_at = clock()
        lease = self._lease if self._lease is not None else self._read()
        if lease.spec.holder_identity != self.identity:
            self._observe(lease)
            self._lost(f"{lease.spec.holder_identity} holds it")
            return self._settings.retry_period
        lease.spec.renew_time = datetime.now(UTC)
        self._lease = self._replace(lease)
        self._renewed_at = asked_at
        self._fence.open_until(asked_at + self._settings.renew_deadline)
        return self._settings.renew_interval

    def _read(self) -> Any:
        return self._api.read_namespaced_lease(
            self._settings.name, self._settings.namespace, _request_timeout=REQUEST_TIMEOUT
        )

    def _replace(self, lease: Any) -> Any:
        return self._api.replace_namespaced_lease(
            self._settings.name, self._settings.namespace, lease, _request_timeout=REQUEST_TIMEOUT
        )

    def _won(self, asked_at: float) -> None:
        self._renewed_at = asked_at
        self._fence.open_until(asked_at + self._settings.renew_deadline)
        self._leading = True
        logger.info("Lease %s/%s is held by this process", self._settings.namespace, self._settings.name)
        self._on_change(True)  # noqa: FBT003 (the callback's only argument)

    def _lost(self, why: str) -> None:
        self._fence.close()
        self._leading = False
        logger.warning("Lease %s/%s lost: %s", self._settings.namespace, self._settings.name, why)
        self._on_change(False)  # noqa: FBT003 (the callback's only argument)


def _brief(error: Exception) -> str:
    if isinstance(error, kubernetes_client.ApiException):
        return f"HTTP {_status(error)} {cast('Any', error).reason}"
    return str(error) or type(error).__name__


def _status(error: kubernetes_client.ApiException) -> int:
    """The HTTP status; the package has no types."""
    return int(cast("Any", error).status or 0)
