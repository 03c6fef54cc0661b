"""Issue at once: an issuer that signs within this process is ready and we approve for it.

Four writes and no waiting: create the request; its status with approval, certificate and readiness; the Secret; the
Certificate's status. Each step is skipped if an earlier attempt got that far; what it produced is in :class:`Staged`.
"""

from __future__ import annotations

from certwright.api import CertificateRequest
from certwright.api.groups import DEFAULT_ISSUER_GROUP
from certwright.csrspec import encoding_of, key_spec_of, request_spec_of
from certwright.errors import NotFound
from certwright.kube import CERTIFICATE_REQUESTS
from certwright.policies import Violation, request_violations
from certwright.reconcile.context import Context, Retry, about_certificate
from certwright.reconcile.keys import choose_key, tell_reused
from certwright.reconcile.keystores import Passwords, make_keystores
from certwright.reconcile.nextkey import next_key_name
from certwright.reconcile.outcome import Outcome
from certwright.reconcile.recording import record_issued
from certwright.reconcile.requests import create_request, delete_request
from certwright.reconcile.requeststatus import approved, with_outcome, write_status
from certwright.reconcile.signing import DENIED_MESSAGE, ISSUED_MESSAGE, sign
from certwright.reconcile.staged import Staged
from certwright.reconcile.target import apply_secret, issuer_annotations
from certwright.reconcile.view import View, gather
from certwright.reporter import find_condition, is_true
from certwright.store import RequestRecord, certificate_digest
from certwright_issuers.certificate import InvalidCertificate, parse_certificate_facts
from certwright_issuers.contract import Issued
from certwright_issuers.csr import build_csr, parse_csr_facts
from certwright_issuers.keys import encode_key, key_facts, key_kind_violations, spki_sha256
from certwright_issuers.keystores import Content
from certwright_issuers.matching import request_matches_spec

CERTIFICATE_ISSUED_MESSAGE = "The certificate has been successfully issued"


async def can_issue_at_once(context: Context, view: View) -> bool:
    """Whether nobody else has to do anything for this issuance, and no slower one is under way."""
    ref = view.certificate.spec.issuer_ref
    loaded = context.issuers.find(ref, view.key.namespace)
    return (
        ref.effective_group == DEFAULT_ISSUER_GROUP
        and loaded is not None
        and loaded.issuer is not None
        and loaded.type is not None
        and loaded.type.in_process
        and loaded.health.ready
        and not view.next_keys
        and await context.approver.approves(ref, view.key.namespace)
    )


async def issue_at_once(context: Context, view: View, why: Violation, passwords: Passwords) -> View | Outcome:
    """Issue; the view afterwards, or the outcome that keeps the request from being signed.

    Raises CannotRegenerateKey, NameTaken, StoreFailed, Retry and KubeError; another call then goes on where this one
    stopped.
    """
    staged = await _staged(context, view, None if view.issuing else why.message)
    if staged.request is None:
        staged.request = await create_request(
            context, view.certificate, staged.revision, staged.csr_pem, next_key_name(view.certificate)
        )
    outcome = await _sign(context, view, staged)
    if outcome is not None:
        return outcome
    await _store(context, view, staged, passwords)
    await record_issued(context, view.key, view.certificate)
    return await gather(context, view.key, view.certificate)


def tell_issued(context: Context, view: View) -> bool:
    """The Events of an issuance whose last write has been carried out, also when the answer to it was lost.

    Once; whether there was anything to tell.
    """
    staged, certificate = context.staged.get(view.key), view.certificate
    if staged is None or staged.issued is None:
        return False
    if (staged.uid, staged.revision) != (certificate.metadata.uid, certificate.status.revision):
        return False
    del context.staged[view.key]
    about = about_certificate(certificate)
    if staged.why is not None:
        context.reporter.normal(about, "Issuing", staged.why)
    if staged.reused:
        tell_reused(context, certificate)
    context.reporter.normal(about, "Issuing", CERTIFICATE_ISSUED_MESSAGE)
    for note in staged.issued.notes:
        context.reporter.warning(about, note.reason, note.message)
    return True


