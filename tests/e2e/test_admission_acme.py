"""Orders and Challenges: what the operator has written once stays as it is."""

from collections.abc import Iterator
from typing import Any

import pytest

from devcluster import Cluster
from tests.e2e.admission import CSR, Live, Object, Row, accepted, answers, judge, refused

pytestmark = pytest.mark.e2e

SOLVER = {"http01": {"ingress": {"ingressClassName": "nginx"}}}


def acme_object(kind: str, base: dict[str, Any], spec: dict[str, Any]) -> Object:
    """An object of the ACME group; None leaves a field out."""
    merged = {key: value for key, value in {**base, **spec}.items() if value is not None}
    return {"apiVersion": "acme.cert-manager.io/v1", "kind": kind, "metadata": {}, "spec": merged}


def order(**spec: Any) -> Object:
    """An Order that is accepted, with these fields of its spec instead."""
    return acme_object("Order", {"request": CSR, "issuerRef": {"name": "ca"}, "dnsNames": ["a.example"]}, spec)


def challenge(**spec: Any) -> Object:
    """A Challenge that is accepted, likewise."""
    base = {
        "authorizationURL": "https://ca.example/authz/1",
        "dnsName": "a.example",
        "issuerRef": {"name": "ca"},
        "key": "k",
        "solver": SOLVER,
        "token": "t",
        "type": "HTTP-01",
        "url": "https://ca.example/chall/1",
    }
    return acme_object("Challenge", base, spec)


TABLE: dict[str, Row] = {
    "order": accepted(order()),
    "order-no-request": refused(order(request=None), "spec.request", "Required"),
    "order-no-issuer": refused(order(issuerRef=None), "spec.issuerRef", "Required"),
    "challenge": accepted(challenge()),
    "challenge-type": refused(challenge(type="TLS-ALPN-01"), "spec.type", "Unsupported", '"DNS-01"'),
    "challenge-no-solver": refused(challenge(solver=None), "spec.solver", "Required"),
    "challenge-no-key": refused(challenge(key=None), "spec.key", "Required"),
}

FULL = {
    "url": "https://ca.example/order/1",
    "finalizeURL": "https://ca.example/order/1/finalize",
    "certificate": "cGVt",
    "authorizations": [{"url": "https://ca.example/authz/1", "identifier": "a.example", "initialState": "pending"}],
}


@pytest.fixture(scope="module")
def found(cluster: Cluster) -> dict[str, str]:
    """What kubectl says of each row."""
    return answers(cluster, "default", TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_an_order_or_challenge_is_refused_or_accepted(found: dict[str, str], name: str) -> None:
    """Each row by its own words."""
    judge(TABLE[name], found[name])


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[str]:
    """A namespace for the module."""
    name = "admission-acme"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def live(cluster: Cluster, space: str, name: str, obj: Object) -> Live:
    """A stored object."""
    return Live(cluster, space, {**obj, "metadata": {"name": name}})


def test_the_csr_of_an_order_never_changes(cluster: Cluster, space: str) -> None:
    """The rest of its spec may."""
    stored = live(cluster, space, "csr", order())
    refusal = stored.patch({"spec": {"request": "cGVt"}})
    assert "spec.request" in refusal
    assert "immutable" in refusal
    assert stored.patch({"spec": {"profile": "p"}}) == ""


@pytest.mark.parametrize(
    ("name", "change"),
    {
        "url": {"url": "https://ca.example/order/2"},
        "url-removed": {"url": None},
        "finalize": {"finalizeURL": "https://ca.example/2"},
        "certificate": {"certificate": "YXR0YWNr"},
        "authorizations": {"authorizations": [{"url": "https://ca.example/authz/2"}]},
        "authorizations-removed": {"authorizations": []},
    }.items(),
)
def test_what_the_ca_said_of_an_order_never_changes(
    cluster: Cluster, space: str, name: str, change: dict[str, Any]
) -> None:
    """URLs, authorizations and the certificate are written once."""
    stored = live(cluster, space, f"kept-{name}", order())
    assert stored.status({"url": "", "state": "pending"}) == ""
    assert stored.status(FULL) == ""
    assert stored.status({"state": "valid", "reason": "r", **FULL}) == ""
    refusal = stored.status(change)
    assert f"status.{next(iter(change))} is immutable once set" in refusal


def test_the_status_of_an_order_cannot_be_removed(cluster: Cluster, space: str) -> None:
    """Nor replaced by an empty one."""
    stored = live(cluster, space, "status", order())
    assert stored.status(FULL) == ""
    assert "status.url is immutable once set" in stored.remove("/status", "--subresource=status")


@pytest.mark.parametrize(
    ("name", "change"),
    {
        "name": {"dnsName": "b.example"},
        "solver": {"solver": {"http01": {"ingress": {"ingressClassName": "other"}}}},
        "wildcard": {"wildcard": True},
    }.items(),
)
def test_the_spec_of_a_challenge_never_changes(cluster: Cluster, space: str, name: str, change: dict[str, Any]) -> None:
    """Its status does."""
    stored = live(cluster, space, f"challenge-{name}", challenge())
    refusal = stored.patch({"spec": change})
    assert "spec" in refusal
    assert "immutable" in refusal
    assert stored.status({"state": "valid", "presented": True, "processing": False}) == ""
