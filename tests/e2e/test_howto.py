"""The how-to pages do what they say: each command is run, in order, and must succeed."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.harness import ROOT, Kubectl

pytestmark = pytest.mark.usefixtures("operator")

#: Page -> what its commands must have shown.
PAGES = {
    "external-issuers-and-approvers.md": (
        "certificaterequest.cert-manager.io/mine condition met",
        "mine.crt: OK",
        "made by devcluster-admin",
        "allowed: true",
        "CN = Hand CA",
    ),
    "certificates.md": ("DNS:*.web.example.com", 'OU = "Ops, East"', "PrivateKeyEntry", "PBES2"),
    "ingress.md": ("DNS:shop.example.test", "BadConfig", "kubernetes.io/tls"),
}


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page(kubectl: Kubectl, tmp_path: Path, page: str) -> None:
    """In a shell that stops at the first failure, as the cluster's administrator, in an empty namespace."""
    text = (ROOT / "docs" / "howto" / page).read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert blocks
    access = tmp_path / "kubeconfig"
    shutil.copy(kubectl.cluster.kubeconfig, access)
    environment = os.environ | {
        "KUBECONFIG": str(access),
        "PATH": f"{kubectl.cluster.programs['kubectl'].parent}:{os.environ['PATH']}",
    }
    script = "set -euo pipefail\n" + "\n".join(
        [f"kubectl config set-context --current --namespace={kubectl.namespace} >/dev/null", *blocks]
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for words in PAGES[page]:
        assert words in done.stdout + done.stderr, done.stdout + done.stderr
