"""From an authorization to the solver that meets it, and the words when there is none."""

from typing import Any, cast

import msgspec
import pytest

from certwright.api import ACMEAuthorization, Order, Solver
from certwright.solvers.contract import ChallengeSolver, SolverRefused
from certwright.solvers.registry import SolverRegistry
from tests.operator.solvers.builders import challenge

HTTP = cast("ChallengeSolver", object())
REGISTRY = SolverRegistry({"HTTP-01": HTTP})
ANY = msgspec.convert({"http01": {"ingress": {"class": "a"}}}, Solver)
ZONED = msgspec.convert({"http01": {"ingress": {}}, "selector": {"dnsZones": ["example.org"]}}, Solver)
DNS = msgspec.convert({"dns01": {}}, Solver)


def order(**annotations: str) -> Order:
    named = {f"acme.cert-manager.io/http01-override-ingress-{key}": value for key, value in annotations.items()}
    return msgspec.convert({"metadata": {"annotations": named, "labels": {"a": "b"}}}, Order)


def authorization(*types: str, **more: Any) -> ACMEAuthorization:
    offers = [{"type": type_, "token": "t", "url": f"u-{type_}"} for type_ in types]
    return msgspec.convert({"identifier": "www.example.com", "challenges": offers, **more}, ACMEAuthorization)


ALL = authorization("tls-alpn-01", "dns-01", "http-01")


def test_the_offer_and_the_overridden_stanza() -> None:
    found = REGISTRY.pick([DNS, ANY], order(name="web"), ALL)
    assert (found.type, found.offer.url) == ("HTTP-01", "u-http-01")
    assert found.solver.http01 is not None
    assert found.solver.http01.ingress is not None
    assert (found.solver.http01.ingress.name, found.solver.http01.ingress.class_) == ("web", "")


@pytest.mark.parametrize(
    ("solvers", "offered", "words"),
    [
        ([ANY], authorization("dns-01", wildcard=True), "no solver for *.www.example.com: the CA offers dns-01, and"),
        ([ANY], authorization("dns-01", wildcard=True), "wildcard names need DNS-01"),
        ([ANY], authorization("dns-01", "tls-alpn-01"), "only http-01 can be met"),
        ([ANY], authorization(), "the CA offers no challenge"),
        ([DNS], ALL, "certwright does not solve what the issuer's solvers are for: dns-01"),
        ([DNS], authorization("dns-01", wildcard=True), "does not solve what the issuer's solvers are for: dns-01"),
        ([DNS], authorization("tls-alpn-01", "http-01"), "none of the issuer's solvers is for http-01"),
        ([], ALL, "the issuer has no solvers"),
        ([ZONED], ALL, "no selector of the issuer's solvers for http-01 matches the name and the labels"),
    ],
)
def test_none_is_explained(solvers: list[Solver], offered: ACMEAuthorization, words: str) -> None:
    with pytest.raises(SolverRefused) as refused:
        REGISTRY.pick(solvers, order(), offered)
    assert refused.value.reason == "NoSolver"
    assert words in refused.value.message


def test_by_the_type_of_a_challenge() -> None:
    assert REGISTRY.for_challenge(challenge()) is HTTP
    with pytest.raises(SolverRefused):
        REGISTRY.for_challenge(challenge(type="DNS-01"))
