"""When a certificate is to be renewed: arithmetic on its real lifetime, the spec, and what the CA suggests.

The spec's duration plays no part: an issuer may have shortened it. Sources: API contract section 2.2.3.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import CroniterError

from certwright.api import CertificateRenewal, CertificateSpec, RenewalWindow
from certwright.api.duration import parse_go_duration
from certwright.schedules import is_schedule, starts_after

#: Window starts looked at per window before giving up: the search ends at expiry anyway, this bounds `* * * * *`.
WINDOW_STARTS_LIMIT = 10_000


@dataclass(frozen=True, slots=True)
class Renewal:
    """``at`` is None when renewal by time is off; ``error`` tells of windows that could not be honoured."""

    at: datetime | None
    error: str = ""


def renewal_of(
    spec: CertificateSpec,
    not_before: datetime,
    not_after: datetime,
    *,
    suggested: datetime | None = None,
    jitter: float = 0.0,
    seed: str = "",
) -> Renewal:
    """The renewal instant in whole seconds, UTC.

    ``suggested`` by the CA takes the place of what the lifetime and renewBefore would give. ``jitter`` is the share (0 to
    0.5) of the time between renewal and expiry by which it may come earlier; ``seed`` makes the choice stable for one
    certificate.
    """
    plain = suggested
    if plain is None:
        plain = _spread(not_after - _before(spec, not_after - not_before), not_before, not_after, jitter, seed)
    plain = plain.astimezone(UTC).replace(microsecond=0)
    renewal = spec.renewal
    if renewal is None:
        return Renewal(plain)
    if renewal.policy == "Disabled":
        return Renewal(None)
    if not renewal.windows:
        return Renewal(plain)
    return _within_windows(renewal, plain, not_after)


def _spread(plain: datetime, not_before: datetime, not_after: datetime, jitter: float, seed: str) -> datetime:
    if not jitter or not seed:
        return plain
    digest = hashlib.sha256(f"{seed}/{not_after.isoformat()}".encode()).digest()
    share = int.from_bytes(digest[:4]) / 2**32 * min(jitter, 0.5)
    return max(not_before, plain - (not_after - plain) * share)


def _before(spec: CertificateSpec, lifetime: timedelta) -> timedelta:
    """How long before expiry: renewBefore, else the percentage that remains, else a third; impossible values are skipped."""
    before = _duration(spec.renew_before)
    if before is not None and timedelta() < before < lifetime:
        return before
    percentage = spec.renew_before_percentage
    if percentage is not None and 0 < percentage < 100:
        return lifetime * percentage / 100
    return lifetime / 3


def _duration(text: str) -> timedelta | None:
    try:
        return parse_go_duration(text) if text else None
    except ValueError:
        return None


def _within_windows(renewal: CertificateRenewal, plain: datetime, not_after: datetime) -> Renewal:
    """``plain`` if it lies in a window, else the earliest window start after it, up to one window past expiry."""
    starts: list[datetime] = []
    for window in renewal.windows:
        try:
            start = _window_start(window, plain, not_after)
        except (ValueError, KeyError, ZoneInfoNotFoundError, CroniterError) as error:
            return Renewal(plain, f"renewal window {window.cron!r} can't be used: {error}")
        if start is not None:
            starts.append(start)
    if not starts:
        return Renewal(
            plain, f"no renewal window begins between {plain:%Y-%m-%dT%H:%M:%SZ} and the certificate's expiry"
        )
    return Renewal(min(starts))


def _window_start(window: RenewalWindow, plain: datetime, not_after: datetime) -> datetime | None:
    """``plain`` if this window is open then, else its next start, or None if that lies too late."""
    length = parse_go_duration(window.window_duration)
    if length <= timedelta():
        raise ValueError("windowDuration must be positive")
    if not is_schedule(window.cron):
        raise ValueError("it is neither five cron fields nor a word such as @daily")
    zone = ZoneInfo(window.timezone or "UTC")
    # From just before the earliest start that could still cover `plain`.
    starts = starts_after(window.cron, (plain - length).astimezone(zone))
    for local in islice(starts, WINDOW_STARTS_LIMIT):
        start = local.astimezone(UTC)
        if start > plain:
            return start if start <= not_after + length else None
        if start <= plain < start + length:
            return plain
    return None
