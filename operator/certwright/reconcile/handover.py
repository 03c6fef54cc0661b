"""Issue with somebody else's help: an outside CA, another controller, an approver, or an issuer that is not ready yet.

The steps are those people know from ``kubectl describe``: key into a temporary Secret; Issuing=True; a
CertificateRequest; wait; the signed certificate into the target Secret; status. Each look goes as far as it can.
"""

from __future__ import annotations

from datetime import datetime

from certwright.api import CertificateRequest
from certwright.csrspec import encoding_of, request_spec_of
from certwright.errors import NotFound
from certwright.kube import CERTIFICATE_REQUESTS
from certwright.policies import Violation, request_violations
from certwright.reconcile import status as statuses
from certwright.reconcile.context import Context, Retry, about_certificate
from certwright.reconcile.inprocess import CERTIFICATE_ISSUED_MESSAGE
from certwright.reconcile.keystores import Passwords, make_keystores
from certwright.reconcile.nextkey import NextKey, delete_next_key, obtain_next_key
from certwright.reconcile.recording import record_issued
from certwright.reconcile.requests import create_request, delete_request
from certwright.reconcile.signing import settle
from certwright.reconcile.target import apply_secret, issuer_annotations
from certwright.reconcile.temporary import bridge
from certwright.reconcile.view import View, gather, revision_of
from certwright.reconcile.waiting import waits_for
from certwright.reporter import find_condition
from certwright.store import RequestRecord
from certwright.workqueue import Key
from certwright_issuers.certificate import InvalidCertificate, parse_certificate_facts
from certwright_issuers.csr import InvalidCSR, build_csr, parse_csr_facts
from certwright_issuers.keys import encode_key, spki_sha256
from certwright_issuers.keystores import Content

#: Between the trigger's own message and what the issuance waits for, in the Issuing condition.
WAITING = ". Waiting: "
#: How often a missing keystore password is looked for although the watch should tell, in seconds.
PASSWORD_RECHECK = 300.0


async def advance(context: Context, view: View, why: Violation, passwords: Passwords) -> View:
    """Take the issuance as far as it goes now; the view afterwards. Raises what the steps raise."""
    if not view.issuing:
        context.reporter.normal(about_certificate(view.certificate), "Issuing", why.message)
    next_key = await obtain_next_key(context, view)
    waiting = waits_for(context, view, passwords)
    view = await _show(context, view, why, waiting, next_key)
    request = await _request(context, view, next_key)
    name = request.metadata.name
    await settle(context, _held(context, view.key.namespace, name), view.key)
    return await _conclude(context, view, _held(context, view.key.namespace, name).object, next_key, passwords)


def _held(context: Context, namespace: str, name: str) -> RequestRecord:
    record = context.store.requests.get(Key("CertificateRequest", namespace, name))
    if record is None:
        raise Retry(f"CertificateRequest {name} was deleted while it was being signed")
    return record


async def _show(context: Context, view: View, why: Violation, waiting: str, next_key: NextKey) -> View:
    """Write Issuing=True, Ready and the name of the temporary Secret, together."""
    message = f"{why.message}{WAITING}{waiting}" if waiting else why.message
    status = statuses.issuing(view, Violation(why.reason, message), next_key.secret_name)
    await statuses.write(context, view.certificate, status)
    return await gather(context, view.key, view.certificate)


async def _request(context: Context, view: View, next_key: NextKey) -> CertificateRequest:
    """The one request of this attempt, created if there is none that fits."""
    since = statuses.issuing_condition(view.certificate)
    fitting: list[CertificateRequest] = []
    for record in view.requests:
        revision = revision_of(record)
        if revision is not None and revision != view.revision:
            continue
        outdated = (
            revision is None
            or bool(request_violations(record.object, view.certificate))
            or not _has_key(record.object, next_key)
            or failed_before(record.object, since.last_transition_time if since else None)
        )
        if outdated:
            await delete_request(context, record.object)
        else:
            fitting.append(record.object)
    if fitting:
        return fitting[0]
    csr = build_csr(request_spec_of(view.certificate.spec), next_key.key)
    created = await create_request(context, view.certificate, view.revision, csr, next_key.secret_name)
    context.reporter.normal(
        about_certificate(view.certificate),
        "Requested",
        f'Created new CertificateRequest resource "{created.metadata.name}"',
    )
    return created


