"""PKCS#12 files (RFC 7292) in the profiles that this API names: writing only.

One writer for all four, because ``cryptography`` writes two of them: neither RC2 nor PBMAC1 (RFC 9579).
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, CipherAlgorithm
from cryptography.hazmat.primitives.ciphers.algorithms import AES256
from cryptography.hazmat.primitives.ciphers.modes import CBC

from certwright_issuers import der, rc2

#: Rounds of every key derivation: what all readers have always accepted quickly.
ITERATIONS: Final = 2048

_DATA: Final = "1.2.840.113549.1.7.1"
_ENCRYPTED_DATA: Final = "1.2.840.113549.1.7.6"
_SHROUDED_KEY_BAG: Final = "1.2.840.113549.1.12.10.1.2"
_CERTIFICATE_BAG: Final = "1.2.840.113549.1.12.10.1.3"
_X509_CERTIFICATE: Final = "1.2.840.113549.1.9.22.1"
_FRIENDLY_NAME: Final = "1.2.840.113549.1.9.20"
_LOCAL_KEY_ID: Final = "1.2.840.113549.1.9.21"
#: Java takes a certificate for a trust anchor only with this attribute; its value is the purpose "any".
_JAVA_TRUST: Final = "2.16.840.1.113894.746875.1.1"
_ANY_PURPOSE: Final = "2.5.29.37.0"
_PBE_RC2_40: Final = "1.2.840.113549.1.12.1.6"
_PBE_3DES: Final = "1.2.840.113549.1.12.1.3"
_PBES2: Final = "1.2.840.113549.1.5.13"
_PBKDF2: Final = "1.2.840.113549.1.5.12"
_PBMAC1: Final = "1.2.840.113549.1.5.14"
_HMAC_SHA256: Final = "1.2.840.113549.2.9"
_AES_256_CBC: Final = "2.16.840.1.101.3.4.1.42"
_SHA1: Final = "1.3.14.3.2.26"
_SHA256: Final = "2.16.840.1.101.3.4.2.1"

_DIGESTS: Final = {"sha1": hashlib.sha1, "sha256": hashlib.sha256}
#: What a derived secret is for (RFC 7292 appendix B.3).
_FOR_KEY, _FOR_IV, _FOR_MAC = 1, 2, 3

#: Plaintext and password to AlgorithmIdentifier and ciphertext.
_Encrypt = Callable[[bytes, str], tuple[bytes, bytes]]
#: Content and password to MacData.
_Mac = Callable[[bytes, str], bytes]


@dataclass(frozen=True, slots=True)
class Profile:
    """How certificates and keys are encrypted and the whole is authenticated."""

    certificates: _Encrypt
    key: _Encrypt
    mac: _Mac


@dataclass(frozen=True, slots=True)
class TrustAnchor:
    """A certificate in DER and the name it is shown by; names must differ within a file."""

    certificate: bytes
    name: str


def write_keystore(profile: Profile, password: str, key: bytes, leaf: bytes, others: Iterable[bytes]) -> bytes:
    """A file with a key in PKCS#8 DER, its certificate and further ones in DER. Raises ValueError for no password."""
    # Ties the key to its certificate; any value does that is the same at both.
    attributes = der.set_of([_attribute(_LOCAL_KEY_ID, der.octet_string(hashlib.sha256(leaf).digest()[:20]))])
    algorithm, shrouded = profile.key(key, password)
    key_bag = _bag(_SHROUDED_KEY_BAG, der.sequence(algorithm, der.octet_string(shrouded)), attributes)
    bags = [_certificate_bag(leaf, attributes), *map(_certificate_bag, others)]
    return _file(profile, password, [_encrypted(profile, password, bags), _plain(der.sequence(key_bag))])


def write_truststore(profile: Profile, password: str, anchors: Sequence[TrustAnchor]) -> bytes:
    """A file with certificates that Java trusts. Raises ValueError for no password."""
    bags = [_certificate_bag(anchor.certificate, _trust_attributes(anchor.name)) for anchor in anchors]
    return _file(profile, password, [_encrypted(profile, password, bags)])


def _trust_attributes(name: str) -> bytes:
    friendly = _attribute(_FRIENDLY_NAME, der.tlv(der.BMP_STRING, name.encode("utf-16-be")))
    return der.set_of([friendly, _attribute(_JAVA_TRUST, der.object_id(_ANY_PURPOSE))])


def _attribute(oid: str, value: bytes) -> bytes:
    return der.sequence(der.object_id(oid), der.set_of([value]))


def _certificate_bag(certificate: bytes, attributes: bytes = b"") -> bytes:
    body = der.sequence(der.object_id(_X509_CERTIFICATE), der.explicit(0, der.octet_string(certificate)))
    return _bag(_CERTIFICATE_BAG, body, attributes)


def _bag(oid: str, value: bytes, attributes: bytes) -> bytes:
    return der.sequence(der.object_id(oid), der.explicit(0, value), attributes)


def _plain(content: bytes) -> bytes:
    return der.sequence(der.object_id(_DATA), der.explicit(0, der.octet_string(content)))


def _encrypted(profile: Profile, password: str, bags: Iterable[bytes]) -> bytes:
    algorithm, ciphertext = profile.certificates(der.sequence(*bags), password)
    info = der.sequence(der.object_id(_DATA), algorithm, der.tlv(0x80, ciphertext))
    return der.sequence(der.object_id(_ENCRYPTED_DATA), der.explicit(0, der.sequence(der.integer(0), info)))


