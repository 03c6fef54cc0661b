"""The API's words for what a key may be used for, and the X.509 extensions they stand for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from certwright_issuers import der

#: What an empty list of usages means (cert-manager API contract).
DEFAULT_USAGES: Final = ("digital signature", "key encipherment")

#: Word -> bit of the KeyUsage extension, by position (RFC 5280 section 4.2.1.3). Two words share bit 0.
KEY_USAGE_BITS: Final = {
    "signing": 0,
    "digital signature": 0,
    "content commitment": 1,
    "key encipherment": 2,
    "data encipherment": 3,
    "key agreement": 4,
    "cert sign": 5,
    "crl sign": 6,
    "encipher only": 7,
    "decipher only": 8,
}
#: Word -> purpose of the ExtendedKeyUsage extension (RFC 5280 section 4.2.1.12 and the registries of its vendors).
EXTENDED_USAGES: Final = {
    "any": "2.5.29.37.0",
    "server auth": "1.3.6.1.5.5.7.3.1",
    "client auth": "1.3.6.1.5.5.7.3.2",
    "code signing": "1.3.6.1.5.5.7.3.3",
    "email protection": "1.3.6.1.5.5.7.3.4",
    "s/mime": "1.3.6.1.5.5.7.3.4",
    "ipsec end system": "1.3.6.1.5.5.7.3.5",
    "ipsec tunnel": "1.3.6.1.5.5.7.3.6",
    "ipsec user": "1.3.6.1.5.5.7.3.7",
    "timestamping": "1.3.6.1.5.5.7.3.8",
    "ocsp signing": "1.3.6.1.5.5.7.3.9",
    "microsoft sgc": "1.3.6.1.4.1.311.10.3.3",
    "netscape sgc": "2.16.840.1.113730.4.1",
}
CERT_SIGN: Final = KEY_USAGE_BITS["cert sign"]
_BIT_WORDS: Final = {bit: word for word, bit in KEY_USAGE_BITS.items() if word != "signing"}
_PURPOSE_WORDS: Final = {oid: word for word, oid in EXTENDED_USAGES.items() if word != "s/mime"}


@dataclass(frozen=True, slots=True)
class UsageSet:
    """Bits of KeyUsage, and purposes of ExtendedKeyUsage in the order they were asked for."""

    bits: frozenset[int]
    purposes: tuple[str, ...]


def usage_set(words: Iterable[str], *, is_ca: bool) -> UsageSet:
    """What ``words`` stand for, an empty list for the default; a CA may also sign certificates.

    Raises ValueError for an unknown word.
    """
    bits = {CERT_SIGN} if is_ca else set[int]()
    purposes: list[str] = []
    for word in tuple(words) or DEFAULT_USAGES:
        if word in KEY_USAGE_BITS:
            bits.add(KEY_USAGE_BITS[word])
        elif word in EXTENDED_USAGES:
            purposes.append(EXTENDED_USAGES[word])
        else:
            raise ValueError(f"spec.usages: {word!r} is not a known usage")
    return UsageSet(frozenset(bits), tuple(dict.fromkeys(purposes)))


def bit_words(bits: Iterable[int]) -> str:
    """Bits of KeyUsage for people."""
    return ", ".join(_BIT_WORDS.get(bit, f"bit {bit}") for bit in sorted(bits)) or "none"


def purpose_words(purposes: Iterable[str]) -> str:
    """Purposes for people."""
    return ", ".join(_PURPOSE_WORDS.get(oid, oid) for oid in purposes) or "none"


def key_usage_der(bits: frozenset[int]) -> bytes:
    """The KeyUsage extension's value; at least one bit.

    Made here because the library refuses encipherOnly without keyAgreement, which this API has always allowed.
    """
    highest = max(bits)
    octets = bytearray(highest // 8 + 1)
    for bit in bits:
        octets[bit // 8] |= 0x80 >> bit % 8
    return der.tlv(der.BIT_STRING, bytes([7 - highest % 8]), bytes(octets))


def read_key_usage(encoded: bytes) -> frozenset[int]:
    """The bits of a KeyUsage extension's value. Raises ValueError if it is not a BIT STRING of at most 16 bits."""
    content = der.read_one(encoded, der.BIT_STRING).content
    if not 1 <= len(content) <= 3 or content[0] > 7:
        raise der.MalformedDER("the KeyUsage extension is malformed")
    return frozenset(
        8 * index + bit for index, octet in enumerate(content[1:]) for bit in range(8) if octet & 0x80 >> bit
    )
