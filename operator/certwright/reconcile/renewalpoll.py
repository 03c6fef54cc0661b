"""Ask the CA when it would like a certificate to be renewed (RFC 9773), as often as it wants to be asked.

The answer goes into a status write that is due anyway, if it comes at once; a CA that is slow, or fails, holds up nothing.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial

from certwright.api import ARIStatus, ARIWindow, CertificateACMEStatus
from certwright.reconcile.context import Context, about_certificate
from certwright.reconcile.outside import Waiting
from certwright.reconcile.renewalinfo import Heard, Source, suggested_time, window_of
from certwright.reconcile.view import View, gather
from certwright_issuers.acme import retry
from certwright_issuers.acme.ari import LONGEST_POLL, SHORTEST_POLL, RenewalInfo
from certwright_issuers.contract import IssuerError
from certwright_issuers.digest import share_of
from certwright_issuers.text import cut

#: Up to this part is added to a pause, so that certificates that were issued together are not asked for together.
JITTER = 0.1
#: A certificate that is to be replaced sooner than this after it was requested is one in a hurry.
HURRY = timedelta(hours=1)
#: Characters of ``lastError``.
ERROR_LIMIT = 1000


async def ask_if_due(context: Context, view: View, *, just_issued: bool = False) -> View:
    """The view, with what the CA says if it was time to ask and the answer came at once. Raises KubeError."""
    source = view.source
    if source is None or not _is_due(context, view, source):
        return view
    ref, namespace = view.certificate.spec.issuer_ref, view.key.namespace
    loaded = context.issuers.find(ref, namespace)
    if loaded is None or loaded.account is None:
        context.issuers.wait_for(ref, namespace, view.key)
        return view
    question = partial(loaded.account.renewal_info, source.certid)
    lane, name = ("renewal-info", source.issuer), (view.key, source.certid)
    try:
        acme = _said(context, view, source, await context.outside.call(lane, name, view.key, question))
    except Waiting:
        return view
    except IssuerError as error:
        acme = _not_said(context, view, source, error)
    context.renewals.hear(view.key, source.certid)
    heard = Heard(source.certid, acme)
    return await gather(context, view.key, view.certificate, just_issued=just_issued, heard=heard)


def _is_due(context: Context, view: View, source: Source) -> bool:
    """Nobody asks about a certificate that is expired, or to be replaced anyway."""
    if view.trigger is not None or view.now >= source.certificate.not_after:
        return False
    if context.renewals.is_silent(view.key, source.certid, view.now):
        return False
    info = view.acme.ari if view.acme is not None else None
    return info is None or info.next_check is None or view.now >= info.next_check


def _said(context: Context, view: View, source: Source, info: RenewalInfo | None) -> CertificateACMEStatus | None:
    now = context.now()
    if info is None:
        context.renewals.silence(view.key, source.certid, now)
        return None
    window = ARIWindow(start=_whole(info.window.start), end=_whole(info.window.end))
    acme = CertificateACMEStatus(
        ari=ARIStatus(
            explanation_url=info.explanation_url,
            last_checked=_whole(now),
            next_check=_later(now, info.next_check - now, source.certid),
            suggested_window=window,
        )
    )
    point = suggested_time(context, view.key, source, acme)
    if point is not None and point < _requested(view, source) + HURRY:
        context.renewals.hurry(view.key, source.certid, now)
    _tell(context, view, acme)
    return acme


def _not_said(context: Context, view: View, source: Source, error: IssuerError) -> CertificateACMEStatus:
    """A failure costs nothing but the news: what the CA said before stays in force."""
    now = context.now()
    old = view.acme.ari if view.acme is not None and view.acme.ari is not None else ARIStatus()
    said = cut(error.message, ERROR_LIMIT)
    if said != old.last_error:
        text = f"The CA can't be asked when to renew: {error.message}"
        context.reporter.warning(about_certificate(view.certificate), "ARIError", text)
    stated = retry.failure(error, now, 1).not_before
    wait = SHORTEST_POLL if stated is None else max(SHORTEST_POLL, stated - now)
    return CertificateACMEStatus(
        ari=ARIStatus(
            explanation_url=old.explanation_url,
            last_checked=_whole(now),
            last_error=said,
            next_check=_later(now, wait, source.certid),
            suggested_window=old.suggested_window,
        )
    )


def _tell(context: Context, view: View, acme: CertificateACMEStatus) -> None:
    """One Event when the CA has changed its mind, or explains itself: the renewal is then no ordinary one."""
    before, after, info = window_of(view.acme), window_of(acme), acme.ari
    if after is None or info is None or before == after or (before is None and not info.explanation_url):
        return
    text = f"The CA suggests to renew between {after.start:%Y-%m-%dT%H:%M:%SZ} and {after.end:%Y-%m-%dT%H:%M:%SZ}"
    if info.explanation_url:
        text += f"; it explains why at {info.explanation_url}"
    context.reporter.normal(about_certificate(view.certificate), "RenewalWindow", text)


def _requested(view: View, source: Source) -> datetime:
    return view.current.object.metadata.creation_timestamp if view.current else source.certificate.not_before


def _later(now: datetime, wait: timedelta, certid: str) -> datetime:
    """After a pause that is never shorter than the CA wants, and differs between certificates."""
    return _whole(now + min(LONGEST_POLL, wait * (1 + JITTER * share_of(certid))))


def _whole(when: datetime) -> datetime:
    """As all times of this API: UTC, in seconds."""
    return when.astimezone(UTC).replace(microsecond=0)
