"""Name constraints (RFC 5280 section 4.2.1.10): making the extension, reading it, and holding names against it."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Final

from certwright_issuers import der
from certwright_issuers.names import InvalidName, display_name, read_name
from certwright_issuers.sans import AltNames

# The kinds of GeneralName that can be constrained, by context tag.
_EMAIL, _DNS, _DIRECTORY, _URI, _IP = 0x81, 0x82, 0xA4, 0x86, 0x87
_PERMITTED, _EXCLUDED = 0xA0, 0xA1
#: Comparisons of a name with a constraint that are made for one request: some tens of milliseconds.
_COMPARISONS: Final = 100_000
_EMAIL_ADDRESS_OID: Final = "1.2.840.113549.1.9.1"


class InvalidConstraints(ValueError):
    """Constraints that can't be encoded or decoded. The message begins with the field of the spec where there is one."""


@dataclass(frozen=True, slots=True)
class Domains:
    """Names that are permitted, or excluded, in the words of the spec: IP ranges in CIDR form."""

    dns: tuple[str, ...] = ()
    ips: tuple[str, ...] = ()
    emails: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Subtree:
    """One constraint: the tag of its GeneralName, and the content."""

    tag: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Subtrees:
    """What a certificate's extension permits and excludes."""

    permitted: tuple[Subtree, ...]
    excluded: tuple[Subtree, ...]


def constraints_der(permitted: Domains, excluded: Domains) -> bytes:
    """The extension's value; empty bytes if nothing is constrained. Raises InvalidConstraints."""
    parts: list[bytes] = []
    for tag, which, domains in ((_PERMITTED, "permitted", permitted), (_EXCLUDED, "excluded", excluded)):
        field = f"spec.nameConstraints.{which}"
        names = [der.tlv(_DNS, _ascii(f"{field}.dnsDomains", name)) for name in domains.dns]
        names += [der.tlv(_IP, _range(f"{field}.ipRanges", text)) for text in domains.ips]
        names += [der.tlv(_EMAIL, _ascii(f"{field}.emailAddresses", name)) for name in domains.emails]
        names += [der.tlv(_URI, _ascii(f"{field}.uriDomains", name)) for name in domains.uris]
        if names:
            parts.append(der.tlv(tag, *map(der.sequence, names)))
    return der.sequence(*parts) if parts else b""


def _ascii(field: str, text: str) -> bytes:
    if not text.isascii() or not text.isprintable():
        raise InvalidConstraints(f"{field}: {text!r} is not printable ASCII")
    return text.encode()


def _range(field: str, text: str) -> bytes:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise InvalidConstraints(f"{field}: {text!r} is not an IP range like 10.0.0.0/8") from error
    return network.network_address.packed + network.netmask.packed


def read_constraints(encoded: bytes) -> Subtrees:
    """The extension's value. Raises InvalidConstraints."""
    found: dict[int, tuple[Subtree, ...]] = {}
    try:
        for part in der.read_members(encoded, der.SEQUENCE):
            bases = [der.read_members(tree.encoded, der.SEQUENCE)[0] for tree in der.read_all(part.content)]
            found[part.tag] = tuple(Subtree(base.tag, base.content) for base in bases)
    except (der.MalformedDER, IndexError) as error:
        raise InvalidConstraints("the NameConstraints extension is malformed") from error
    if not found.keys() <= {_PERMITTED, _EXCLUDED}:
        raise InvalidConstraints("the NameConstraints extension has unknown parts")
    return Subtrees(found.get(_PERMITTED, ()), found.get(_EXCLUDED, ()))


def violations(subtrees: Subtrees, subject: bytes, names: AltNames) -> tuple[str, ...]:
    """Names, for people, that the constraints forbid; empty if none.

    ``subject`` in DER. A kind of name that is constrained in a way not understood here counts as forbidden (RFC 5280:
    an application must either process the constraint or reject the certificate). Raises InvalidConstraints if names or
    constraints can't be read, or if there are too many of both.
    """
    kinds = (names.dns_names, names.email_addresses, names.ip_addresses, names.uris, names.directory_names)
    if sum(map(len, kinds)) * (len(subtrees.permitted) + len(subtrees.excluded)) > _COMPARISONS:
        raise InvalidConstraints("the names are too many to be compared with so many name constraints")
    forbidden: list[str] = []
    for tag, name, lies_in in _located(subject, names):
        permitted = [tree.content for tree in subtrees.permitted if tree.tag == tag]
        excluded = [tree.content for tree in subtrees.excluded if tree.tag == tag]
        in_excluded = any(lies_in(base) or _reaches_into(tag, name, base) for base in excluded)
        if in_excluded or (permitted and not any(map(lies_in, permitted))):
            forbidden.append(name)
    constrained = {tree.tag for tree in (*subtrees.permitted, *subtrees.excluded)}
    if names.other_names and 0xA0 in constrained:
        forbidden.append("its otherNames")
    if names.foreign and constrained & {0xA3, 0xA5, 0x88}:
        forbidden.append("its names of unusual kinds")
    return tuple(forbidden)


