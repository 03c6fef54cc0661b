"""A heap of certificates to one chain and its CA (cert-manager API contract: ``tls.crt`` and ``ca.crt``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from certwright_issuers.certificate import InvalidCertificate
from certwright_issuers.extensions import RawCertificate, split_certificate
from certwright_issuers.pem import COUNT_LIMIT

#: Of RSA keys that signatures are verified with: Go's limits, in bits in its ``crypto/tls`` and in its ``crypto/rsa``.
_LARGEST_MODULUS: Final = 8192
_LARGEST_EXPONENT: Final = 2**31 - 1

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
    """The certificates without duplicates, from the leaf upwards, one for each holder of a name and a key.

    A holder has several if a root was issued again for its key, or is signed by another CA too: then the one that leads
    upwards is taken, else the one given first. Raises InvalidCertificate for none, for too many, for a gap, and for
    more than one chain.
    """
    if not certificates:
        raise InvalidCertificate("there is no certificate")
    if len(certificates) > COUNT_LIMIT:
        raise InvalidCertificate(f"there are more than {COUNT_LIMIT} certificates")
    holders = _holders(list(dict.fromkeys(certificates)))
    issuers = [holder.issuers - {index} for index, holder in enumerate(holders)]
    issued = {above for each in issuers for above in each}
    following = {index for index in range(len(holders)) if index not in issued}
    order: dict[int, x509.Certificate] = {}
    while following:
        at = following.pop()
        # More leaves or issuers than one, or CAs that certify each other above the leaf.
        if following or at in order:
            raise InvalidCertificate(BROKEN)
        following = set(issuers[at])
        order[at] = holders[at].certificate(following)
    if len(order) != len(holders):
        raise InvalidCertificate(BROKEN)
    return list(order.values())


@dataclass(frozen=True, slots=True)
class _Holder:
    """One name and key: its certificates, and for each the index of the holder who issued it, if among those given."""

    certificates: tuple[x509.Certificate, ...]
    parents: tuple[int | None, ...]

    @property
    def issuers(self) -> set[int]:
        return {parent for parent in self.parents if parent is not None}

    def certificate(self, above: set[int]) -> x509.Certificate:
        leading = (
            certificate for certificate, parent in zip(self.certificates, self.parents, strict=True) if parent in above
        )
        return next(leading, self.certificates[0])


def _holders(certificates: list[x509.Certificate]) -> list[_Holder]:
    """Names say who may have issued whom; signatures decide.

    Their number is bounded by about twice that of the certificates, because hostile input can give a thousand
    certificates one name.
    """
    raws = [_raw(certificate) for certificate in certificates]
    grouped: dict[tuple[bytes, bytes], list[int]] = {}
    for index, raw in enumerate(raws):
        grouped.setdefault((raw.subject, raw.spki), []).append(index)
    named: dict[bytes, list[tuple[int, x509.Certificate]]] = {}
    for number, ((subject, _), members) in enumerate(grouped.items()):
        named.setdefault(subject, []).append((number, certificates[members[0]]))
    # The constant serves short chains, where a name can have been rolled over from key to key.
    checks = 2 * len(certificates) + 16
    parents: list[int | None] = []
    for certificate, raw in zip(certificates, raws, strict=True):
        parent = None
        for number, issuer in named.get(raw.issuer, ()):
            checks -= 1
            if checks < 0:
                raise InvalidCertificate(BROKEN)
            if is_issued_by(certificate, issuer):
                parent = number
                break
        parents.append(parent)
    return [_holder(number, members, certificates, parents) for number, members in enumerate(grouped.values())]


def _holder(
    number: int, members: list[int], certificates: list[x509.Certificate], parents: list[int | None]
) -> _Holder:
    holder = _Holder(tuple(certificates[at] for at in members), tuple(parents[at] for at in members))
    if len(members) > 1 and number not in holder.issuers:
        # None is a root: a leaf or an intermediate CA that is there twice belongs to two chains.
        raise InvalidCertificate(BROKEN)
    return holder


def _raw(certificate: x509.Certificate) -> RawCertificate:
    try:
        return split_certificate(certificate)
    except ValueError as error:
        raise InvalidCertificate(f"the certificate is malformed: {error}") from error


def is_self_signed(certificate: x509.Certificate) -> bool:
    """Whether it is signed with its own key."""
    return is_issued_by(certificate, certificate)


def is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    """Whether names chain and the signature holds; a key or algorithm that can't be judged cheaply means no."""
    try:
        if _is_costly(issuer.public_key()):
            return False
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def _is_costly(key: object) -> bool:
    """Go verifies with no such keys either; a Secret full of them took 0.7 s."""
    return isinstance(key, RSAPublicKey) and (
        key.key_size > _LARGEST_MODULUS or key.public_numbers().e > _LARGEST_EXPONENT
    )
