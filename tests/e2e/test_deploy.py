"""What deploy/ gives to people: roles, and manifests that the API server takes."""

import time

import pytest
import yaml

from devcluster import Cluster
from tests.e2e.harness import ROOT, Kubectl

#: Role of every cluster -> what it allows in a namespace, and what it does not.
ROLES = {
    "view": (
        ("get certificates.cert-manager.io", "list issuers.cert-manager.io", "watch challenges.acme.cert-manager.io"),
        (
            "create certificates.cert-manager.io",
            "get clusterissuers.cert-manager.io",
            "delete orders.acme.cert-manager.io",
        ),
    ),
    "edit": (
        (
            "get certificaterequests.cert-manager.io",
            "create certificates.cert-manager.io",
            "deletecollection issuers.cert-manager.io",
            "update certificates.cert-manager.io --subresource=status",
            "delete orders.acme.cert-manager.io",
            "patch challenges.acme.cert-manager.io",
        ),
        (
            "create clusterissuers.cert-manager.io",
            "update certificaterequests.cert-manager.io --subresource=status",
            "create challenges.acme.cert-manager.io",
            "create orders.acme.cert-manager.io",
        ),
    ),
    "cert-manager-cluster-view": (
        ("get clusterissuers.cert-manager.io",),
        ("update clusterissuers.cert-manager.io", "get certificates.cert-manager.io"),
    ),
}


@pytest.mark.parametrize("role", ROLES)
def test_what_the_roles_of_every_cluster_allow(kubectl: Kubectl, namespace: str, role: str) -> None:
    """The table of API contract section 6.4."""
    user = f"{role}er-of-{namespace}"
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding" if role.endswith("cluster-view") else "RoleBinding",
        "metadata": {"name": user},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
    }
    kubectl.apply(binding)
    allowed, refused = ROLES[role]

    def may(what: str) -> bool:
        return kubectl("auth", "can-i", *what.split(), "--as", user, check=False).stdout.startswith("yes")

    # The API server learns of a binding by its own watch.
    deadline = time.monotonic() + 10
    while not may(allowed[0]) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [what for what in allowed if not may(what)] == []
    assert [what for what in refused if may(what)] == []


@pytest.mark.parametrize("path", ["webhook.yaml", "signing-requests.yaml"])
def test_the_api_server_takes_every_field(cluster: Cluster, path: str) -> None:
    """A misspelt or misplaced field would be left out in silence."""
    file = ROOT / "deploy" / "options" / path
    cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-f", str(file))


def test_everything_is_applied_in_one_go(cluster: Cluster) -> None:
    """By kustomize, also without server-side apply: no object is too large for its annotation. None is forgotten."""
    done = cluster.kubectl("apply", "--dry-run=server", "--validate=strict", "-k", str(ROOT)).stdout
    files = [file for folder in ("crds", "deploy", "deploy/in-cluster") for file in (ROOT / folder).glob("*.yaml")]
    documents = [document for file in files for document in yaml.safe_load_all(file.read_text())]
    assert len(done.splitlines()) == len(documents)


def test_monitoring_finds_the_operator_where_it_finds_cert_manager() -> None:
    """Labels, ports and annotations by which Prometheus and its operator select; whatever is selected is there."""
    documents = list(yaml.safe_load_all((ROOT / "deploy" / "in-cluster" / "deployment.yaml").read_text()))
    deployment = next(d for d in documents if d["kind"] == "Deployment")
    pod = deployment["spec"]["template"]
    labels = {f"app.kubernetes.io/{name}": "cert-manager" for name in ("name", "instance")}
    labels["app.kubernetes.io/component"] = "controller"
    assert pod["metadata"]["labels"] == deployment["metadata"]["labels"] == labels
    assert pod["metadata"]["annotations"]["prometheus.io/port"] == "9402"
    (container,) = pod["spec"]["containers"]
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert container["name"] == "cert-manager-controller"
    assert ports["http-metrics"] == 9402
    for service in (d for d in documents if d["kind"] == "Service"):
        assert service["spec"]["selector"] == labels
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports.keys()
