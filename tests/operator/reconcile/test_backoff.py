"""Back-off in virtual time: no certificate expires while its CA is reachable, and no CA is asked too often."""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from certwright.api import Certificate
from certwright.reconcile.acme.memory import Memo
from certwright.reconcile.acme.trouble import judge
from certwright.reconcile.renewal import renewal_of
from certwright.reconcile.status import back_off_until
from certwright_issuers.acme.problem import AcmeRateLimited, AcmeUnavailable, ValidationFailed
from tests.operator.builders import NOW, certificate

MINIMUM, MAXIMUM = timedelta(hours=1), timedelta(hours=32)
#: What a CA that comes back needs before the expiry: the shortest pause with its jitter.
NOTICE = timedelta(minutes=17)
#: Let's Encrypt: failed validations of one name in an hour.
FAILED_LIMIT = 5

#: Six days, and anything else from hours to a year.
LIFETIMES = st.one_of(st.just(timedelta(hours=160)), st.integers(2, 400 * 24).map(lambda hours: timedelta(hours=hours)))


class World:
    """One Certificate whose renewal fails until the CA is well again."""

    def __init__(self, lifetime: timedelta) -> None:
        self.not_after = NOW + lifetime
        due = renewal_of(certificate().spec, NOW, self.not_after).at
        assert due is not None
        self.now: datetime = due
        self.certificate: Certificate = certificate()
        self.memo = Memo("uid")
        self.validations: list[datetime] = []

    def fail(self, kind: str) -> None:
        """An attempt fails; the clock goes to the next one."""
        if kind == "validation":
            self._issuance_fails()
            return
        error = AcmeUnavailable("ServerError", "busy") if kind == "transient" else self._limit()
        trouble = judge("Failed", error, self.memo, self.now, seed="uid", expiry=self.not_after)
        assert trouble.again is not None
        assert trouble.again > self.now
        self.now = trouble.again

    def _limit(self) -> AcmeRateLimited:
        error = AcmeRateLimited("RateLimited", "later", self.now + timedelta(minutes=15))
        error.stated = False
        return error

    def _issuance_fails(self) -> None:
        self.validations.append(self.now)
        trouble = judge("F", ValidationFailed("Dns", "no"), self.memo, self.now, seed="uid", expiry=self.not_after)
        assert trouble.again is None
        self.memo = Memo("uid")
        attempts = (self.certificate.status.failed_issuance_attempts or 0) + 1
        status = msgspec.structs.replace(
            self.certificate.status, last_failure_time=self.now, failed_issuance_attempts=attempts
        )
        self.certificate = msgspec.structs.replace(self.certificate, status=status)
        until = back_off_until(self.certificate, MINIMUM, MAXIMUM, self.not_after)
        assert until is not None
        assert until > self.now
        self.now = until


@settings(max_examples=40, deadline=None)
@given(LIFETIMES, st.floats(0, 1), st.lists(st.sampled_from(("validation", "transient", "limit")), min_size=1))
def test_a_ca_that_is_well_again_is_asked_before_the_expiry(
    lifetime: timedelta, share: float, kinds: list[str]
) -> None:
    """Whenever in the time left for renewal that is, and whatever failed before, also for lifetimes of six days."""
    world = World(lifetime)
    well_from = world.now + (world.not_after - NOTICE - world.now) * share
    tries = 0
    while world.now < well_from:
        world.fail(kinds[tries % len(kinds)])
        tries += 1
        assert tries < 5000
    assert world.now < world.not_after


@settings(max_examples=40, deadline=None)
@given(LIFETIMES)
def test_failed_validations_stay_below_the_limits_of_cas(lifetime: timedelta) -> None:
    """Every hour of a renewal that never succeeds, and a week beyond the expiry."""
    world = World(lifetime)
    while world.now < world.not_after + timedelta(days=7):
        world.fail("validation")
    times = world.validations
    for index in range(len(times) - FAILED_LIMIT):
        assert times[index + FAILED_LIMIT] - times[index] >= timedelta(hours=1)


def test_upstreams_own_constants_would_let_six_days_pass() -> None:
    """What the expiry changes: 160 h with a pause of 1 h to 32 h has its last attempt 22 h before the end."""
    world = World(timedelta(hours=160))
    failures: list[datetime] = []
    while world.now < world.not_after:
        failures.append(world.now)
        world.fail("validation")
    assert world.not_after - failures[-1] <= timedelta(minutes=15)
    assert len(failures) < 40
