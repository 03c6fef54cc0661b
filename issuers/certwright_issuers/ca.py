"""The CA issuer: certificates are signed with a CA key that lies in a Secret."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509

from certwright_issuers import extensions as ext
from certwright_issuers.algorithms import UNREADABLE, require_acceptable
from certwright_issuers.certificate import CAFacts, InvalidCertificate, ca_facts_of, facts_of, load_chain
from certwright_issuers.chain import encode, is_self_signed, order_chain
from certwright_issuers.constraints import InvalidConstraints, Subtrees, read_constraints, violations
from certwright_issuers.contract import (
    PLAIN,
    ConfigInvalid,
    Environment,
    Health,
    Issued,
    IssuerType,
    RequestRejected,
    Secrets,
    SigningRequest,
)
from certwright_issuers.keys import InvalidKey, load_key, spki_sha256
from certwright_issuers.leaf import SIGNING_ERROR, Signer, configured_urls, sign_leaf
from certwright_issuers.names import library_name
from certwright_issuers.sans import SAN_OID, AltNames, read_alt_names

TLS_CRT: Final = "tls.crt"
TLS_KEY: Final = "tls.key"
CA_CRT: Final = "ca.crt"

#: Not there, or no certificate and no key.
UNREADABLE_PAIR: Final = "ErrGetKeyPair"
#: There, and nothing that can sign.
INVALID: Final = "ErrInvalidKeyPair"
_PREFIX: Final = "Error getting keypair for CA issuer: "


@dataclass(frozen=True, slots=True)
class Authority:
    """The CA's chain, checked and reduced to what signing needs."""

    #: The Secret's name, for messages.
    secret: str
    #: Name, key identifier and SHA-256 of the public key of the signing certificate.
    issuer: x509.Name
    key_id: bytes
    spki_sha256: bytes
    #: When the last certificate of the chain becomes valid and when the first one ends, and which they are.
    not_before: datetime
    not_after: datetime
    begins_last: str
    ends_first: str
    #: CAs that may follow below; None: any number.
    room: int | None
    constraints: tuple[Subtrees, ...]
    #: What follows the leaf in the chain, and what is called its CA.
    tail_pem: bytes
    ca_pem: bytes


class CA:
    """One configured CA."""

    def __init__(self, authority: Authority, signer: Signer) -> None:
        self._authority = authority
        self._signer = signer

    async def check(self, now: datetime) -> Health:
        """Whether the chain is valid now; everything else was checked when it was built."""
        problem = self._out_of_date(now)
        authority = self._authority
        if problem:
            wait = authority.not_before - now if now < authority.not_before else None
            return Health(ready=False, reason=INVALID, message=problem, recheck_after=wait)
        return Health(
            ready=True,
            reason="KeyPairVerified",
            message="Signing CA verified",
            recheck_after=authority.not_after - now,
        )

    def _out_of_date(self, now: datetime) -> str:
        authority = self._authority
        if now >= authority.not_after:
            return _problem(authority.secret, f"{authority.ends_first} has expired on {_utc(authority.not_after)}")
        if now < authority.not_before:
            return _problem(
                authority.secret, f"{authority.begins_last} is not valid before {_utc(authority.not_before)}"
            )
        return ""

    async def sign(self, request: SigningRequest) -> Issued:
        """Sign, and add the chain up to but without the root. Raises ConfigInvalid if the CA is out of date."""
        problem = self._out_of_date(request.now)
        if problem:
            raise ConfigInvalid(INVALID, problem)
        self._require_allowed(request)
        certificate, notes = sign_leaf(request, self._signer)
        return Issued(encode([certificate]) + self._authority.tail_pem, self._authority.ca_pem, notes)

    def _require_allowed(self, request: SigningRequest) -> None:
        """What the chain forbids would be signed in vain: nobody could verify it."""
        if request.is_ca and self._authority.room == 0:
            raise RequestRejected(
                SIGNING_ERROR, "Error signing certificate: the path length constraint of the CA allows no CA below it"
            )
        if not self._authority.constraints:
            return
        try:
            raw = ext.split_request(request.csr)
            names = raw.extensions.get(SAN_OID)
            parsed = read_alt_names(names.value) if names is not None else AltNames()
            found = [name for limits in self._authority.constraints for name in violations(limits, raw.subject, parsed)]
        except ValueError as error:
            raise RequestRejected(SIGNING_ERROR, f"Error signing certificate: {error}") from error
        if found:
            what = ", ".join(dict.fromkeys(found))
            raise RequestRejected(
                SIGNING_ERROR, f"Error signing certificate: the name constraints of the CA forbid {what}"
            )


def _problem(secret: str, what: str) -> str:
    return f'{_PREFIX}{what} (secret "{secret}")'


