"""Whatever a server answers, the issuer's own errors come of it, in bounded and printable words."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers.contract import RequestRejected
from certwright_issuers.vault.client import TEXT_LIMIT, _object, _told
from certwright_issuers.vault.config import secret_names
from certwright_issuers.vault.signing import issued
from tests.issuers.vault.conftest import request

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10)
REQUEST = request()


@given(st.dictionaries(st.sampled_from(["certificate", "ca_chain", "issuing_ca"]), JSON))
def test_answers_to_a_signature(data: dict[str, Any]) -> None:
    """None of these is a certificate."""
    with pytest.raises(RequestRejected) as caught:
        issued(data, REQUEST)
    assert caught.value.reason == "SigningError"
    assert len(caught.value.message) < 300


@given(JSON, st.text(min_size=4))
def test_error_documents(errors: Any, secret: str) -> None:
    """One line, cut, and without what must not be told."""
    told = _told(400, {"errors": errors if isinstance(errors, list) else [errors, f"x{secret}x"]}, (secret, "", "abc"))
    assert told.isprintable()
    assert len(told) <= TEXT_LIMIT + len(" (HTTP 400)")
    assert told.endswith(("HTTP 400", "(HTTP 400)"))


@given(st.text() | JSON.map(json.dumps))
def test_bodies(text: str) -> None:
    """An object, or nothing."""
    assert isinstance(_object(text), dict)


@given(st.dictionaries(st.sampled_from(["auth", "caBundleSecretRef", "clientKeySecretRef"]), JSON))
def test_secret_names_are_total(config: dict[str, Any]) -> None:
    """The contract says: never raises."""
    assert all(isinstance(name, str) and name for name in secret_names(config))
