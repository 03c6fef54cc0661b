"""The conformance matrix of the issuers that sign in this process, as Issuer and as ClusterIssuer."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.e2e.conformance.features import Feature
from tests.e2e.conformance.scenarios import certificate
from tests.e2e.conformance.suite import ConformanceSuite, Ground, Ignored, IssuerRow, Refused

SELF_SIGNED: dict[str, Any] = {"selfSigned": {}}
ROOT_SECRET = "root-tls"


def issuer(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "cert-manager.io/v1", "kind": kind, "metadata": {"name": name}, "spec": spec}


def cluster_issuer(ground: Ground, spec: dict[str, Any]) -> dict[str, str]:
    """A ClusterIssuer of the row's own, named after its namespace."""
    name = ground.kubectl.namespace
    ground.kubectl.apply(issuer("ClusterIssuer", name, spec))
    ground.later.append(lambda: ground.kubectl("delete", "clusterissuer", name))
    ground.kubectl.wait_ready(name, kind="clusterissuer")
    return {"name": name, "kind": "ClusterIssuer"}


def root(ground: Ground) -> None:
    """A self-signed CA in a Secret of the row's namespace."""
    bootstrap = {"name": "bootstrap"}
    ground.kubectl.apply(
        issuer("Issuer", "bootstrap", SELF_SIGNED),
        certificate("root", bootstrap, "", isCA=True, commonName="Conformance Root", dnsNames=None, duration="87600h"),
    )
    ground.kubectl.wait_ready("root")
    # It is no part of the matrix.
    ground.kubectl("delete", "certificate", "root")


def self_signed_issuer(ground: Ground) -> dict[str, str]:
    ground.kubectl.apply(issuer("Issuer", "issuer", SELF_SIGNED))
    return {"name": "issuer"}


def self_signed_cluster_issuer(ground: Ground) -> dict[str, str]:
    return cluster_issuer(ground, SELF_SIGNED)


def ca_issuer(ground: Ground) -> dict[str, str]:
    root(ground)
    ground.kubectl.apply(issuer("Issuer", "issuer", {"ca": {"secretName": ROOT_SECRET}}))
    return {"name": "issuer", "kind": "Issuer", "group": "cert-manager.io"}


def ca_cluster_issuer(ground: Ground) -> dict[str, str]:
    """Its Secret is in the cluster resource namespace."""
    root(ground)
    secret = ground.kubectl.get("secret", ROOT_SECRET)
    assert secret is not None
    name = f"ca-{ground.kubectl.namespace}"
    copy = {**secret, "metadata": {"name": name, "namespace": "kube-system"}}
    ground.cluster.kubectl("apply", "-f", "-", input=json.dumps(copy))
    ground.later.append(lambda: ground.cluster.kubectl("-n", "kube-system", "delete", "secret", name))
    return cluster_issuer(ground, {"ca": {"secretName": name}})


@pytest.mark.parametrize("declared", [Ignored("a wrong reason"), Refused("a wrong reason")], ids=["ignored", "refused"])
def test_a_feature_that_works_can_not_be_declared_unsupported(tmp_path: Path, declared: Refused | Ignored) -> None:
    """Nor is anything believed of one that does not work and was not declared."""
    ready = {"conditions": [{"type": "Ready", "status": "True"}]}
    given = SimpleNamespace(
        row=IssuerRow("x", self_signed_issuer, unsupported={"works": declared}),
        certificates={"works": {"metadata": {"generation": 1}, "status": ready}},
        issued=lambda *_: None,
    )
    works = Feature("works", lambda _: {}, lambda _: None)
    with pytest.raises((AssertionError, pytest.fail.Exception), match=r"DID NOT RAISE|although a wrong reason"):
        ConformanceSuite().test_feature(cast("Any", given), works, tmp_path)


class TestSelfSignedIssuer(ConformanceSuite):
    """Signs with the certificate's own key."""

    row = IssuerRow("selfSigned Issuer", self_signed_issuer)


class TestSelfSignedClusterIssuer(ConformanceSuite):
    """The same for all namespaces."""

    row = IssuerRow("selfSigned ClusterIssuer", self_signed_cluster_issuer)


class TestCAIssuer(ConformanceSuite):
    """Signs with a CA in a Secret."""

    row = IssuerRow("ca Issuer", ca_issuer)


class TestCAClusterIssuer(ConformanceSuite):
    """The same for all namespaces."""

    row = IssuerRow("ca ClusterIssuer", ca_cluster_issuer)
