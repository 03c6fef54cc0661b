"""Which solver of an issuer meets a challenge: pure, by the contract's precedence (section 3.1.2)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

import msgspec

from certwright.api import Solver, SolverSelector
from certwright.api.groups import (
    ANNOTATION_HTTP01_OVERRIDE_INGRESS_CLASS,
    ANNOTATION_HTTP01_OVERRIDE_INGRESS_CLASS_NAME,
    ANNOTATION_HTTP01_OVERRIDE_INGRESS_NAME,
)
from certwright.solvers.contract import SolverRefused

#: A solver's type in the words of RFC 8555, as authorizations offer it.
HTTP_01 = "http-01"
DNS_01 = "dns-01"

#: Field of ``http01.ingress`` that each annotation of an Order sets.
_OVERRIDES = {
    ANNOTATION_HTTP01_OVERRIDE_INGRESS_NAME: "name",
    ANNOTATION_HTTP01_OVERRIDE_INGRESS_CLASS: "class_",
    ANNOTATION_HTTP01_OVERRIDE_INGRESS_CLASS_NAME: "ingress_class_name",
}

#: Compared as a tuple: a name named exactly, labels in the longest zone, number of labels asked for.
_Rank = tuple[int, int, int]
#: A solver without a selector serves what no selector matches.
_NO_SELECTOR: _Rank = (-1, 0, 0)


def type_of(solver: Solver) -> str:
    """``http-01`` or ``dns-01``; empty if the solver names neither."""
    if solver.http01 is not None:
        return HTTP_01
    return DNS_01 if solver.dns01 is not None else ""


def pick(
    solvers: Iterable[Solver], *, name: str, wildcard: bool, offered: Collection[str], labels: Mapping[str, str]
) -> Solver | None:
    """The best solver for an authorization, the earlier of two equal ones; None if there is none.

    ``name`` is without ``*.``; ``offered`` are the challenge types of the authorization (``http-01``); ``labels`` those
    of the Order.
    """
    best: tuple[_Rank, Solver] | None = None
    for solver in solvers:
        rank = _rank(solver.selector, name, wildcard, labels) if type_of(solver) in offered else None
        if rank is not None and (best is None or rank > best[0]):
            best = rank, solver
    return best[1] if best else None


def _rank(selector: SolverSelector | None, name: str, wildcard: bool, labels: Mapping[str, str]) -> _Rank | None:  # noqa: FBT001 (a fact of the authorization, like the name)
    """How well a selector matches; None if any part of it does not."""
    if selector is None:
        return _NO_SELECTOR
    plain = _normal(name)
    names = {_normal(known) for known in selector.dns_names}
    named = (f"*.{plain}" if wildcard else plain) in names
    zones = [zone for zone in map(_normal, selector.dns_zones) if plain == zone or plain.endswith(f".{zone}")]
    asked = selector.match_labels
    if (names and not named) or (selector.dns_zones and not zones) or not asked.items() <= labels.items():
        return None
    return int(named), max((zone.count(".") + 1 for zone in zones), default=0), len(asked)


def _normal(name: str) -> str:
    return name.lower().rstrip(".")


def with_overrides(solver: Solver, annotations: Mapping[str, str]) -> Solver:
    """The solver with what the Order's annotations say about its Ingress (contract section 4.2).

    Raises :class:`SolverRefused` for more than one of them.
    """
    given = {field: annotations[key] for key, field in _OVERRIDES.items() if annotations.get(key)}
    if len(given) > 1:
        found = ", ".join(sorted(key for key in _OVERRIDES if annotations.get(key)))
        raise SolverRefused("InvalidOverride", f"only one of these annotations may be set: {found}")
    if not given or solver.http01 is None or solver.http01.ingress is None:
        return solver
    ingress = msgspec.structs.replace(
        solver.http01.ingress, **{"name": "", "class_": "", "ingress_class_name": "", **given}
    )
    return msgspec.structs.replace(solver, http01=msgspec.structs.replace(solver.http01, ingress=ingress))
