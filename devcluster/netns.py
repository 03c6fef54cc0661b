"""A network namespace of a cluster's own: ports never collide, and addresses such as 10.0.0.10 exist only there.

The namespace lives as long as a process that sleeps in it. Root needs nothing else; other users get a user namespace
around it, in which they are root.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from devcluster.errors import DevclusterError

#: EndpointSlices may not hold loopback addresses, so the API server and solvers live here.
ADDRESS = "10.0.0.10"
#: The ingress controller wants ports 80 and 443 for itself.
INGRESS_ADDRESS = "10.0.0.20"
#: Run inside, so that it needs neither iproute2 nor more rights than the namespace gives: SIOCSIFADDR, SIOCSIFNETMASK and
#: SIOCSIFFLAGS of netdevice(7) for lo and for an alias of it per address.
_SETUP = f"""
import fcntl, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def flags(name): fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', name, 0x1 | 0x40))
flags(b'lo')
for number, text in enumerate(('{ADDRESS}', '{INGRESS_ADDRESS}'), 1):
    alias = b'lo:%d' % number
    for request, value in ((0x8916, text), (0x891c, '255.255.255.255')):
        fcntl.ioctl(s, request, struct.pack('16sHH4s8x', alias, socket.AF_INET, 0, socket.inet_aton(value)))
    flags(alias)
"""


#: Put before a command: it is killed when the thread that started it ends. After nsenter and unshare, because a change of
#: user namespace clears this setting (prctl(2)).
DIE_WITH_PARENT = ("setpriv", "--pdeathsig", "KILL", "--")


def create(*, detached: bool = False) -> subprocess.Popen[bytes]:
    """A process that holds a new namespace open. Raises DevclusterError without the permission for it."""
    missing = [tool for tool in ("unshare", "nsenter", "setpriv") if shutil.which(tool) is None]
    if missing:
        raise DevclusterError(f"{', '.join(missing)} not found; install util-linux")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    holder = subprocess.Popen(
        ["unshare", *user, "--net", "--", *([] if detached else DIE_WITH_PARENT), "sleep", "infinity"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        _await_namespace(holder)
        _set_up(holder.pid)
    except BaseException:
        holder.kill()
        holder.wait()
        raise
    finally:
        if holder.stderr is not None:
            holder.stderr.close()
    return holder


def _await_namespace(holder: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 5
    while not _is_apart(holder.pid):
        if holder.poll() is not None or time.monotonic() > deadline:
            error = holder.stderr.read().decode() if holder.stderr and holder.poll() is not None else "timed out"
            raise DevclusterError(
                f"no permission for a network namespace ({error.strip()}). Run as root, or allow user namespaces: "
                "sysctl user.max_user_namespaces=10000 kernel.apparmor_restrict_unprivileged_userns=0 "
                "(older Debian: kernel.unprivileged_userns_clone=1)"
            )
        time.sleep(0.01)


def _set_up(holder_pid: int) -> None:
    argv = [*prefix(holder_pid), sys.executable, "-I", "-c", _SETUP]
    result = subprocess.run(argv, check=False, capture_output=True, text=True)
    if result.returncode:
        raise DevclusterError(f"the namespace's loopback can't be set up: {result.stderr.strip()}")


def prefix(holder_pid: int) -> list[str]:
    """What to put before a command to run it inside. It becomes that command (exec), so its pid is the command's."""
    user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    return ["nsenter", f"--target={holder_pid}", *user, "--net", "--"]


def kill_inside(holder_pid: int) -> None:
    """Kill every process in the holder's namespace, whoever started it, and the holder.

    Each is held by a pidfd while it is looked at, so that a recycled pid is never killed. Does nothing if this process
    is inside itself.
    """
    namespace = _namespace(holder_pid)
    if namespace is None or namespace == _namespace(os.getpid()):
        return
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            handle = os.pidfd_open(int(folder.name))
            try:
                if _namespace(int(folder.name)) == namespace:
                    signal.pidfd_send_signal(handle, signal.SIGKILL)
            finally:
                os.close(handle)


def _namespace(pid: int) -> Path | None:
    try:
        return Path(f"/proc/{pid}/ns/net").readlink()
    except OSError:
        return None


def _is_apart(pid: int) -> bool:
    """Whether unshare has become the sleeper: from then on the namespace and, for users, its id map are there."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return False
    return name == "sleep" and _namespace(pid) not in {None, _namespace(os.getpid())}


def listen_inside(holder_pid: int, address: str = "127.0.0.1", port: int = 0) -> socket.socket:
    """A listening socket inside, for this process outside: made by a helper there and handed over (unix(7) SCM_RIGHTS)."""
    ours, theirs = socket.socketpair()
    code = (
        "import socket, sys\n"
        "server = socket.create_server((sys.argv[2], int(sys.argv[3])))\n"
        "socket.send_fds(socket.socket(fileno=int(sys.argv[1])), [b'.'], [server.fileno()])\n"
    )
    with ours, theirs:
        argv = [*prefix(holder_pid), sys.executable, "-I", "-c", code, str(theirs.fileno()), address, str(port)]
        result = subprocess.run(argv, pass_fds=(theirs.fileno(),), capture_output=True, text=True, check=False)
        if result.returncode:
            raise DevclusterError(f"can't listen on {address}:{port} inside: {result.stderr.strip().splitlines()[-1]}")
        _, handles, _, _ = socket.recv_fds(ours, 1, 1)
    return socket.socket(fileno=handles[0])
