"""CPU and memory of processes."""

import os
import subprocess
import sys
import time

from bench import procfs


def test_own_cpu_time_grows_with_work() -> None:
    """A tenth of a second of work shows, to a tick or two."""
    before, machine = procfs.cpu_seconds([os.getpid()]), procfs.machine_cpu_seconds()
    until = time.process_time() + 0.1
    while time.process_time() < until:
        pass
    assert 0.07 <= procfs.cpu_seconds([os.getpid()]) - before <= 0.5
    assert procfs.machine_cpu_seconds() - machine >= 0.07


def test_peak_memory_is_at_least_what_is_used_now() -> None:
    """A Python process has some megabytes."""
    now = procfs.memory_mib([os.getpid()], "VmRSS")
    assert 5 < now <= procfs.memory_mib([os.getpid()], "VmHWM")


def test_a_wrappers_child_is_family_and_an_ended_process_counts_nothing() -> None:
    """A command line may start the real program below it."""
    program = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'input()'])"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE) as wrapper:
        deadline = time.monotonic() + 10
        while len(procfs.family(wrapper.pid)) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(procfs.family(wrapper.pid)) == 2
        wrapper.communicate(b"\n")
    assert procfs.cpu_seconds([wrapper.pid]) == 0
    assert procfs.memory_mib([wrapper.pid], "VmRSS") == 0
