"""When a CA's renewal information counts, which instant follows from it, and when the CA is asked."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest

from certwright.api import ACMEIssuer, Certificate, CertificateACMEStatus
from certwright.reconcile import outside
from certwright.reconcile.context import Context
from certwright.reconcile.outside import Outside
from certwright.reconcile.renewalinfo import replaced_by, source_of, suggested_time
from certwright.reconcile.renewalmemory import HURRY_PAUSE, RenewalMemory
from certwright.reconcile.renewalpoll import ask_if_due
from certwright.reconcile.view import View, gather
from certwright.secretfacts import SecretFacts
from certwright.settings import AcmeSettings, Settings
from certwright.store import NamespacedName, Store
from certwright.workqueue import Key, WorkQueue
from certwright_issuers.acme.ari import RenewalInfo, Window
from certwright_issuers.contract import IssuerError, RateLimited, Unavailable
from certwright_issuers.csr import parse_csr_facts
from tests.operator.builders import NOW, certificate, request, secret

KEY = Key("Certificate", "ns", "web")
WHERE = NamespacedName("ns", "web-tls")
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@dataclass
class CA:
    """An account, an issuer pool and a reporter in one."""

    spec: ACMEIssuer | None = field(default_factory=lambda: ACMEIssuer(renewal_information_source="ARI"))
    answer: RenewalInfo | IssuerError | None = None
    gate: asyncio.Event | None = None
    asked: list[str] = field(default_factory=list[str])
    told: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def acme_spec(self, *_: object) -> ACMEIssuer | None:
        return self.spec

    def find(self, *_: object) -> Any:
        return SimpleNamespace(account=self)

    async def renewal_info(self, certid: str) -> RenewalInfo | None:
        self.asked.append(certid)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, IssuerError):
            raise self.answer
        return self.answer

    def normal(self, _: object, reason: str, message: str) -> None:
        self.told.append((reason, message))

    warning = normal


class World:
    """One Certificate of the Issuer ca, whose Secret holds what was issued at NOW for 90 days."""

    def __init__(self, *, serial: int = 1, settings: Settings | None = None) -> None:
        self.ca = CA()
        self.now = NOW + HOUR
        self.store = Store()
        self.queue = WorkQueue()
        self.renewals = RenewalMemory()
        self.hold(serial)
        parts = {"issuers": self.ca, "reporter": self.ca, "store": self.store, "renewals": self.renewals}
        clock = {"now": lambda: self.now, "settings": settings or Settings()}
        outside_ = {"outside": Outside(self.queue), "secret_facts": self._secret_facts}
        self.context = cast("Context", SimpleNamespace(**parts, **clock, **outside_))

    async def _secret_facts(self, where: NamespacedName) -> SecretFacts | None:
        return self.store.secrets.get(where)

    def hold(self, serial: int) -> None:
        """Have the Secret hold the certificate of this number."""
        facts = secret()
        stored = facts.certificate
        assert stored is not None
        stored = replace(stored, serial=serial, authority_key_id=b"key of the CA")
        self.store.put_secret(WHERE, replace(facts, certificate=stored))

    async def view(self, wanted: Certificate | None = None) -> View:
        return await gather(self.context, KEY, wanted or certificate())

    async def ask(self, wanted: Certificate | None = None) -> View:
        return await ask_if_due(self.context, await self.view(wanted))


@pytest.fixture
def world() -> World:
    return World()


def info(start: datetime, end: datetime, url: str = "", wait: timedelta = 6 * HOUR) -> RenewalInfo:
    return RenewalInfo(Window(start, end), url, NOW + HOUR + wait)


def with_status(acme: CertificateACMEStatus | None, **spec: Any) -> Certificate:
    return certificate(status={"acme": msgspec.to_builtins(acme)} if acme else None, **spec)


WINDOW = info(NOW + 10 * DAY, NOW + 12 * DAY)


async def test_the_answer_decides_and_is_not_asked_for_again(world: World) -> None:
    """Contract rows 8.14 and 8.15: instead of renewBefore, at one instant of the window that no look changes."""
    world.ca.answer = WINDOW
    wanted = certificate(renewBefore="24h")
    first = await world.ask(wanted)
    assert first.renewal is not None
    assert first.renewal.at is not None
    assert WINDOW.window.start <= first.renewal.at <= WINDOW.window.end
    stored = with_status(first.acme, renewBefore="24h")
    for _ in range(3):
        again = await world.ask(stored)
        assert (again.renewal, again.acme) == (first.renewal, first.acme)
    # Nor after a restart.
    world.renewals.clear()
    assert (await world.ask(stored)).renewal == first.renewal
    assert len(world.ca.asked) == 1


async def test_it_is_asked_again_when_the_ca_wants(world: World) -> None:
    """Never earlier than Retry-After, and not all together."""
    world.ca.answer = WINDOW
    first = await world.ask()
    assert first.acme is not None
    assert first.acme.ari is not None
    due = first.acme.ari.next_check
    assert due is not None
    assert 6 * HOUR <= due - world.now <= 6.6 * HOUR
    world.now = due
    await world.ask(with_status(first.acme))
    assert len(world.ca.asked) == 2


async def test_what_was_said_of_an_older_certificate_does_not_count(world: World) -> None:
    """Contract row 8.14: neither by what this process knows, nor by the times alone. It is asked for again."""
    world.ca.answer = WINDOW
    first = await world.ask()
    world.hold(2)
    world.renewals.clear()
    start, end = NOW - DAY, NOW + DAY
    for lies, was in ((start, NOW + HOUR), (NOW + DAY, NOW - HOUR)):
        old = {"suggestedWindow": {"start": lies.isoformat(), "end": end.isoformat()}, "lastChecked": was.isoformat()}
        stale = certificate(status={"acme": {"ari": {**old, "nextCheck": (NOW + 30 * DAY).isoformat()}}})
        assert (await world.view(stale)).acme is None
    just_issued = await gather(world.context, KEY, with_status(first.acme), just_issued=True)
    assert just_issued.acme is None
    await world.ask(stale)
    assert len(set(world.ca.asked)) == 2


async def test_a_window_in_the_past_means_now(world: World) -> None:
    """Also if it begins before the certificate does, when the CA has just said so of this one."""
    world.ca.answer = info(NOW - 2 * HOUR, NOW - HOUR)
    view = await world.ask()
    assert view.trigger is not None
    assert view.trigger.reason == "Renewing"


async def test_a_ca_that_never_is_content_is_followed_slowly(world: World) -> None:
    """The first certificate is replaced at once, each successor after six hours only."""
    world.ca.answer = info(NOW - 2 * HOUR, NOW - HOUR)
    assert (await world.ask()).trigger is not None
    begin = world.now
    for serial in (2, 3):
        world.hold(serial)
        view = await world.ask()
        assert view.renewal is not None
        assert view.renewal.at == begin + (serial - 1) * HURRY_PAUSE
        assert view.trigger is None
        world.now = view.renewal.at
        assert (await world.view(with_status(view.acme))).trigger is not None


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (Unavailable("X", "no answer"), HOUR),
        (Unavailable("X", "no answer", timedelta(seconds=1)), HOUR),
        (Unavailable("X", "no answer", 8 * HOUR), 8 * HOUR),
        (RateLimited("X", "no answer", NOW + 4 * HOUR), 3 * HOUR),
        (RateLimited("X", "no answer", NOW + 999 * DAY), 7 * DAY),
    ],
)
async def test_a_failure_costs_nothing_but_the_news(world: World, error: IssuerError, wait: timedelta) -> None:
    """What was known stays in force; told once; tried again within the bounds, not before the CA wants."""
    world.ca.answer = WINDOW
    known = (await world.ask()).acme
    assert known is not None
    assert known.ari is not None
    overdue = msgspec.structs.replace(known, ari=msgspec.structs.replace(known.ari, next_check=NOW))
    world.ca.answer = error
    failed = await world.ask(with_status(overdue))
    assert failed.acme is not None
    assert failed.acme.ari is not None
    assert failed.acme.ari.last_error == "no answer"
    assert failed.acme.ari.suggested_window == known.ari.suggested_window
    due = failed.acme.ari.next_check
    assert due is not None
    assert wait <= due - world.now <= min(wait * 1.1, 7 * DAY)
    late = msgspec.structs.replace(failed.acme, ari=msgspec.structs.replace(failed.acme.ari, next_check=NOW))
    await world.ask(with_status(late))
    assert world.ca.told == [("ARIError", "The CA can't be asked when to renew: no answer")]


async def test_a_ca_without_renewal_information(world: World) -> None:
    """Renewal goes by the lifetime; nothing is in the status; it is looked for again after some hours."""
    view = await world.ask(certificate(renewBefore="24h"))
    assert view.acme is None
    assert view.renewal is not None
    assert view.renewal.at == NOW + 89 * DAY
    await world.ask()
    assert len(world.ca.asked) == 1
    world.now += 7 * HOUR
    await world.ask()
    assert len(world.ca.asked) == 2


async def test_a_slow_ca_holds_up_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """The view is as it was; the answer brings the Certificate back."""
    monkeypatch.setattr(outside, "PATIENCE", 0.01)
    world.ca.gate, world.ca.answer = asyncio.Event(), WINDOW
    assert (await world.ask()).acme is None
    world.ca.gate.set()
    assert await asyncio.wait_for(world.queue.get(), 1) == KEY
    assert (await world.ask()).acme is not None
    assert len(world.ca.asked) == 1


@pytest.mark.parametrize(
    "spec",
    [
        {"renewal": {"policy": "Disabled"}},
        {"issuerRef": {"name": "ca", "group": "other.example"}},
        {"issuerRef": {"name": "b"}},
    ],
)
async def test_where_the_ca_has_no_say(world: World, spec: dict[str, Any]) -> None:
    """Renewal switched off; another controller's issuer; a Secret of another issuer."""
    assert (await world.ask(certificate(**spec))).source is None
    assert not world.ca.asked


