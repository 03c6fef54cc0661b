"""Challenges (RFC 8555 sections 7.1.5, 7.5.1 and 8): reading, answering, and the values that prove control.

Types that are not known here are kept by name and never answered: CAs add new ones without notice.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass

import msgspec

from certwright_issuers.acme import base64url, problem
from certwright_issuers.acme.keys import AccountKey
from certwright_issuers.acme.problem import Problem
from certwright_issuers.acme.reply import Call, Reply, not_acme
from certwright_issuers.contract import RequestRejected

HTTP01 = "http-01"
DNS01 = "dns-01"

#: RFC 8555 section 8.1: base64url with at least 128 bits of entropy. It becomes part of a URL path that the solver
#: serves, so nothing else may pass.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{22,256}")


class ChallengeBody(msgspec.Struct):
    """The JSON of a challenge; everything but the type may be missing in types of the future."""

    type: str
    url: str = ""
    token: str = ""
    status: str = "pending"
    error: object = None


@dataclass(frozen=True, slots=True)
class Challenge:
    """A challenge as the CA shows it. ``status``: pending, processing, valid or invalid."""

    type: str
    url: str
    token: str
    status: str = "pending"
    error: Problem | None = None


def from_body(body: ChallengeBody) -> Challenge:
    """The challenge in decoded JSON."""
    return Challenge(body.type, body.url, body.token, body.status, problem.parse(body.error))


def read(reply: Reply) -> Challenge:
    """The challenge in an answer. Raises :class:`AcmeUnavailable` if it isn't one."""
    found = from_body(reply.json(ChallengeBody))
    if not found.url:
        raise not_acme("a challenge without a URL", reply)
    return found


def answer(url: str) -> Call[Challenge]:
    """Tell the CA to validate (section 7.5.1). Only for pending challenges: Boulder refuses others with a conflict."""
    return Call("accept-challenge", url, {}, read)


def fetch(url: str) -> Call[Challenge]:
    """The present state of one challenge."""
    return Call("get-challenge", url, None, read)


def key_authorization(token: str, key: AccountKey) -> str:
    """What HTTP-01 serves (sections 8.1, 8.3). Raises :class:`RequestRejected` for a token that is no token."""
    if not _TOKEN.fullmatch(token):
        raise RequestRejected("InvalidToken", "the ACME server's challenge token is not base64url of 128 bits or more")
    return key.key_authorization(token)


def dns01_value(token: str, key: AccountKey) -> str:
    """The text of the TXT record (section 8.4): base64url of the SHA-256 of the key authorization, 43 characters."""
    return base64url.encode(hashlib.sha256(key_authorization(token, key).encode()).digest())


def dns01_name(identifier: str) -> str:
    """Where the TXT record goes, without a final dot. ``identifier`` without ``*.``, as authorizations have it."""
    return f"_acme-challenge.{identifier}"


#: What a solver has to publish, by challenge type. Types not listed can't be solved.
VALUES: dict[str, Callable[[str, AccountKey], str]] = {HTTP01: key_authorization, DNS01: dns01_value}