def _utc(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def build(config: Mapping[str, Any], secrets: Secrets, _environment: Environment = PLAIN, /) -> CA:
    """Raises ConfigInvalid, whose message names the Secret and says what is wrong with it."""
    name = str(config.get("secretName") or "")
    secret = secrets.get(name)
    if secret is None:
        raise ConfigInvalid(UNREADABLE_PAIR, f'{_PREFIX}secret "{name}" not found')
    for entry in (TLS_CRT, TLS_KEY):
        if not secret.get(entry):
            raise ConfigInvalid(UNREADABLE_PAIR, f'{_PREFIX}no data for "{entry}" in secret "{name}"')
    authority = _authority(name, secret)
    try:
        key = load_key(secret[TLS_KEY], trusted=False)
    except InvalidKey as error:
        raise ConfigInvalid(UNREADABLE_PAIR, _problem(name, f"{TLS_KEY}: {error}")) from error
    if spki_sha256(key) != authority.spki_sha256:
        raise ConfigInvalid(INVALID, _problem(name, f"{TLS_KEY} is not the key of the first certificate in {TLS_CRT}"))
    signer = Signer(
        key,
        authority.issuer,
        authority.key_id,
        authority.not_after,
        crl_urls=configured_urls(config, "crlDistributionPoints"),
        ocsp_urls=configured_urls(config, "ocspServers"),
        issuer_urls=configured_urls(config, "issuingCertificateURLs"),
    )
    return CA(authority, signer)


def _authority(name: str, secret: Mapping[str, bytes]) -> Authority:
    try:
        certificates = _load(TLS_CRT, secret)
    except InvalidCertificate as error:
        raise ConfigInvalid(UNREADABLE_PAIR, _problem(name, str(error))) from error
    try:
        first = certificates[0]
        _require_ca(first)
        # Only the first: the rest of a bundle is of no concern to this chain.
        certificates += _load(CA_CRT, secret)[:1] if secret.get(CA_CRT) else []
        chain = order_chain(certificates)
        return _reduced(name, first, chain)
    except (InvalidCertificate, InvalidConstraints) as error:
        raise ConfigInvalid(INVALID, _problem(name, str(error))) from error


def _load(entry: str, secret: Mapping[str, bytes]) -> list[x509.Certificate]:
    try:
        return load_chain(secret[entry])
    except InvalidCertificate as error:
        raise InvalidCertificate(f"{entry}: {error}") from error


def _require_ca(certificate: x509.Certificate) -> None:
    """Whether the signing certificate may sign, and with a key and a name we can sign with."""
    facts = ca_facts_of(certificate)
    if not facts.is_ca:
        # The whole message: people match on it (API contract section 3.2).
        raise ConfigInvalid(INVALID, f"{_PREFIX}certificate is not a CA")
    if not facts.may_sign:
        raise InvalidCertificate("certificate is a CA, but its key usages do not include cert sign")
    try:
        require_acceptable(certificate.public_key())
        library_name(ext.split_certificate(certificate).subject)
    except UNREADABLE as error:
        raise InvalidCertificate(f"certificate: {error}") from error


def _reduced(name: str, signing: x509.Certificate, chain: Sequence[x509.Certificate]) -> Authority:
    if chain[0] != signing:
        raise InvalidCertificate(f"the first certificate in {TLS_CRT} is not the lowest of its chain")
    facts = [ca_facts_of(certificate) for certificate in chain]
    begins = max(chain, key=lambda certificate: certificate.not_valid_before_utc)
    ends = min(chain, key=lambda certificate: certificate.not_valid_after_utc)
    room = _room(facts)
    if room is not None and room < 0:
        raise InvalidCertificate("the chain is longer than one of its path length constraints allows")
    rooted = is_self_signed(chain[-1])
    return Authority(
        secret=name,
        issuer=library_name(ext.split_certificate(signing).subject),
        # A CA that does not say what its key is called: by RFC 5280 section 4.2.1.2, method 1.
        key_id=facts[0].key_id or x509.SubjectKeyIdentifier.from_public_key(signing.public_key()).digest,
        spki_sha256=spki_sha256(signing),
        not_before=begins.not_valid_before_utc,
        not_after=ends.not_valid_after_utc,
        begins_last=_called(begins),
        ends_first=_called(ends),
        room=room,
        constraints=tuple(read_constraints(each.name_constraints) for each in facts if each.name_constraints),
        tail_pem=encode(chain[:-1] if rooted else chain),
        ca_pem=encode(chain[-1:]),
    )


def _room(facts: Sequence[CAFacts]) -> int | None:
    """How many CAs may follow below the first, by every path length in the chain (RFC 5280 section 4.2.1.9)."""
    rooms = [each.path_length - below for below, each in enumerate(facts) if each.path_length is not None]
    return min(rooms, default=None)


def _called(certificate: x509.Certificate) -> str:
    return f'the CA certificate "{facts_of(certificate).subject_name}"'


TYPE: Final = IssuerType(
    key="ca",
    build=build,
    secret_names=lambda config: frozenset({str(config["secretName"])} if config.get("secretName") else ()),
    in_process=True,
)
