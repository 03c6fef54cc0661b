"""Processes that are remembered by pid and start time, so that a recycled pid is never killed."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class ProcessId:
    """A process; ``started`` in clock ticks since boot (field 22 of proc(5) stat)."""

    pid: int
    started: int

    @classmethod
    def of(cls, pid: int) -> ProcessId:
        """The process that has this pid now."""
        return cls(pid, _started(pid))

    @property
    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return _started(self.pid) == self.started != 0

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Signal that very process, or nothing."""
        if self.is_alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def wait_gone(self, seconds: float) -> bool:
        """Whether it ended in time. Works for processes that are not our children, too."""
        deadline = time.monotonic() + seconds
        while self.is_alive:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(self.pid, os.WNOHANG)
            if time.monotonic() > deadline:
                return False
            time.sleep(0.01)
        return True


def _started(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[19])
