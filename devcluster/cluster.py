"""One cluster: start, use, stop."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from devcluster import binaries, controlplane, netns
from devcluster.controlplane import APISERVER_PORT, Files
from devcluster.errors import DevclusterError
from devcluster.kubeconfig import write_kubeconfig
from devcluster.processes import ProcessId, die_with_parent

READY_SECONDS = 60.0
STOP_SECONDS = 10.0


@dataclass(frozen=True)
class ServiceAccountAccess:
    """kubeconfigs of a service account: for processes inside the namespace, and outside."""

    inner: Path
    outer: Path


def state_root() -> Path:
    """Where the clusters of this user keep their state."""
    return Path(tempfile.gettempdir()) / f"certwright-devcluster-{os.getuid()}"


class Cluster:
    """A running control plane. Use :meth:`start`; as a context manager it is stopped at the end."""

    def __init__(self, name: str, files: Files, programs: Mapping[str, Path], *, detached: bool) -> None:
        self.name = name
        self.files = files
        self.programs = programs
        self._detached = detached
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._pids: dict[str, ProcessId] = {}
        self.started_in = 0.0

    # Start and stop

    @classmethod
    def start(cls, name: str = "default", *, detached: bool = False, port: int = 0) -> Cluster:
        """Start a cluster and wait until it is ready; a leftover of the same name is removed first.

        ``detached`` clusters outlive this process. ``port`` is the API server's port on this machine's loopback
        (0: any free one). Raises DevclusterError.
        """
        programs = binaries.ensure()
        remove(name)
        root = state_root() / name
        root.mkdir(parents=True, mode=0o700)
        cluster = cls(name, Files(root), programs, detached=detached)
        began = time.monotonic()
        try:
            cluster._start(port)
        except BaseException:
            cluster.stop()
            raise
        cluster.started_in = time.monotonic() - began
        return cluster

    @classmethod
    def attach(cls, name: str) -> Cluster:
        """A cluster that ``up`` has started. Raises DevclusterError if there is none."""
        files = Files(state_root() / name)
        state = _read_state(files)
        cluster = cls(name, files, binaries.ensure(), detached=True)
        cluster._pids = state
        if not state or not all(process.is_alive for process in state.values()):
            raise DevclusterError(
                f"cluster {name!r} is not running; start it with: python -m devcluster up --name {name}"
            )
        return cluster

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End all processes and remove the state."""
        self._save()
        for child in self._children.values():
            child.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(STOP_SECONDS)
        remove(self.name)

    def _start(self, port: int) -> None:
        listener = _listen(port)
        controlplane.make_keys(self.files)
        holder = netns.create(detached=self._detached)
        self._children["namespace"] = holder
        self._pids["namespace"] = ProcessId.of(holder.pid)
        self._save()
        outer_port = listener.getsockname()[1]
        self._write_kubeconfigs(outer_port)
        self._run("etcd", controlplane.etcd(self.programs["etcd"], self.files))
        self.start_apiserver(wait=False)
        self._forward(listener)
        self._await_ready()
        argv = controlplane.kube_controller_manager(self.programs["kube-controller-manager"], self.files)
        self._run("kube-controller-manager", argv)
        self._await("the default service account", self._has_default_account)

    def _write_kubeconfigs(self, outer_port: int) -> None:
        pki = self.files.pki
        admin = (pki / "admin.crt", pki / "admin.key")
        inner = f"https://127.0.0.1:{APISERVER_PORT}"
        write_kubeconfig(self.inner_kubeconfig, inner, pki / "ca.crt", certificate=admin)
        write_kubeconfig(self.kubeconfig, f"https://127.0.0.1:{outer_port}", pki / "ca.crt", certificate=admin)
        manager = (pki / "kube-controller-manager.crt", pki / "kube-controller-manager.key")
        path = self.files.root / "kube-controller-manager.kubeconfig"
        write_kubeconfig(path, inner, pki / "ca.crt", certificate=manager)

    def _forward(self, listener: socket.socket) -> None:
        argv = [sys.executable, "-m", "devcluster.forward", str(listener.fileno()), str(APISERVER_PORT)]
        with listener:
            self._run("forward", argv, pass_fds=(listener.fileno(),))

    # Paths

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, for use from this machine."""
        return self.files.root / "kubeconfig"

    @property
    def inner_kubeconfig(self) -> Path:
        """The administrator's, for processes inside the namespace."""
        return self.files.root / "inner.kubeconfig"

    @property
    def audit_log(self) -> Path:
        """JSON lines, one for each finished request."""
        return self.files.audit_log

    # Processes

    @property
    def exec_prefix(self) -> list[str]:
        """What to put before a command to run it inside the cluster's network."""
        return netns.prefix(self._pids["namespace"].pid)

    def pid(self, process: str) -> int:
        """The pid of ``etcd``, ``kube-apiserver``, ``kube-controller-manager`` or ``forward``."""
        return self._pids[process].pid

    def popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        """Start a process inside. Signals reach it: the prefix becomes the command."""
        return subprocess.Popen(
            [*self.exec_prefix, *argv],
            env={**os.environ, **env} if env else None,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
            cwd=Path(__file__).parent.parent,
            preexec_fn=None if self._detached else die_with_parent,  # noqa: PLW1509 (prctl only, before any thread)
        )

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:  # noqa: A002
        """kubectl as the administrator, from outside. Raises DevclusterError with its words when ``check``."""
        result = subprocess.run(
            [str(self.programs["kubectl"]), f"--kubeconfig={self.kubeconfig}", *args],
            input=input,
            capture_output=True,
            text=True,
            check=False,
        )
        if check and result.returncode:
            raise DevclusterError(f"kubectl {' '.join(args)}: {result.stderr.strip()}")
        return result

    def service_account_kubeconfig(self, namespace: str, name: str) -> ServiceAccountAccess:
        """Access as a service account, with a token of a day."""
        token = self.kubectl("-n", namespace, "create", "token", name, "--duration=24h").stdout.strip()
        ca = self.files.pki / "ca.crt"
        outer_server = json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        stem = self.files.root / f"sa-{namespace}-{name}"
        return ServiceAccountAccess(
            inner=write_kubeconfig(stem.with_suffix(".inner"), f"https://127.0.0.1:{APISERVER_PORT}", ca, token=token),
            outer=write_kubeconfig(stem.with_suffix(".outer"), outer_server, ca, token=token),
        )

    def start_apiserver(self, *, wait: bool = True) -> None:
        """Start the API server (again)."""
        self._run("kube-apiserver", controlplane.kube_apiserver(self.programs["kube-apiserver"], self.files))
        if wait:
            self._await_ready()

    def stop_apiserver(self) -> None:
        """End the API server with SIGTERM; data stays in etcd."""
        self._end("kube-apiserver", kill=False)

    def kill_apiserver(self) -> None:
        """End the API server with SIGKILL."""
        self._end("kube-apiserver", kill=True)

    def _end(self, process: str, *, kill: bool) -> None:
        child = self._children.pop(process)
        child.kill() if kill else child.terminate()
        child.wait(STOP_SECONDS + 60)

    def _run(self, process: str, argv: Sequence[str], pass_fds: Sequence[int] = ()) -> None:
        with self.files.log(process).open("ab") as log:
            child = self.popen(argv, stdout=log, stderr=log, pass_fds=pass_fds)
        self._children[process] = child
        self._pids[process] = ProcessId.of(child.pid)
        self._save()

    def _save(self) -> None:
        if self.files.root.is_dir():
            state = {name: [process.pid, process.started] for name, process in self._pids.items()}
            (self.files.root / "state.json").write_text(json.dumps(state))

    # Waiting

    def _await_ready(self) -> None:
        self._await("the API server", lambda: self._ask("/readyz") == "ok")

    def _has_default_account(self) -> bool:
        return '"default"' in self._ask("/api/v1/namespaces/default/serviceaccounts")

    def _await(self, what: str, condition: Any) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            for process, child in self._children.items():
                if child.poll() is not None:
                    tail = "\n".join(self.files.log(process).read_text(errors="replace").splitlines()[-15:])
                    raise DevclusterError(f"{process} ended with status {child.returncode} while starting:\n{tail}")
            if time.monotonic() > deadline:
                raise DevclusterError(
                    f"{what} was not ready after {READY_SECONDS:.0f} s; logs are in {self.files.root}"
                )
            time.sleep(0.05)

    def _ask(self, path: str) -> str:
        """GET as the administrator, from outside; empty while there is no good answer."""
        server = json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"]
        pki = self.files.pki
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        try:
            with urllib.request.urlopen(f"{server}{path}", context=context, timeout=5) as answer:  # noqa: S310 (our own URL)
                return str(answer.read().decode())
        except (urllib.error.URLError, OSError):
            return ""


def remove(name: str) -> bool:
    """End what is left of a cluster, whoever started it, and remove its state. Whether there was anything."""
    files = Files(state_root() / name)
    if not files.root.exists():
        return False
    state = _read_state(files)
    for process in state.values():
        process.kill()
    for process in state.values():
        process.wait_gone(STOP_SECONDS)
    shutil.rmtree(files.root, ignore_errors=True)
    return True


def _read_state(files: Files) -> dict[str, ProcessId]:
    try:
        state: dict[str, tuple[int, int]] = json.loads((files.root / "state.json").read_text())
    except (OSError, ValueError):
        return {}
    return {name: ProcessId(pid, started) for name, (pid, started) in state.items()}


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise DevclusterError(
            f"port {port} on 127.0.0.1 can't be used ({error.strerror}); choose another with --port"
        ) from error
