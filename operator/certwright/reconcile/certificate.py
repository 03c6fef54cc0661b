"""One Certificate, from whatever state it is in towards Ready.

The order of decisions: whose Secret it is; whether an issuance has just finished; whether one is due or asked for;
otherwise upkeep of what was issued, and the status. Every pass is idempotent and ends by saying when to look again.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from certwright.errors import Refused
from certwright.policies import Violation, request_violations
from certwright.reconcile import status as statuses
from certwright.reconcile.context import Context, Retry, about_certificate
from certwright.reconcile.handover import WAITING, advance, fail
from certwright.reconcile.inprocess import CERTIFICATE_ISSUED_MESSAGE, can_issue_at_once, issue_at_once, tell_issued
from certwright.reconcile.keys import CannotRegenerateKey, tell_cannot_regenerate
from certwright.reconcile.keystores import StoreFailed, read_passwords, tell_missing
from certwright.reconcile.nextkey import delete_next_key
from certwright.reconcile.recording import record_issued
from certwright.reconcile.renewalpoll import ask_if_due
from certwright.reconcile.requests import NameTaken, delete_request
from certwright.reconcile.signing import settle
from certwright.reconcile.target import drift, reapply
from certwright.reconcile.view import View, gather, revision_of
from certwright.reconcile.waiting import told_at
from certwright.reporter import find_condition
from certwright.secretfacts import SecretFacts
from certwright.workqueue import Key
from certwright_issuers.csr import InvalidSpec
from certwright_issuers.keys import InvalidKeySpec

#: How often a Certificate looks again whether its Secret still belongs to another one.
CONFLICT_RECHECK = timedelta(minutes=3)
#: How often an issuance that a person has to clear the way for looks again, in seconds.
STUCK_RECHECK = 60.0
#: When a failed issuance is tried again if there is no back-off, in seconds.
FAILURE_RECHECK = 1.0
#: Issued requests kept when the spec does not say (contract section 5.9).
DEFAULT_HISTORY = 1
#: Deadlines further away are reached in several steps, so that a clock that jumps costs an hour at most.
LONGEST_SLEEP = 3600.0


async def reconcile_certificate(context: Context, key: Key) -> float | None:
    """Returns after how many seconds to look again; None: only when something changes."""
    certificate = context.store.certificates.get(key)
    if certificate is None or certificate.metadata.deletion_timestamp is not None:
        context.staged.pop(key, None)
        context.renewals.forget(key)
        return None
    view = await gather(context, key, certificate)
    if view.owner:
        return await _yield_secret(context, view)
    if _finished(view):
        view = await _finish(context, view)
    tell_issued(context, view)
    if not view.issuing:
        view = await ask_if_due(context, view)
    if _due(context, view):
        view = await _issue(context, view)
    if not _due(context, view):
        view = await _keep(context, view)
    elif not view.issuing:
        # It has failed, and the pause after failures is switched off.
        return FAILURE_RECHECK
    return _next_look(context, view)


def _due(context: Context, view: View) -> bool:
    """Whether it is being issued, or has to be now."""
    return view.issuing or (view.trigger is not None and not _backing_off(context, view))


async def _yield_secret(context: Context, view: View) -> float:
    """Another Certificate owns the Secret: say so, and look again now and then."""
    old = find_condition(view.certificate.status.conditions, "Ready")
    status = statuses.observed(view)
    new = find_condition(status.conditions, "Ready")
    await statuses.write(context, view.certificate, status)
    if new is not None and (old is None or old.message != new.message):
        context.reporter.warning(about_certificate(view.certificate), new.reason, new.message)
    return CONFLICT_RECHECK.total_seconds()


def _finished(view: View) -> bool:
    """Whether the Secret already holds the next revision's certificate and only the status has not said so yet."""
    if len(view.next) != 1 or view.secret is None or not view.secret.certificate_digest:
        return False
    return view.next[0].certificate_digest == view.secret.certificate_digest


async def _finish(context: Context, view: View) -> View:
    await record_issued(context, view.key, view.certificate)
    view = await gather(context, view.key, view.certificate)
    if not tell_issued(context, view):
        context.reporter.normal(about_certificate(view.certificate), "Issuing", CERTIFICATE_ISSUED_MESSAGE)
    return view


def _backing_off(context: Context, view: View) -> bool:
    """Whether a failed issuance still has to wait. A spec that no longer asks for what failed is tried at once."""
    until = _back_off_until(context, view)
    if until is None or view.now >= until:
        return False
    return not any(request_violations(record.object, view.certificate) for record in view.next)


def _back_off_until(context: Context, view: View) -> datetime | None:
    settings = context.settings.issuance
    stored = view.secret.certificate if view.secret else None
    return statuses.back_off_until(
        view.certificate,
        settings.min_request_backoff,
        settings.max_request_backoff,
        stored.not_after if stored else None,
    )


