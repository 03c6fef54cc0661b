"""One Vault for the session."""

from collections.abc import Iterator

import pytest

from devcluster import Cluster
from devcluster.vault import Vault
from tests.e2e.vault.setup import VaultSetup, configure


@pytest.fixture(scope="session")
def vault(cluster: Cluster) -> Iterator[VaultSetup]:
    """A real Vault in the cluster's network, configured."""
    with Vault.start(cluster) as running:
        yield configure(cluster, running)
