"""Which signature algorithm goes with which key, and which public keys are accepted at all."""

from __future__ import annotations

from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from certwright_issuers.keys import CURVES, RSA_SIZES, PrivateKey, algorithm_of, size_of

Hash: TypeAlias = hashes.SHA256 | hashes.SHA384 | hashes.SHA512

#: The API's words: key algorithm and hash. Ed25519 hashes by itself.
SIGNATURE_ALGORITHMS: Final[dict[str, tuple[str, Hash | None]]] = {
    "SHA256WithRSA": ("RSA", hashes.SHA256()),
    "SHA384WithRSA": ("RSA", hashes.SHA384()),
    "SHA512WithRSA": ("RSA", hashes.SHA512()),
    "ECDSAWithSHA256": ("ECDSA", hashes.SHA256()),
    "ECDSAWithSHA384": ("ECDSA", hashes.SHA384()),
    "ECDSAWithSHA512": ("ECDSA", hashes.SHA512()),
    "PureEd25519": ("Ed25519", None),
}
#: Least key size in bits for each hash, by key algorithm: the hash is as strong as the key (NIST SP 800-57 part 1).
_HASH_BY_SIZE: Final[dict[str, tuple[tuple[int, Hash], ...]]] = {
    "RSA": ((4096, hashes.SHA512()), (3072, hashes.SHA384()), (0, hashes.SHA256())),
    "ECDSA": ((521, hashes.SHA512()), (384, hashes.SHA384()), (0, hashes.SHA256())),
}
#: Go's limit; a large exponent makes each verification slow for everybody.
_LARGEST_EXPONENT: Final = 2**31 - 1


class UnacceptableKey(ValueError):
    """A public key that nothing is signed for or verified with here."""


def hash_for(key: PrivateKey) -> Hash | None:
    """The hash to sign with; None where the algorithm brings its own."""
    return next((hash_ for least, hash_ in _HASH_BY_SIZE.get(algorithm_of(key), ()) if size_of(key) >= least), None)


def hash_named(word: str, key: PrivateKey) -> Hash | None:
    """The hash of a spec.signatureAlgorithm. Raises ValueError if the word is unknown or does not suit the key."""
    if word not in SIGNATURE_ALGORITHMS:
        raise ValueError(f"spec.signatureAlgorithm: {word!r} is not one of {', '.join(SIGNATURE_ALGORITHMS)}")
    algorithm, hash_ = SIGNATURE_ALGORITHMS[word]
    if algorithm != algorithm_of(key):
        raise ValueError(f"spec.signatureAlgorithm: {word} does not suit a private key of kind {algorithm_of(key)}")
    return hash_


def require_acceptable(key: object) -> None:
    """Raises UnacceptableKey unless ``key`` is a public key of a kind and size that is made here.

    RSA below 2048 bits is broken soon or already (NIST SP 800-131A); above 8192, and with exponents of Go's limit and
    more, one verification costs milliseconds that others wait for.
    """
    match key:
        case RSAPublicKey():
            if key.key_size not in RSA_SIZES:
                raise UnacceptableKey(f"an RSA key of {key.key_size} bits: 2048 to 8192 are accepted")
            if key.public_numbers().e > _LARGEST_EXPONENT:
                raise UnacceptableKey("an RSA key with a public exponent above 2147483647")
        case EllipticCurvePublicKey():
            if key.curve.name not in {curve.name for curve in CURVES.values()}:
                raise UnacceptableKey(f"an ECDSA key on curve {key.curve.name}: P-256, P-384 and P-521 are accepted")
        case Ed25519PublicKey():
            pass
        case _:
            raise UnacceptableKey("a key of an unsupported kind: RSA, ECDSA and Ed25519 are accepted")


#: What the library raises for requests, certificates, keys and signatures it can't read or does not know.
UNREADABLE: Final = (ValueError, UnsupportedAlgorithm, x509.InvalidVersion)
