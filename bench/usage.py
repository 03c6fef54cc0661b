"""What everybody used of the machine between two moments, and what the operator asked of the API server meanwhile."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bench import audit, procfs
from bench.subject import Subject


class Surroundings(msgspec.Struct, frozen=True):
    """What :mod:`bench.inside` is told of the cluster it runs in. Paths are strings for JSON's sake."""

    admin_kubeconfig: str
    operator_kubeconfig: str
    #: The operator's user name, as the audit log has it.
    operator_user: str
    audit_log: str
    operator_log: str
    #: Of ``kube-apiserver``, ``etcd`` and ``kube-controller-manager``.
    pids: dict[str, int]


@dataclass(frozen=True)
class Usage:
    """CPU in seconds. ``foreign_share``: what processes outside the benchmark used, of all the machine's cores."""

    seconds: float
    operator_cpu: float
    apiserver_cpu: float
    etcd_cpu: float
    driver_cpu: float
    foreign_share: float
    load_average: float
    counts: audit.Counts


@dataclass
class Meter:
    """Begins to measure when it is made; ``subject`` is None while there is no operator."""

    surroundings: Surroundings
    subject: Subject | None
    _began: float = field(default_factory=time.monotonic)
    _started: datetime = field(default_factory=lambda: datetime.now(UTC))
    _before: dict[str, float] = field(init=False)

    def __post_init__(self) -> None:
        """Read the clocks."""
        self._before = self._clocks()

    def read(self) -> Usage:
        """Everything since the beginning. Reads the whole audit log: seconds for a large one, after the clocks."""
        seconds, ended, after = time.monotonic() - self._began, datetime.now(UTC), self._clocks()
        used = {name: after[name] - before for name, before in self._before.items()}
        own = sum(value for name, value in used.items() if name != "machine")
        cores = os.cpu_count() or 1
        entries = audit.read(Path(self.surroundings.audit_log))
        return Usage(
            seconds=seconds,
            operator_cpu=used["operator"],
            apiserver_cpu=used["kube-apiserver"],
            etcd_cpu=used["etcd"],
            driver_cpu=used["driver"],
            foreign_share=max(0.0, used["machine"] - own) / (seconds * cores),
            load_average=os.getloadavg()[0],
            counts=audit.count(entries, self.surroundings.operator_user, self._started, ended),
        )

    def _clocks(self) -> dict[str, float]:
        pids = self.surroundings.pids
        return {
            "operator": self.subject.cpu_seconds() if self.subject else 0.0,
            "driver": procfs.cpu_seconds([os.getpid()]),
            "machine": procfs.machine_cpu_seconds(),
            **{name: procfs.cpu_seconds([pid]) for name, pid in pids.items()},
        }
