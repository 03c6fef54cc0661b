"""Authorizations (RFC 8555 sections 7.1.4 and 7.5): control of one identifier, and the challenges that prove it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from certwright_issuers.acme import challenge, messages
from certwright_issuers.acme.challenge import Challenge, ChallengeBody
from certwright_issuers.acme.problem import Problem
from certwright_issuers.acme.reply import Call, Reply, not_acme


class AuthorizationStatus(StrEnum):
    """RFC 8555 section 7.1.6."""

    PENDING = "pending"
    VALID = "valid"
    INVALID = "invalid"
    DEACTIVATED = "deactivated"
    EXPIRED = "expired"
    REVOKED = "revoked"

    @property
    def lost(self) -> bool:
        """Whether the order that needs it can no longer succeed."""
        return self not in (AuthorizationStatus.PENDING, AuthorizationStatus.VALID)


class _Identifier(msgspec.Struct):
    value: str
    type: str = "dns"


class _Body(msgspec.Struct):
    identifier: _Identifier
    status: str
    challenges: list[ChallengeBody] = msgspec.field(default_factory=list[ChallengeBody])
    expires: datetime | None = None
    wildcard: bool | None = None


@dataclass(frozen=True, slots=True)
class Authorization:
    """An authorization as the CA shows it."""

    url: str
    #: Without ``*.``; see ``wildcard``.
    identifier: str
    status: AuthorizationStatus
    challenges: tuple[Challenge, ...]
    wildcard: bool = False
    expires: datetime | None = None
    #: How long to wait before asking again, if the CA said so.
    retry_after: timedelta | None = None

    def offered(self, kind: str) -> Challenge | None:
        """The challenge of that type, if the CA offers it for this identifier."""
        return next((found for found in self.challenges if found.type == kind), None)

    @property
    def problem(self) -> Problem | None:
        """Why it failed: the error of the challenge that was tried."""
        return next((found.error for found in self.challenges if found.error is not None), None)


def read(reply: Reply) -> Authorization:
    """The authorization in an answer. Raises :class:`AcmeUnavailable` if it isn't one."""
    body = reply.json(_Body)
    try:
        status = AuthorizationStatus(body.status)
    except ValueError as error:
        raise not_acme("an authorization with an unknown status", reply) from error
    return Authorization(
        url=reply.url,
        identifier=body.identifier.value,
        status=status,
        challenges=tuple(challenge.from_body(item) for item in body.challenges),
        wildcard=bool(body.wildcard),
        expires=body.expires,
        retry_after=reply.retry_after(),
    )


def fetch(url: str) -> Call[Authorization]:
    """The present state."""
    return Call("get-authorization", url, None, read)


def deactivate(url: str) -> Call[Authorization]:
    """Give it up (section 7.5.2), so that it no longer counts against the CA's limit of pending ones."""
    return Call("deactivate-authorization", url, messages.deactivation(), read)
