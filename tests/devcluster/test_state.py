"""Claiming names, orphans, pids that were recycled: with sleepers instead of a control plane."""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import state
from devcluster.errors import DevclusterError
from devcluster.processes import ProcessId


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """State apart from the developer's clusters."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    """A process to be remembered."""
    process = subprocess.Popen(["sleep", "60"])
    yield process
    process.kill()
    process.wait()


def set_owner(name: str, owner: ProcessId) -> None:
    """As if another process had started the cluster."""
    (state.files_of(name).root / "owner.json").write_text(json.dumps([owner.pid, owner.started]))


def test_process_id_is_more_than_a_pid(sleeper: subprocess.Popen[bytes]) -> None:
    process = ProcessId.of(sleeper.pid)
    assert process.is_alive
    recycled = ProcessId(sleeper.pid, process.started - 1)
    assert not recycled.is_alive
    recycled.kill()
    assert sleeper.poll() is None
    process.kill()
    assert process.wait_gone(1)


def test_nobody_is_not_alive() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert not ProcessId.of(gone.pid).is_alive


@pytest.mark.parametrize("name", ["", "..", "a/b", "A", "-a", "a-", "a" * 41, ".lock"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(DevclusterError, match="lower-case letters"):
        state.claim(name)


def test_name_in_use_is_refused(sleeper: subprocess.Popen[bytes]) -> None:
    state.claim("one")
    set_owner("one", ProcessId.of(sleeper.pid))
    with pytest.raises(DevclusterError, match=rf"in use by process {sleeper.pid}; .*another name"):
        state.claim("one")


def test_running_detached_cluster_is_refused(sleeper: subprocess.Popen[bytes]) -> None:
    files = state.claim("one")
    state.save(files, {"etcd": ProcessId.of(sleeper.pid)})
    state.disown(files)
    with pytest.raises(DevclusterError, match="down --name one"):
        state.claim("one")
    assert sleeper.poll() is None


def test_orphans_of_any_name_are_swept(sleeper: subprocess.Popen[bytes]) -> None:
    files = state.claim("one")
    state.save(files, {"etcd": ProcessId.of(sleeper.pid)})
    set_owner("one", ProcessId(os.getpid(), 1))
    state.claim("two")
    assert state.names() == ["two"]
    assert not ProcessId.of(sleeper.pid).is_alive


def test_half_dead_detached_cluster_is_replaced(sleeper: subprocess.Popen[bytes]) -> None:
    files = state.claim("one")
    state.save(files, {"etcd": ProcessId.of(sleeper.pid), "kube-apiserver": ProcessId(os.getpid(), 1)})
    state.disown(files)
    (files.root / "old").touch()
    assert not (state.claim("one").root / "old").exists()
    assert not ProcessId.of(sleeper.pid).is_alive


def test_cut_off_state_is_no_state() -> None:
    files = state.claim("one")
    (files.root / "state.json").write_text('{"etcd": [1')
    assert state.load(files) == {}
    assert state.remove("one")
    assert not state.remove("one")


def test_foreign_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / f"certwright-devcluster-{os.getuid()}").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(DevclusterError, match="belongs to someone else"):
        state.state_root()


def test_root_is_the_owners_alone() -> None:
    assert state.state_root().stat().st_mode & 0o777 == 0o700
