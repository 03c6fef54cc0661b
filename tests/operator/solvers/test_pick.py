"""Which solver meets a challenge: the contract's precedence, and the Order's overrides."""

from typing import Any

import msgspec
import pytest

from certwright.api import Solver
from certwright.solvers.contract import SolverRefused
from certwright.solvers.pick import pick, type_of, with_overrides

OVERRIDE = "acme.cert-manager.io/http01-override-ingress-"


def solver(class_name: str = "", *, kind: str = "http01", selector: dict[str, Any] | None = None) -> Solver:
    """A solver that is told apart by its class."""
    body: dict[str, Any] = {"http01": {"ingress": {"ingressClassName": class_name}}}
    if kind == "dns01":
        body = {"dns01": {"acmeDNS": {"host": class_name, "accountSecretRef": {"name": "a"}}}}
    return msgspec.convert({**body, **({} if selector is None else {"selector": selector})}, Solver)


def label(found: Solver | None) -> str | None:
    if found is None:
        return None
    if found.dns01 is not None and found.dns01.acme_dns is not None:
        return found.dns01.acme_dns.host
    assert found.http01 is not None
    assert found.http01.ingress is not None
    return found.http01.ingress.ingress_class_name


def chosen(*solvers: Solver, name: str = "www.example.com", wildcard: bool = False, **more: Any) -> str | None:
    offered = more.pop("offered", ("http-01", "dns-01", "tls-alpn-01"))
    return label(pick(solvers, name=name, wildcard=wildcard, offered=offered, labels=more.pop("labels", {})))


ANY = solver("any")
EMPTY = solver("empty", selector={})
NAMED = solver("named", selector={"dnsNames": ["a.example.com", "WWW.example.com"]})
ZONE = solver("zone", selector={"dnsZones": ["example.com"]})
LONG_ZONE = solver("long zone", selector={"dnsZones": ["org", "www.example.com"]})
ONE_LABEL = solver("one label", selector={"matchLabels": {"team": "a"}})
TWO_LABELS = solver("two labels", selector={"matchLabels": {"team": "a", "tier": "web"}})
WILDCARD = solver("wildcard", selector={"dnsNames": ["*.www.example.com"]})
LABELS = {"team": "a", "tier": "web", "other": "x"}


@pytest.mark.parametrize(
    ("solvers", "labels", "expected"),
    [
        ([], {}, None),
        ([ANY], {}, "any"),
        ([ANY, EMPTY], {}, "empty"),
        ([ANY, solver("second")], {}, "any"),
        ([TWO_LABELS, LONG_ZONE, NAMED], LABELS, "named"),
        ([ZONE, LONG_ZONE], {}, "long zone"),
        ([TWO_LABELS, ZONE], LABELS, "zone"),
        ([ONE_LABEL, TWO_LABELS], LABELS, "two labels"),
        ([EMPTY, ONE_LABEL], {"team": "a"}, "one label"),
        ([ONE_LABEL, ANY], {"team": "b"}, "any"),
        ([ONE_LABEL], {}, None),
        ([solver("both", selector={"dnsNames": ["www.example.com"], "matchLabels": {"team": "b"}})], LABELS, None),
        ([NAMED, solver("both", selector={"dnsNames": ["www.example.com"], "dnsZones": ["com"]})], {}, "both"),
        ([solver("both", selector={"dnsNames": ["www.example.com"], "dnsZones": ["org"]})], {}, None),
        ([solver("not a suffix by labels", selector={"dnsZones": ["ww.example.com", "xample.com"]})], {}, None),
        ([solver("dot", selector={"dnsZones": ["Example.com."]})], {}, "dot"),
        ([WILDCARD], {}, None),
    ],
)
def test_precedence(solvers: list[Solver], labels: dict[str, str], expected: str | None) -> None:
    assert chosen(*solvers, labels=labels) == expected


def test_earlier_of_equals() -> None:
    first, second = (solver(name, selector={"dnsZones": ["example.com"]}) for name in ("first", "second"))
    assert chosen(first, second) == "first"
    assert chosen(second, first) == "second"


def test_wildcards_are_named_with_their_asterisk_and_found_in_zones_without() -> None:
    dns = {"kind": "dns01"}
    named = solver("named", selector={"dnsNames": ["www.example.com"]}, **dns)
    wildcard = solver("wildcard", selector={"dnsNames": ["*.www.example.com"]}, **dns)
    zone = solver("zone", selector={"dnsZones": ["www.example.com"]}, **dns)
    assert chosen(named, zone, wildcard, wildcard=True) == "wildcard"
    assert chosen(named, zone, wildcard=True) == "zone"
    assert chosen(named, wildcard=True) is None


def test_only_types_that_are_offered() -> None:
    dns = solver("dns", kind="dns01")
    assert (type_of(dns), type_of(ANY), type_of(Solver())) == ("dns-01", "http-01", "")
    assert chosen(NAMED, dns, offered=("dns-01",)) == "dns"
    assert chosen(NAMED, offered=("dns-01",)) is None
    assert chosen(Solver()) is None


@pytest.mark.parametrize(
    ("key", "field"), [("name", "name"), ("class", "class_"), ("ingressclassname", "ingress_class_name")]
)
def test_an_override_clears_the_other_fields(key: str, field: str) -> None:
    body = {"http01": {"ingress": {"class": "old", "serviceType": "ClusterIP"}}, "selector": {"dnsZones": ["a"]}}
    before = msgspec.convert(body, Solver)
    after = with_overrides(before, {OVERRIDE + key: "new", "other": "x"})
    assert after.http01 is not None
    ingress = after.http01.ingress
    assert ingress is not None
    fields = {name: getattr(ingress, name) for name in ("name", "class_", "ingress_class_name")}
    assert fields == {"name": "", "class_": "", "ingress_class_name": "", field: "new"}
    assert ingress.service_type == "ClusterIP"
    assert after.selector == before.selector


def test_overrides_that_change_nothing() -> None:
    assert with_overrides(ANY, {}) is ANY
    assert with_overrides(ANY, {OVERRIDE + "name": ""}) is ANY
    dns = solver("dns", kind="dns01")
    assert with_overrides(dns, {OVERRIDE + "name": "x"}) is dns


def test_two_overrides_are_refused() -> None:
    with pytest.raises(SolverRefused) as refused:
        with_overrides(ANY, {OVERRIDE + "name": "a", OVERRIDE + "class": "b"})
    assert refused.value.reason == "InvalidOverride"
    assert OVERRIDE + "class, " + OVERRIDE + "name" in refused.value.message
