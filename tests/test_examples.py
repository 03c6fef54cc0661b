"""What the folders of examples/ hold: people apply several of them to one namespace."""

from itertools import combinations
from pathlib import Path
from typing import Any

import yaml

EXAMPLES = Path(__file__).parent.parent / "examples"


def objects() -> dict[str, list[dict[str, Any]]]:
    """By folder."""
    return {
        folder.name: [item for file in sorted(folder.glob("*.yaml")) for item in yaml.safe_load_all(file.read_text())]
        for folder in sorted(EXAMPLES.iterdir())
    }


def secrets(item: dict[str, Any]) -> set[str]:
    """Names of the Secrets that certificates are put into."""
    spec = item.get("spec", {})
    entries = spec.get("tls", []) if item["kind"] == "Ingress" else [spec] if item["kind"] == "Certificate" else []
    return {entry["secretName"] for entry in entries}


def test_no_example_changes_another_ones_objects() -> None:
    """Two may both bring the same issuer."""
    for one, other in combinations([item for items in objects().values() for item in items], 2):
        if (one["kind"], one["metadata"]["name"]) == (other["kind"], other["metadata"]["name"]):
            assert one == other


def test_no_two_examples_write_one_secret() -> None:
    written = [name for items in objects().values() for item in items for name in secrets(item)]
    assert len(written) > 8
    assert sorted(written) == sorted(set(written))