async def _issue(context: Context, view: View) -> View:
    """Start an issuance or take it further."""
    why = _why(view)
    passwords = await read_passwords(context, view.certificate)
    try:
        if passwords.missing:
            tell_missing(context, view.certificate, passwords)
        # With a password missing, key and certificate have to be kept where they outlive this process.
        if passwords.missing or not await can_issue_at_once(context, view):
            return await advance(context, view, why, passwords)
        result = await issue_at_once(context, view, why, passwords)
        if isinstance(result, View):
            tell_issued(context, result)
            return result
        view = await gather(context, view.key, view.certificate)
        if result.state == "Pending":
            return await advance(context, view, why, passwords)
        context.staged.pop(view.key, None)
        return await fail(context, view, result.event_reason if result.invalid else result.state, result.message)
    except CannotRegenerateKey as error:
        tell_cannot_regenerate(context, view, error)
        await _stuck(context, view, why, error)
    except StoreFailed as error:
        context.reporter.warning(about_certificate(view.certificate), "KeystoreFailed", str(error))
        await _stuck(context, view, why, error)
    except (NameTaken, InvalidSpec, InvalidKeySpec) as error:
        context.reporter.warning(about_certificate(view.certificate), "RequestFailed", str(error))
        await _stuck(context, view, why, error)
    except Refused as error:
        context.reporter.warning(about_certificate(view.certificate), "IssuanceRefused", str(error))
        await _stuck(context, view, why, error)
    raise Retry("waits for somebody to act", after=STUCK_RECHECK)


def _why(view: View) -> Violation:
    """The trigger, or what the client that set Issuing=True said."""
    condition = statuses.issuing_condition(view.certificate)
    if view.issuing and condition is not None:
        return Violation(condition.reason, condition.message.partition(WAITING)[0])
    if view.trigger is None:
        raise AssertionError("an issuance without a trigger was asked for by a client")
    return view.trigger


async def _stuck(context: Context, view: View, why: Violation, cause: Exception) -> None:
    """Nothing goes on until a person acts: the condition says what to do."""
    name = view.certificate.status.next_private_key_secret_name
    status = statuses.issuing(view, Violation(why.reason, f"{why.message}{WAITING}{cause}"), name)
    await statuses.write(context, view.certificate, status)


async def _keep(context: Context, view: View) -> View:
    """No issuance now: keep requests, Secret and status as they should be."""
    for record in view.requests:
        if not view.next_keys and record in view.next:
            continue
        await settle(context, record, view.key)
    if view.trigger is None and view.secret is not None:
        owner_ref = context.settings.issuance.certificate_owner_ref
        what = drift(view.certificate, view.secret, owner_ref=owner_ref)
        if what:
            view = await _repair(context, view, view.secret, what)
    for name in view.next_keys:
        await delete_next_key(context, view, name)
    status = statuses.observed(view)
    await statuses.write(context, view.certificate, status)
    if view.unready is None:
        await _prune(context, view)
    _tell_renewal(context, view)
    return view


async def _repair(context: Context, view: View, secret: SecretFacts, what: str) -> View:
    try:
        await reapply(context, view.certificate, secret, what)
    except StoreFailed as error:
        context.reporter.warning(about_certificate(view.certificate), "KeystoreFailed", str(error))
    return await gather(context, view.key, view.certificate)


async def _prune(context: Context, view: View) -> None:
    """Delete the oldest issued requests beyond the limit, never the current one."""
    limit = view.certificate.spec.revision_history_limit or DEFAULT_HISTORY
    numbered = sorted(
        ((revision, record) for record in view.requests if (revision := revision_of(record)) is not None),
        key=lambda pair: pair[0],
    )
    current = view.certificate.status.revision or 0
    old = [record for revision, record in numbered if revision <= current]
    for record in old[: max(0, len(old) - limit)]:
        await delete_request(context, record.object)


def _tell_renewal(context: Context, view: View) -> None:
    if view.renewal is not None and view.renewal.error:
        context.reporter.warning(about_certificate(view.certificate), "WindowError", view.renewal.error)


def _next_look(context: Context, view: View) -> float | None:
    """Seconds until time alone changes something: renewal, expiry, or the end of a back-off."""
    moments = [view.renewal.at if view.renewal else None, told_at(context, view)]
    if view.acme is not None and view.acme.ari is not None:
        moments.append(view.acme.ari.next_check)
    if view.secret is not None and view.secret.certificate is not None:
        moments.append(view.secret.certificate.not_after)
    if view.trigger is not None:
        moments.append(_back_off_until(context, view))
    ahead = [(moment - view.now).total_seconds() for moment in moments if moment is not None and moment > view.now]
    permission = context.approver.recheck_after(view.certificate.spec.issuer_ref, view.key.namespace)
    if view.issuing and permission is not None:
        ahead.append(permission)
    return min(*ahead, LONGEST_SLEEP) if ahead else None