@pytest.mark.parametrize("spec", [None, ACMEIssuer(renewal_information_source="None")])
async def test_issuers_without_a_say(world: World, spec: ACMEIssuer | None) -> None:
    """No ACME issuer, or one that does not want it."""
    world.ca.spec = spec
    assert (await world.ask()).source is None


async def test_the_gate() -> None:
    """--feature-gates=ACMEUseARI=false."""
    world = World(settings=Settings(acme=AcmeSettings(renewal_info=False)))
    assert (await world.ask()).source is None


async def test_an_expired_certificate_is_not_asked_about(world: World) -> None:
    """Nor one that has to be replaced anyway."""
    world.now = NOW + 91 * DAY
    await world.ask()
    world.now = NOW + HOUR
    await world.ask(certificate(dnsNames=["other.example.test"]))
    assert not world.ca.asked


async def test_windows_of_the_certificate_come_after_that_of_the_ca(world: World) -> None:
    """Contract section 2.2.3: the next opening at or after the chosen instant."""
    world.ca.answer = WINDOW
    plain = (await world.ask()).renewal
    renewal = {"policy": "RenewBefore", "windows": [{"cron": "0 3 * * *", "windowDuration": "1h"}]}
    world.renewals.clear()
    moved = (await world.ask(certificate(renewal=renewal))).renewal
    assert plain is not None
    assert moved is not None
    assert plain.at is not None
    assert moved.at is not None
    assert moved.at.hour == 3
    assert timedelta() <= moved.at - plain.at <= DAY