def _located(subject: bytes, names: AltNames) -> Iterator[tuple[int, str, Callable[[bytes], bool]]]:
    """Each name with its tag, its text, and the test whether it lies in a subtree with a given base.

    The emailAddress attribute of the subject counts as a mailbox.
    """
    try:
        parsed = read_name(subject)
        mailboxes = [a.value for rdn in parsed for a in rdn if a.oid == _EMAIL_ADDRESS_OID]
        for name in names.dns_names:
            yield _DNS, name, partial(_host_beneath, _labels(name.encode()))
        for name in (*names.email_addresses, *mailboxes):
            yield _EMAIL, name, partial(_mailbox_in, name)
        for name in names.ip_addresses:
            yield _IP, name, partial(_address_in, name)
        for name in names.uris:
            yield _URI, name, partial(_uri_in, name)
        for encoded in ((subject,) if parsed else ()) + names.directory_names:
            yield _DIRECTORY, display_name(encoded), partial(_directory_in, encoded)
    except InvalidName as error:
        raise InvalidConstraints(str(error)) from error


def _reaches_into(tag: int, name: str, base: bytes) -> bool:
    """Whether a name is to count as excluded though it does not lie in the excluded subtree.

    A wildcard stands for every host right beneath its domain, so for an excluded one too. A URI without a host name
    can't be judged: RFC 5280 has it rejected.
    """
    if tag == _DNS:
        return name.startswith("*.") and _labels(name.encode())[1:] == _labels(base)[1:]
    return tag == _URI and not _host_of(name)


def _host_beneath(labels: tuple[str, ...], base: bytes) -> bool:
    """A DNS constraint holds for the domain and all beneath it; with a leading period only beneath it."""
    wanted = _labels(base)
    at_least = len(wanted) + base.startswith(b".")
    return len(labels) >= at_least and labels[len(labels) - len(wanted) :] == wanted


@lru_cache(maxsize=1024)
def _labels(name: bytes) -> tuple[str, ...]:
    """The parts of a host name, in lower case; one at the end of a full name is empty and left out."""
    return tuple(label for label in _text(name).lower().split(".") if label)


def _mailbox_in(mailbox: str, base: bytes) -> bool:
    local, _, host = mailbox.rpartition("@")
    wanted_local, at, wanted = _text(base).rpartition("@")
    return _host_in(host, wanted) and (not at or local == wanted_local)


def _host_in(host: str, base: str) -> bool:
    """For mailboxes and URIs: a leading period means hosts beneath a domain, otherwise that host is meant."""
    host, base = host.lower(), base.lower()
    return host.endswith(base) and len(host) > len(base) if base.startswith(".") else not base or host == base


def _uri_in(uri: str, base: bytes) -> bool:
    host = _host_of(uri)
    return bool(host) and _host_in(host, _text(base))


def _host_of(uri: str) -> str:
    """The host name in a URI's authority; empty if there is none, or an address in its place."""
    authority = re.split(r"[/?#]", uri.partition("://")[2], maxsplit=1)[0]
    host = authority.rpartition("@")[2]
    try:
        ipaddress.ip_address(host.partition(":")[0])
    except ValueError:
        return "" if host.startswith("[") else host.partition(":")[0].rstrip(".")
    return ""


def _address_in(address: str, base: bytes) -> bool:
    packed, half = ipaddress.ip_address(address).packed, len(base) // 2
    network, mask = base[:half], base[half:]
    return len(packed) == half and all(
        octet & bits == net & bits for octet, net, bits in zip(packed, network, mask, strict=False)
    )


def _directory_in(name: bytes, base: bytes) -> bool:
    """The base is a leading part of the name."""
    rdns, wanted = _comparable(name), _comparable(base)
    return rdns[: len(wanted)] == wanted


def _comparable(name: bytes) -> list[frozenset[tuple[str, str]]]:
    """RFC 5280 section 7.1: letter case and runs of spaces don't count."""
    return [frozenset((a.oid, " ".join(a.value.casefold().split())) for a in rdn) for rdn in read_name(name)]


def _text(content: bytes) -> str:
    return content.decode("ascii", "replace")
