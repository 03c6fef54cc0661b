"""The shell commands of docs/howto work as they are written."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from devcluster import Cluster
from tests.e2e.harness import ROOT

pytestmark = pytest.mark.usefixtures("operator")

PAGES = ("ingress.md",)


@pytest.mark.parametrize("page", PAGES)
def test_the_commands_of_a_page_work(cluster: Cluster, namespace: str, tmp_path: Path, page: str) -> None:
    """In one shell, in their order; the first that fails ends it. ``kubectl`` is in a namespace of its own."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", (ROOT / "docs" / "howto" / page).read_text(), re.DOTALL | re.MULTILINE)
    assert blocks
    kubectl = tmp_path / "kubectl"
    program, cache = cluster.programs["kubectl"], tmp_path / "cache"
    kubectl.write_text(
        f'#!/bin/sh\nexec {program} --kubeconfig={cluster.kubeconfig} --cache-dir={cache} -n {namespace} "$@"\n'
    )
    kubectl.chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-euxo", "pipefail", "-c", "\n".join(blocks)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
