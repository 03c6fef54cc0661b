"""The times of leader election that flags ask for: with wrong ones two replicas would write at once."""

from __future__ import annotations

from certwright.settings import LeaseSettings

_OURS = LeaseSettings()
#: Lease duration, renew deadline, retry period, in seconds.
DEFAULTS = (_OURS.duration, _OURS.renew_deadline, _OURS.renew_interval)
#: cert-manager's (API contract section 6.1): whoever sets one of them has seen the others there.
CERT_MANAGERS = (60.0, 40.0, 15.0)
#: A renewal may be this much late before writes stop, as in client-go.
JITTER = 1.2


def lease_times(duration: float | None, deadline: float | None, period: float | None) -> tuple[float, float, float]:
    """All three, where None was not given. Raises ValueError for times that do not go together."""
    given = (duration, deadline, period)
    rest = DEFAULTS if given == (None, None, None) else CERT_MANAGERS
    lease, renew, retry = (rest[i] if value is None else value for i, value in enumerate(given))
    # A Lease holds whole seconds.
    if not int(lease) > renew > JITTER * retry > 0:
        raise ValueError(
            f"--leader-election-lease-duration ({lease:g}s) must be longer than --leader-election-renew-deadline "
            f"({renew:g}s), and that longer than {JITTER} times --leader-election-retry-period ({retry:g}s)"
        )
    return lease, renew, retry
