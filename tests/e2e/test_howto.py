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
    "self-signed-and-ca.md": ("certificate.cert-manager.io/dashboard condition met", "chain.crt: OK"),
    "ingress.md": ("DNS:shop.example.test", "BadConfig", "kubernetes.io/tls"),
}


@pytest.mark.parametrize("page", PAGES)
def test_commands_of_a_page(kubectl: Kubectl, tmp_path: Path, page: str) -> None:
    """Pages that need nothing but a cluster."""
    told = run_page(page, kubectl, tmp_path)
    for words in PAGES[page]:
        assert words in told, told


def run_page(page: str, kubectl: Kubectl, folder: Path, **variables: str) -> str:
    """In a shell that stops at the first failure, as the cluster's administrator, in an empty namespace; what it printed."""
    text = (ROOT / "docs" / "howto" / page).read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    assert blocks
    access = folder / "kubeconfig"
    (folder / "examples").symlink_to(ROOT / "examples")
    shutil.copy(kubectl.cluster.kubeconfig, access)
    environment = os.environ | {
        "KUBECONFIG": str(access),
        "PATH": f"{folder}:{kubectl.cluster.programs['kubectl'].parent}:{os.environ['PATH']}",
        **variables,
    }
    script = "set -euo pipefail\n" + "\n".join(
        [f"kubectl config set-context --current --namespace={kubectl.namespace} >/dev/null", *blocks]
    )
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr
