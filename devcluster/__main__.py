"""For people: ``python -m devcluster up``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence

from devcluster import acmeca, binaries, ingress, state, vault
from devcluster.cluster import Cluster
from devcluster.errors import DevclusterError


def parser() -> argparse.ArgumentParser:
    """All commands and options."""
    root = argparse.ArgumentParser(
        prog="python -m devcluster", description="A Kubernetes control plane made of processes."
    )
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    texts = {
        "up": "start a cluster in the background (what is left of a dead one of that name is removed)",
        "down": "stop it and remove its data",
        "status": "list clusters and their processes",
        "kubeconfig": "print the path of the administrator's kubeconfig",
        "build": "build whatever programs are not in the cache yet",
        "exec": "run a command inside the cluster's network, with its kubeconfig in $KUBECONFIG",
    }
    for name, text in texts.items():
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--name", default="default", help="of the cluster (default: %(default)s)")
        if name == "up":
            command.add_argument(
                "--port", type=int, default=0, help="of the API server on 127.0.0.1 (default: a free one)"
            )
            command.add_argument(
                "--with",
                dest="extras",
                type=_extras,
                default=(),
                metavar="LIST",
                help=f"what else to start in it, of: {', '.join(EXTRAS)}",
            )
        if name == "exec":
            command.add_argument("argv", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="and its arguments")
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = parser().parse_args(argv)
    try:
        return COMMANDS[options.command](options)
    except DevclusterError as error:
        print(f"devcluster: {error}", file=sys.stderr)
        return 1


def _up(options: argparse.Namespace) -> int:
    cluster = Cluster.start(options.name, detached=True, port=options.port)
    try:
        notes = [EXTRAS[extra](cluster) for extra in options.extras]
    except BaseException:
        cluster.stop()
        raise
    print(f"ready after {cluster.started_in:.1f} s")
    for note in notes:
        print(f"# {note}")
    print(f"export KUBECONFIG={cluster.kubeconfig}")
    return 0


def _acme(cluster: Cluster) -> str:
    ca = acmeca.start(cluster)
    return f"ACME directory {ca.directory}, caBundle in {ca.ca_bundle_file}, DNS at {ca.nameserver}"


def _ingress(cluster: Cluster) -> str:
    running = ingress.start(cluster)
    return f"ingress class {ingress.CLASS} is served at {running.address}"


def _vault(cluster: Cluster) -> str:
    running = vault.Vault.start(cluster)
    return (
        f"Vault at {running.url} with the CA {running.files.ca}; from here: "
        f"export VAULT_ADDR=http://{running.outer} VAULT_TOKEN={running.root_token}"
    )


#: What ``up --with`` starts; each says what people need to know of it.
EXTRAS: dict[str, Callable[[Cluster], str]] = {"acme": _acme, "ingress": _ingress, "vault": _vault}


def _extras(text: str) -> tuple[str, ...]:
    names = tuple(name for name in text.split(",") if name)
    unknown = sorted(set(names) - EXTRAS.keys())
    if unknown:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)} unknown; there are {', '.join(EXTRAS)}")
    return names


def _down(options: argparse.Namespace) -> int:
    print("stopped" if state.remove(options.name) else "was not running")
    return 0


def _status(_: argparse.Namespace) -> int:
    names = state.names()
    for name in names:
        files = state.files_of(name)
        processes = state.load(files)
        owner = state.owner(files)
        print(f"{name}: started by process {owner.pid}" if owner else f"{name}: started by up")
        for process, known in processes.items():
            print(f"  {process:24} {known.pid if known.is_alive else 'ended, see ' + str(files.log(process))}")
        print(f"  KUBECONFIG={files.root / 'kubeconfig'}")
    if not names:
        print("no cluster; start one with: python -m devcluster up")
    return 0


def _kubeconfig(options: argparse.Namespace) -> int:
    print(Cluster.attach(options.name).kubeconfig)
    return 0


def _build(_: argparse.Namespace) -> int:
    binaries.ensure(binaries.COMPONENTS)
    return 0


def _exec(options: argparse.Namespace) -> int:
    cluster = Cluster.attach(options.name)
    argv = options.argv[1:] if options.argv[:1] == ["--"] else options.argv
    if not argv:
        raise DevclusterError("exec wants a command: python -m devcluster exec -- kubectl get pods")
    os.environ["KUBECONFIG"] = str(cluster.inner_kubeconfig)
    os.execvp(cluster.exec_prefix[0], [*cluster.exec_prefix, *argv])  # noqa: S606 (becoming the command is the point)


COMMANDS = {"up": _up, "down": _down, "status": _status, "kubeconfig": _kubeconfig, "build": _build, "exec": _exec}

if __name__ == "__main__":
    sys.exit(main())
