"""The operator under measurement: a process in the cluster's network, under a service account."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from bench import procfs
from devcluster.netns import DIE_WITH_PARENT

#: What a stop may take before the process is killed, in seconds.
STOP_SECONDS = 15.0
#: CPU below this share of one core counts as rest.
REST = 0.05

DEFAULT_COMMAND = f"{shlex.quote(sys.executable)} -m certwright run --kubeconfig {{kubeconfig}}"


class Ended(Exception):
    """The operator ended by itself."""


class Subject:
    """A running operator. ``command`` may hold ``{kubeconfig}``; it is no shell's."""

    def __init__(self, command: str, kubeconfig: Path, log: Path) -> None:
        argv = [word.replace("{kubeconfig}", str(kubeconfig)) for word in shlex.split(command)]
        self._log = log
        with log.open("ab") as out:
            # $KUBECONFIG too: for operators whose command line can't name one.
            self._process = subprocess.Popen(
                [*DIE_WITH_PARENT, *argv],
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
                env={**os.environ, "KUBECONFIG": str(kubeconfig)},
            )
        self.started_at = time.monotonic()

    def check(self) -> None:
        """Raise Ended, with the process's last words, if it has ended."""
        if self._process.poll() is not None:
            lines = self._log.read_text(errors="replace").splitlines()[-15:]
            raise Ended(f"the operator ended with status {self._process.returncode}:\n" + "\n".join(lines))

    @property
    def pids(self) -> set[int]:
        """The process and its children. Raises Ended."""
        self.check()
        return procfs.family(self._process.pid)

    def cpu_seconds(self) -> float:
        """CPU time used so far."""
        return procfs.cpu_seconds(self.pids)

    def rss_mib(self) -> float:
        """Memory now."""
        return procfs.memory_mib(self.pids, "VmRSS")

    def peak_rss_mib(self) -> float:
        """The most memory so far."""
        return procfs.memory_mib(self.pids, "VmHWM")

    async def wait_rest(self, seconds: float, limit: float) -> float:
        """Wait for the first ``seconds`` at rest; when they began, on :func:`time.monotonic`. At most ``limit`` seconds."""
        samples: list[tuple[float, float]] = []
        deadline = time.monotonic() + limit
        while time.monotonic() < deadline:
            now, used = time.monotonic(), self.cpu_seconds()
            samples.append((now, used))
            while samples[0][0] < now - seconds:
                then, before = samples.pop(0)
                if used - before < REST * (now - then):
                    return then
            await asyncio.sleep(0.1)
        raise Ended(f"the operator was not at rest within {limit:.0f} s")

    def stop(self) -> None:
        """SIGTERM to all of its processes, and SIGKILL to those that take too long."""
        self._signal(signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_SECONDS)
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, number)
