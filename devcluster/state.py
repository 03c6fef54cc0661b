"""What is known about clusters on this machine, so that a later process can find, stop and clean them.

One folder per cluster in a folder of this user's own: keys, logs, etcd's data, ``state.json`` (pid and start time of each
process) and ``owner.json`` (the process that started it, and whose end is its end; absent once ``up`` has finished).
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import tempfile
from collections.abc import Generator, Mapping
from pathlib import Path

from devcluster import netns
from devcluster.controlplane import Files
from devcluster.errors import DevclusterError
from devcluster.processes import ProcessId

STOP_SECONDS = 10.0
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def state_root() -> Path:
    """Where this user's clusters keep their state; made if it is missing, refused if it is someone else's."""
    root = Path(tempfile.gettempdir()) / f"certwright-devcluster-{os.getuid()}"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = root.lstat()
    if status.st_uid != os.getuid() or root.is_symlink():
        raise DevclusterError(f"{root} belongs to someone else; remove it, or set TMPDIR to a folder of your own")
    root.chmod(0o700)
    return root


def names() -> list[str]:
    """All clusters that have left or keep a folder."""
    return sorted(folder.name for folder in state_root().iterdir() if folder.is_dir())


def files_of(name: str) -> Files:
    """The files of a cluster; raises DevclusterError for what can't be a name."""
    if not _NAME.fullmatch(name):
        raise DevclusterError(
            f"{name!r} is no name for a cluster: use at most 40 lower-case letters, digits and hyphens"
        )
    return Files(state_root() / name)


def claim(name: str) -> Files:
    """A fresh folder for this process's cluster.

    Removes what is left of clusters whose owner has died, and of this name a cluster that lacks a process. Raises
    DevclusterError if a cluster of this name is running.
    """
    files = files_of(name)
    with _lock():
        for other in names():
            if _is_orphan(Files(state_root() / other)):
                _remove(Files(state_root() / other))
        if files.root.exists():
            _refuse_running(name, files)
            _remove(files)
        files.root.mkdir(mode=0o700)
        owner = ProcessId.of(os.getpid())
        _write(files.root / "owner.json", [owner.pid, owner.started])
    return files


def disown(files: Files) -> None:
    """From now on the cluster is nobody's: only ``down`` ends it."""
    (files.root / "owner.json").unlink()


def remove(name: str) -> bool:
    """End what is left of a cluster, whoever started it, and remove its state. Whether there was anything."""
    files = files_of(name)
    with _lock():
        existed = files.root.exists()
        _remove(files)
    return existed


def save(files: Files, processes: Mapping[str, ProcessId]) -> None:
    """Remember the processes."""
    _write(files.root / "state.json", {name: [process.pid, process.started] for name, process in processes.items()})


def load(files: Files) -> dict[str, ProcessId]:
    """The processes remembered; none if the file is missing or cut off."""
    try:
        state: dict[str, tuple[int, int]] = json.loads((files.root / "state.json").read_text())
    except (OSError, ValueError):
        return {}
    return {name: ProcessId(pid, started) for name, (pid, started) in state.items()}


def owner(files: Files) -> ProcessId | None:
    """The process whose end is the cluster's end, if there is one."""
    try:
        pid, started = json.loads((files.root / "owner.json").read_text())
    except (OSError, ValueError):
        return None
    return ProcessId(int(pid), int(started))


def _is_orphan(files: Files) -> bool:
    owned_by = owner(files)
    return owned_by is not None and not owned_by.is_alive


def _refuse_running(name: str, files: Files) -> None:
    owned_by = owner(files)
    if owned_by is not None and owned_by.is_alive:
        raise DevclusterError(
            f"cluster {name!r} is in use by process {owned_by.pid}; wait for it to end, or take another name"
        )
    processes = load(files)
    if processes and all(process.is_alive for process in processes.values()):
        raise DevclusterError(
            f"cluster {name!r} is running already; stop it with: python -m devcluster down --name {name}"
        )


def _remove(files: Files) -> None:
    processes = load(files)
    holder = processes.get("namespace")
    if holder is not None and holder.is_alive:
        netns.kill_inside(holder.pid)
    for process in processes.values():
        process.kill()
    stuck = [name for name, process in processes.items() if not process.wait_gone(STOP_SECONDS)]
    if stuck:
        raise DevclusterError(
            f"{', '.join(stuck)} did not end within {STOP_SECONDS:.0f} s of SIGKILL; see {files.root}"
        )
    shutil.rmtree(files.root, ignore_errors=True)


def _write(path: Path, content: object) -> None:
    scratch = path.with_suffix(".new")
    scratch.write_text(json.dumps(content))
    scratch.replace(path)


@contextlib.contextmanager
def _lock() -> Generator[None]:
    with (state_root() / ".lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
