"""CertificateRequests: approve, have the issuer sign, and say what came of it.

Whoever made the request: certwright for a Certificate, a person, a CSI driver, a service mesh. The Ready condition has
one of four reasons, Pending, Failed, Issued or Denied; the precise cause is the message and the Event (API contract
section 2.3). Approval and signature go out in one write where nothing has to be waited for.
"""

from __future__ import annotations

import logging
from datetime import timedelta

from certwright.api import CertificateRequest, IssuerRef
from certwright.api.duration import parse_go_duration
from certwright.api.groups import ANNOTATION_PRIVATE_KEY_SECRET_NAME, DEFAULT_ISSUER_GROUP
from certwright.approver import signer_names
from certwright.issuerpool import Loaded
from certwright.reconcile.acme.requests import order_outcome, wake_orders
from certwright.reconcile.asking import Question, ask, is_asked, would_ask
from certwright.reconcile.context import Context, Retry, about_request
from certwright.reconcile.keys import awaited_key
from certwright.reconcile.outcome import Outcome
from certwright.reconcile.requeststatus import (
    INVALID,
    approved,
    write_outcome,
)
from certwright.reporter import find_condition, is_true
from certwright.secretfacts import TLS_KEY
from certwright.store import NamespacedName, RequestRecord
from certwright.workqueue import Key
from certwright_issuers.certificate import InvalidCertificate, parse_certificate_facts
from certwright_issuers.contract import (
    DEFAULT_DURATION,
    ConfigInvalid,
    IssuerError,
    Pending,
    RateLimited,
    RequestRejected,
    SigningRequest,
    Unavailable,
)
from certwright_issuers.csr import InvalidCSR, ParsedCSR, parse_csr
from certwright_issuers.keys import InvalidKey, PrivateKey
from certwright_issuers.matching import request_contradictions
from certwright_issuers.usages import DEFAULT_USAGES

logger = logging.getLogger(__name__)

ISSUED_MESSAGE = "Certificate fetched from issuer successfully"
DENIED_MESSAGE = "The CertificateRequest was denied by an approval controller"
WAITING_MESSAGE = "Not signing CertificateRequest until it is Approved"
NOT_READY_MESSAGE = "Referenced issuer does not have a Ready status condition"

SETTLED = frozenset({"Failed", "Issued", "Denied"})


async def reconcile_request(context: Context, key: Key) -> float | None:
    """A request that no Certificate of ours owns. Returns after how many seconds to look again."""
    record = context.store.requests.get(key)
    if record is None or record.meta.deletion_timestamp is not None:
        return None
    worker = context.store.worker_of(record.object)
    if worker != key:
        # Two at a time would sign twice.
        context.queue.add(worker)
        return None
    await settle(context, record, key)
    return context.approver.recheck_after(record.object.spec.issuer_ref, key.namespace)


async def settle(context: Context, record: RequestRecord, waiter: Key) -> None:
    """Bring one request as far as it can go now. ``waiter`` is looked at again when its issuer changes."""
    request = record.object
    conditions = request.status.conditions
    ready = find_condition(conditions, "Ready")
    ref, namespace = request.spec.issuer_ref, request.metadata.namespace
    is_ours = ref.effective_group == DEFAULT_ISSUER_GROUP
    if is_true(conditions, "Denied"):
        # Issuers of other APIs say so themselves.
        if is_ours and (ready is None or ready.reason != "Denied"):
            await write_outcome(context, request, conditions, Outcome("Denied", "Denied", DENIED_MESSAGE))
        return
    settled = ready is not None and ready.reason in SETTLED
    if settled or record.certificate_digest or is_true(conditions, "InvalidRequest"):
        return
    is_approved = is_true(conditions, "Approved")
    approving = not is_approved and await context.approver.approves(ref, namespace)
    if approving:
        conditions = approved(conditions, context.now())
    elif not is_approved:
        context.reporter.normal(about_request(request), "WaitingForApproval", waiting_message(context, ref, namespace))
        return
    if not is_ours:
        if approving:
            await write_outcome(context, request, conditions, None, approving=True)
        return
    if approving and would_ask(context, ref, namespace):
        # An outside CA can't take a signature back: nothing leaves before the approval is known to everybody.
        request, approving = await write_outcome(context, request, conditions, None, approving=True), False
    outcome = await sign(context, request, waiter, None)
    # Of a Certificate's request nobody reads it: that has Events of its own.
    by_hand = waiter.kind == "CertificateRequest"
    await write_outcome(context, request, conditions, outcome, approving=approving and by_hand)
    wake_orders(context, request)
    if outcome.state == "Pending" and outcome.retry_after is not None:
        raise Retry(outcome.message, outcome.retry_after.total_seconds())


def waiting_message(context: Context, ref: IssuerRef, namespace: str) -> str:
    """What a request waits for that nobody has approved or denied yet."""
    if not context.approver.wants(ref, namespace):
        return WAITING_MESSAGE
    name = signer_names(ref, namespace)[0]
    return (
        f"{WAITING_MESSAGE}; certwright itself may not approve it: that takes the verb approve on the resource signers of "
        f"cert-manager.io with the name {name}, or another approver"
    )


