"""The API's words for what a key may be used for, and the X.509 extensions they stand for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

#: What an empty list of usages means (API contract section 5.3).
DEFAULT_USAGES = ("digital signature", "key encipherment")

#: Word -> bit of the KeyUsage extension, by position (RFC 5280 section 4.2.1.3). Two words may share a bit.
KEY_USAGE_BITS = {
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
EXTENDED_USAGES = {
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
KEY_USAGE_OID = ObjectIdentifier("2.5.29.15")
BIT_NAMES = {bit: word for word, bit in reversed(KEY_USAGE_BITS.items()) if word != "signing"}


@dataclass(frozen=True, slots=True)
class UsageSet:
    """Bits of KeyUsage, and purposes of ExtendedKeyUsage in the order they were asked for."""

    bits: frozenset[int]
    purposes: tuple[str, ...]


def usage_set(words: Iterable[str], *, is_ca: bool) -> UsageSet:
    """What ``words`` stand for; a CA may also sign certificates. Raises ValueError for an unknown word."""
    bits = {5} if is_ca else set[int]()
    purposes: list[str] = []
    for word in tuple(words) or DEFAULT_USAGES:
        if word in KEY_USAGE_BITS:
            bits.add(KEY_USAGE_BITS[word])
        elif word not in EXTENDED_USAGES:
            raise ValueError(f"spec.usages: {word!r} is not a known usage")
        elif EXTENDED_USAGES[word] not in purposes:
            purposes.append(EXTENDED_USAGES[word])
    return UsageSet(frozenset(bits), tuple(purposes))


def key_usage_extension(bits: frozenset[int]) -> x509.UnrecognizedExtension:
    """KeyUsage as raw DER: encipherOnly without keyAgreement is odd but has always been accepted by this API."""
    highest = max(bits)
    content = bytearray(2 if highest > 7 else 1)
    for bit in bits:
        content[bit // 8] |= 0x80 >> (bit % 8)
    unused = 7 - highest % 8
    return x509.UnrecognizedExtension(KEY_USAGE_OID, bytes([0x03, len(content) + 1, unused, *content]))


def key_usage_bits(der: bytes) -> frozenset[int]:
    """The bits of a KeyUsage extension's DER; ValueError if it is not a BIT STRING of at most 16 bits."""
    if len(der) not in {4, 5} or der[0] != 0x03 or der[1] != len(der) - 2 or der[2] > 7:
        raise ValueError("the KeyUsage extension is malformed")
    return frozenset(8 * index + bit for index, byte in enumerate(der[3:]) for bit in range(8) if byte & (0x80 >> bit))


def bit_words(bits: Iterable[int]) -> str:
    """Bits for people."""
    return ", ".join(BIT_NAMES.get(bit, f"bit {bit}") for bit in sorted(bits)) or "none"
