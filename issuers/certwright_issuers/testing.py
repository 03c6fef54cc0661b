"""The conformance suite: what every issuer has to pass, whoever wrote it.

Each check is an async function that raises AssertionError with a sentence. With pytest, for an issuer of your own::

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
    async def test_conformance(check: Check) -> None:
        await check(Candidate(MyIssuer(...), my_issuer.TYPE, anchors=(my_root,)))

What the CA behind an issuer decides by itself, and so does not take from requests, is said in ``Candidate.ignores``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from functools import lru_cache
from itertools import pairwise
from typing import Final

from cryptography import x509

from certwright_issuers import extensions as ext
from certwright_issuers.certificate import ca_facts_of, facts_of, load_chain
from certwright_issuers.chain import is_issued_by, is_self_signed
from certwright_issuers.contract import Issued, Issuer, IssuerError, IssuerType, SigningRequest
from certwright_issuers.csr import EMPTY_NAME, NameConstraints, RequestSpec, build_csr, parse_csr
from certwright_issuers.keys import KeySpec, PrivateKey, generate_key, spki_sha256
from certwright_issuers.names import Subject
from certwright_issuers.pem import BUNDLE_LIMIT
from certwright_issuers.sans import SAN_OID
from certwright_issuers.usages import EXTENDED_USAGES, KEY_USAGE_BITS, read_key_usage, usage_set

KEY_SPECS: Final = (
    KeySpec("RSA", 2048),
    KeySpec("ECDSA", 256),
    KeySpec("ECDSA", 384),
    KeySpec("ECDSA", 521),
    KeySpec("Ed25519"),
)
_SERVER: Final = ("digital signature", "key encipherment", "server auth")
_HOUR: Final = timedelta(hours=1)
#: How long an issuer may answer "pending" in all.
_PATIENCE: Final = timedelta(minutes=2)


class Feature(Enum):
    """Something of a request that an issuer may leave to its CA."""

    KEY_KINDS = auto()
    SUBJECT = auto()
    ALT_NAMES = auto()
    USAGES = auto()
    IS_CA = auto()
    DURATION = auto()
    CONSTRAINTS = auto()


@dataclass(frozen=True, slots=True)
class Candidate:
    """An issuer that is put to the test, ready to sign."""

    issuer: Issuer
    row: IssuerType
    #: Roots that chains may end at; none if every certificate is its own root.
    anchors: tuple[x509.Certificate, ...] = ()
    ignores: frozenset[Feature] = frozenset()
    #: Host under which names are asked for.
    domain: str = "conformance.example.com"
    now: datetime = field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))


Check = Callable[[Candidate], Awaitable[None]]


@lru_cache
def leaf_key(spec: KeySpec) -> PrivateKey:
    """A key for tests: made once per kind, because RSA keys take their time."""
    return generate_key(spec)


def signing_request(
    spec: RequestSpec, key: PrivateKey, now: datetime, *, duration: timedelta = _HOUR
) -> SigningRequest:
    """The request that a caller would make of ``spec``."""
    csr = parse_csr(build_csr(spec, key)).csr
    return SigningRequest(csr, duration, spec.is_ca, spec.usages or _SERVER, now, key)


async def issue(candidate: Candidate, request: SigningRequest) -> Issued:
    """Ask until there is an answer."""
    waited = timedelta()
    while True:
        result = await candidate.issuer.sign(request)
        if isinstance(result, Issued):
            return result
        waited += max(result.retry_after, timedelta(milliseconds=10))
        _expect(waited < _PATIENCE, f"still pending after {waited}: {result.message}")
        await asyncio.sleep(result.retry_after.total_seconds())


async def is_ready_and_stays_so(candidate: Candidate) -> None:
    """``check`` says ready, the same twice, and looks again at a time to come if at all."""
    first, second = await candidate.issuer.check(candidate.now), await candidate.issuer.check(candidate.now)
    _expect(first.ready, f"not ready: {first.reason}: {first.message}")
    _expect(first == second, "two checks at one time differ")
    _expect(first.reason != "", "a condition needs a reason")
    _expect(first.recheck_after is None or first.recheck_after > timedelta(), "recheck_after lies in the past")


async def certifies_the_key_of_the_request(candidate: Candidate) -> None:
    """Whatever its kind."""
    specs = KEY_SPECS[:2] if Feature.KEY_KINDS in candidate.ignores else KEY_SPECS
    for spec in specs:
        key = leaf_key(spec)
        leaf = _leaf(await issue(candidate, _request(candidate, key=key)))
        _expect(spki_sha256(leaf) == spki_sha256(key), f"{spec}: the certificate is for another key")


async def builds_a_chain(candidate: Candidate) -> None:
    """Leaf first, each certificate issued by the next, the root on its own in ``ca_pem``."""
    issued = await issue(candidate, _request(candidate))
    chain = load_chain(issued.chain_pem)
    for below, above in pairwise(chain):
        _expect(is_issued_by(below, above), "the chain has a gap or is out of order")
    _expect(len(chain) == 1 or not is_self_signed(chain[-1]), "the root is part of the chain")
    authorities = load_chain(issued.ca_pem, BUNDLE_LIMIT) if issued.ca_pem else []
    if not candidate.anchors:
        _expect(is_self_signed(chain[0]) and authorities == chain, "neither an anchor nor self-signed")
    elif authorities:
        top = authorities[0]
        _expect(top == chain[-1] or is_issued_by(chain[-1], top), "ca_pem does not belong to the chain")
    anchored = any(anchor == chain[-1] or is_issued_by(chain[-1], anchor) for anchor in candidate.anchors)
    _expect(anchored or not candidate.anchors, "the chain does not end at a trust anchor")


async def keeps_the_subject(candidate: Candidate) -> None:
    """Byte for byte: several values of a type, other alphabets, attributes the API has no field for."""
    if Feature.SUBJECT in candidate.ignores:
        return
    subject = Subject(("b", "a", "Ä"), ("unit",), ("DE",), ("BY",), ("M",), ("S 1",), ("80000",), "42")
    common_name = f"www.{candidate.domain}"
    for spec in (
        RequestSpec(common_name=common_name, subject=subject, usages=_SERVER),
        RequestSpec(literal_subject=rf"CN={common_name},1.2.3.4=x\,y+UID=u,DC=corp,DC=example", usages=_SERVER),
    ):
        request = signing_request(spec, leaf_key(KEY_SPECS[1]), candidate.now)
        leaf = _leaf(await issue(candidate, request))
        same = ext.split_certificate(leaf).subject == ext.split_request(request.csr).subject
        _expect(same, "the subject was changed")


async def keeps_every_kind_of_name(candidate: Candidate) -> None:
    """The extension is copied; it is critical if and only if there is no subject (RFC 5280 section 4.1.2.6)."""
    domain = candidate.domain
    dns_names = (f"a.{domain}", f"*.{domain}")
    for common_name in ("", f"a.{domain}"):
        spec = RequestSpec(common_name=common_name, dns_names=dns_names, usages=_SERVER)
        if Feature.ALT_NAMES not in candidate.ignores:
            spec = RequestSpec(
                common_name=common_name,
                dns_names=dns_names,
                email_addresses=(f"me@{domain}",),
                ip_addresses=("192.0.2.1", "2001:db8::1"),
                uris=(f"spiffe://{domain}/ns/a/sa/b",),
                other_names=(("1.3.6.1.4.1.311.20.2.3", f"upn@{domain}"),),
                usages=_SERVER,
            )
        request = signing_request(spec, leaf_key(KEY_SPECS[1]), candidate.now)
        leaf = _leaf(await issue(candidate, request))
        if Feature.ALT_NAMES in candidate.ignores:
            _expect(set(facts_of(leaf).names.dns_names) >= set(dns_names), "a DNS name is missing")
            continue
        raw = ext.split_certificate(leaf)
        asked = ext.split_request(request.csr).extensions[SAN_OID]
        have = raw.extensions.get(SAN_OID)
        if have is None or have.value != asked.value:
            raise AssertionError("the alternative names were changed")
        _expect(have.critical == (raw.subject == EMPTY_NAME), "the alternative names have the wrong criticality")


async def gives_the_usages_asked_for(candidate: Candidate) -> None:
    """Every word of the API, in its order, and nothing that was not asked for."""
    if Feature.USAGES in candidate.ignores:
        return
    every = (*KEY_USAGE_BITS, *EXTENDED_USAGES)
    for usages in (_SERVER, ("encipher only",), ("client auth", "server auth"), ("s/mime", "any"), every):
        leaf = _leaf(await issue(candidate, _request(candidate, usages=usages)))
        raw = ext.split_certificate(leaf).extensions
        usage, purposes = raw.get(ext.KEY_USAGE_OID), raw.get(ext.EXTENDED_KEY_USAGE_OID)
        wanted = usage_set(usages, is_ca=False)
        bits = read_key_usage(usage.value) if usage is not None else frozenset[int]()
        _expect(bits == wanted.bits, f"{usages}: other key usages")
        _expect(usage is None or usage.critical, "KeyUsage is not critical")
        have = ext.read_purposes(purposes.value) if purposes is not None else ()
        _expect(have == wanted.purposes, f"{usages}: other extended key usages")


async def makes_a_ca_only_when_asked(candidate: Candidate) -> None:
    """A CA may sign certificates and has a key identifier; others neither."""
    leaf = ca_facts_of(_leaf(await issue(candidate, _request(candidate))))
    _expect(not leaf.is_ca, "a CA that nobody asked for")
    if Feature.IS_CA in candidate.ignores:
        return
    made = ca_facts_of(_leaf(await issue(candidate, _request(candidate, is_ca=True, usages=("cert sign",)))))
    _expect(made.is_ca and made.may_sign and made.key_id is not None, "not a CA, or one that can't sign")


async def keeps_name_constraints_of_a_ca(candidate: Candidate) -> None:
    """Copied as they are."""
    if candidate.ignores & {Feature.IS_CA, Feature.CONSTRAINTS}:
        return
    limits = NameConstraints(
        critical=True,
        permitted_dns=(candidate.domain,),
        permitted_ips=("192.0.2.0/24",),
        excluded_dns=(f"x.{candidate.domain}",),
        excluded_emails=("example.net",),
        excluded_uris=(".example.net",),
    )
    request = _request(candidate, is_ca=True, usages=("cert sign",), name_constraints=limits)
    raw = ext.split_certificate(_leaf(await issue(candidate, request))).extensions
    asked = ext.split_request(request.csr).extensions[ext.NAME_CONSTRAINTS_OID]
    _expect(raw.get(ext.NAME_CONSTRAINTS_OID) == asked, "the name constraints were changed")


async def lasts_as_long_as_asked_or_says_so(candidate: Candidate) -> None:
    """Begins now, in whole seconds; a shorter life is told in a note; a longer one does not happen."""
    if Feature.DURATION in candidate.ignores:
        return
    for duration in (_HOUR, timedelta(days=20 * 365)):
        issued = await issue(candidate, _request(candidate, duration=duration))
        facts = facts_of(_leaf(issued))
        _expect(facts.not_before == candidate.now, "the certificate does not begin at the time of the request")
        wanted = candidate.now + duration
        _expect(facts.not_after <= wanted, "the certificate lasts longer than asked for")
        _expect(facts.not_after == wanted or bool(issued.notes), "a shorter life, and nobody is told")


async def refuses_what_makes_no_sense(candidate: Candidate) -> None:
    """With an error of the contract's tree, whose text has no key material."""
    if Feature.DURATION in candidate.ignores:
        return
    try:
        await issue(candidate, _request(candidate, duration=timedelta(seconds=-1)))
    except IssuerError as error:
        _expect(bool(error.reason and error.message), "an error without reason or message")
        _expect("PRIVATE KEY" not in error.message, "an error shows a private key")
    else:
        raise AssertionError("a certificate that ends before it begins was signed")


