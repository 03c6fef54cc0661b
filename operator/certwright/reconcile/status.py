"""The status of a Certificate: what it should say, and the one write that makes it so.

Ready and Issuing always go out together, so that nobody ever sees a fresh Certificate that is neither Ready nor being
issued (Argo CD would call that Degraded).
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

from certwright.api import Certificate, CertificateStatus, Condition
from certwright.kube import CERTIFICATES
from certwright.policies import Violation
from certwright.reconcile.context import Context
from certwright.reconcile.statuspatch import status_patch
from certwright.reconcile.view import View
from certwright.reporter import find_condition, with_condition, without_condition
from certwright_issuers.acme.retry import EXPIRED_CEILING, SHARE

#: The shortest pause that a nearing expiry may cause: CAs limit failed validations (Let's Encrypt: 5 an hour).
SHORTEST = timedelta(minutes=15)
READY_MESSAGE = "Certificate is up to date and has not expired"


def observed(view: View) -> CertificateStatus:
    """The status with Ready, notBefore, notAfter, renewalTime and the CA's suggestion as they are now."""
    stored = view.secret.certificate if view.secret else None
    unready = view.unready
    renewal = view.renewal
    conditions = with_condition(
        view.certificate.status.conditions,
        "Ready",
        status="False" if unready else "True",
        reason=unready.reason if unready else "Ready",
        message=unready.message if unready else READY_MESSAGE,
        now=view.now,
        generation=view.certificate.metadata.generation,
    )
    return msgspec.structs.replace(
        view.certificate.status,
        acme=view.acme,
        conditions=conditions,
        not_before=stored.not_before if stored else None,
        not_after=stored.not_after if stored else None,
        renewal_time=renewal.at if renewal and stored else None,
    )


def issuing(view: View, why: Violation, next_key_secret: str) -> CertificateStatus:
    """The status while an issuance is under way that has to wait for somebody."""
    status = observed(view)
    return msgspec.structs.replace(
        status,
        conditions=with_condition(
            status.conditions,
            "Issuing",
            status="True",
            reason=why.reason,
            message=why.message,
            now=view.now,
            generation=view.certificate.metadata.generation,
        ),
        next_private_key_secret_name=next_key_secret,
    )


def issued(view: View) -> CertificateStatus:
    """The status after success: ``view`` is of the moment after the Secret was written."""
    status = observed(view)
    return msgspec.structs.replace(
        status,
        conditions=without_condition(status.conditions, "Issuing"),
        revision=view.revision,
        last_failure_time=None,
        failed_issuance_attempts=None,
        next_private_key_secret_name="",
    )


def failed(view: View, reason: str, message: str) -> CertificateStatus:
    """The status after a failed issuance: when the next attempt may be made follows from it."""
    status = observed(view)
    return msgspec.structs.replace(
        status,
        conditions=with_condition(
            status.conditions,
            "Issuing",
            status="False",
            reason=reason,
            message=f"The certificate request has failed to complete and will be retried: {message}",
            now=view.now,
            generation=view.certificate.metadata.generation,
        ),
        last_failure_time=view.now.replace(microsecond=0),
        failed_issuance_attempts=(status.failed_issuance_attempts or 0) + 1,
        next_private_key_secret_name="",
    )


async def write(context: Context, certificate: Certificate, status: CertificateStatus) -> Certificate:
    """Patch the status if it differs and take the answer into the store. Raises Conflict on a concurrent change."""
    if status == certificate.status:
        return certificate
    path = CERTIFICATES.path(certificate.metadata.namespace, certificate.metadata.name, "status")
    patch = status_patch(certificate.metadata, certificate.status, status)
    written = await context.kube.merge_patch(path, patch, Certificate)
    context.store.put_certificate(written)
    return written


def back_off_until(
    certificate: Certificate, shortest: timedelta, longest: timedelta, expiry: datetime | None = None
) -> datetime | None:
    """When a failed issuance may be tried again: the pause doubles with each failure in a row (contract 2.2.2).

    ``expiry``: end of the certificate in use. The less it has left, the shorter the pause, so that a cause which
    disappears is noticed in time, also for lifetimes of days (docs/divergences.md).
    """
    failed_at = certificate.status.last_failure_time
    if failed_at is None or shortest <= timedelta():
        return None
    doublings = min(max(0, (certificate.status.failed_issuance_attempts or 1) - 1), 32)
    pause: timedelta = min(longest, shortest * 2.0**doublings)
    if expiry is not None:
        left = expiry - failed_at
        pause = min(pause, max(left / SHARE, SHORTEST) if left > timedelta() else EXPIRED_CEILING)
    return failed_at + pause


def issuing_condition(certificate: Certificate) -> Condition | None:
    """Shorthand."""
    return find_condition(certificate.status.conditions, "Issuing")
