"""Whether a CA's renewal information (RFC 9773) counts for a Certificate, and what follows from it: arithmetic only.

``status.acme.ari`` holds what the CA said last, so that a restart need not ask. Sources: API contract section 2.2.4.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from certwright.api import Certificate, CertificateACMEStatus, CertificateRequest
from certwright.api.groups import DEFAULT_ISSUER_GROUP
from certwright.policies import Situation, secret_is_of_this_issuer
from certwright.reconcile.context import Context
from certwright.secretfacts import SecretFacts
from certwright.store import NamespacedName, controller_of, issuer_key
from certwright.workqueue import Key
from certwright_issuers.acme import ari
from certwright_issuers.certificate import CertificateFacts
from certwright_issuers.csr import CSRFacts
from certwright_issuers.temporary import TEMPORARY_ISSUER


@dataclass(frozen=True, slots=True)
class Source:
    """Whom to ask, and about which certificate."""

    issuer: Key
    #: RFC 9773 section 4.1.
    certid: str
    certificate: CertificateFacts


@dataclass(frozen=True, slots=True)
class Heard:
    """What a CA has just said of one certificate, and is not in the status yet."""

    certid: str
    #: For ``status.acme``; None if the CA has no renewal information.
    acme: CertificateACMEStatus | None


def source_of(context: Context, certificate: Certificate, secret: SecretFacts | None) -> Source | None:
    """None where renewal goes by the lifetime alone: not from an ACME issuer, or not wanted."""
    spec, namespace = certificate.spec, certificate.metadata.namespace
    stored = secret.certificate if secret is not None else None
    if secret is None or stored is None or stored.authority_key_id is None or stored.issuer == TEMPORARY_ISSUER:
        return None
    if not context.settings.acme.renewal_info or (spec.renewal is not None and spec.renewal.policy == "Disabled"):
        return None
    if spec.issuer_ref.effective_group != DEFAULT_ISSUER_GROUP:
        return None
    acme = context.issuers.acme_spec(spec.issuer_ref, namespace)
    if acme is None or acme.renewal_information_source == "None":
        return None
    if secret_is_of_this_issuer(Situation(certificate, secret, None, context.now())) is not None:
        return None
    certid = ari.identifier(stored.authority_key_id, stored.serial)
    return Source(issuer_key(spec.issuer_ref, namespace), certid, stored)


def believed(
    context: Context, key: Key, certificate: Certificate, source: Source | None
) -> CertificateACMEStatus | None:
    """What of ``status.acme`` is about the certificate in the Secret.

    The status does not name the certificate. Where this process has not heard it itself, what is no younger than the
    certificate is about an older one (API contract row 8.14).
    """
    acme = certificate.status.acme
    info = acme.ari if acme is not None else None
    if source is None or info is None or info.last_checked is None:
        return None
    if context.renewals.has_heard(key, source.certid):
        return acme
    begin, window = source.certificate.not_before, window_of(acme)
    is_older = info.last_checked < begin or (window is not None and window.start <= begin)
    return None if is_older else acme


def window_of(acme: CertificateACMEStatus | None) -> ari.Window | None:
    """The window in a status, if it is one."""
    shown = acme.ari.suggested_window if acme is not None and acme.ari is not None else None
    if shown is None or shown.start is None or shown.end is None or shown.end < shown.start:
        return None
    return ari.Window(shown.start, shown.end)


def suggested_time(
    context: Context, key: Key, source: Source | None, acme: CertificateACMEStatus | None
) -> datetime | None:
    """The instant in the CA's window at which this very certificate is renewed; None if the CA suggests nothing.

    It is at a random place, so that not all are renewed when their window begins, and always at the same one.
    """
    window = window_of(acme)
    if source is None or window is None:
        return None
    stored = source.certificate
    point = ari.renewal_time(window, source.certid, not_before=stored.not_before, not_after=stored.not_after)
    earliest = context.renewals.not_before(key, source.certid)
    return point if earliest is None else max(point, earliest)


async def replaced_by(context: Context, request: CertificateRequest, facts: CSRFacts) -> str:
    """Identifier of the certificate that a request of a Certificate will replace, for newOrder's ``replaces``.

    Empty unless the CA has renewal information for it and they share a name (RFC 9773 section 5). Raises KubeError.
    """
    owner = controller_of(request.metadata, "Certificate")
    if owner is None:
        return ""
    key = Key("Certificate", request.metadata.namespace, owner[0])
    certificate = context.store.certificates.get(key)
    if certificate is None or certificate.metadata.uid != owner[1]:
        return ""
    secret = await context.secret_facts(NamespacedName(key.namespace, certificate.spec.secret_name))
    source = source_of(context, certificate, secret)
    if source is None or window_of(believed(context, key, certificate, source)) is None:
        return ""
    return source.certid if source.certificate.names.hosts & facts.names.hosts else ""
