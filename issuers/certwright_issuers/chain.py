"""A heap of certificates to one chain and its CA (cert-manager API contract: ``tls.crt`` and ``ca.crt``)."""

from __future__ import annotations

from collections.abc import Sequence

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding

from certwright_issuers.certificate import InvalidCertificate
from certwright_issuers.extensions import RawCertificate, split_certificate
from certwright_issuers.pem import COUNT_LIMIT

BROKEN = "certificate chain is malformed or broken"


def build_chain(certificates: Sequence[x509.Certificate]) -> tuple[bytes, bytes]:
    """PEM of the chain, leaf first and without a self-signed root, and PEM of the CA: the root, else the highest link.

    A lone self-signed certificate is both; a lone other one has no CA. Raises InvalidCertificate.
    """
    chain = order_chain(certificates)
    top = chain[-1]
    rooted = is_self_signed(top)
    if len(chain) == 1:
        return encode(chain), encode(chain) if rooted else b""
    return encode(chain[:-1] if rooted else chain), encode([top])


def encode(certificates: Sequence[x509.Certificate]) -> bytes:
    """PEM, one after the other."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def order_chain(certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
    """The certificates without duplicates, from the leaf upwards.

    Raises InvalidCertificate for none, for too many, for a gap, and for more than one chain. Names say who may have
    issued whom; signatures decide. Their number is bounded by twice that of the certificates, because hostile input can
    give a thousand certificates one name.
    """
    if not certificates:
        raise InvalidCertificate("there is no certificate")
    if len(certificates) > COUNT_LIMIT:
        raise InvalidCertificate(f"there are more than {COUNT_LIMIT} certificates")
    unique = list(dict.fromkeys(certificates))
    parents = _parents(unique)
    leaves = set(range(len(unique))) - {parent for parent in parents if parent is not None}
    if len(leaves) != 1:
        raise InvalidCertificate(BROKEN)
    order: list[int] = []
    at: int | None = leaves.pop()
    # Ends: a chain from a certificate that nobody's issuer is can't come back to itself.
    while at is not None:
        order.append(at)
        at = parents[at]
    if len(order) != len(unique):
        raise InvalidCertificate(BROKEN)
    return [unique[index] for index in order]


def _parents(certificates: list[x509.Certificate]) -> list[int | None]:
    """For each certificate the index of its issuer, None where that is not among them."""
    raws = [_raw(certificate) for certificate in certificates]
    named: dict[bytes, list[int]] = {}
    for index, raw in enumerate(raws):
        named.setdefault(raw.subject, []).append(index)
    checks = 2 * len(certificates)
    parents: list[int | None] = []
    for index, raw in enumerate(raws):
        parent = None
        for candidate in named.get(raw.issuer, ()):
            if candidate == index:
                continue
            checks -= 1
            if checks < 0:
                raise InvalidCertificate(BROKEN)
            if is_issued_by(certificates[index], certificates[candidate]):
                parent = candidate
                break
        parents.append(parent)
    return parents


def _raw(certificate: x509.Certificate) -> RawCertificate:
    try:
        return split_certificate(certificate)
    except ValueError as error:
        raise InvalidCertificate(f"the certificate is malformed: {error}") from error


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether it is signed with its own key."""
    return is_issued_by(certificate, certificate)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether names chain and the signature holds; a key or algorithm that can't be judged means no."""
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True
