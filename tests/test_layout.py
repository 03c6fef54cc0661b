"""Guards of the two-source-roots layout: what would break only on somebody else's machine."""

from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_no_module_lies_directly_in_a_source_root() -> None:
    """A file operator/x.py would be installed as top-level x; operator/__init__.py would shadow the standard library."""
    assert [p.name for root in ("operator", "issuers") for p in (ROOT / root).glob("*.py")] == []


def test_test_folders_are_not_packages() -> None:
    """tests/operator/__init__.py would make pytest import a package named operator."""
    assert list((ROOT / "tests").rglob("__init__.py")) == []
