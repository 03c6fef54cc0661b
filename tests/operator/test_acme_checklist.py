"""The page about the checklist names each item once, and only tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "acme-checklist.md").read_text()
SOURCES = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("*.py"))


def test_all_items_are_there() -> None:
    """68, in their order."""
    assert re.findall(r"^\| (\d+) \|", PAGE, re.MULTILINE) == [str(number) for number in range(1, 69)]


def test_the_tests_exist() -> None:
    """Functions, classes and files."""
    functions = set(re.findall(r"`(test_\w+)`", PAGE))
    assert len(functions) > 40
    assert {name for name in functions if f"def {name}(" not in SOURCES} == set()
    assert "class TestACMEIssuer(" in SOURCES
    assert {name for name in re.findall(r"`(tests/\S+?\.py)`", PAGE) if not (ROOT / name).exists()} == set()
