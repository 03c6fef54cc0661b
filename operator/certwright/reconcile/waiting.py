"""What an issuance waits for, in words for the Certificate's own Issuing condition.

``kubectl describe certificate`` has to tell the cause, whoever's turn it is: the issuer's owner, a CA, an approver, an
issuer of another API.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from certwright.api import CertificateRequest
from certwright.api.groups import DEFAULT_ISSUER_GROUP
from certwright.reconcile.acme.requests import LOST, ORDER_REFUSED
from certwright.reconcile.asking import would_ask
from certwright.reconcile.context import Context
from certwright.reconcile.keystores import Passwords
from certwright.reconcile.signing import NOT_READY_MESSAGE
from certwright.reconcile.view import View
from certwright.reporter import find_condition, is_true

#: How long others may take before they are named: most answer within milliseconds, and each change is a write.
GRACE = timedelta(seconds=5)


def waits_for(context: Context, view: View, passwords: Passwords) -> str:
    """One clause; empty while there is nothing to be told."""
    return (
        _waits_for_issuer(context, view)
        or passwords.missing
        or waits_for_order(context, (record.object for record in view.next))
        or _waits_for_signature(context, view)
        or next((words for record in view.next if (words := waits_for_others(record.object, view.now))), "")
    )


def told_at(context: Context, view: View) -> datetime | None:
    """When others will have taken so long that they are named; None: not by time alone."""
    if not view.issuing:
        return None
    # Not from the view: the request may have been made since it was gathered.
    requests = (record.object for record in context.store.requests_owned_by(view.certificate.metadata.uid))
    moments = [request.metadata.creation_timestamp + GRACE for request in requests if _in_other_hands(request)]
    return min((moment for moment in moments if moment > view.now), default=None)


def _waits_for_issuer(context: Context, view: View) -> str:
    """What is wrong with the issuer, for the Certificate's own condition; empty if nothing is."""
    ref = view.certificate.spec.issuer_ref
    if ref.effective_group != "cert-manager.io":
        return ""
    if not context.issuers.exists(ref, view.key.namespace):
        return f'{ref.effective_kind} "{ref.name}" does not exist'
    loaded = context.issuers.find(ref, view.key.namespace)
    if loaded is None:
        return f'{ref.effective_kind} "{ref.name}" has not been checked yet'
    return "" if loaded.health.ready else f'{ref.effective_kind} "{ref.name}" is not ready: {loaded.health.message}'


def waits_for_order(context: Context, requests: Iterable[CertificateRequest]) -> str:
    """What an ACME order waits for that a person should know: the CA's words, a name that can't be reached, a quota."""
    for request in requests:
        ready = find_condition(request.status.conditions, "Ready")
        if ready is not None and ready.message.startswith(ORDER_REFUSED):
            return ready.message
        for order in context.store.orders.owned_by(request.metadata.uid):
            if order.status.reason and order.status.state not in {"valid", *LOST}:
                return order.status.reason
    return ""


def _waits_for_signature(context: Context, view: View) -> str:
    """Why an outside CA that is well has not signed yet, as it was told on the request: it will be asked again."""
    if not would_ask(context, view.certificate.spec.issuer_ref, view.key.namespace):
        return ""
    for record in view.next:
        ready = find_condition(record.object.status.conditions, "Ready")
        if ready is not None and ready.reason == "Pending" and ready.message != NOT_READY_MESSAGE:
            return ready.message
    return ""


def waits_for_others(request: CertificateRequest, now: datetime) -> str:
    """Whether an approver, or an issuer of another API, has taken long enough to be named."""
    if now < request.metadata.creation_timestamp + GRACE or not _in_other_hands(request):
        return ""
    name = f'CertificateRequest "{request.metadata.name}"'
    if not is_true(request.status.conditions, "Approved"):
        return f"{name} has been neither approved nor denied"
    ready = find_condition(request.status.conditions, "Ready")
    if ready is not None and ready.message:
        return f"{name}: {ready.message}"
    ref = request.spec.issuer_ref
    return (
        f'{name} has not been answered by the controller of {ref.effective_kind} "{ref.name}" of {ref.effective_group}'
    )


def _in_other_hands(request: CertificateRequest) -> bool:
    """Whether it is somebody else's turn."""
    if is_true(request.status.conditions, "Denied"):
        return False
    is_ours = request.spec.issuer_ref.effective_group == DEFAULT_ISSUER_GROUP
    return not is_ours or not is_true(request.status.conditions, "Approved")