async def issues_sound_certificates(candidate: Candidate) -> None:
    """Version 3, serial of at most 20 octets, no SHA-1, critical flags and key identifiers as in RFC 5280."""
    issued = await issue(candidate, _request(candidate))
    leaf, *above = [*load_chain(issued.chain_pem), *load_chain(issued.ca_pem or issued.chain_pem, BUNDLE_LIMIT)]
    _expect(leaf.version is x509.Version.v3, "not of version 3")
    _expect(0 < leaf.serial_number < 1 << 159, "the serial number is not positive or too long (section 4.1.2.2)")
    hash_ = leaf.signature_hash_algorithm
    _expect(hash_ is None or hash_.name in {"sha256", "sha384", "sha512"}, "signed with a weak hash")
    raw = ext.split_certificate(leaf).extensions
    for oid in (ext.BASIC_CONSTRAINTS_OID, ext.KEY_USAGE_OID):
        _expect(oid not in raw or raw[oid].critical, f"the extension {oid} is not critical")
    if not is_self_signed(leaf):
        known = leaf.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier
        _expect(known == (ca_facts_of(above[0]).key_id or known), "the authority key identifier is another key's")


async def keeps_requests_apart(candidate: Candidate) -> None:
    """Asked many times at once, it gives each its own certificate and no serial number twice."""
    keys = [leaf_key(spec) for spec in KEY_SPECS[:2]] * 5
    results = await asyncio.gather(*(issue(candidate, _request(candidate, key=key)) for key in keys))
    leaves = [_leaf(result) for result in results]
    for key, leaf in zip(keys, leaves, strict=True):
        _expect(spki_sha256(leaf) == spki_sha256(key), "a certificate for somebody else's key")
    _expect(len({leaf.serial_number for leaf in leaves}) == len(leaves), "a serial number was used twice")


