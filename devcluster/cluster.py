"""One cluster: start, use, stop."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Self

from devcluster import binaries, controlplane, forward, inside, netns, state
from devcluster.controlplane import APISERVER_PORT, Files
from devcluster.errors import DevclusterError
from devcluster.kubeconfig import write_kubeconfig
from devcluster.processes import ProcessId

READY_SECONDS = 60.0
#: The API server listens long before it answers; asking again shows meanwhile whether a process has ended.
ASK_SECONDS = 1.0
#: The API server waits up to 60 s for its watches to end after SIGTERM; nothing is lost by not waiting, etcd has it all.
APISERVER_STOP_SECONDS = 2.0


@dataclass(frozen=True)
class ServiceAccountAccess:
    """kubeconfigs of a service account: for processes inside the namespace, and outside."""

    inner: Path
    outer: Path


class Cluster:
    """A running control plane. Use :meth:`start`; as a context manager it is stopped at the end."""

    def __init__(self, name: str, files: Files, programs: Mapping[str, Path], *, detached: bool) -> None:
        self.name = name
        self.files = files
        self.programs = programs
        self._detached = detached
        self._children: dict[str, subprocess.Popen[bytes]] = {}
        self._others: list[subprocess.Popen[bytes]] = []
        self._pids: dict[str, ProcessId] = {}
        self._apiserver_flags: tuple[str, ...] = ()
        self.started_in = 0.0

    # Start and stop

    @classmethod
    def start(
        cls, name: str = "e2e", *, detached: bool = False, port: int = 0, apiserver_flags: Sequence[str] = ()
    ) -> Cluster:
        """Start a cluster and wait until it is ready; what is left of a dead one is removed first.

        Its processes are killed when the thread that called this ends, however it ends; ``detached`` ones stay until
        ``down``. ``port`` is the API server's port on this machine's loopback (0: any free one). ``apiserver_flags`` are
        added to the API server's own. Raises DevclusterError.
        """
        programs = binaries.ensure()
        cluster = cls(name, state.claim(name), programs, detached=detached)
        cluster._apiserver_flags = tuple(apiserver_flags)
        began = time.monotonic()
        try:
            cluster._start(port)
        except BaseException:
            cluster.stop()
            raise
        if detached:
            state.disown(cluster.files)
        cluster.started_in = time.monotonic() - began
        return cluster

    @classmethod
    def attach(cls, name: str) -> Cluster:
        """A running cluster that someone else has started. Raises DevclusterError if there is none."""
        files = state.files_of(name)
        processes = state.load(files)
        dead = [process for process, known in processes.items() if not known.is_alive]
        if dead or not processes:
            reason = f"its {', '.join(dead)} ended" if dead else "not running"
            raise DevclusterError(
                f"cluster {name!r}: {reason}; start it afresh with: python -m devcluster up --name {name}"
            )
        cluster = cls(name, files, binaries.ensure(), detached=True)
        cluster._pids = processes
        return cluster

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Kill all processes inside, also those of :meth:`popen`, and remove the state. May be called again."""
        children = [*self._others, *reversed(self._children.values())]
        for child in children:  # the namespace last: one may still be on its way into it
            child.kill()
        if "namespace" in self._pids and self._pids["namespace"].is_alive:
            netns.kill_inside(self._pids["namespace"].pid)
        for child in children:
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(state.STOP_SECONDS)
        self._others.clear()
        state.remove(self.name)

    def _start(self, port: int) -> None:
        with _listen(port) as listener:
            controlplane.make_keys(self.files)
            self._remember("namespace", netns.create(detached=self._detached))
            self._write_kubeconfigs(listener.getsockname()[1])
            self._run("etcd", controlplane.etcd(self.programs["etcd"], self.files))
            self.start_apiserver(wait=False)
            argv = [sys.executable, "-I", forward.__file__, str(listener.fileno()), str(APISERVER_PORT)]
            self._run("forward", argv, pass_fds=(listener.fileno(),))
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
    def server(self) -> str:
        """The API server's address, as seen from this machine."""
        return str(json.loads(self.kubeconfig.read_text())["clusters"][0]["cluster"]["server"])

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
        """The pid of ``etcd``, ``kube-apiserver``, ``kube-controller-manager``, ``forward`` or ``namespace``."""
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
        """Start a process inside; ``env`` adds to this process's own. Signals reach it: the prefix becomes the command.

        It is killed when the cluster stops and, unless the cluster is detached, when the thread that called this ends.
        """
        child = self._popen(argv, env=env, stdout=stdout, stderr=stderr, pass_fds=pass_fds)
        self._others = [other for other in self._others if other.poll() is None]
        self._others.append(child)
        return child

    def _popen(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        stdout: int | IO[Any] | None = None,
        stderr: int | IO[Any] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*self.exec_prefix, *([] if self._detached else netns.DIE_WITH_PARENT), *argv],
            env={**os.environ, **env} if env else None,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            pass_fds=pass_fds,
            start_new_session=True,
        )

    def run(self, process: str, argv: Sequence[str], *, env: Mapping[str, str] | None = None) -> None:
        """Start a process that belongs to the cluster: logged, listed by ``status``, stopped with it."""
        self._run(process, argv, env=env)

    def end(self, process: str) -> None:
        """End such a process, whoever started it."""
        self._end(process, signal.SIGTERM)

    def await_answer(self, process: str, url: str, body: bytes = b"", *, verify: bool = True) -> None:
        """Wait until a process that was started by :meth:`run` answers. Raises DevclusterError with its last lines."""

        def answers() -> bool:
            try:
                self.request(url, body, verify=verify)
            except DevclusterError:
                return False
            return True

        self._await(process, answers)

    def request(
        self, url: str, body: bytes = b"", *, headers: Mapping[str, str] | None = None, verify: bool = True
    ) -> bytes:
        """An HTTP request made inside: GET, or POST with a body. Raises DevclusterError."""
        return inside.request(self.exec_prefix, url, body, headers=headers, verify=verify)

    def forward(self, port: int) -> tuple[str, subprocess.Popen[bytes]]:
        """``host:port`` on this machine's loopback that leads to a port on the namespace's; as long as the process runs."""
        with _listen(0) as listener:
            argv = [sys.executable, "-I", forward.__file__, str(listener.fileno()), str(port)]
            # Not our own output: whoever reads that waits until all who have it are gone.
            silent = subprocess.DEVNULL
            child = self.popen(argv, stdout=silent, stderr=silent, pass_fds=(listener.fileno(),))
            return f"127.0.0.1:{listener.getsockname()[1]}", child

    def listen_inside(self, address: str = "127.0.0.1", port: int = 0) -> socket.socket:
        """A socket that listens inside, for this process to accept from. Raises DevclusterError."""
        return netns.listen_inside(self._pids["namespace"].pid, address, port)

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> subprocess.CompletedProcess[str]:  # noqa: A002
        """kubectl as the administrator, from outside. Raises DevclusterError with its words when ``check``."""
        result = subprocess.run(
            # A cache of its own: the shared one is kept per host:port, and ports are used again by other clusters.
            [
                str(self.programs["kubectl"]),
                f"--kubeconfig={self.kubeconfig}",
                f"--cache-dir={self.files.root / 'kubectl-cache'}",
                *args,
            ],
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
        inner, outer = (self.files.root / f"sa-{namespace}-{name}.{side}" for side in ("inner", "outer"))
        return ServiceAccountAccess(
            inner=write_kubeconfig(inner, f"https://127.0.0.1:{APISERVER_PORT}", ca, token=token),
            outer=write_kubeconfig(outer, self.server, ca, token=token),
        )

    def start_apiserver(self, *, wait: bool = True) -> None:
        """Start the API server (again)."""
        argv = controlplane.kube_apiserver(self.programs["kube-apiserver"], self.files)
        self._run("kube-apiserver", [*argv, *self._apiserver_flags])
        if wait:
            self._await_ready()

    def stop_apiserver(self) -> None:
        """End the API server with SIGTERM, and with SIGKILL after 2 s; data stays in etcd."""
        self._end("kube-apiserver", signal.SIGTERM)

    def kill_apiserver(self) -> None:
        """End the API server with SIGKILL."""
        self._end("kube-apiserver", signal.SIGKILL)

    def _end(self, process: str, number: signal.Signals) -> None:
        child = self._children.pop(process, None)
        known = self._pids[process]
        known.kill(number)
        if not known.wait_gone(APISERVER_STOP_SECONDS):
            known.kill()
            known.wait_gone(state.STOP_SECONDS)
        if child is not None:
            child.wait()

    def _run(
        self,
        process: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        with self.files.log(process).open("ab") as log:
            self._remember(process, self._popen(argv, env=env, stdout=log, stderr=log, pass_fds=pass_fds))

    def _remember(self, process: str, child: subprocess.Popen[bytes]) -> None:
        self._children[process] = child
        self._pids[process] = ProcessId.of(child.pid)
        state.save(self.files, self._pids)

    # Waiting

    def _await_ready(self) -> None:
        self._await("the API server", lambda: self._ask("/readyz") == "ok")

    def _has_default_account(self) -> bool:
        return '"default"' in self._ask("/api/v1/namespaces/default/serviceaccounts")

    def _await(self, what: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not condition():
            for process, child in self._children.items():
                if child.poll() is not None:
                    raise DevclusterError(
                        f"{process} ended with status {child.returncode} while starting; its last lines:\n"
                        + self.files.last_lines(process)
                    )
            if time.monotonic() > deadline:
                logged = what if what in self._pids else "kube-apiserver"
                raise DevclusterError(
                    f"{what} was not ready after {READY_SECONDS:.0f} s; {logged}'s last lines:\n"
                    + self.files.last_lines(logged)
                )
            time.sleep(0.05)

    def _ask(self, path: str) -> str:
        """GET as the administrator, from outside; empty while there is no good answer."""
        pki = self.files.pki
        context = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        context.load_cert_chain(pki / "admin.crt", pki / "admin.key")
        try:
            with urllib.request.urlopen(f"{self.server}{path}", context=context, timeout=ASK_SECONDS) as answer:  # noqa: S310 (our own URL)
                return str(answer.read().decode())
        except (OSError, http.client.HTTPException):
            return ""


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server(("127.0.0.1", port))
    except OSError as error:
        raise DevclusterError(
            f"port {port} on 127.0.0.1 can't be used ({os.strerror(error.errno or 0)}); choose another with --port"
        ) from error
