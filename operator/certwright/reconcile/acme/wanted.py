"""Which Challenges an Order needs: a pure function of the Order, its issuer, and the account's key.

A Challenge that is not among them is removed by the Order's reconcile and never worked on, whoever made it: solver and
proof always come from the issuer (reliability row S1).
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from certwright.api import ACMEAuthorization, ACMEIssuer, Challenge, ChallengeSpec, Order
from certwright.api.groups import ACME_API_VERSION, FINALIZER_CHALLENGE
from certwright.reconcile.acme.requests import hashed_name
from certwright.solvers.contract import Solvers
from certwright_issuers.acme import challenge as acme_challenge
from certwright_issuers.acme.keys import AccountKey


def wanted_challenges(order: Order, acme: ACMEIssuer, key: AccountKey, solvers: Solvers) -> dict[str, ChallengeSpec]:
    """By name. Authorizations that were valid when the order was made need none: CAs reuse them.

    Raises SolverRefused when no solver can meet one of them, RequestRejected for a token that is none.
    """
    wanted: dict[str, ChallengeSpec] = {}
    for authorization in order.status.authorizations:
        if authorization.initial_state != "valid":
            spec = _challenge_spec(order, authorization, acme, key, solvers)
            wanted[_name(order, spec)] = spec
    return wanted


def _challenge_spec(
    order: Order, authorization: ACMEAuthorization, acme: ACMEIssuer, key: AccountKey, solvers: Solvers
) -> ChallengeSpec:
    picked = solvers.pick(acme.solvers, order, authorization)
    return ChallengeSpec(
        authorization_url=authorization.url,
        dns_name=authorization.identifier,
        issuer_ref=order.spec.issuer_ref,
        key=acme_challenge.VALUES[picked.type.lower()](picked.offer.token, key),
        solver=picked.solver,
        token=picked.offer.token,
        type=picked.type,
        url=picked.offer.url,
        wildcard=authorization.wildcard,
    )


def _name(order: Order, spec: ChallengeSpec) -> str:
    """The Order's name, cut, and a hash of the spec without the key (API contract section 2.5)."""
    plain = msgspec.to_builtins(msgspec.structs.replace(spec, key=""))
    return hashed_name(order.metadata.name, json.dumps([plain, order.metadata.uid], sort_keys=True))


def challenge_body(order: Order, name: str, spec: ChallengeSpec) -> dict[str, Any]:
    """The object to create."""
    meta = order.metadata
    owner = {"apiVersion": ACME_API_VERSION, "kind": "Order", "name": meta.name, "uid": meta.uid}
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": meta.namespace,
        "labels": meta.labels,
        "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
    }
    if needs_finalizer(spec):
        metadata["finalizers"] = [FINALIZER_CHALLENGE]
    return {
        "apiVersion": ACME_API_VERSION,
        "kind": "Challenge",
        "metadata": metadata,
        "spec": msgspec.to_builtins(spec),
    }


def needs_finalizer(spec: ChallengeSpec) -> bool:
    """Whether something is left behind that no owner reference can remove: a record, a path in somebody's Ingress."""
    http01 = spec.solver.http01
    edits = http01 is not None and http01.ingress is not None and bool(http01.ingress.name)
    return edits or spec.solver.dns01 is not None


def is_wanted(challenge: Challenge, wanted: dict[str, ChallengeSpec]) -> bool:
    """Whether the Challenge is one of them, to the letter."""
    return wanted.get(challenge.metadata.name) == challenge.spec
