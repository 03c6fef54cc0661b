"""Orders (RFC 8555 sections 7.1.3 and 7.4): the request for one certificate, and its states."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

import msgspec

from certwright_issuers.acme import base64url, messages, problem
from certwright_issuers.acme.directory import Directory
from certwright_issuers.acme.problem import Problem
from certwright_issuers.acme.reply import Call, Reply, not_acme
from certwright_issuers.contract import RequestRejected
from certwright_issuers.text import cut

#: What CAs answer to a certificate to be replaced that they don't know, gave to another account, or have replaced already.
#: RFC 9773 section 5 has a type for the last of these only; Pebble calls the first one internal.
REPLACEMENT_PROBLEMS = frozenset({"alreadyReplaced", "malformed", "serverInternal", "unauthorized"})


class OrderStatus(StrEnum):
    """RFC 8555 section 7.1.6."""

    PENDING = "pending"
    READY = "ready"
    PROCESSING = "processing"
    VALID = "valid"
    INVALID = "invalid"


#: Which states may follow which. A CA with several database replicas may answer with an older state; a move that isn't
#: listed here is such an echo, and :func:`newer` ignores it. RFC 8555 section 7.1.6 has no ready -> valid, but a CA
#: that finalizes at once answers just that.
MOVES: Mapping[OrderStatus, frozenset[OrderStatus]] = {
    OrderStatus.PENDING: frozenset({OrderStatus.READY, OrderStatus.PROCESSING, OrderStatus.VALID, OrderStatus.INVALID}),
    OrderStatus.READY: frozenset({OrderStatus.PROCESSING, OrderStatus.VALID, OrderStatus.INVALID}),
    OrderStatus.PROCESSING: frozenset({OrderStatus.VALID, OrderStatus.INVALID}),
    OrderStatus.VALID: frozenset(),
    OrderStatus.INVALID: frozenset(),
}


@dataclass(frozen=True, slots=True, order=True)
class Identifier:
    """A name to be certified: ``dns`` in lower-case ASCII, or ``ip`` in the canonical text of RFC 8738 section 3."""

    type: Literal["dns", "ip"]
    value: str


class _Body(msgspec.Struct):
    status: str
    finalize: str
    authorizations: list[str]
    certificate: str | None = None
    expires: datetime | None = None
    error: object = None
    profile: str | None = None
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class Order:
    """An order as the CA shows it: plain data that a later process can go on with."""

    url: str
    status: OrderStatus
    #: URLs, in the CA's order.
    authorizations: tuple[str, ...]
    finalize: str
    #: Where the chain is; empty until ``status`` is valid.
    certificate: str = ""
    expires: datetime | None = None
    #: Why it is invalid.
    error: Problem | None = None
    profile: str = ""
    #: RFC 9773 section 5: the certificate it replaces, if the CA took note of it.
    replaces: str = ""
    #: How long to wait before asking again, if the CA said so.
    retry_after: timedelta | None = None


def identifiers(dns_names: Iterable[str], ip_addresses: Iterable[str] = ()) -> tuple[Identifier, ...]:
    """Names as CAs want them: lower case, sorted, each once. Raises :class:`RequestRejected` for what is no name.

    International names must come as punycode: which of the incompatible conversions applies is the requester's choice.
    """
    found: set[Identifier] = set()
    for name in dns_names:
        plain = name.strip().lower().removesuffix(".")
        if not plain or not plain.isascii() or not plain.isprintable() or " " in plain:
            raise RequestRejected("InvalidName", f"{cut(name, 260)!r} is not a DNS name in ASCII (punycode)")
        found.add(Identifier("dns", plain))
    for text in ip_addresses:
        try:
            found.add(Identifier("ip", str(ipaddress.ip_address(text.strip()))))
        except ValueError as error:
            raise RequestRejected("InvalidName", f"{cut(text, 60)!r} is not an IP address") from error
    return tuple(sorted(found))


def create(
    directory: Directory,
    names: Iterable[Identifier],
    *,
    not_after: datetime | None = None,
    profile: str = "",
    replaces: str = "",
) -> Call[Order]:
    """Ask for a new order (section 7.4). ``not_after`` aware; ``replaces``: a certificate id of :mod:`.ari`."""
    payload = messages.new_order(((name.type, name.value) for name in names), not_after, profile, replaces)
    return Call("new-order", directory.new_order, payload, _read_created)


def fetch(url: str) -> Call[Order]:
    """The present state."""
    return Call("get-order", url, None, read)


def finalize(order_url: str, url: str, csr_der: bytes) -> Call[Order]:
    """Hand in the CSR (section 7.4). ``url``: the order's ``finalize``."""
    return Call(
        "finalize-order",
        url,
        {"csr": base64url.encode(csr_der)},
        # The answer is the order, but its URL is only in a header that not every CA sends.
        lambda reply: _order(reply, order_url),
    )


def read(reply: Reply) -> Order:
    """The order in an answer to a request for its URL. Raises :class:`AcmeUnavailable` if it isn't one."""
    return _order(reply, reply.url)


def newer(known: Order | None, seen: Order) -> Order:
    """The one of two answers about an order that is further on; see :data:`MOVES`."""
    if known is None or known.status is seen.status or seen.status in MOVES[known.status]:
        return seen
    return known


def refuses_replacement(said: Problem | None) -> bool:
    """Whether newOrder may have failed only because of ``replaces``: then it is tried without (contract section 2.5)."""
    return said is not None and said.type in REPLACEMENT_PROBLEMS


def _read_created(reply: Reply) -> Order:
    return _order(reply, reply.location())


def _order(reply: Reply, url: str) -> Order:
    body = reply.json(_Body)
    try:
        status = OrderStatus(body.status)
    except ValueError as error:
        raise not_acme("an order with an unknown status", reply) from error
    if status is OrderStatus.VALID and not body.certificate:
        raise not_acme("a valid order without a certificate URL", reply)
    return Order(
        url=url,
        status=status,
        authorizations=tuple(body.authorizations),
        finalize=body.finalize,
        certificate=body.certificate or "",
        expires=body.expires,
        error=problem.parse(body.error),
        profile=body.profile or "",
        replaces=body.replaces or "",
        retry_after=reply.retry_after(),
    )
