"""One control plane for the tests of devcluster itself."""

import os
from collections.abc import Iterator

import pytest

from devcluster import Cluster


@pytest.fixture(scope="session")
def own_cluster() -> Iterator[Cluster]:
    """A control plane that tests may stop and start, but leave running."""
    with Cluster.start(f"devcluster-test-{os.getpid()}") as running:
        yield running
