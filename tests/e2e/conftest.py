"""What the end-to-end tests share: one control plane, one operator under its own service account, a namespace per test."""

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import Cluster
from tests.e2e.harness import SERVICE_ACCOUNT, Kubectl, Operator, Replicas, install

#: What tests of annotated Ingresses need and others don't notice.
SHIM_FLAGS = ("--default-issuer-name=house", "--extra-certificate-annotations=example.test/team")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder runs against a real control plane."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A control plane with everything but the operator."""
    with Cluster.start(f"e2e-{os.getpid()}") as running:
        install(running)
        yield running


@pytest.fixture(scope="session")
def operator_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of the session's operator."""
    return tmp_path_factory.mktemp("operator") / "certwright.log"


@pytest.fixture(scope="session")
def operator_kubeconfig(cluster: Cluster) -> Path:
    """The operator's own access: never the administrator's."""
    return cluster.service_account_kubeconfig(*SERVICE_ACCOUNT).inner


@pytest.fixture(scope="session")
def operator(cluster: Cluster, operator_kubeconfig: Path, operator_log: Path) -> Iterator[Operator]:
    """The operator that most tests share."""
    running = Operator(cluster, operator_kubeconfig, operator_log, *SHIM_FLAGS)
    running.wait_for_log("is held by this process")
    yield running
    running.stop()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A namespace of the test's own."""
    name = f"t-{uuid.uuid4().hex[:10]}"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.fixture
def kubectl(cluster: Cluster, namespace: str) -> Kubectl:
    """kubectl in the test's namespace."""
    return Kubectl(cluster, namespace)


@pytest.fixture
def replicas(cluster: Cluster, tmp_path: Path) -> Iterator[Replicas]:
    """Operators of the test's own."""
    made = Replicas(cluster, tmp_path)
    yield made
    made.end()
