"""Decisions of an issuance that waits for others."""

from datetime import timedelta

import pytest

from certwright.reconcile.handover import failed_before
from tests.operator.builders import NOW, certificate, request


@pytest.mark.parametrize(
    ("failed_at", "old"),
    [("11:59:59Z", True), ("12:00:00Z", False), ("12:00:00.9Z", False), ("12:00:01Z", False)],
)
def test_a_failed_request_is_of_an_earlier_attempt_if_it_failed_before_issuing_began(
    failed_at: str, *, old: bool
) -> None:
    """Contract row 8.18: compared with whole seconds; one that failed in the same second belongs to this attempt."""
    conditions = [{"type": "Ready", "status": "False", "reason": "Failed"}]
    failed = request(certificate(), status={"conditions": conditions, "failureTime": f"2026-11-24T{failed_at}"})
    assert failed_before(failed, NOW) == old
    assert not failed_before(failed, None)
    assert not failed_before(request(certificate()), NOW + timedelta(days=1))
