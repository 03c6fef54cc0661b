"""CPU time and memory of processes, from /proc (proc_pid_stat(5), proc_pid_status(5), proc_stat(5))."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

TICK = 1 / os.sysconf("SC_CLK_TCK")


def family(pid: int) -> set[int]:
    """A process and all that descend from it: a command line may be a wrapper."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        fields = _stat(int(folder.name))
        if fields:
            children.setdefault(int(fields[1]), []).append(int(folder.name))
    found, open_ = {pid}, [pid]
    while open_:
        for child in children.get(open_.pop(), ()):
            if child not in found:
                found.add(child)
                open_.append(child)
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time these processes have used so far; ended ones count nothing."""
    total = 0
    for pid in pids:
        fields = _stat(pid)
        if fields:
            total += int(fields[11]) + int(fields[12])
    return total * TICK


def machine_cpu_seconds() -> float:
    """Time all processors have been busy since boot, whoever kept them busy."""
    user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, Path("/proc/stat").read_text().split()[1:11])
    return (user + nice + system + irq + softirq) * TICK


def memory_mib(pids: Iterable[int], field: str) -> float:
    """``VmRSS`` (now) or ``VmHWM`` (highest so far) of these processes together, in MiB."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except OSError:
            continue
        total += next((int(line.split()[1]) for line in lines if line.startswith(f"{field}:")), 0)
    return total / 1024


def _stat(pid: int) -> list[str]:
    """The fields after the command's name, which may hold anything; empty if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
