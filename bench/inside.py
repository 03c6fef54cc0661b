"""The measuring process: runs in the cluster's network, so that no forwarder stands between it and the API server.

Started by :mod:`bench.run`: ``python -m bench.inside TASK.json RESULT.json``.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
import uvloop

from bench.acme import Acme
from bench.api import Refused
from bench.figures import Figures
from bench.subject import Ended
from bench.usage import Surroundings
from bench.watch import Stalled
from bench.workloads import WORKLOADS, Bench, Load


class Task(msgspec.Struct, frozen=True):
    """What is to be measured."""

    workload: str
    command: str
    load: Load
    surroundings: Surroundings
    acme: Acme | None = None


async def measure(task: Task) -> Figures:
    """Run the workload once."""
    async with Bench(task.surroundings, task.command, task.load, task.acme) as bench:
        return await WORKLOADS[task.workload].run(bench)


def main() -> int:
    """Read the task, measure, write the figures; 1 with the cause on stderr if it can't be measured."""
    task = msgspec.json.decode(Path(sys.argv[1]).read_bytes(), type=Task)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            figures = runner.run(measure(task))
    except (ExceptionGroup, Refused, Stalled, Ended, OSError) as error:
        print(_first(error), file=sys.stderr)
        return 1
    Path(sys.argv[2]).write_bytes(msgspec.json.encode(figures))
    return 0


def _first(error: Exception) -> Exception:
    """Of what clients that ran at once have met, the first; a bug is raised with its traceback."""
    match error:
        case ExceptionGroup(exceptions=[Exception() as first, *_]):
            return _first(first)
        case Refused() | Stalled() | Ended() | OSError():
            return error
        case _:
            raise error


if __name__ == "__main__":
    sys.exit(main())
