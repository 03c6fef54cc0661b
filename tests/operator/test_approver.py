"""What the built-in approver approves, and how often it asks."""

from typing import Any, cast

import pytest

from certwright.api import IssuerRef
from certwright.approver import REFUSED_RECHECK, Approver, signer_names
from certwright.settings import ApprovalSettings

CA = IssuerRef(name="ca")


class FakeKube:
    """Answers reviews, and counts them."""

    def __init__(self, *allowed: str) -> None:
        self.allowed = set(allowed)
        self.asked: list[str] = []

    async def create(self, path: str, body: dict[str, Any], type_: Any) -> Any:
        """A review, as the API server answers it."""
        assert path == "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"
        attributes = body["spec"]["resourceAttributes"]
        assert {key: attributes[key] for key in ("group", "resource", "verb")} == {
            "group": "cert-manager.io",
            "resource": "signers",
            "verb": "approve",
        }
        self.asked.append(attributes["name"])
        answer = type_()
        answer.status.allowed = attributes["name"] in self.allowed
        return answer


def approver(kube: FakeKube, **settings: Any) -> Approver:
    """An approver with these settings."""
    return Approver(cast("Any", kube), ApprovalSettings(**settings))


@pytest.mark.parametrize(
    ("ref", "names"),
    [
        (CA, ("issuers.cert-manager.io/*", "issuers.cert-manager.io/ns.ca")),
        (
            IssuerRef(name="ca", kind="ClusterIssuer"),
            ("clusterissuers.cert-manager.io/*", "clusterissuers.cert-manager.io/ca"),
        ),
        (
            IssuerRef(name="x", kind="Policy", group="a.example"),
            ("policies.a.example/*", "policies.a.example/ns.x", "policies.a.example/x"),
        ),
        (
            IssuerRef(name="x", kind="FooClusterClass", group="a.example"),
            ("fooclusterclasses.a.example/*", "fooclusterclasses.a.example/x"),
        ),
    ],
)
def test_names_of_signers(ref: IssuerRef, names: tuple[str, ...]) -> None:
    """As RBAC and the admission policy spell them."""
    assert signer_names(ref, "ns") == names


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"signer_names": ("issuers.cert-manager.io/*",)}, True),
        ({"signer_names": ("issuers.cert-manager.io/ns.*",)}, True),
        ({"signer_names": ("issuers.cert-manager.io/ns.ca",)}, True),
        ({"signer_names": ("issuers.cert-manager.io/ns.c",)}, False),
        ({"signer_names": ("clusterissuers.cert-manager.io/*",)}, False),
        ({"signer_names": ()}, False),
    ],
)
async def test_settings_narrow_what_is_approved(settings: dict[str, Any], wanted: bool) -> None:  # noqa: FBT001
    """What the settings leave out is not even asked about."""
    kube = FakeKube("issuers.cert-manager.io/*")
    made = approver(kube, **settings)
    assert made.wants(CA, "ns") is wanted
    assert await made.approves(CA, "ns") is wanted
    assert bool(kube.asked) is wanted


async def test_a_permission_is_asked_for_once() -> None:
    """However many requests of all namespaces there are."""
    kube = FakeKube("issuers.cert-manager.io/*")
    made = approver(kube)
    assert [await made.approves(CA, f"ns-{number}") for number in range(50)] == [True] * 50
    assert len(kube.asked) == 1
    made.forget()
    assert await made.approves(CA, "ns")
    assert len(kube.asked) == 2


async def test_one_issuer_may_be_permitted_alone() -> None:
    """The narrow name counts when the wide one does not."""
    made = approver(FakeKube("issuers.cert-manager.io/ns.ca"))
    assert await made.approves(CA, "ns")
    assert not await made.approves(CA, "other")
    assert made.recheck_after(CA, "ns") is None
    assert made.recheck_after(CA, "other") == REFUSED_RECHECK
