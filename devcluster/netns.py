"""A network namespace of a cluster's own: ports never collide, and addresses such as 10.0.0.10 exist only there.

The namespace lives as long as a process that sleeps in it. Root needs nothing else; other users get a user namespace
around it, in which they are root.
"""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

from devcluster.errors import DevclusterError
from devcluster.processes import die_with_parent

#: EndpointSlices may not hold loopback addresses, so the API server and solvers live here.
ADDRESS = "10.0.0.10"
#: Run inside, so that it needs neither iproute2 nor more rights than the namespace gives: SIOCSIFADDR and SIOCSIFFLAGS
#: of netdevice(7) for lo and for an alias of it.
_SETUP = f"""
import fcntl, socket, struct
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def flags(name): fcntl.ioctl(s, 0x8914, struct.pack('16sh14x', name, 0x1 | 0x40))
flags(b'lo')
address = struct.pack('16sHH4s8x', b'lo:1', socket.AF_INET, 0, socket.inet_aton('{ADDRESS}'))
fcntl.ioctl(s, 0x8916, address)
netmask = struct.pack('16sHH4s8x', b'lo:1', socket.AF_INET, 0, socket.inet_aton('255.255.255.255'))
fcntl.ioctl(s, 0x891c, netmask)
flags(b'lo:1')
"""


def create(*, detached: bool = False) -> subprocess.Popen[bytes]:
    """A process that holds a new namespace open. Raises DevclusterError without the permission for it."""
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    holder = subprocess.Popen(
        ["unshare", *user, "--net", "--", "sleep", "infinity"],
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=None if detached else die_with_parent,  # noqa: PLW1509 (prctl only)
    )
    deadline = time.monotonic() + 5
    while not _is_apart(holder.pid):
        if holder.poll() is not None or time.monotonic() > deadline:
            error = holder.stderr.read().decode() if holder.stderr and holder.poll() is not None else "timed out"
            holder.kill()
            raise DevclusterError(
                f"no permission for a network namespace ({error.strip()}). Run as root, or allow user namespaces: "
                "sysctl kernel.unprivileged_userns_clone=1"
            )
        time.sleep(0.01)
    try:
        subprocess.run([*prefix(holder.pid), "python3", "-c", _SETUP], check=True, capture_output=True, text=True)
    except (subprocess.CalledProcessError, OSError) as error:
        holder.kill()
        raise DevclusterError(f"the namespace's loopback can't be set up: {getattr(error, 'stderr', error)}") from error
    return holder


def prefix(holder_pid: int) -> list[str]:
    """What to put before a command to run it inside. It becomes that command (exec), so its pid is the command's."""
    user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
    return ["nsenter", f"--target={holder_pid}", *user, "--net", "--"]


def _is_apart(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/net").readlink() != Path("/proc/self/ns/net").readlink() and (
            Path(f"/proc/{pid}/comm").read_text().strip() == "sleep"
        )
    except OSError:
        return False