async def _staged(context: Context, view: View, why: str | None) -> Staged:
    """What an earlier attempt has left that still fits, else a fresh key and CSR; leftovers of older ones are removed."""
    staged = context.staged.get(view.key)
    if staged is not None and not _fits(staged, view):
        staged = None
    for record in view.next:
        if staged is not None and record.object.spec.request == staged.csr_pem:
            # Also when the answer to its creation was lost.
            staged.request = record.object
        else:
            await delete_request(context, record.object)
    if staged is None:
        chosen = await choose_key(context, view)
        csr_pem = build_csr(request_spec_of(view.certificate.spec), chosen.key)
        staged = Staged(view.certificate.metadata.uid, view.revision, chosen.key, csr_pem, why, chosen.reused)
        context.staged[view.key] = staged
    return staged


def _fits(staged: Staged, view: View) -> bool:
    """Whether the spec still asks for what was begun."""
    if (staged.uid, staged.revision) != (view.certificate.metadata.uid, view.revision):
        return False
    spec = view.certificate.spec
    if key_kind_violations(key_facts(staged.key), key_spec_of(spec)):
        return False
    if staged.request is not None:
        return not request_violations(staged.request, view.certificate)
    return not request_matches_spec(parse_csr_facts(staged.csr_pem), request_spec_of(spec))


async def _sign(context: Context, view: View, staged: Staged) -> Outcome | None:
    """Have the request signed and say so in its status; an Outcome if that can't be done."""
    record = _latest(context, staged)
    request = record.object
    conditions = request.status.conditions
    if is_true(conditions, "Denied"):
        return Outcome("Denied", "Denied", DENIED_MESSAGE)
    ready = find_condition(conditions, "Ready")
    if ready is not None and ready.reason == "Issued":
        staged.issued = await _as_issued(context, record, staged)
        return None
    if not is_true(conditions, "Approved"):
        conditions = approved(conditions, context.now())
    outcome = (
        Outcome("Issued", "CertificateIssued", ISSUED_MESSAGE, issued=staged.issued)
        if staged.issued
        else await sign(context, request, view.key, staged.key)
    )
    staged.issued = outcome.issued
    staged.request = await write_status(context, request, with_outcome(context, request, conditions, outcome))
    return None if outcome.state == "Issued" else outcome


async def _as_issued(context: Context, record: RequestRecord, staged: Staged) -> Issued:
    """What the request holds: what we signed, or what somebody else did who was faster."""
    if staged.issued is not None and certificate_digest(staged.issued.chain_pem) == record.certificate_digest:
        return staged.issued
    meta = record.meta
    try:
        full = await context.kube.get(CERTIFICATE_REQUESTS.path(meta.namespace, meta.name), CertificateRequest)
        facts = parse_certificate_facts(full.status.certificate)
    except NotFound as error:
        raise Retry(f"CertificateRequest {meta.name} is gone") from error
    except InvalidCertificate as error:
        await delete_request(context, record.object)
        raise Retry(f"CertificateRequest {meta.name} holds no certificate: {error}") from error
    if facts.spki_sha256 != spki_sha256(staged.key):
        await delete_request(context, record.object)
        raise Retry(f"CertificateRequest {meta.name} holds a certificate for another key")
    return Issued(full.status.certificate, full.status.ca)


def _latest(context: Context, staged: Staged) -> RequestRecord:
    if staged.request is None:
        raise AssertionError("the request has been created before it is signed")
    meta = staged.request.metadata
    for record in context.store.requests_owned_by(meta.owner_references[0].uid):
        if record.meta.uid == meta.uid:
            staged.request = record.object
            return record
    staged.request = None
    raise Retry(f"CertificateRequest {meta.name} was deleted while it was being signed")


async def _store(context: Context, view: View, staged: Staged, passwords: Passwords) -> None:
    """Write the Secret, unless an earlier attempt has."""
    issued: Issued | None = staged.issued
    if issued is None or staged.request is None:
        raise AssertionError("the certificate has been issued before it is stored")
    content = Content(encode_key(staged.key, encoding_of(view.certificate.spec)), issued.chain_pem, issued.ca_pem)
    keystores = await make_keystores(context, view.certificate, content, passwords, {})
    issuer = issuer_annotations(staged.request.spec.issuer_ref)
    await apply_secret(context, view.certificate, issuer, content, view.secret, keystores)
