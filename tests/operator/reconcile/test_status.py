"""Conditions, failures and their back-off, and the patch that writes them."""

from datetime import timedelta

import msgspec
import pytest

from certwright.api import ARIStatus, CertificateACMEStatus, CertificateStatus, Condition
from certwright.reconcile.status import back_off_until
from certwright.reconcile.statuspatch import status_patch
from certwright.reporter import with_condition, without_condition
from tests.operator.builders import NOW, certificate

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("attempts", "pause"), [(None, 1), (0, 1), (1, 1), (2, 2), (3, 4), (6, 32), (7, 32), (500, 32)]
)
def test_pauses_double_from_one_hour_to_32(attempts: int | None, pause: int) -> None:
    """Contract row 8.17: counted from lastFailureTime, from 1 h to 32 h, afresh at each look."""
    failed = certificate(status={"lastFailureTime": "2026-11-24T12:00:00Z", "failedIssuanceAttempts": attempts})
    assert back_off_until(failed, HOUR, 32 * HOUR) == NOW + pause * HOUR


def test_no_pause_without_a_failure_or_with_the_minimum_at_zero() -> None:
    """Nothing to wait for."""
    assert back_off_until(certificate(), HOUR, HOUR) is None
    failed = certificate(status={"lastFailureTime": "2026-11-24T12:00:00Z"})
    assert back_off_until(failed, timedelta(), HOUR) is None


def test_a_transition_time_moves_only_with_the_status() -> None:
    """Contract row 8.19: a new reason or message keeps it."""
    first = with_condition((), "Ready", status="False", reason="A", message="a", now=NOW)
    second = with_condition(first, "Ready", status="False", reason="B", message="b", now=NOW + HOUR)
    third = with_condition(second, "Ready", status="True", reason="C", message="c", now=NOW + 2 * HOUR)
    assert [c[0].last_transition_time for c in (first, second, third)] == [NOW, NOW, NOW + 2 * HOUR]
    assert (second[0].reason, second[0].message) == ("B", "b")


def test_conditions_of_others_are_kept() -> None:
    """Setting or removing one type leaves the rest in place."""
    others = (Condition(type="Custom", status="True"),)
    both = with_condition(others, "Ready", status="True", reason="", message="", now=NOW)
    assert [c.type for c in both] == ["Custom", "Ready"]
    assert without_condition(both, "Ready") == others


def test_the_patch_names_only_what_changed_and_clears_what_went() -> None:
    """A merge patch with the version it was decided on."""
    before = certificate(status={"revision": 1, "lastFailureTime": "2026-11-24T12:00:00Z", "failedIssuanceAttempts": 2})
    after = msgspec.structs.replace(before.status, revision=2, last_failure_time=None, failed_issuance_attempts=None)
    assert status_patch(before.metadata, before.status, after) == {
        "metadata": {"resourceVersion": "10", "uid": before.metadata.uid},
        "status": {"revision": 2, "lastFailureTime": None, "failedIssuanceAttempts": None},
    }
    assert status_patch(before.metadata, before.status, before.status)["status"] == {}


def test_what_went_inside_is_cleared_as_well() -> None:
    """A merge patch keeps the members of an object that it does not name (RFC 7386 section 2)."""
    before = certificate(status={"acme": {"ari": {"lastError": "no", "lastChecked": "2026-11-24T12:00:00Z"}}})
    after = msgspec.structs.replace(before.status, acme=CertificateACMEStatus(ari=ARIStatus(last_checked=NOW)))
    assert status_patch(before.metadata, before.status, after)["status"] == {"acme": {"ari": {"lastError": None}}}
    gone = msgspec.structs.replace(before.status, acme=None)
    assert status_patch(before.metadata, before.status, gone)["status"] == {"acme": None}


def test_times_are_written_as_the_api_writes_them() -> None:
    """RFC 3339 with a Z."""
    patch = status_patch(certificate().metadata, CertificateStatus(), CertificateStatus(not_after=NOW))
    assert patch["status"] == {"notAfter": "2026-11-24T12:00:00Z"}
