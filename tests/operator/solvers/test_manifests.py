"""What is made in the cluster for a challenge, field by field (contract section 3.1.3)."""

import zlib
from typing import Any

import msgspec
import pytest

from certwright.api import HTTP01Ingress
from certwright.solvers.contract import SolverRefused
from certwright.solvers.manifests import (
    Endpoint,
    challenge_path,
    endpoint_slices,
    ingress_name,
    solver_ingress,
    solver_service,
)
from tests.operator.solvers.builders import challenge


def made(ingress: dict[str, Any] | None = None, extra: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    return solver_ingress(challenge(**spec), msgspec.convert(ingress or {}, HTTP01Ingress), extra or {})


def test_ingress() -> None:
    found = made({"ingressClassName": "nginx"}, {"team": "a", "acme.cert-manager.io/http01-solver": "no"})
    meta = found["metadata"]
    assert meta["name"] == ingress_name(challenge())
    assert meta["namespace"] == "ns"
    assert meta["labels"] == {
        "team": "a",
        "app.kubernetes.io/managed-by": "certwright",
        "acme.cert-manager.io/http-domain": str(zlib.adler32(b"www.example.com")),
        "acme.cert-manager.io/http-token": str(zlib.adler32(b"token-1")),
        "acme.cert-manager.io/http01-solver": "true",
    }
    assert meta["annotations"] == {"nginx.ingress.kubernetes.io/whitelist-source-range": "0.0.0.0/0,::/0"}
    (owner,) = meta["ownerReferences"]
    assert (owner["kind"], owner["name"], owner["uid"], owner["controller"]) == (
        "Challenge",
        "c-1",
        "5b1e6d3c-uid",
        True,
    )
    path = {
        "path": "/.well-known/acme-challenge/token-1",
        "pathType": "Exact",
        "backend": {"service": {"name": "cm-acme-http-solver", "port": {"number": 8089}}},
    }
    assert found["spec"] == {
        "ingressClassName": "nginx",
        "rules": [{"host": "www.example.com", "http": {"paths": [path]}}],
    }


def test_class_is_an_annotation_and_no_class_is_none() -> None:
    assert made({"class": "nginx"})["metadata"]["annotations"]["kubernetes.io/ingress.class"] == "nginx"
    assert "ingressClassName" not in made({"class": "nginx"})["spec"]
    assert "kubernetes.io/ingress.class" not in made()["metadata"]["annotations"]


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1"])
def test_an_address_has_no_host(address: str) -> None:
    assert "host" not in made(name=address)["spec"]["rules"][0]


def test_template_adds_and_cannot_hide() -> None:
    labels = {"x": "y", "acme.cert-manager.io/http-token": "forged"}
    annotations = {"nginx.ingress.kubernetes.io/ssl-redirect": "false", "external-dns/ttl": "60"}
    meta = made({"ingressTemplate": {"metadata": {"labels": labels, "annotations": annotations}}})["metadata"]
    assert meta["labels"]["x"] == "y"
    assert meta["labels"]["acme.cert-manager.io/http-token"] == str(zlib.adler32(b"token-1"))
    assert annotations.items() <= meta["annotations"].items()


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("nginx.ingress.kubernetes.io/server-snippet", "x"),
        ("nginx.org/location-snippets", "x"),
        ("nginx.ingress.kubernetes.io/Configuration-Snippet", "x"),
        ("nginx.ingress.kubernetes.io/auth-url", "http://a/;} location / {"),
        ("nginx.ingress.kubernetes.io/auth-url", "a\nb"),
        ("nginx.ingress.kubernetes.io/auth-url", "a#;"),
        ("nginx.ingress.kubernetes.io/mirror-target", 'a"b'),
        ("some.example/x", "`id`"),
        ("alb.ingress.kubernetes.io/listen-ports", '[{"HTTP": 80}]\n'),
    ],
)
def test_annotations_that_could_configure_the_controller_are_refused(key: str, value: str) -> None:
    with pytest.raises(SolverRefused) as refused:
        made({"ingressTemplate": {"metadata": {"annotations": {key: value}}}})
    assert key in refused.value.message
    assert refused.value.reason == "InvalidTemplate"


def test_json_for_controllers_that_read_json() -> None:
    annotations = {"alb.ingress.kubernetes.io/listen-ports": '[{"HTTP": 80}]'}
    found = made({"ingressTemplate": {"metadata": {"annotations": annotations}}})
    assert annotations.items() <= found["metadata"]["annotations"].items()


def test_a_class_that_is_none_is_refused() -> None:
    with pytest.raises(SolverRefused):
        made({"class": "nginx;}"})


@pytest.mark.parametrize("name", ["a;b.example", "a b", "*.example.com", "a..b", "-a.example", "a/b", "", "x" * 254])
def test_names_that_are_none_are_refused(name: str) -> None:
    with pytest.raises(SolverRefused) as refused:
        made(name=name)
    assert refused.value.reason == "InvalidName"


@pytest.mark.parametrize("token", ["", "a/b", "../x", "a b", "a;b", "a%2e", "x" * 513])
def test_tokens_that_are_none_are_refused(token: str) -> None:
    with pytest.raises(SolverRefused) as refused:
        challenge_path(challenge(token=token))
    assert refused.value.reason == "InvalidToken"


@pytest.mark.parametrize(
    ("service_type", "name"), [("", "cm-acme-http-solver"), ("ClusterIP", "cm-acme-http-solver-clusterip")]
)
def test_each_service_type_has_its_service(service_type: str, name: str) -> None:
    backend = made({"serviceType": service_type})["spec"]["rules"][0]["http"]["paths"][0]["backend"]
    assert backend["service"]["name"] == name
    service = solver_service("ns", service_type or "NodePort", {"team": "a"})
    assert service["metadata"]["name"] == name
    assert service["spec"]["type"] == (service_type or "NodePort")
    assert "selector" not in service["spec"]
    assert service["metadata"]["annotations"] == {"auth.istio.io/8089": "NONE"}
    assert service["metadata"]["labels"]["team"] == "a"


def test_slices_by_family_and_port() -> None:
    endpoints = [Endpoint("10.0.0.2", 8089), Endpoint("10.0.0.1", 8089), Endpoint("2001:db8::1", 8089)]
    slices = endpoint_slices("ns", "svc", "0123456789", [*endpoints, Endpoint("10.0.0.1", 9000), endpoints[0]])
    found = {
        s["metadata"]["name"]: (
            s["addressType"],
            s["ports"][0]["port"],
            [address for e in s["endpoints"] for address in e["addresses"]],
        )
        for s in slices
    }
    assert found == {
        "svc-01234567-ipv4-8089": ("IPv4", 8089, ["10.0.0.1", "10.0.0.2"]),
        "svc-01234567-ipv4-9000": ("IPv4", 9000, ["10.0.0.1"]),
        "svc-01234567-ipv6-8089": ("IPv6", 8089, ["2001:db8::1"]),
    }
    assert {s["metadata"]["labels"]["kubernetes.io/service-name"] for s in slices} == {"svc"}
    assert {s["metadata"]["ownerReferences"][0]["uid"] for s in slices} == {"0123456789"}
