"""Subject alternative names (RFC 5280 section 4.2.1.6): from the spec to DER and back, and how they compare."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final

from certwright_issuers import der

SAN_OID: Final = "2.5.29.17"

# GeneralName, by context tag; 0xA0 where the content is constructed.
_OTHER, _EMAIL, _DNS, _DIRECTORY, _URI, _IP = 0xA0, 0x81, 0x82, 0xA4, 0x86, 0x87
#: x400Address, ediPartyName, registeredID.
_FOREIGN: Final = frozenset({0xA3, 0xA5, 0x88})
_KINDS: Final = _FOREIGN | {_OTHER, _EMAIL, _DNS, _DIRECTORY, _URI, _IP}
#: Neither white space, control characters nor anything beyond ASCII has a place in a host name, mailbox or URI.
_VISIBLE = re.compile(r"[\x21-\x7e]+")


class InvalidAltName(ValueError):
    """A name that can't be encoded or decoded. The message begins with the field of the spec where there is one."""


@dataclass(frozen=True, slots=True)
class AltNames:
    """Names by kind, in their order. IP addresses in their canonical text."""

    dns_names: tuple[str, ...] = ()
    email_addresses: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    #: Dotted type and value; a value that is no UTF8String as ``#`` and its encoding in hexadecimal.
    other_names: tuple[tuple[str, str], ...] = ()
    #: Names in DER, of kind directoryName.
    directory_names: tuple[bytes, ...] = ()
    #: How many names there are of kinds that the API has no words for.
    foreign: int = 0

    @property
    def hosts(self) -> frozenset[str]:
        """DNS names and IP addresses, in lower case: what ACME certifies (RFC 8555, RFC 8738)."""
        return frozenset(name.lower() for name in (*self.dns_names, *self.ip_addresses))

    def __bool__(self) -> bool:
        return bool(
            self.dns_names
            or self.email_addresses
            or self.ip_addresses
            or self.uris
            or self.other_names
            or self.directory_names
            or self.foreign
        )


def canonical_ip(text: str) -> str:
    """The address in its one short form; IPv4 inside IPv6 as IPv4. Raises ValueError; zones have no place here."""
    if "%" in text:
        raise ValueError("an address with a zone")
    address = ipaddress.ip_address(text)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return str(address)


def encode_alt_names(names: AltNames) -> bytes:
    """GeneralNames in the order DNS, email, IP, URI, otherName. Raises InvalidAltName."""
    parts = [der.tlv(_DNS, _visible("spec.dnsNames", name)) for name in names.dns_names]
    parts += [der.tlv(_EMAIL, _visible("spec.emailAddresses", name)) for name in names.email_addresses]
    parts += [der.tlv(_IP, _packed(address)) for address in names.ip_addresses]
    parts += [der.tlv(_URI, _visible("spec.uris", uri)) for uri in names.uris]
    parts += [_other_name(oid, value) for oid, value in names.other_names]
    return der.sequence(*parts)


def _visible(field: str, name: str) -> bytes:
    if not _VISIBLE.fullmatch(name):
        hint = "; internationalised names are written in their xn-- form" if not name.isascii() else ""
        raise InvalidAltName(f"{field}: {name!r} is empty or has characters that such a name can't have{hint}")
    return name.encode()


def _packed(address: str) -> bytes:
    try:
        return ipaddress.ip_address(canonical_ip(address)).packed
    except ValueError as error:
        raise InvalidAltName(f"spec.ipAddresses: {address!r} is not an IP address") from error


def _other_name(oid: str, value: str) -> bytes:
    try:
        return der.tlv(_OTHER, der.object_id(oid), der.explicit(0, der.tlv(der.UTF8_STRING, value.encode())))
    except ValueError as error:
        raise InvalidAltName(f"spec.otherNames: {oid!r} with its value can't be encoded: {error}") from error


def read_alt_names(encoded: bytes) -> AltNames:
    """The names of a SAN extension's DER. Raises InvalidAltName for anything malformed, NUL and spaces included."""
    try:
        values: dict[int, list[bytes]] = {}
        for element in der.read_members(encoded, der.SEQUENCE):
            values.setdefault(element.tag, []).append(element.content)
        names = AltNames(
            dns_names=_read_texts(values, _DNS),
            email_addresses=_read_texts(values, _EMAIL),
            ip_addresses=tuple(str(ipaddress.ip_address(packed)) for packed in values.get(_IP, ())),
            uris=_read_texts(values, _URI),
            other_names=tuple(_read_other_name(content) for content in values.get(_OTHER, ())),
            directory_names=tuple(values.get(_DIRECTORY, ())),
            foreign=sum(len(values.get(tag, ())) for tag in _FOREIGN),
        )
    except ValueError as error:
        raise InvalidAltName("the subject alternative names are malformed") from error
    if not values.keys() <= _KINDS:
        raise InvalidAltName("a subject alternative name is of an unknown kind")
    return names


def _read_texts(values: dict[int, list[bytes]], tag: int) -> tuple[str, ...]:
    texts = tuple(content.decode("ascii") for content in values.get(tag, ()))
    for text in texts:
        if not _VISIBLE.fullmatch(text):
            raise InvalidAltName("a subject alternative name is empty or has spaces or control characters")
    return texts


def _read_other_name(content: bytes) -> tuple[str, str]:
    oid, wrapped = der.read_all(content)
    if oid.tag != der.OBJECT_ID or wrapped.tag != 0xA0:
        raise der.MalformedDER("an otherName is not a type and a value")
    value = der.read(wrapped.content)
    if value.encoded != wrapped.content:
        raise der.MalformedDER("an otherName has more than one value")
    text = value.content.decode() if value.tag == der.UTF8_STRING else "#" + value.encoded.hex()
    return der.dotted(oid.content), text
