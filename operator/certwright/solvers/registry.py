"""All solvers of this process: one row for each type of challenge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from certwright.api import ACMEAuthorization, Challenge, Order, Solver
from certwright.solvers.contract import ChallengeSolver, Picked, SolverRefused
from certwright.solvers.pick import pick, type_of, with_overrides


class SolverRegistry:
    """The :class:`~certwright.solvers.contract.Solvers` of a process."""

    def __init__(self, solvers: Mapping[str, ChallengeSolver]) -> None:
        """``solvers``: by ``Challenge.spec.type``, which is HTTP-01 or DNS-01."""
        self._solvers = solvers

    def pick(self, solvers: Sequence[Solver], order: Order, authorization: ACMEAuthorization) -> Picked:
        """See the contract. A challenge type that no solver here serves counts as not offered."""
        offers = {
            offer.type.lower(): offer
            for offer in reversed(authorization.challenges)
            if offer.type.upper() in self._solvers
        }
        wildcard = bool(authorization.wildcard)
        found = pick(
            solvers,
            name=authorization.identifier,
            wildcard=wildcard,
            offered=offers,
            labels=order.metadata.labels,
        )
        if found is None:
            name = f"*.{authorization.identifier}" if wildcard else authorization.identifier
            raise SolverRefused("NoSolver", _why(name, solvers, authorization, self._solvers))
        offer = offers[type_of(found)]
        return Picked(offer.type.upper(), with_overrides(found, order.metadata.annotations), offer)

    def for_challenge(self, challenge: Challenge) -> ChallengeSolver:
        """See the contract."""
        found = self._solvers.get(challenge.spec.type)
        if found is None:
            raise SolverRefused("UnsupportedSolver", f"{challenge.spec.type} challenges are not supported")
        return found


def _why(
    name: str, solvers: Sequence[Solver], authorization: ACMEAuthorization, served: Mapping[str, ChallengeSolver]
) -> str:
    """Why no solver was chosen, and what would help."""
    offered = [offer.type for offer in authorization.challenges]
    usable = [type_ for type_ in offered if type_.upper() in served]
    configured = {type_of(solver) for solver in solvers}
    text = f"no solver for {name}: the CA offers {', '.join(offered) or 'no challenge'}"
    if not solvers:
        return f"{text}, and the issuer has no solvers"
    if not configured & set(usable) and (unserved := sorted(configured & set(offered) - set(usable))):
        return f"{text}, and certwright does not solve what the issuer's solvers are for: {', '.join(unserved)}"
    if not usable:
        known = " and ".join(sorted(type_.lower() for type_ in served))
        return f"{text}, and only {known} can be met" + (
            "; wildcard names need DNS-01" if authorization.wildcard else ""
        )
    if not configured & set(usable):
        return f"{text}, and none of the issuer's solvers is for {' or '.join(usable)}"
    return f"{text}, and no selector of the issuer's solvers for {' or '.join(usable)} matches the name and the labels"
