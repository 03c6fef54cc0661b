"""Gather: everything one reconcile of a Certificate decides on, read once, in one frozen value.

"Current" is the request whose revision annotation equals status.revision, "next" the one above it; while nothing has
ever been issued, next is 1. The Secret is the one the spec names now, whoever issued it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from certwright.api import Certificate, CertificateACMEStatus
from certwright.api.groups import ANNOTATION_CERTIFICATE_NAME, ANNOTATION_CERTIFICATE_REVISION
from certwright.policies import (
    READINESS,
    TRIGGER,
    USABLE,
    Situation,
    Violation,
    conflicting_certificates,
    first_violation,
)
from certwright.reconcile.context import Context
from certwright.reconcile.renewal import Renewal, renewal_of
from certwright.reconcile.renewalinfo import Heard, Source, believed, source_of, suggested_time
from certwright.reporter import is_true
from certwright.secretfacts import SecretFacts
from certwright.store import NamespacedName, RequestRecord
from certwright.workqueue import Key


@dataclass(frozen=True, slots=True)
class View:
    """One Certificate and what surrounds it."""

    key: Key
    certificate: Certificate
    secret: SecretFacts | None
    where: NamespacedName
    current: RequestRecord | None
    #: Requests of the next revision: none or one, unless something went wrong earlier.
    next: tuple[RequestRecord, ...]
    #: All requests this Certificate controls.
    requests: tuple[RequestRecord, ...]
    #: Names of temporary key Secrets that exist for it.
    next_keys: tuple[str, ...]
    #: The Certificate that may write the Secret, when several name it; empty when it is this one.
    owner: str
    renewal: Renewal | None
    #: Whose opinion counts on when to renew; None: nobody's.
    source: Source | None
    #: What the CA has said about what the Secret holds.
    acme: CertificateACMEStatus | None
    #: Why it should be issued, leaving aside whether it may be now.
    trigger: Violation | None
    #: Why nothing could be served with what the Secret holds; None when it could.
    unusable: Violation | None
    #: Why it is not Ready; None when it is.
    unready: Violation | None
    now: datetime

    @property
    def revision(self) -> int:
        """The revision an issuance would produce now."""
        return (self.certificate.status.revision or 0) + 1

    @property
    def issuing(self) -> bool:
        """Whether an issuance is under way, or has been asked for by a person."""
        return is_true(self.certificate.status.conditions, "Issuing")


async def gather(
    context: Context, key: Key, certificate: Certificate, *, just_issued: bool = False, heard: Heard | None = None
) -> View:
    """Read what is not known yet; afterwards all is arithmetic. Raises KubeError.

    ``just_issued``: the Secret holds the next revision already and only the status has still to say so; what is in the
    Secret is then held against the next request. ``heard``: what the CA has just said, and the status does not say yet.
    """
    where = NamespacedName(key.namespace, certificate.spec.secret_name)
    secret = await context.secret_facts(where)
    # After the only await: the store may have moved on meanwhile.
    certificate = context.store.certificates.get(key, certificate)
    requests = tuple(context.store.requests_owned_by(certificate.metadata.uid))
    revision = certificate.status.revision or 0
    following = _of_revision(requests, revision + 1)
    current = (following if just_issued else _of_revision(requests, revision))[:1]
    now = context.now()
    source = source_of(context, certificate, secret)
    if heard is not None and source is not None and heard.certid == source.certid:
        acme = heard.acme
    else:
        # What the status says is about the certificate before.
        acme = None if just_issued else believed(context, key, certificate, source)
    renewal = _renewal(context, certificate, secret, suggested_time(context, key, source, acme))
    situation = Situation(
        certificate=certificate,
        secret=secret,
        current_request=current[0].object if current else None,
        now=now,
        renewal_time=renewal.at if renewal else None,
    )
    owner = owner_of_secret(context.store.certificates_for_secret(where), secret)
    lost = bool(owner) and owner != key.name
    return View(
        key=key,
        certificate=certificate,
        secret=secret,
        where=where,
        current=current[0] if current else None,
        next=following,
        requests=requests,
        next_keys=tuple(context.store.next_keys(certificate.metadata.uid)),
        owner=owner if lost else "",
        renewal=renewal,
        source=source,
        acme=acme,
        trigger=first_violation(TRIGGER, situation),
        unusable=first_violation(USABLE, situation),
        unready=_unready(situation, renewal, owner if lost else ""),
        now=now,
    )


def _unready(situation: Situation, renewal: Renewal | None, other_owner: str) -> Violation | None:
    if other_owner:
        return Violation("IncorrectCertificate", conflicting_certificates(other_owner))
    violation = first_violation(READINESS, situation)
    if violation is None and renewal is not None and renewal.error:
        return Violation("WindowError", renewal.error)
    return violation


def owner_of_secret(candidates: list[Certificate], secret: SecretFacts | None) -> str:
    """Which of the Certificates that name one Secret may write it (API contract section 2.2.1).

    The one the Secret's annotation names, if it is among them; else the oldest, then the first by name.
    """
    if not candidates:
        return ""
    annotated = secret.annotations.get(ANNOTATION_CERTIFICATE_NAME) if secret else None
    names = {candidate.metadata.name for candidate in candidates}
    if annotated in names:
        return str(annotated)
    oldest = min(candidates, key=lambda c: (c.metadata.creation_timestamp, c.metadata.name))
    return oldest.metadata.name


def revision_of(record: RequestRecord) -> int | None:
    """The revision annotation; None if it is missing or not a positive number."""
    text = record.meta.annotations.get(ANNOTATION_CERTIFICATE_REVISION, "")
    return int(text) if text.isdecimal() and int(text) > 0 else None


def _of_revision(requests: tuple[RequestRecord, ...], revision: int) -> tuple[RequestRecord, ...]:
    return tuple(record for record in requests if revision_of(record) == revision)


def _renewal(
    context: Context, certificate: Certificate, secret: SecretFacts | None, suggested: datetime | None
) -> Renewal | None:
    if secret is None or secret.certificate is None:
        return None
    return renewal_of(
        certificate.spec,
        secret.certificate.not_before,
        secret.certificate.not_after,
        suggested=suggested,
        jitter=context.settings.issuance.renewal_jitter,
        seed=certificate.metadata.uid,
    )
