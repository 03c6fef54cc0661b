"""Names and annotations of CertificateRequests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certwright.reconcile.requests import copied_annotations, request_body, request_name
from tests.operator.builders import certificate

DEFAULT = ("*", "-kubectl.kubernetes.io/", "-fluxcd.io/", "-argocd.argoproj.io/")


@pytest.mark.parametrize(
    ("prefixes", "kept"),
    [
        (DEFAULT, {"team.example/x"}),
        ((), set[str]()),
        (("team.example/",), {"team.example/x"}),
        (("*", "-team.example/"), {"kubectl.kubernetes.io/y"}),
        (("-team.example/", "*"), {"team.example/x", "kubectl.kubernetes.io/y"}),
        (("*", "-team.example/", "other/"), {"team.example/x", "kubectl.kubernetes.io/y"}),
    ],
)
def test_which_annotations_are_inherited(prefixes: tuple[str, ...], kept: set[str]) -> None:
    """Order counts, and after a * every later positive entry takes everything again."""
    annotations = {"team.example/x": "1", "kubectl.kubernetes.io/y": "2"}
    assert set(copied_annotations(annotations, prefixes)) == kept


def test_long_names_are_cut_and_carry_a_digest() -> None:
    """Up to 233 characters stay as they are; longer ones fit 253 with their revision."""
    assert request_name("a" * 233, 7) == "a" * 233 + "-7"
    long = request_name("a" * 234, 7)
    assert long.startswith("a" * 168 + "-")
    assert len(long) == 168 + 1 + 64 + 2


@given(st.sets(st.text("abc-", min_size=225, max_size=253), min_size=2, max_size=5))
def test_names_are_unique(names: set[str]) -> None:
    """Two Certificates never share a request's name."""
    assert len({request_name(name, 1) for name in names}) == len(names)


def test_the_spec_is_copied_as_it_is() -> None:
    """What is empty in the Certificate stays absent in the request; nothing is defaulted."""
    body = request_body(certificate(), 3, b"csr", "key-secret", DEFAULT)
    assert body["spec"] == {"request": "Y3Ny", "issuerRef": {"name": "ca"}}
    assert body["metadata"]["name"] == "web-3"
    assert body["metadata"]["annotations"] == {
        "cert-manager.io/certificate-revision": "3",
        "cert-manager.io/private-key-secret-name": "key-secret",
        "cert-manager.io/certificate-name": "web",
    }
    owner = body["metadata"]["ownerReferences"][0]
    assert (owner["kind"], owner["name"], owner["controller"]) == ("Certificate", "web", True)
    full = request_body(certificate(duration="2h", isCA=True, usages=["server auth"]), 1, b"", "", ())
    assert (full["spec"]["duration"], full["spec"]["isCA"], full["spec"]["usages"]) == ("2h", True, ["server auth"])
