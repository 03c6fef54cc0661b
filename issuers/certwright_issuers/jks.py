"""Java's own keystore format, version 2, as ``sun.security.provider.JavaKeyStore`` reads it: writing only.

The format is not published as a standard. All numbers are big-endian; strings are as ``java.io.DataOutput.writeUTF``
writes them. Its protection of keys is SHA-1 used as a stream cipher, which no library offers and nobody would choose.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from certwright_issuers import der

_MAGIC: Final = 0xFEEDFEED
_VERSION: Final = 2
_KEY_ENTRY: Final = 1
_TRUSTED_ENTRY: Final = 2
#: What the algorithm of protected keys is called: an arc of Sun Microsystems.
_PROTECTOR_OID: Final = "1.3.6.1.4.1.42.2.17.1.1"
#: Goes into the digest that ends the file, between password and content.
_WHITENER: Final = b"Mighty Aphrodite"
_SALT_SIZE: Final = 20


@dataclass(frozen=True, slots=True)
class KeyEntry:
    """A private key in PKCS#8 DER, and its chain in DER, the leaf first."""

    alias: str
    key: bytes = field(repr=False)
    chain: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class TrustedEntry:
    """A certificate in DER that is trusted."""

    alias: str
    certificate: bytes


def write_jks(entries: Sequence[KeyEntry | TrustedEntry], password: str, created: datetime) -> bytes:
    """The file. ``password`` protects file and keys alike. Raises ValueError for an alias of more than 64 KiB."""
    octets = password.encode("utf-16-be")
    content = struct.pack(">III", _MAGIC, _VERSION, len(entries))
    content += b"".join(_entry(entry, octets, created) for entry in entries)
    return content + hashlib.sha1(octets + _WHITENER + content).digest()  # noqa: S324 - the format's own


def _entry(entry: KeyEntry | TrustedEntry, password: bytes, created: datetime) -> bytes:
    tag = _KEY_ENTRY if isinstance(entry, KeyEntry) else _TRUSTED_ENTRY
    # Java looks aliases up in lower case and finds no others.
    head = struct.pack(">I", tag) + _utf(entry.alias.lower()) + struct.pack(">Q", int(created.timestamp() * 1000))
    if isinstance(entry, TrustedEntry):
        return head + _certificate(entry.certificate)
    chain = b"".join(map(_certificate, entry.chain))
    return head + _sized(_protected(entry.key, password)) + struct.pack(">I", len(entry.chain)) + chain


def _certificate(encoded: bytes) -> bytes:
    return _utf("X.509") + _sized(encoded)


def _sized(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def _utf(text: str) -> bytes:
    """Java's modified UTF-8: each UTF-16 unit by itself, NUL in two bytes."""
    units = struct.unpack(f">{len(text.encode('utf-16-be')) // 2}H", text.encode("utf-16-be"))
    encoded = "".join(map(chr, units)).encode("utf-8", "surrogatepass").replace(b"\0", b"\xc0\x80")
    if len(encoded) > 0xFFFF:
        raise ValueError("an alias of more than 65535 bytes")
    return struct.pack(">H", len(encoded)) + encoded


def _protected(key: bytes, password: bytes) -> bytes:
    """An EncryptedPrivateKeyInfo: salt, the key XORed with a chain of SHA-1 digests, a digest as check."""
    salt = secrets.token_bytes(_SALT_SIZE)
    stream = b"".join(_digests(password, salt, len(key)))
    masked = int.from_bytes(key, "big") ^ int.from_bytes(stream[: len(key)], "big")
    check = hashlib.sha1(password + key).digest()  # noqa: S324 - the format's own
    content = salt + masked.to_bytes(len(key), "big") + check
    return der.sequence(der.sequence(der.object_id(_PROTECTOR_OID), der.NULL), der.octet_string(content))


def _digests(password: bytes, salt: bytes, size: int) -> Iterator[bytes]:
    digest = salt
    for _ in range(0, size, _SALT_SIZE):
        digest = hashlib.sha1(password + digest).digest()  # noqa: S324 - the format's own
        yield digest
