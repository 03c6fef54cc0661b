"""The page about Vault, followed by somebody who has an empty Vault; and with it the example."""

from pathlib import Path

import pytest

from devcluster import Cluster, binaries
from devcluster.vault import Vault
from tests.e2e.harness import Kubectl, is_true
from tests.e2e.test_howto import run_page

#: Beside the session's Vault.
PORT = 8300


@pytest.mark.usefixtures("operator")
def test_the_commands_work(cluster: Cluster, kubectl: Kubectl, tmp_path: Path) -> None:
    """AppRole and Kubernetes authentication, from nothing to the Secret."""
    (tmp_path / "vault").symlink_to(binaries.ensure(["vault"])["vault"])
    with Vault.start(cluster, PORT) as vault:
        run_page(
            "vault.md",
            kubectl,
            tmp_path,
            HOME=str(tmp_path),
            VAULT_ADDR=f"http://{vault.outer}",
            VAULT_TOKEN=vault.root_token,
            VAULT_SERVER=vault.url,
            VAULT_CA_FILE=str(vault.files.ca),
            KUBERNETES_HOST="https://127.0.0.1:6443",
        )
        cluster.kubectl("delete", "clusterrolebinding", "vault-reviewer")
        for name in ("intranet", "payroll"):
            found = kubectl.get("certificate", name)
            assert found is not None
            assert is_true(found, "Ready")
