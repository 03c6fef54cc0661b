"""Problem documents (RFC 7807, RFC 8555 section 6.7) and the errors they become: the one place that classes them.

Only a problem document can end a request. An answer without one (a proxy's error page, a captive portal) is not the
CA's word, whatever its status, so it is worth a retry.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any, cast

from certwright_issuers.contract import ConfigInvalid, IssuerError, RateLimited, RequestRejected, Unavailable
from certwright_issuers.text import cut

ERROR_PREFIX = "urn:ietf:params:acme:error:"

#: Characters kept of a detail text. Boulder's longest ones (CAA, rate limits with a link) have about 400.
DETAIL_LIMIT = 600
#: Subproblems kept: enough to see the pattern in an order of 100 names without filling a status field.
SUBPROBLEM_LIMIT = 10
#: Characters of one rendered problem with its subproblems; Kubernetes cuts Events at 1,024.
MESSAGE_LIMIT = 1000
#: Wait for a rate limit that names no time: the slowest refill of Let's Encrypt that is under an hour is that of failed
#: authorizations, one in 12 minutes.
UNSTATED_RATE_LIMIT = timedelta(minutes=15)


class Kind(StrEnum):
    """What can be done about a failure."""

    RATE_LIMITED = "rate-limited"
    #: Nobody is at fault: the same request may succeed later.
    TRANSIENT = "transient"
    #: The world outside must change (DNS, web server, CAA); a new order may then succeed.
    VALIDATION = "validation"
    #: This request can never succeed.
    PERMANENT = "permanent"
    #: The account or the issuer's configuration must change.
    CONFIGURATION = "configuration"


#: RFC 8555 section 6.7, RFC 9773 section 7.4 (alreadyReplaced), draft-aaron-acme-profiles (invalidProfile), RFC 9115
#: (unknownDelegation), RFC 8739 (autoRenewal...), RFC 8823 and RFC 9799; "conflict" is Boulder's.
KINDS: Mapping[str, Kind] = {
    "rateLimited": Kind.RATE_LIMITED,
    "badNonce": Kind.TRANSIENT,
    "conflict": Kind.TRANSIENT,
    "orderNotReady": Kind.TRANSIENT,
    "serverInternal": Kind.TRANSIENT,
    "caa": Kind.VALIDATION,
    "connection": Kind.VALIDATION,
    "dns": Kind.VALIDATION,
    "dnssec": Kind.VALIDATION,
    "incorrectResponse": Kind.VALIDATION,
    "onionCAARequired": Kind.VALIDATION,
    "tls": Kind.VALIDATION,
    "unauthorized": Kind.VALIDATION,
    "unknownHost": Kind.VALIDATION,
    "alreadyReplaced": Kind.PERMANENT,
    "alreadyRevoked": Kind.PERMANENT,
    "autoRenewalCanceled": Kind.PERMANENT,
    "autoRenewalCancellationInvalid": Kind.PERMANENT,
    "autoRenewalExpired": Kind.PERMANENT,
    "autoRenewalRevocationNotSupported": Kind.PERMANENT,
    "badCSR": Kind.PERMANENT,
    "badRevocationReason": Kind.PERMANENT,
    "malformed": Kind.PERMANENT,
    "rejectedIdentifier": Kind.PERMANENT,
    "unknownDelegation": Kind.PERMANENT,
    "unsupportedIdentifier": Kind.PERMANENT,
    "accountDoesNotExist": Kind.CONFIGURATION,
    "badPublicKey": Kind.CONFIGURATION,
    "badSignatureAlgorithm": Kind.CONFIGURATION,
    "externalAccountRequired": Kind.CONFIGURATION,
    "invalidContact": Kind.CONFIGURATION,
    "invalidEmail": Kind.CONFIGURATION,
    "invalidProfile": Kind.CONFIGURATION,
    "unsupportedContact": Kind.CONFIGURATION,
    "userActionRequired": Kind.CONFIGURATION,
}

#: Of the kinds of a compound problem's parts, the one that decides: what ends a request outweighs what delays it.
_PRECEDENCE = (Kind.PERMANENT, Kind.CONFIGURATION, Kind.RATE_LIMITED, Kind.VALIDATION, Kind.TRANSIENT)


@dataclass(frozen=True, slots=True)
class Subproblem:
    """One part of a problem (RFC 8555 section 6.7.1); texts are cut to :data:`DETAIL_LIMIT`."""

    type: str
    detail: str
    #: Value of the identifier it is about; empty if it names none.
    identifier: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """The CA's words: nothing of a response but these fields is ever shown."""

    #: Without :data:`ERROR_PREFIX` if it had that, else the whole URI.
    type: str
    detail: str
    subproblems: tuple[Subproblem, ...] = ()
    #: RFC 8555 section 6.7 and 7.3.3: where a person has to go, for ``userActionRequired``.
    instance: str = ""

    @property
    def kind(self) -> Kind:
        """The class of the failure by its type; ``compound`` and unknown types by their parts, else permanent."""
        known = KINDS.get(self.type)
        if known is not None:
            return known
        parts = {KINDS.get(sub.type, Kind.PERMANENT) for sub in self.subproblems}
        return next((kind for kind in _PRECEDENCE if kind in parts), Kind.PERMANENT)

    def __str__(self) -> str:
        """Type, detail, then each subproblem with its identifier: one line of at most :data:`MESSAGE_LIMIT`."""
        parts = [f"{self.type}: {self.detail}" if self.detail else self.type]
        parts += [f"{s.identifier or 'also'}: {s.type}: {s.detail}" for s in self.subproblems]
        if self.instance:
            parts.append(f"see {self.instance}")
        return cut("; ".join(parts), MESSAGE_LIMIT)