def _has_key(request: CertificateRequest, next_key: NextKey) -> bool:
    try:
        return parse_csr_facts(request.spec.request).spki_sha256 == spki_sha256(next_key.key)
    except InvalidCSR:
        return False


def failed_before(request: CertificateRequest, since: datetime | None) -> bool:
    """Whether this is the failed request of an earlier attempt (second precision, contract row 8.18).

    Issuers of other APIs may leave failureTime out: then its age decides, because an attempt begins before its request.
    """
    if since is None or _failure(request) is None:
        return False
    failed_at = request.status.failure_time or request.metadata.creation_timestamp
    return failed_at.replace(microsecond=0) < since


def _failure(request: CertificateRequest) -> tuple[str, str] | None:
    """Reason and message of a request that has failed for good: Denied wins, then InvalidRequest, then Failed."""
    conditions = request.status.conditions
    for type_ in ("Denied", "InvalidRequest"):
        condition = find_condition(conditions, type_)
        if condition is not None and condition.status == "True":
            return condition.reason, condition.message
    ready = find_condition(conditions, "Ready")
    return (ready.reason, ready.message) if ready is not None and ready.reason == "Failed" else None


async def _conclude(
    context: Context, view: View, request: CertificateRequest, next_key: NextKey, passwords: Passwords
) -> View:
    """Failure, success, or nothing yet."""
    failure = _failure(request)
    if failure is not None:
        return await fail(context, view, *failure)
    ready = find_condition(request.status.conditions, "Ready")
    if ready is None or ready.reason != "Issued":
        return await bridge(context, view, request, next_key, passwords)
    # The store keeps no certificates: read it.
    try:
        path = CERTIFICATE_REQUESTS.path(request.metadata.namespace, request.metadata.name)
        full = await context.kube.get(path, CertificateRequest)
    except NotFound as error:
        raise Retry(f"CertificateRequest {request.metadata.name} is gone") from error
    try:
        _check(context, full, next_key)
    except InvalidCertificate as error:
        return await fail(context, view, "InvalidCertificate", str(error))
    return await _succeed(context, view, full, next_key, passwords)


def _check(context: Context, request: CertificateRequest, next_key: NextKey) -> None:
    """What an issuer returned, checked before it is stored. Raises InvalidCertificate."""
    facts = parse_certificate_facts(request.status.certificate)
    if facts.spki_sha256 != spki_sha256(next_key.key):
        raise InvalidCertificate("the issuer returned a certificate for another public key than the request's")
    if facts.not_after <= context.now():
        raise InvalidCertificate("the issuer returned a certificate that has already expired")


async def _succeed(
    context: Context, view: View, request: CertificateRequest, next_key: NextKey, passwords: Passwords
) -> View:
    """Store what was issued. Raises Retry while a keystore's password is missing: key and certificate are kept."""
    certificate = view.certificate
    if passwords.missing:
        raise Retry(passwords.missing, after=PASSWORD_RECHECK)
    content = Content(
        encode_key(next_key.key, encoding_of(certificate.spec)), request.status.certificate, request.status.ca
    )
    keystores = await make_keystores(context, certificate, content, passwords, {})
    issuer = issuer_annotations(request.spec.issuer_ref)
    await apply_secret(context, certificate, issuer, content, view.secret, keystores)
    await record_issued(context, view.key, certificate)
    context.reporter.normal(about_certificate(certificate), "Issuing", CERTIFICATE_ISSUED_MESSAGE)
    await delete_next_key(context, view, next_key.secret_name)
    return await gather(context, view.key, certificate)


async def fail(context: Context, view: View, reason: str, message: str) -> View:
    """Record a failed issuance; the next attempt waits for the back-off. The temporary keys go, the request stays."""
    status = statuses.failed(view, reason, message)
    await statuses.write(context, view.certificate, status)
    told = next(c.message for c in status.conditions if c.type == "Issuing")
    context.reporter.warning(about_certificate(view.certificate), reason, told)
    for name in view.next_keys:
        await delete_next_key(context, view, name)
    return await gather(context, view.key, view.certificate)
