"""A heap of certificates to a chain and its CA (API contract section 3.0)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from certwright_issuers.certificate import InvalidCertificate, is_issued_by, is_self_signed

BROKEN = "certificate chain is malformed or broken"


def build_chain(certificates: Sequence[x509.Certificate]) -> tuple[bytes, bytes]:
    """PEM of the chain, leaf first and without a self-signed root, and PEM of the CA: the root, else the highest link.

    Duplicates are dropped and the order is rebuilt. A lone self-signed certificate is both; a lone other one has no CA.
    Raises InvalidCertificate for a gap or for more than one chain. Signatures are verified once per link.
    """
    chain = _ordered(list(dict.fromkeys(certificates)))
    top = chain[-1]
    if len(chain) == 1:
        return encode(chain), encode(chain) if is_self_signed(top) else b""
    if is_self_signed(top):
        return encode(chain[:-1]), encode([top])
    return encode(chain), encode([top])


def encode(certificates: Sequence[x509.Certificate]) -> bytes:
    """PEM, one after the other."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def _ordered(certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    """From the leaf upwards."""
    if not certificates:
        raise InvalidCertificate("there is no certificate")
    by_subject: dict[bytes, list[x509.Certificate]] = {}
    for certificate in certificates:
        by_subject.setdefault(certificate.subject.public_bytes(), []).append(certificate)
    issuer_of: dict[x509.Certificate, x509.Certificate] = {}
    for certificate in certificates:
        candidates = by_subject.get(certificate.issuer.public_bytes(), [])
        issuer = next((c for c in candidates if c is not certificate and is_issued_by(certificate, c)), None)
        if issuer is not None:
            issuer_of[certificate] = issuer
    issuers = set(issuer_of.values())
    leaves = [certificate for certificate in certificates if certificate not in issuers]
    if len(leaves) != 1:
        raise InvalidCertificate(BROKEN)
    chain = [leaves[0]]
    while (issuer := issuer_of.get(chain[-1])) is not None:
        if len(chain) > len(certificates):
            raise InvalidCertificate(BROKEN)
        chain.append(issuer)
    if len(chain) != len(certificates):
        raise InvalidCertificate(BROKEN)
    return chain
