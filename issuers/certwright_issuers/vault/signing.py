"""A CSR to Vault's request, and Vault's answer to a chain."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certwright_issuers import extensions as ext
from certwright_issuers.certificate import CertificateFacts, InvalidCertificate, facts_of, load_chain
from certwright_issuers.chain import build_chain
from certwright_issuers.contract import Issued, Note, RequestRejected, SigningRequest
from certwright_issuers.keys import spki_sha256
from certwright_issuers.names import subject_of
from certwright_issuers.pem import BUNDLE_LIMIT
from certwright_issuers.sans import SAN_OID, AltNames, read_alt_names
from certwright_issuers.text import strings

#: The Event reason of a request that Vault will not sign (contract section 2.3).
SIGNING_ERROR: Final = "SigningError"
#: A certificate may end this much earlier than asked for without a word: clocks differ, and Vault back-dates by 30 s.
_SLACK: Final = timedelta(minutes=1)


def signing_body(request: SigningRequest) -> dict[str, str]:
    """What is posted. Emails and otherNames are in the CSR alone. Raises RequestRejected for a malformed CSR."""
    try:
        common_name, names = _names(request.csr)
    except ValueError as error:
        raise RequestRejected(SIGNING_ERROR, f"the CSR can't be read: {error}") from error
    return {
        "common_name": common_name,
        "alt_names": ",".join(names.dns_names),
        "ip_sans": ",".join(names.ip_addresses),
        "uri_sans": ",".join(names.uris),
        "ttl": go_duration(request.duration),
        "csr": request.csr.public_bytes(Encoding.PEM).decode("ascii"),
        "exclude_cn_from_sans": "true",
    }


def _names(csr: x509.CertificateSigningRequest) -> tuple[str, AltNames]:
    raw = ext.split_request(csr)
    extension = raw.extensions.get(SAN_OID)
    return subject_of(raw.subject)[1], read_alt_names(extension.value) if extension is not None else AltNames()


def go_duration(duration: timedelta) -> str:
    """As Go prints it, in whole seconds: 2160h0m0s."""
    minutes, seconds = divmod(int(duration.total_seconds()), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s"


def issued(data: Mapping[str, Any], request: SigningRequest) -> Issued:
    """The certificate in Vault's answer, with what is above it. Raises RequestRejected for one that can't be used."""
    try:
        leaf, chain_pem, ca_pem = _chain(data)
        facts = facts_of(leaf)
    except InvalidCertificate as error:
        raise RequestRejected(SIGNING_ERROR, f"Vault's answer holds no usable certificate: {error}") from error
    if facts.spki_sha256 != spki_sha256(request.csr):
        raise RequestRejected(SIGNING_ERROR, "Vault has signed a certificate for another public key than the CSR's")
    return Issued(chain_pem, ca_pem, _notes(facts, request))


def _chain(data: Mapping[str, Any]) -> tuple[x509.Certificate, bytes, bytes]:
    """Leaf, and both outputs of the contract's section 3.0."""
    certificate, above = data.get("certificate"), strings(data.get("ca_chain") or [data.get("issuing_ca")])
    if not isinstance(certificate, str) or not certificate:
        raise InvalidCertificate("it names none")
    leaf = load_chain(certificate.encode())[0]
    every = load_chain("\n".join([certificate, *above]).encode(), BUNDLE_LIMIT)
    chain_pem, ca_pem = build_chain(every)
    if load_chain(chain_pem)[0] != leaf:
        raise InvalidCertificate("the certificate is not the lowest of its chain")
    return leaf, chain_pem, ca_pem


def _notes(facts: CertificateFacts, request: SigningRequest) -> tuple[Note, ...]:
    """Where the role has decided otherwise than the request: said once, and nothing is asked for again."""
    notes: list[Note] = []
    lasts = facts.not_after - request.now
    if lasts < request.duration - _SLACK:
        notes.append(
            Note(
                "DurationShortened",
                f"Vault's role or CA has shortened the certificate from {go_duration(request.duration)} "
                f"to {go_duration(lasts)}",
            )
        )
    _, asked = _names(request.csr)
    have = facts.names
    missing = [
        *(set(map(str.lower, asked.dns_names)) - set(map(str.lower, have.dns_names)) - {facts.common_name.lower()}),
        *(set(asked.ip_addresses) - set(have.ip_addresses)),
        *(set(asked.uris) - set(have.uris)),
        *(set(asked.email_addresses) - set(have.email_addresses)),
    ]
    if missing:
        listed = ", ".join(sorted(missing)[:10])
        notes.append(Note("NamesMissing", f"Vault has left out names that were asked for: {listed}"))
    return tuple(notes)
