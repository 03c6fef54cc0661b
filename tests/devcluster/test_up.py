"""``python -m devcluster up``, as people run it: what it starts outlives the command and does not hold it up."""

import os
import subprocess
import sys
import time

import pytest

from tests.e2e.harness import ROOT

pytestmark = pytest.mark.e2e
NAME = f"up-{os.getpid()}"


def devcluster(*args: str) -> str:
    """Its output, read through pipes to their end."""
    argv = [sys.executable, "-m", "devcluster", *args, "--name", NAME]
    return subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout


def test_everything_still_runs_after_the_command() -> None:
    try:
        assert "export KUBECONFIG=" in devcluster("up", "--with", "acme,ingress,vault")
        # What goes with the command is gone by then.
        time.sleep(1)
        own = devcluster("status").partition(f"{NAME}: ")[2].partition("KUBECONFIG=")[0]
        assert "envoy" in own
        assert "ended" not in own, own
    finally:
        devcluster("down")
