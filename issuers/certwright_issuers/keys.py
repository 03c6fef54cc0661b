"""Private keys: make, encode, load, compare.

Loading an RSA key with OpenSSL's full check takes 29 ms (2048 bits) to 215 ms (4096) and holds the GIL, so it is never
done here: a key is checked by arithmetic that costs microseconds and, if it comes from outside, by one signature.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certwright_issuers.pem import KEY_LIMIT

PrivateKey: TypeAlias = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

#: RSA sizes that are made here. NIST SP 800-57 has 2048 as the least; beyond 8192 generation takes minutes.
RSA_SIZES = range(2048, 8193)
CURVES: dict[int, ec.EllipticCurve] = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}


class InvalidKey(ValueError):
    """PEM bytes that are no usable private key. The message never repeats them."""


@dataclass(frozen=True, slots=True)
class KeySpec:
    """What key is wanted. ``size`` in bits; 0 for Ed25519."""

    algorithm: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What a key is, without the key. ``spki_sha256``: SHA-256 of its SubjectPublicKeyInfo."""

    algorithm: str
    size: int
    spki_sha256: bytes


def generate_key(spec: KeySpec) -> PrivateKey:
    """A new key. RSA takes tens to hundreds of milliseconds and releases the GIL; raises ValueError for odd sizes."""
    if spec.algorithm == "RSA":
        if spec.size not in RSA_SIZES:
            raise ValueError(f"spec.privateKey.size: RSA keys have 2048 to 8192 bits, not {spec.size}")
        return rsa.generate_private_key(65537, spec.size)
    if spec.algorithm == "ECDSA":
        if spec.size not in CURVES:
            raise ValueError(f"spec.privateKey.size: ECDSA keys have 256, 384 or 521 bits, not {spec.size}")
        return ec.generate_private_key(CURVES[spec.size])
    if spec.algorithm == "Ed25519":
        return Ed25519PrivateKey.generate()
    raise ValueError(f"spec.privateKey.algorithm: {spec.algorithm!r} is not one of RSA, ECDSA, Ed25519")


def encode_key(key: PrivateKey, encoding: str) -> bytes:
    """PEM: ``PKCS1`` (for elliptic curves SEC 1) or ``PKCS8``. Ed25519 has only the latter (RFC 8410)."""
    traditional = encoding == "PKCS1" and not isinstance(key, Ed25519PrivateKey)
    form = serialization.PrivateFormat.TraditionalOpenSSL if traditional else serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def load_key(pem: bytes, *, trusted: bool) -> PrivateKey:
    """Parse a PEM key of a supported kind. Raises InvalidKey.

    ``trusted``: we made it, or whoever supplied it harms nobody but himself with a bad one. Others are tried out.
    """
    if not pem.strip():
        raise InvalidKey("there is no private key")
    if len(pem) > KEY_LIMIT:
        raise InvalidKey(f"private key of {len(pem)} bytes is larger than the limit of {KEY_LIMIT}")
    return _load(pem) if trusted else _load_and_try(pem)


@lru_cache(maxsize=64)
def _load_and_try(pem: bytes) -> PrivateKey:
    key = _load(pem)
    if isinstance(key, RSAPrivateKey):
        numbers = key.private_numbers()
        if numbers.p * numbers.q != numbers.public_numbers.n:
            raise InvalidKey("the RSA key's primes do not make its modulus")
        message = b"certwright key check"
        try:
            signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
            key.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError) as error:
            raise InvalidKey("the RSA key's private part does not belong to its public part") from error
    return key


def _load(pem: bytes) -> PrivateKey:
    try:
        key = serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    except TypeError as error:
        raise InvalidKey("the private key is encrypted") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidKey("no private key in PEM can be decoded") from error
    if isinstance(key, RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey):
        return key
    raise InvalidKey(f"private keys of kind {type(key).__name__} are not supported")


def key_facts(key: PrivateKey) -> KeyFacts:
    """Reduce a key to what may be kept and compared."""
    return KeyFacts(algorithm_of(key), size_of(key), spki_sha256(key))


def algorithm_of(key: PrivateKey) -> str:
    """The API's word for the key's algorithm."""
    if isinstance(key, RSAPrivateKey):
        return "RSA"
    return "ECDSA" if isinstance(key, EllipticCurvePrivateKey) else "Ed25519"


def size_of(key: PrivateKey) -> int:
    """Bits; 0 for Ed25519."""
    return 0 if isinstance(key, Ed25519PrivateKey) else key.key_size


def key_kind_violations(key: KeyFacts, wanted: KeySpec) -> tuple[str, ...]:
    """Field paths of the spec that the key does not fit."""
    if key.algorithm != wanted.algorithm:
        return ("spec.privateKey.algorithm",)
    if wanted.size and key.size != wanted.size:
        return ("spec.privateKey.size",)
    return ()


def spki_sha256(holder: PrivateKey | x509.Certificate | x509.CertificateSigningRequest) -> bytes:
    """SHA-256 of the SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7): tells what belongs together."""
    spki = holder.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()
