"""What came of a CertificateRequest: its conditions, in one write, and its Events (API contract section 2.3)."""

from __future__ import annotations

from datetime import datetime

import msgspec

from certwright.api import CertificateRequest, CertificateRequestStatus, Condition
from certwright.errors import Forbidden
from certwright.kube import CERTIFICATE_REQUESTS
from certwright.reconcile.context import Context, about_request
from certwright.reconcile.outcome import Outcome
from certwright.reconcile.statuspatch import status_patch
from certwright.reporter import find_condition, with_condition

APPROVED_REASON = "cert-manager.io"
APPROVED_MESSAGE = "Certificate request has been approved by cert-manager.io"
#: Reason of requests whose CSR and spec contradict each other.
INVALID = "InvalidRequest"


def approved(conditions: tuple[Condition, ...], now: datetime) -> tuple[Condition, ...]:
    """``conditions`` with our approval."""
    return with_condition(
        conditions, "Approved", status="True", reason=APPROVED_REASON, message=APPROVED_MESSAGE, now=now
    )


async def write_outcome(
    context: Context,
    request: CertificateRequest,
    conditions: tuple[Condition, ...],
    outcome: Outcome | None,
    *,
    approving: bool = False,
) -> CertificateRequest:
    """One status write with everything that changed, and the Events that go with it; the request afterwards."""
    old_ready = find_condition(request.status.conditions, "Ready")
    status = msgspec.structs.replace(request.status, conditions=conditions)
    if outcome is not None:
        status = with_outcome(context, request, conditions, outcome)
    written = await write_status(context, request, status) if status != request.status else request
    about = about_request(request)
    if approving:
        context.reporter.normal(about, APPROVED_REASON, APPROVED_MESSAGE)
    if outcome is None or (outcome.state == "Pending" and old_ready is not None and old_ready.reason == "Pending"):
        return written
    if outcome.state == "Issued":
        context.reporter.normal(about, outcome.event_reason, outcome.message)
        for note in outcome.issued.notes if outcome.issued else ():
            context.reporter.warning(about, note.reason, note.message)
    elif outcome.state == "Pending":
        context.reporter.normal(about, outcome.event_reason, outcome.message)
    else:
        context.reporter.warning(about, outcome.event_reason, outcome.message)
    return written


def with_outcome(
    context: Context, request: CertificateRequest, conditions: tuple[Condition, ...], outcome: Outcome
) -> CertificateRequestStatus:
    """The status of ``request`` after ``outcome``."""
    now = context.now().replace(microsecond=0)
    conditions = with_condition(
        conditions,
        "Ready",
        status="True" if outcome.state == "Issued" else "False",
        reason=outcome.state,
        message=outcome.message,
        now=now,
    )
    if outcome.invalid:
        conditions = with_condition(
            conditions, "InvalidRequest", status="True", reason=INVALID, message=outcome.message, now=now
        )
    failed = outcome.state in {"Failed", "Denied"}
    return msgspec.structs.replace(
        request.status,
        conditions=conditions,
        certificate=outcome.issued.chain_pem if outcome.issued else b"",
        ca=outcome.issued.ca_pem if outcome.issued else b"",
        failure_time=request.status.failure_time or (now if failed else None),
    )


async def write_status(
    context: Context, request: CertificateRequest, status: CertificateRequestStatus
) -> CertificateRequest:
    """Patch the status and take the answer into the store. Raises Conflict if the request changed meanwhile."""
    path = CERTIFICATE_REQUESTS.path(request.metadata.namespace, request.metadata.name, "status")
    patch = status_patch(request.metadata, request.status, status)
    try:
        written = await context.kube.merge_patch(path, patch, CertificateRequest)
    except Forbidden:
        context.approver.forget()
        raise
    context.store.put_request(written)
    return written
