"""Renewal information: windows, ids, when to ask and when to renew."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pytest
from acme import client as acme_client
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers.acme import ari
from certwright_issuers.acme.problem import AcmeUnavailable
from tests.issuers.acme.answers import NOW, TEXT, got


def window(start: timedelta, end: timedelta, **more: Any) -> Mapping[str, Any]:
    """A renewalInfo body with a window relative to now."""
    return {"suggestedWindow": {"start": (NOW + start).isoformat(), "end": (NOW + end).isoformat()}, **more}


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("value", "hours"),
    [(None, 6), ("21600", 6), ("0", 1), ("-5", 6), ("99999999", 168), ("Tue, 24 Nov 2026 22:00:00 GMT", 10)],
)
def test_the_next_poll_is_between_an_hour_and_a_week(value: str | None, hours: int) -> None:
    """Retry-After is obeyed within these bounds; six hours without one."""
    body = window(DAY, 2 * DAY)
    info = ari.read(got(body) if value is None else got(body, retry_after=value))
    assert info.next_check - NOW == timedelta(hours=hours)


def test_inverted_windows_are_refused() -> None:
    """RFC 9773 section 4.2: an end that is not after the start makes the answer invalid; so do times without a zone."""
    naive = {"suggestedWindow": {"start": "2026-01-01T00:00:00", "end": "2026-01-02T00:00:00"}}
    for body in (window(2 * DAY, DAY), window(DAY, DAY), naive):
        with pytest.raises(AcmeUnavailable, match="renewal window"):
            ari.read(got(body))


def test_explanations_are_web_addresses() -> None:
    """Nothing else is shown to people."""
    assert ari.read(got(window(DAY, 2 * DAY, explanationURL="https://ca.example/i"))).explanation_url
    assert not ari.read(got(window(DAY, 2 * DAY, explanationURL="javascript:alert(1)"))).explanation_url


@given(st.integers(-400, 400), st.integers(1, 400_000), st.text(TEXT, max_size=10))
def test_the_renewal_time_is_stable_within_the_window(start: int, length: int, certid: str) -> None:
    """The same window gives the same time after any restart; it lies inside, and never after the backstop of a mad one."""
    suggested = ari.Window(NOW + start * DAY, NOW + (start + length) * DAY)
    expiry = NOW + 90 * DAY
    point = ari.renewal_time(suggested, certid, not_before=NOW, not_after=expiry)
    assert point == ari.renewal_time(suggested, certid, not_before=NOW, not_after=expiry)
    assert point < expiry
    assert suggested.start <= point <= suggested.end or point == ari.backstop(NOW, expiry)


def test_renewal_times_spread_over_the_window() -> None:
    """A thousand certificates with one window are renewed evenly, not together."""
    suggested = ari.Window(NOW, NOW + DAY)
    hours = [
        int(
            (ari.renewal_time(suggested, str(n), not_before=NOW, not_after=NOW + 90 * DAY) - NOW).total_seconds()
            // 3600
        )
        for n in range(1000)
    ]
    assert all(20 < hours.count(hour) < 70 for hour in range(24))


def test_a_new_window_gives_a_new_time() -> None:
    """When the CA moves the window, the time is chosen again."""
    first = ari.Window(NOW, NOW + DAY)
    second = ari.Window(NOW, NOW + 2 * DAY)
    bounds = {"not_before": NOW, "not_after": NOW + 90 * DAY}
    assert ari.renewal_time(first, "x", **bounds) != ari.renewal_time(second, "x", **bounds)


@pytest.mark.parametrize(("days", "left"), [(90, 30.0), (45, 15.0), (6, 3.0), (9.9, 4.95), (10, 10 / 3)])
def test_the_backstop_depends_on_the_lifetime(days: float, left: float) -> None:
    """A third of the lifetime is left, a half for lifetimes under ten days; 90 days are never assumed."""
    expiry = NOW + days * DAY
    assert abs((expiry - ari.backstop(NOW, expiry)) / DAY - left) < 1e-6


def test_the_certificate_id_is_that_of_the_acme_package() -> None:
    """Key identifier and serial of RFC 9773's own example; the serial's top bit is set, so a zero byte comes first."""
    key = ec.generate_private_key(ec.SECP256R1())
    aki = bytes.fromhex("69885b6b87464041e1b37b847bd0ae2cde01c8d4")
    builder = x509.CertificateBuilder(x509.Name([]), x509.Name([]), key.public_key(), 0x87654321, NOW, NOW + DAY)
    plain = builder.sign(key, hashes.SHA256())
    assert ari.certificate_id(plain) is None
    marked = builder.add_extension(x509.AuthorityKeyIdentifier(aki, None, None), critical=False)
    certificate = marked.sign(key, hashes.SHA256())
    assert ari.certificate_id(certificate) == "aYhba4dGQEHhs3uEe9CuLN4ByNQ.AIdlQyE"
    assert ari.certificate_id(certificate) == acme_client._renewal_info_path_component(certificate)
