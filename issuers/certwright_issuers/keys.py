"""Private keys: make, encode, load, compare."""

from __future__ import annotations

import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certwright_issuers.pem import KEY_LIMIT, InvalidPEM, split_pem

PrivateKey: TypeAlias = RSAPrivateKey | EllipticCurvePrivateKey | Ed25519PrivateKey

#: RSA sizes that are made here. NIST SP 800-57 part 1 has 2048 as the least; beyond 8192 generation takes minutes.
RSA_SIZES: Final = range(2048, 8193)
CURVES: Final[dict[int, ec.EllipticCurve]] = {256: ec.SECP256R1(), 384: ec.SECP384R1(), 521: ec.SECP521R1()}

#: Keys that were tried out stay parsed, by the SHA-256 of their PEM: one for each CA of a large cluster.
_CACHED: Final = 256
_tried: OrderedDict[bytes, PrivateKey] = OrderedDict()

_LABEL = re.compile(rb"-----BEGIN ((?:RSA |EC |ENCRYPTED )?PRIVATE KEY)-----")


class InvalidKey(ValueError):
    """PEM bytes that are no usable private key. The message never repeats them."""


class InvalidKeySpec(ValueError):
    """A key that can't be made; the message begins with the field's path."""


@dataclass(frozen=True, slots=True)
class KeySpec:
    """What key is wanted. ``algorithm``: RSA, ECDSA or Ed25519. ``size`` in bits; 0 for Ed25519."""

    algorithm: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """What a key is, without the key. ``spki_sha256``: SHA-256 of its SubjectPublicKeyInfo."""

    algorithm: str
    size: int
    spki_sha256: bytes


def generate_key(spec: KeySpec) -> PrivateKey:
    """A new key. RSA takes tens to hundreds of milliseconds and releases the GIL; raises InvalidKeySpec."""
    if spec.algorithm == "RSA":
        if spec.size not in RSA_SIZES:
            raise InvalidKeySpec(f"spec.privateKey.size: RSA keys have 2048 to 8192 bits, not {spec.size}")
        return rsa.generate_private_key(65537, spec.size)
    if spec.algorithm == "ECDSA":
        if spec.size not in CURVES:
            raise InvalidKeySpec(f"spec.privateKey.size: ECDSA keys have 256, 384 or 521 bits, not {spec.size}")
        return ec.generate_private_key(CURVES[spec.size])
    if spec.algorithm == "Ed25519":
        return Ed25519PrivateKey.generate()
    raise InvalidKeySpec(f"spec.privateKey.algorithm: {spec.algorithm!r} is not one of RSA, ECDSA, Ed25519")


def encode_key(key: PrivateKey, encoding: str) -> bytes:
    """PEM: ``PKCS1`` (for elliptic curves SEC 1) or ``PKCS8``. Ed25519 has only the latter (RFC 8410)."""
    traditional = encoding == "PKCS1" and not isinstance(key, Ed25519PrivateKey)
    form = serialization.PrivateFormat.TraditionalOpenSSL if traditional else serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


def load_key(pem: bytes, *, trusted: bool) -> PrivateKey:
    """Parse a PEM key of a supported kind. Raises InvalidKey.

    ``trusted``: we made it, or whoever supplied it harms nobody but himself with a bad one. Others are tried out. The
    full check of an RSA key, primes included, takes 29 ms for 2048 bits and 215 ms for 4096, holds the GIL all the
    while, and would stop every other task; what is done instead takes a signature and a few divisions.
    """
    if len(pem) > KEY_LIMIT:
        raise InvalidKey(f"a private key of {len(pem)} bytes is larger than the limit of {KEY_LIMIT}")
    if trusted:
        return _parsed(pem)
    digest = hashlib.sha256(pem).digest()
    key = _tried.get(digest)
    if key is None:
        key = _parsed(pem)
        if isinstance(key, RSAPrivateKey):
            _try_out(key)
        _tried[digest] = key
        if len(_tried) > _CACHED:
            _tried.popitem(last=False)
    else:
        _tried.move_to_end(digest)
    return key


def key_pem_der(pem: bytes) -> bytes:
    """The DER inside a PEM key, whichever of the encodings it is. Raises InvalidKey."""
    label = _label_of(pem)
    try:
        (block,) = split_pem(pem, label, KEY_LIMIT)
    except (InvalidPEM, ValueError) as error:
        raise InvalidKey("there is not exactly one private key") from error
    return block


def _label_of(pem: bytes) -> str:
    match = _LABEL.search(pem)
    if match is None:
        raise InvalidKey("there is no private key in PEM")
    label = match[1].decode()
    if label.startswith("ENCRYPTED"):
        raise InvalidKey("the private key is encrypted")
    return label


def _parsed(pem: bytes) -> PrivateKey:
    _label_of(pem)
    try:
        key = serialization.load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
    except TypeError as error:
        raise InvalidKey("the private key is encrypted") from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidKey("the private key cannot be decoded, or is of an unsupported kind") from error
    if isinstance(key, RSAPrivateKey):
        if key.key_size >= RSA_SIZES.stop:
            raise InvalidKey(f"an RSA key of {key.key_size} bits: at most {RSA_SIZES.stop - 1} are supported")
        return key
    if isinstance(key, EllipticCurvePrivateKey):
        if key.curve.name not in {curve.name for curve in CURVES.values()}:
            raise InvalidKey(f"an ECDSA key on curve {key.curve.name}: P-256, P-384 and P-521 are supported")
        return key
    if isinstance(key, Ed25519PrivateKey):
        return key
    raise InvalidKey("a private key of an unsupported kind: RSA, ECDSA and Ed25519 are supported")


def _try_out(key: RSAPrivateKey) -> None:
    """Whether the parts of an RSA key belong together (RFC 8017 section 3.2). Raises InvalidKey.

    A key whose parts don't would sign wrongly, and wrong signatures can give the key away.
    """
    numbers = key.private_numbers()
    p, q, d, e = numbers.p, numbers.q, numbers.d, numbers.public_numbers.e
    if min(p, q) < 3 or not (
        p * q == numbers.public_numbers.n
        and d * e % (p - 1) == d * e % (q - 1) == 1
        and (numbers.dmp1, numbers.dmq1, numbers.iqmp * q % p) == (d % (p - 1), d % (q - 1), 1)
    ):
        raise InvalidKey("the parts of the RSA key do not belong together")
    message = b"certwright key check"
    try:
        signature = key.sign(message, padding.PKCS1v15(), hashes.SHA256())
        key.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
    except (InvalidSignature, ValueError) as error:
        raise InvalidKey("the RSA key's signatures do not verify") from error


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
