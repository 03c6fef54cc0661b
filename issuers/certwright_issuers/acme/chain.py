"""Certificate chains (RFC 8555 section 7.4.2): reading what the CA serves, and choosing among alternates.

Nothing is assumed of intermediates: they are the CA's choice and change at random.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certwright_issuers.acme import messages
from certwright_issuers.acme.directory import Directory
from certwright_issuers.acme.problem import AcmeConfigInvalid
from certwright_issuers.acme.reply import CHAIN_LIMIT, Call, Reply, not_acme

#: Contract section 3.1.6.
CERTIFICATES_LIMIT = 5
#: Alternates that are looked at; Let's Encrypt has offered at most 3.
ALTERNATES_LIMIT = 8

_BLOCK = re.compile(rb"-----BEGIN ([A-Z0-9 ]+)-----")


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain, the leaf first."""

    certificates: tuple[x509.Certificate, ...]
    #: Where the CA serves other chains for the same leaf.
    alternates: tuple[str, ...] = ()

    @property
    def pem(self) -> bytes:
        """Written anew from what was parsed, so that text between the certificates is gone."""
        return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in self.certificates)

    def issued_by(self, common_name: str) -> bool:
        """Whether the topmost certificate names that issuer: what ``preferredChain`` compares (contract 3.1.6)."""
        names = self.certificates[-1].issuer.get_attributes_for_oid(NameOID.COMMON_NAME)
        return any(name.value == common_name for name in names)


def fetch(url: str) -> Call[Chain]:
    """Download the chain behind the order's ``certificate`` URL or an alternate."""
    return Call("get-certificate", url, None, read, limit=CHAIN_LIMIT)


def read(reply: Reply) -> Chain:
    """The chain in an answer. Raises :class:`AcmeUnavailable` for anything but 1 to 5 certificates.

    RFC 8555 section 11.4: other PEM blocks, a private key for instance, must not get through.
    """
    labels = set(_BLOCK.findall(reply.body))
    if labels != {b"CERTIFICATE"}:
        raise not_acme("the chain is not a sequence of PEM certificates", reply)
    try:
        certificates = x509.load_pem_x509_certificates(reply.body)
    except ValueError as error:
        raise not_acme("the chain holds a malformed certificate", reply) from error
    if len(certificates) > CERTIFICATES_LIMIT:
        raise not_acme(f"the chain has more than {CERTIFICATES_LIMIT} certificates", reply)
    return Chain(tuple(certificates), reply.links("alternate")[:ALTERNATES_LIMIT])


def revoke(directory: Directory, certificate: x509.Certificate, reason: int, *, by_key: bool) -> Call[None]:
    """Revoke (section 7.6). ``reason``: a CRLReason (RFC 5280 section 5.3.1). ``by_key``: signed by its own key.

    Raises :class:`AcmeConfigInvalid` if the CA offers no revocation.
    """
    if not directory.revoke_cert:
        raise AcmeConfigInvalid("NoRevocation", "the ACME server offers no revocation")
    payload = messages.revocation(certificate, reason)
    return Call("revoke-certificate", directory.revoke_cert, payload, lambda _: None, by_key=by_key)
