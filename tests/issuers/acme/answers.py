"""Answers of a CA as dictionaries, for tests without I/O."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import strategies as st

from certwright_issuers.acme.reply import Reply

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def got(body: object, status: int = 200, url: str = "https://ca.example/x", **headers: str) -> Reply:
    """An answer; header names with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(url, status, named, body if isinstance(body, bytes) else json.dumps(body).encode(), NOW)


#: ASCII with some of what breaks terminals; the whole of Unicode costs a second to set up.
TEXT = st.sampled_from("abc \x00\x1b\n\u202e\U0001f600")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(TEXT, max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "detail", "subproblems", "identifier", "value", "status", "x"]), inner
        )
    ),
    max_leaves=12,
)
