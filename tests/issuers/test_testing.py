"""The conformance suite itself: it passes issuers that may do less, and catches those that do wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pytest

from certwright_issuers import testing
from certwright_issuers.certificate import load_chain
from certwright_issuers.contract import Health, Issued, Issuer, Pending, SigningRequest
from certwright_issuers.csr import RequestSpec
from certwright_issuers.registry import ISSUER_TYPES
from certwright_issuers.testing import CHECKS, KEY_SPECS, Candidate, Check, Feature, issue, leaf_key, signing_request
from tests.issuers.authority import KEY, NOW, ask, make_authority, make_chain, pem

CA = make_chain(1)
ROW = ISSUER_TYPES["ca"]
GOOD = ROW.build({"secretName": "ca"}, {"ca": CA.secret()})

OTHER_KEY = signing_request(RequestSpec(common_name="x"), leaf_key(KEY_SPECS[2]), NOW)


@dataclass
class Wrapper:
    """The CA issuer, with requests, answers and health changed on their way."""

    before: Callable[[SigningRequest], SigningRequest] = lambda request: request
    after: Callable[[Issued], Issued] = lambda issued: issued
    health: Health | None = None

    async def check(self, now: datetime) -> Health:
        """The CA's, unless another was given."""
        return self.health or await GOOD.check(now)

    async def sign(self, request: SigningRequest) -> Issued | Pending:
        """The CA's answer, changed."""
        answer = await GOOD.sign(self.before(request))
        assert isinstance(answer, Issued)
        return self.after(answer)


def candidate(issuer: Issuer, *ignored: Feature) -> Candidate:
    """An issuer below the root of these tests."""
    return Candidate(issuer, ROW, anchors=(CA.chain[-1],), ignores=frozenset(ignored), now=NOW)


def reuse(first: list[Issued]) -> Callable[[Issued], Issued]:
    """Answer with the first certificate again and again."""

    def after(issued: Issued) -> Issued:
        first.append(issued)
        return first[0]

    return after


def plain(request: SigningRequest) -> SigningRequest:
    """The same key and one DNS name, whatever was asked for."""
    key = request.private_key or KEY
    names = ("www.conformance.example.com", "a.conformance.example.com", "*.conformance.example.com")
    return signing_request(RequestSpec(dns_names=names), key, NOW)


WRONG: dict[str, tuple[Issuer, Check]] = {
    "not ready": (Wrapper(health=Health(ready=False, reason="No", message="")), testing.is_ready_and_stays_so),
    "no reason": (Wrapper(health=Health(ready=True, reason="", message="")), testing.is_ready_and_stays_so),
    "looks back": (
        Wrapper(health=Health(ready=True, reason="x", message="", recheck_after=timedelta())),
        testing.is_ready_and_stays_so,
    ),
    "another key": (
        Wrapper(before=lambda request: replace(request, csr=OTHER_KEY.csr)),
        testing.certifies_the_key_of_the_request,
    ),
    "root in the chain": (
        Wrapper(after=lambda issued: replace(issued, chain_pem=issued.chain_pem + issued.ca_pem)),
        testing.builds_a_chain,
    ),
    "upside down": (
        Wrapper(after=lambda issued: replace(issued, chain_pem=pem(*reversed(load_chain(issued.chain_pem))))),
        testing.builds_a_chain,
    ),
    "leaf alone": (
        Wrapper(after=lambda issued: replace(issued, chain_pem=pem(load_chain(issued.chain_pem)[0]))),
        testing.builds_a_chain,
    ),
    "another CA": (
        Wrapper(after=lambda issued: replace(issued, ca_pem=pem(make_authority("x").certificate))),
        testing.builds_a_chain,
    ),
    "other subject": (Wrapper(before=plain), testing.keeps_the_subject),
    "other names": (Wrapper(before=plain), testing.keeps_every_kind_of_name),
    "other usages": (Wrapper(before=plain), testing.gives_the_usages_asked_for),
    "always a CA": (Wrapper(before=lambda r: replace(r, is_ca=True)), testing.makes_a_ca_only_when_asked),
    "never a CA": (Wrapper(before=lambda r: replace(r, is_ca=False)), testing.makes_a_ca_only_when_asked),
    "no constraints": (Wrapper(before=plain), testing.keeps_name_constraints_of_a_ca),
    "too long": (
        Wrapper(before=lambda r: replace(r, duration=2 * r.duration)),
        testing.lasts_as_long_as_asked_or_says_so,
    ),
    "shorter in silence": (
        Wrapper(after=lambda issued: replace(issued, notes=())),
        testing.lasts_as_long_as_asked_or_says_so,
    ),
    "another start": (
        Wrapper(before=lambda r: replace(r, now=r.now + timedelta(minutes=1))),
        testing.lasts_as_long_as_asked_or_says_so,
    ),
    "any duration": (
        Wrapper(before=lambda r: replace(r, duration=abs(r.duration))),
        testing.refuses_what_makes_no_sense,
    ),
    "one certificate for all": (Wrapper(after=reuse([])), testing.keeps_requests_apart),
}


@pytest.mark.parametrize("name", WRONG)
async def test_wrong_issuers_are_caught(name: str) -> None:
    """By the check that is there for it, with a sentence."""
    issuer, check = WRONG[name]
    with pytest.raises(AssertionError, match=r"\w+ \w+"):
        await check(candidate(issuer))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_issuers_may_do_less(check: Check) -> None:
    """One whose CA decides everything but key and DNS names passes if it says so."""
    await check(candidate(Wrapper(before=plain), *Feature))


class Slow(Wrapper):
    """Answers at the third time."""

    asked = 0

    async def sign(self, request: SigningRequest) -> Issued | Pending:
        """Pending twice."""
        self.asked += 1
        if self.asked % 3:
            return Pending("Wait", "not yet", timedelta(milliseconds=1))
        return await super().sign(request)


async def test_waiting() -> None:
    """A pending answer is asked for again with the same request."""
    slow = Slow()
    assert (await issue(candidate(slow), ask())).chain_pem
    assert slow.asked == 3