async def sign(context: Context, request: CertificateRequest, waiter: Key, key: PrivateKey | None) -> Outcome:
    """Have the issuer sign an approved request. Raises nothing an issuer can cause; KubeError passes through.

    ``key`` is the request's private key if the caller holds it; self-signed issuers otherwise read it from the Secret
    that the request's annotation names.
    """
    ref, namespace = request.spec.issuer_ref, request.metadata.namespace
    context.issuers.wait_for(ref, namespace, waiter)
    loaded = context.issuers.find(ref, namespace)
    if not context.issuers.exists(ref, namespace):
        return _issuer_not_found(ref)
    question = Question(ref, namespace, request.metadata.uid, waiter)
    if loaded is None or not (loaded.health.ready or is_asked(context, question)):
        return Outcome("Pending", "IssuerNotReady", NOT_READY_MESSAGE)
    try:
        parsed = parse_csr(request.spec.request)
    except InvalidCSR as error:
        return Outcome("Failed", "RequestParsingError", f"Failed to decode CSR in spec.request: {error}", invalid=True)
    try:
        return await _signed(context, loaded, request, parsed, question, key)
    except InvalidCertificate as error:
        return Outcome("Failed", "DecodeError", f"Failed to decode returned certificate: {error}")
    except RequestRejected as error:
        return Outcome("Failed", error.reason, error.message, invalid=error.reason == INVALID)
    except IssuerError as error:
        return _pending(context, error)


async def _signed(
    context: Context,
    loaded: Loaded,
    request: CertificateRequest,
    parsed: ParsedCSR,
    question: Question,
    key: PrivateKey | None,
) -> Outcome:
    """The issuer's answer. Raises IssuerError, InvalidCertificate, KubeError, Retry, Waiting."""
    if loaded.type is not None and loaded.type.needs_private_key and key is None:
        key = await _annotated_key(context, request)
    signing = signing_request(context, request, parsed, key)
    acme = context.issuers.acme_spec(question.ref, question.namespace)
    if acme is not None:
        return await order_outcome(context, request, parsed.facts, acme)
    if loaded.issuer is None or loaded.type is None:
        return Outcome("Pending", "IssuerNotReady", NOT_READY_MESSAGE)
    in_process = loaded.type.in_process
    result = await (loaded.issuer.sign(signing) if in_process else ask(context, loaded.issuer, question, signing))
    if isinstance(result, Pending):
        return Outcome("Pending", result.reason, result.message, retry_after=result.retry_after)
    parse_certificate_facts(result.chain_pem)
    return Outcome("Issued", "CertificateIssued", ISSUED_MESSAGE, issued=result)


def signing_request(
    context: Context, request: CertificateRequest, parsed: ParsedCSR, key: PrivateKey | None
) -> SigningRequest:
    """The issuer's view of a request. Raises RequestRejected if it contradicts itself."""
    spec = request.spec
    usages = spec.usages or DEFAULT_USAGES
    contradictions = request_contradictions(parsed.facts, usages, is_ca=bool(spec.is_ca))
    if contradictions:
        raise RequestRejected(
            INVALID, f"The CSR in spec.request does not match the request: {'; '.join(contradictions)}"
        )
    try:
        duration = parse_go_duration(spec.duration) if spec.duration else DEFAULT_DURATION
    except ValueError as error:
        raise RequestRejected(INVALID, f"spec.duration: {error}") from error
    return SigningRequest(
        csr=parsed.csr,
        duration=duration,
        is_ca=bool(spec.is_ca),
        usages=usages,
        now=context.now().replace(microsecond=0),
        private_key=key,
    )


async def _annotated_key(context: Context, request: CertificateRequest) -> PrivateKey:
    """The private key in the Secret that the request's annotation names, in the request's own namespace."""
    name = request.metadata.annotations.get(ANNOTATION_PRIVATE_KEY_SECRET_NAME, "")
    if not name:
        raise RequestRejected(
            "MissingAnnotation",
            f"Annotation {ANNOTATION_PRIVATE_KEY_SECRET_NAME!r} missing or reference empty: it names the Secret with the "
            "request's private key, which a self-signed certificate is signed with",
        )
    where = NamespacedName(request.metadata.namespace, name)
    reader = Key("CertificateRequest", where.namespace, request.metadata.name)
    try:
        key = await awaited_key(context, reader, where)
    except InvalidKey as error:
        raise Unavailable("ErrorParsingKey", f'Failed to get key "{TLS_KEY}" of secret "{name}": {error}') from error
    if key is None:
        raise Unavailable("MissingSecret", f'Referenced secret "{where.namespace}/{name}" not found')
    return key


def _issuer_not_found(ref: IssuerRef) -> Outcome:
    kind = ref.effective_kind
    what = f'{kind.lower()}.{ref.effective_group} "{ref.name}" not found'
    return Outcome("Pending", "IssuerNotFound", f'Referenced "{kind}" not found: {what}')


def _pending(context: Context, error: IssuerError) -> Outcome:
    """An error that may pass: when to try again."""
    match error:
        case ConfigInvalid():
            # The issuer's own reconcile finds the same and wakes us when it is mended.
            return Outcome("Pending", error.reason, error.message, retry_after=timedelta(seconds=30))
        case RateLimited():
            return Outcome("Pending", error.reason, error.message, retry_after=error.retry_at - context.now())
        case Unavailable():
            return Outcome(
                "Pending", error.reason, error.message, retry_after=error.retry_after or timedelta(seconds=10)
            )
        case _:
            logger.error("an issuer raised an error of an unknown kind", exc_info=error)
            return Outcome(
                "Pending", "InternalError", "internal error, see the operator's log", retry_after=timedelta(seconds=30)
            )
