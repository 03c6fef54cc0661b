"""Subject alternative names (RFC 5280 section 4.2.1.6): from text to X.509 and back."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from cryptography import x509
from cryptography.x509.oid import ObjectIdentifier

from certwright_issuers.names import InvalidName

T = TypeVar("T")

_UTF8_STRING = 0x0C


@dataclass(frozen=True, slots=True)
class AlternativeNames:
    """All names of the kinds the API knows, as text, in their order. ``other_names``: dotted OID and text."""

    dns_names: tuple[str, ...] = ()
    email_addresses: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    other_names: tuple[tuple[str, str], ...] = ()


def general_names(
    dns_names: Iterable[str],
    email_addresses: Iterable[str],
    ip_addresses: Iterable[str],
    uris: Iterable[str],
    other_names: Iterable[tuple[str, str]],
) -> list[x509.GeneralName]:
    """In the order DNS, e-mail, IP, URI, other (API contract section 5.2). Raises InvalidName with the field's path."""
    return [
        *_each("spec.dnsNames", _dns, dns_names),
        *_each("spec.emailAddresses", x509.RFC822Name, email_addresses),
        *_each("spec.ipAddresses", lambda text: x509.IPAddress(ipaddress.ip_address(text)), ip_addresses),
        *_each("spec.uris", x509.UniformResourceIdentifier, uris),
        *_each("spec.otherNames", _other, other_names),
    ]


def _each(field: str, make: Callable[[T], x509.GeneralName], values: Iterable[T]) -> Iterator[x509.GeneralName]:
    for value in values:
        try:
            yield make(value)
        except (ValueError, TypeError) as error:
            raise InvalidName(f"{field}: {str(value)[:80]!r}: {error}") from error


def _dns(name: str) -> x509.DNSName:
    if not name or not name.isascii() or any(char.isspace() or ord(char) < 0x20 for char in name):
        raise ValueError("not a DNS name in ASCII; names in other scripts are written in their xn-- form")
    return x509.DNSName(name)


def _other(pair: tuple[str, str]) -> x509.OtherName:
    oid, text = pair
    return x509.OtherName(ObjectIdentifier(oid), _der(_UTF8_STRING, text.encode()))


def _der(tag: int, content: bytes) -> bytes:
    """Tag, length and content (X.690 section 8.1)."""
    size = len(content)
    if size < 0x80:
        return bytes([tag, size]) + content
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + content


def alternative_names_of(extension: x509.ExtensionType | None) -> AlternativeNames:
    """The names in a SubjectAlternativeName extension; kinds the API does not know are left out."""
    if not isinstance(extension, x509.SubjectAlternativeName):
        return AlternativeNames()
    return AlternativeNames(
        dns_names=tuple(extension.get_values_for_type(x509.DNSName)),
        email_addresses=tuple(extension.get_values_for_type(x509.RFC822Name)),
        ip_addresses=tuple(str(ip) for ip in extension.get_values_for_type(x509.IPAddress)),
        uris=tuple(extension.get_values_for_type(x509.UniformResourceIdentifier)),
        other_names=tuple(
            (other.type_id.dotted_string, _text(other.value))
            for other in extension
            if isinstance(other, x509.OtherName)
        ),
    )


def _text(der: bytes) -> str:
    """The content of a UTF8String; other values in hexadecimal, which no spec can ask for."""
    if der[:1] != bytes([_UTF8_STRING]) or len(der) < 2:
        return "#" + der.hex()
    head = 2 + (der[1] & 0x7F if der[1] & 0x80 else 0)
    return der[head:].decode(errors="replace")