def _file(profile: Profile, password: str, contents: Iterable[bytes]) -> bytes:
    if not password:
        raise ValueError("a keystore needs a password")
    safe = der.sequence(*contents)
    return der.sequence(der.integer(3), _plain(safe), profile.mac(safe, password))


def derive(digest: str, password: str, salt: bytes, purpose: int, size: int) -> bytes:
    """RFC 7292 appendix B.2: ``size`` bytes for a key (1), an IV (2) or a MAC key (3)."""
    make = _DIGESTS[digest]
    block = make().block_size
    octets = password.encode("utf-16-be") + b"\0\0"
    state = _filled(salt, block) + _filled(octets, block)
    derived = b""
    while len(derived) < size:
        chunk = make(bytes([purpose]) * block + state).digest()
        for _ in range(ITERATIONS - 1):
            chunk = make(chunk).digest()
        derived += chunk
        step = int.from_bytes(_filled(chunk, block)[:block], "big") + 1
        state = b"".join(
            ((int.from_bytes(state[at : at + block], "big") + step) % (1 << 8 * block)).to_bytes(block, "big")
            for at in range(0, len(state), block)
        )
    return derived[:size]


def _filled(part: bytes, block: int) -> bytes:
    """The part repeated up to a whole number of blocks."""
    size = -(-len(part) // block) * block
    return (part * (size // len(part) + 1))[:size]


def _padded(plaintext: bytes, block: int) -> bytes:
    missing = block - len(plaintext) % block
    return plaintext + bytes([missing]) * missing


def _cbc(algorithm: CipherAlgorithm, iv: bytes, plaintext: bytes) -> bytes:
    encryptor = Cipher(algorithm, CBC(iv)).encryptor()
    return encryptor.update(_padded(plaintext, len(iv))) + encryptor.finalize()


def _old_algorithm(oid: str, salt: bytes) -> bytes:
    return der.sequence(der.object_id(oid), der.sequence(der.octet_string(salt), der.integer(ITERATIONS)))


def _rc2_40(plaintext: bytes, password: str) -> tuple[bytes, bytes]:
    salt = secrets.token_bytes(8)
    key = derive("sha1", password, salt, _FOR_KEY, rc2.KEY_SIZE)
    iv = derive("sha1", password, salt, _FOR_IV, rc2.BLOCK_SIZE)
    return _old_algorithm(_PBE_RC2_40, salt), rc2.encrypt_cbc(key, iv, _padded(plaintext, rc2.BLOCK_SIZE))


def _triple_des(plaintext: bytes, password: str) -> tuple[bytes, bytes]:
    salt = secrets.token_bytes(8)
    key = derive("sha1", password, salt, _FOR_KEY, 24)
    iv = derive("sha1", password, salt, _FOR_IV, 8)
    return _old_algorithm(_PBE_3DES, salt), _cbc(TripleDES(key), iv, plaintext)


def _pbkdf2(salt: bytes, *, size: int | None) -> bytes:
    """AlgorithmIdentifier (RFC 8018 appendix A.2); PBMAC1 wants the key's size in it, PBES2 has it from the cipher."""
    length = () if size is None else (der.integer(size),)
    parameters = der.sequence(der.octet_string(salt), der.integer(ITERATIONS), *length, _named(_HMAC_SHA256))
    return der.sequence(der.object_id(_PBKDF2), parameters)


def _named(oid: str) -> bytes:
    return der.sequence(der.object_id(oid), der.NULL)


def _aes_256(plaintext: bytes, password: str) -> tuple[bytes, bytes]:
    salt, iv = secrets.token_bytes(16), secrets.token_bytes(16)
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS, 32)
    scheme = der.sequence(der.object_id(_AES_256_CBC), der.octet_string(iv))
    algorithm = der.sequence(der.object_id(_PBES2), der.sequence(_pbkdf2(salt, size=None), scheme))
    return algorithm, _cbc(AES256(key), iv, plaintext)


def _old_mac(digest: str, oid: str) -> _Mac:
    def mac(content: bytes, password: str) -> bytes:
        salt = secrets.token_bytes(8)
        key = derive(digest, password, salt, _FOR_MAC, hashlib.new(digest).digest_size)
        value = hmac.digest(key, content, digest)
        info = der.sequence(_named(oid), der.octet_string(value))
        return der.sequence(info, der.octet_string(salt), der.integer(ITERATIONS))

    return mac


def _pbmac1(content: bytes, password: str) -> bytes:
    """RFC 9579: the old field for a salt must be there and means nothing, that for rounds has its default."""
    salt = secrets.token_bytes(16)
    key = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS, 32)
    parameters = der.sequence(_pbkdf2(salt, size=32), _named(_HMAC_SHA256))
    algorithm = der.sequence(der.object_id(_PBMAC1), parameters)
    info = der.sequence(algorithm, der.octet_string(hmac.digest(key, content, "sha256")))
    return der.sequence(info, der.octet_string(b"NOT USED"))


#: By the API's names. Modern2026 is read by Java from 26 and OpenSSL from 3.4 on.
PROFILES: Final = {
    "LegacyRC2": Profile(_rc2_40, _triple_des, _old_mac("sha1", _SHA1)),
    "LegacyDES": Profile(_triple_des, _triple_des, _old_mac("sha1", _SHA1)),
    "Modern2023": Profile(_aes_256, _aes_256, _old_mac("sha256", _SHA256)),
    "Modern2026": Profile(_aes_256, _aes_256, _pbmac1),
}
#: What an empty profile means (cert-manager API contract).
DEFAULT_PROFILE: Final = "LegacyRC2"
