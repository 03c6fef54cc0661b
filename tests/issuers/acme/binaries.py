"""Where the programs for end-to-end tests are."""

from __future__ import annotations

import shutil

import pytest


def program(name: str) -> str:
    """The path of a program; skips the test if it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found
