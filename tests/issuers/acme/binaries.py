"""Where the programs for end-to-end tests are."""

from __future__ import annotations


def program(name: str) -> str:
    """The path of a program of the development cluster; built if it is missing, which takes minutes."""
    # Here and not above: the fast tests are collected together with these and need nothing of a cluster.
    from devcluster.binaries import ensure  # noqa: PLC0415

    return str(ensure([name])[name])
