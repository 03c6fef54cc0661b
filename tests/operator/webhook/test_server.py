"""What is handed on as a review."""

from typing import Any

import pytest

from certwright.webhook.server import is_review

GOOD: dict[str, Any] = {"resource": {"resource": "x"}, "userInfo": {}, "object": {"kind": "X"}, "oldObject": None}


@pytest.mark.parametrize(
    ("review", "is_one"),
    [
        ({"request": GOOD}, True),
        ({"request": {**GOOD, "object": None}}, False),
        ({"request": {**GOOD, "userInfo": "root"}}, False),
        ({"request": {}}, False),
        ({"request": []}, False),
        ({}, False),
        ([], False),
        (None, False),
        ("text", False),
    ],
)
def test_what_is_a_review(review: Any, is_one: bool) -> None:  # noqa: FBT001
    """All that a review of the API server has; nothing else reaches Kopf."""
    assert is_review(review) is is_one