async def test_a_mad_window_never_lets_it_expire(world: World) -> None:
    """Reliability row M13: a window that ends after the expiry."""
    world.ca.answer = info(NOW + 80 * DAY, NOW + 365_000 * DAY)
    view = await world.ask()
    assert view.renewal is not None
    assert view.renewal.at is not None
    assert view.renewal.at <= NOW + 60 * DAY


async def test_the_explanation_is_told(world: World) -> None:
    """Once, and so is a window that has moved."""
    world.ca.answer = info(NOW + DAY, NOW + 2 * DAY, "https://ca.example/why")
    view = await world.ask()
    assert view.acme is not None
    assert view.acme.ari is not None
    assert view.acme.ari.explanation_url == "https://ca.example/why"
    expected = "The CA suggests to renew between 2026-11-25T12:00:00Z and 2026-11-26T12:00:00Z; it explains why at "
    assert world.ca.told == [("RenewalWindow", f"{expected}https://ca.example/why")]
    overdue = msgspec.structs.replace(view.acme, ari=msgspec.structs.replace(view.acme.ari, next_check=NOW))
    await world.ask(with_status(overdue))
    assert len(world.ca.told) == 1


async def test_an_order_names_what_it_replaces(world: World) -> None:
    """Only what the CA has renewal information for, and what shares a name."""
    world.ca.answer = WINDOW
    known = with_status((await world.ask()).acme)
    source = source_of(world.context, known, world.store.secrets[WHERE])
    assert source is not None
    asked = request(known)
    facts = parse_csr_facts(asked.spec.request)
    assert await replaced_by(world.context, asked, facts) == ""
    world.store.put_certificate(known)
    assert await replaced_by(world.context, asked, facts) == source.certid
    other = request(certificate(dnsNames=["other.example.test"]))
    assert await replaced_by(world.context, other, parse_csr_facts(other.spec.request)) == ""


async def test_nothing_is_suggested_without_a_window(world: World) -> None:
    """A status that somebody wrote by hand."""
    view = await world.view()
    inverted = {"ari": {"suggestedWindow": {"start": "2027-01-02T00:00:00Z", "end": "2027-01-01T00:00:00Z"}}}
    for acme in (None, msgspec.convert(inverted, CertificateACMEStatus, strict=False)):
        assert suggested_time(world.context, KEY, view.source, acme) is None
