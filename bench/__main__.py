"""``python -m bench WORKLOAD``: measure an operator, or two in turn, print a table, and save ``bench/results/``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from bench.acme import OPERATOR_FLAGS
from bench.figures import Figures
from bench.report import middle, ratio_table, ratios, table
from bench.run import Failed, measure
from bench.subject import DEFAULT_COMMAND
from bench.workloads import ACME, WORKLOADS, Load
from devcluster.errors import DevclusterError

RESULTS = Path(__file__).parent / "results"


def parser() -> argparse.ArgumentParser:
    """All options."""
    about = "; ".join(f"{name}: {work.title} ({work.count})" for name, work in WORKLOADS.items())
    root = argparse.ArgumentParser(
        prog="python -m bench",
        description=f"Measure an operator on a real control plane of its own. Workloads (usual count): {about}.",
    )
    root.add_argument("workload", choices=sorted(WORKLOADS))
    root.add_argument("--count", type=_positive, help="Certificates; default: the workload's usual count")
    root.add_argument(
        "--namespaces", type=_positive, help="namespaces they are dealt out to; default: 50 (w4, w4a, w6, w7: 5)"
    )
    root.add_argument("--creators", type=_positive, default=16, help="clients that create them at once (default: 16)")
    root.add_argument(
        "--algorithm", choices=("ECDSA", "RSA"), default="ECDSA", help="P-256 or RSA-2048 (default: ECDSA)"
    )
    root.add_argument(
        "--operator",
        metavar="COMMAND",
        help="the operator's command line, run without a shell; {kubeconfig} is replaced by a kubeconfig of the service "
        "account cert-manager/cert-manager, which is in $KUBECONFIG, too (default: certwright of this environment)",
    )
    root.add_argument(
        "--against",
        metavar="COMMAND",
        help="a second operator: both are measured in turn on clusters of their own, the first one once more at the "
        "end, and ratios of the first to the second are reported",
    )
    root.add_argument("--rounds", type=_positive, default=1, help="repeat; the middle run is the result (default: 1)")
    root.add_argument(
        "--apply",
        action="append",
        type=Path,
        default=[],
        metavar="MANIFEST",
        help="apply this besides crds/ and deploy/, for example rights another operator needs; may be repeated",
    )
    root.add_argument("--results", type=Path, default=RESULTS, help=f"folder of the JSON results (default: {RESULTS})")
    return root


def main(argv: Sequence[str] | None = None) -> int:
    """0 when everything was measured, whatever the figures say."""
    options = parser().parse_args(argv)
    name: str = options.workload
    usual = WORKLOADS[name]
    load = Load(
        count=options.count or usual.count,
        namespaces=options.namespaces or usual.namespaces,
        creators=options.creators,
        algorithm=options.algorithm,
    )
    if options.operator is None:
        options.operator = " ".join([DEFAULT_COMMAND, *(OPERATOR_FLAGS if name in ACME else ())])
    sides = [("operator", options.operator)]
    if options.against:
        sides = [*[*sides, ("against", options.against)] * options.rounds, *sides]
    else:
        sides *= options.rounds
    runs: list[Figures] = []
    try:
        for number, (side, command) in enumerate(sides):
            log = options.results / f"{name}-{number}.log"
            runs.append({**measure(name, command, load, options.apply, log), "side": side})
            print(table(name, runs[-1]), flush=True)
    except (DevclusterError, Failed) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    _save(options.results / f"{name}.json", runs)
    return 0


def _save(path: Path, runs: list[Figures]) -> None:
    ours, theirs = ([run for run in runs if run["side"] == side] for side in ("operator", "against"))
    result: Figures = dict(middle(ours))
    if theirs:
        result["ratios"] = ratios(ours, theirs)
        print(f"\n=== Ratios of the first operator to the second\n{ratio_table(result['ratios'])}")
    if len(runs) > 1:
        result["runs"] = runs
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(result), indent=2) + b"\n")
    print(f"\n=== Saved {path}")


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


if __name__ == "__main__":
    sys.exit(main())
