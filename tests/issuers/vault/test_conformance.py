"""The conformance suite over the Vault issuer, against a Vault that takes names and keys as they come."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from certwright_issuers.registry import ISSUER_TYPES
from certwright_issuers.testing import CHECKS, Candidate, Check, Feature
from tests.issuers.vault.conftest import issuer_for
from tests.issuers.vault.fakevault import FakeVault

#: What the role decides.
BY_ROLE = frozenset({Feature.USAGES, Feature.IS_CA, Feature.CONSTRAINTS, Feature.DURATION})


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_conformance(fake: FakeVault, check: Check) -> None:
    """Every check that is not up to Vault's role."""
    now = datetime.now(UTC).replace(microsecond=0)
    row = ISSUER_TYPES["vault"]
    await check(Candidate(issuer_for(fake.url), row, anchors=(fake.root.certificate,), ignores=BY_ROLE, now=now))