#: Everything an issuer has to pass.
CHECKS: Final[tuple[Check, ...]] = (
    is_ready_and_stays_so,
    certifies_the_key_of_the_request,
    builds_a_chain,
    keeps_the_subject,
    keeps_every_kind_of_name,
    gives_the_usages_asked_for,
    makes_a_ca_only_when_asked,
    keeps_name_constraints_of_a_ca,
    lasts_as_long_as_asked_or_says_so,
    refuses_what_makes_no_sense,
    issues_sound_certificates,
    keeps_requests_apart,
)


def _request(
    candidate: Candidate,
    *,
    key: PrivateKey | None = None,
    usages: tuple[str, ...] = _SERVER,
    is_ca: bool = False,
    duration: timedelta = _HOUR,
    name_constraints: NameConstraints | None = None,
) -> SigningRequest:
    name = f"www.{candidate.domain}"
    spec = RequestSpec(
        common_name=name, dns_names=(name,), usages=usages, is_ca=is_ca, name_constraints=name_constraints
    )
    return signing_request(spec, key or leaf_key(KEY_SPECS[1]), candidate.now, duration=duration)


def _leaf(issued: Issued) -> x509.Certificate:
    return load_chain(issued.chain_pem)[0]


def _expect(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as an assertion
    if not holds:
        raise AssertionError(otherwise)