class AcmeError(IssuerError):
    """Mixed into each error that an answer of the CA caused: what it said, for decisions by status or type.

    ``problem`` is None when the answer held none; ``http_status`` is 0 when the error was found in an object (an
    invalid order) and not in a status line.
    """

    kind: Kind = Kind.TRANSIENT
    problem: Problem | None = None
    http_status: int = 0


class AcmeRejected(AcmeError, RequestRejected):
    """Permanent for this order, by the CA's word."""

    kind = Kind.PERMANENT


class ValidationFailed(AcmeRejected):
    """The CA could not verify control of a name, or CAA forbids it: this order is lost, another may succeed."""

    kind = Kind.VALIDATION


class AcmeConfigInvalid(AcmeError, ConfigInvalid):
    """The account, its binding, or the profile is not accepted."""

    kind = Kind.CONFIGURATION


class AccountDeactivated(AcmeConfigInvalid):
    """RFC 8555 section 7.3.6: the account was deactivated or revoked and never comes back; a new key is needed."""


class AcmeUnavailable(AcmeError, Unavailable):
    """The CA answered with a temporary error, or with something that is not ACME."""

    kind = Kind.TRANSIENT


class AcmeRateLimited(AcmeError, RateLimited):
    """The CA wants fewer requests. ``stated``: whether it said until when, or :data:`UNSTATED_RATE_LIMIT` was used."""

    kind = Kind.RATE_LIMITED
    stated: bool = True


def parse(value: object) -> Problem | None:
    """The problem in a decoded JSON value; None if it isn't one. Never raises, whatever the types inside are."""
    if not isinstance(value, Mapping):
        return None
    fields = cast("Mapping[str, Any]", value)
    kind, detail = _text(fields, "type", 200), _text(fields, "detail", DETAIL_LIMIT)
    if not kind and not detail:
        return None
    return Problem(
        type=kind.removeprefix(ERROR_PREFIX) or "about:blank",
        detail=detail,
        subproblems=_subproblems(fields.get("subproblems")),
        instance=_text(fields, "instance", 300),
    )


def from_body(body: bytes) -> Problem | None:
    """The problem in a response body; None if it is not JSON or not a problem."""
    try:
        return parse(json.loads(body))
    except (ValueError, RecursionError):
        return None


def _text(fields: Mapping[str, Any], name: str, limit: int) -> str:
    value = fields.get(name)
    return cut(value, limit) if isinstance(value, str) else ""


def _subproblems(value: object) -> tuple[Subproblem, ...]:
    if not isinstance(value, list):
        return ()
    found: list[Subproblem] = []
    for item in cast("list[object]", value)[:SUBPROBLEM_LIMIT]:
        if not isinstance(item, Mapping):
            continue
        fields = cast("Mapping[str, Any]", item)
        identifier = fields.get("identifier")
        found.append(
            Subproblem(
                type=_text(fields, "type", 200).removeprefix(ERROR_PREFIX),
                detail=_text(fields, "detail", DETAIL_LIMIT),
                identifier=_text(cast("Mapping[str, Any]", identifier), "value", 260)
                if isinstance(identifier, Mapping)
                else "",
            )
        )
    return tuple(found)
