"""ACME Renewal Information (RFC 9773): when the CA would like a certificate to be renewed, and what that means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from cryptography import x509

from certwright_issuers.acme import base64url
from certwright_issuers.acme.directory import Directory
from certwright_issuers.acme.reply import Reply, not_acme
from certwright_issuers.digest import share_of
from certwright_issuers.text import cut

#: RFC 9773 section 4.3.2 leaves the limits to the client; contract section 2.2.4 has these and the default of 6 hours.
SHORTEST_POLL = timedelta(hours=1)
LONGEST_POLL = timedelta(days=7)
DEFAULT_POLL = timedelta(hours=6)

#: Below this lifetime a certificate is renewed at one half of it, else at two thirds (Let's Encrypt's guide).
SHORT_LIVED = timedelta(days=10)


@dataclass(frozen=True, slots=True)
class Window:
    """When the CA suggests to renew. Times are aware; the end is after the start."""

    start: datetime
    end: datetime


class _Body(msgspec.Struct, rename="camel"):
    suggested_window: Window
    explanation_url: str | None = msgspec.field(default=None, name="explanationURL")


@dataclass(frozen=True, slots=True)
class RenewalInfo:
    """The CA's suggestion for one certificate. Times are aware."""

    window: Window
    #: Why the window is what it is, to be shown to people; empty most of the time.
    explanation_url: str
    #: When to ask again: what the CA said, within :data:`SHORTEST_POLL` and :data:`LONGEST_POLL`.
    next_check: datetime


def certificate_id(certificate: x509.Certificate) -> str | None:
    """RFC 9773 section 4.1: the key identifier of the issuer, a dot, and the serial number as in its DER, in base64url.

    None for a certificate without an authority key identifier: it has no such id.
    """
    try:
        aki = certificate.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
    except (x509.ExtensionNotFound, ValueError):
        return None
    return None if aki is None else identifier(aki, certificate.serial_number)


def identifier(authority_key_id: bytes, number: int) -> str:
    """RFC 9773 section 4.1, from the two parts: key identifier of the issuer, and serial number."""
    # DER integers are signed: a number whose top bit is set has a zero byte before it.
    serial = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return f"{base64url.encode(authority_key_id)}.{base64url.encode(serial)}"


def url(directory: Directory, certid: str) -> str | None:
    """Where to ask, without a signature (section 4.1); None if the CA has no renewal information."""
    base = directory.renewal_info
    return f"{base.rstrip('/')}/{certid}" if base else None


def read(reply: Reply) -> RenewalInfo:
    """The suggestion in an answer. Raises :class:`AcmeUnavailable` for one that RFC 9773 section 4.2 calls invalid."""
    body = reply.json(_Body)
    window = body.suggested_window
    if window.start.tzinfo is None or window.end.tzinfo is None or window.end <= window.start:
        raise not_acme("a renewal window that does not end after its start", reply)
    wait = reply.retry_after(LONGEST_POLL)
    poll = DEFAULT_POLL if wait is None else max(SHORTEST_POLL, wait)
    return RenewalInfo(window, _shown_url(body.explanation_url), reply.at + poll)


def renewal_time(window: Window, certid: str, *, not_before: datetime, not_after: datetime) -> datetime:
    """The instant to renew: uniformly distributed over the window, and always the same for the same window.

    It is computed from the certificate's id and the window instead of being drawn, so that it survives restarts without
    being stored, and changes just when the window does (section 4.2). A time in the past means now. A window that
    reaches beyond the expiry can't be meant: :func:`backstop` limits it.
    """
    share = share_of(f"{certid}|{window.start.isoformat()}|{window.end.isoformat()}")
    point = window.start + (window.end - window.start) * share
    return point if window.end < not_after else min(point, backstop(not_before, not_after))


def backstop(not_before: datetime, not_after: datetime) -> datetime:
    """The latest sensible time to renew: a third of the lifetime left, a half if that is under 10 days."""
    lifetime = not_after - not_before
    return not_after - lifetime / (2 if lifetime < SHORT_LIVED else 3)


def _shown_url(value: str | None) -> str:
    """Only a web address is shown to people."""
    return cut(value, 300) if value is not None and value.startswith(("https://", "http://")) else ""
