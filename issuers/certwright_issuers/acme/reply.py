"""One exchange as data: the request to send, the answer that came, and what an answer means.

Everything above this module builds a :class:`Call` and everything below sends it, so the protocol is tested with
dictionaries and the transport with bytes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Generic, TypeVar
from urllib.parse import urljoin, urlsplit

import msgspec

from certwright_issuers.acme import problem
from certwright_issuers.acme.problem import Kind, Problem

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

#: An order of 100 names of 253 octets is 45 KB; a directory or account is smaller.
JSON_LIMIT = 1024 * 1024
#: 100 subproblems of 600 characters.
PROBLEM_LIMIT = 64 * 1024
#: Contract section 3.0: the longest chain that may be decoded, in bytes of PEM.
CHAIN_LIMIT = 95_000

#: The longest wait that is believed. Let's Encrypt's slowest limit (5 per exact set of names and week) refills every
#: 34 hours; a longer time is a mistake that would let certificates expire.
LONGEST_WAIT = timedelta(hours=36)


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the CA. ``headers``: names in lower case; fields that occur more than once are joined by commas."""

    url: str
    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    #: When it arrived; UTC, aware.
    at: datetime

    def retry_after(self, longest: timedelta = LONGEST_WAIT) -> timedelta | None:
        """How long the CA wants to be left alone, from 0 to ``longest``; None if it did not say."""
        return parse_retry_after(self.headers.get("retry-after"), self.at, longest)

    def location(self) -> str:
        """The absolute URL of the object created. Raises :class:`AcmeUnavailable` if the header is missing."""
        value = self.headers.get("location")
        if not value:
            raise not_acme("the answer has no Location header", self)
        return self._absolute(value)

    def links(self, relation: str) -> tuple[str, ...]:
        """Absolute URLs of the Link header (RFC 8288) with that relation, at most 20."""
        return tuple(self._absolute(url) for url, rel in _links(self.headers.get("link", "")) if relation in rel)

    def _absolute(self, reference: str) -> str:
        try:
            return urljoin(self.url, reference)
        except ValueError as error:
            raise not_acme("a header holds a URL that is none", self) from error

    def json(self, shape: type[S]) -> S:
        """The body as ``shape``. Raises :class:`AcmeUnavailable` if it isn't: the text tells nothing of the body."""
        try:
            return msgspec.json.decode(self.body, type=shape)
        except (msgspec.DecodeError, RecursionError) as error:
            raise not_acme("the body is not the JSON object expected", self) from error


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One signed request (RFC 8555 section 6.2) and how to read its answer.

    ``payload`` None makes it a POST-as-GET (section 6.3).
    """

    #: What is being done, as a logical name: ``new-order``. For metrics and messages.
    action: str
    url: str
    payload: Mapping[str, Any] | None = field(repr=False)
    read: Callable[[Reply], T]
    limit: int = JSON_LIMIT
    #: Sign with the whole public key in the header, for requests before the account URL is known.
    by_key: bool = False


def parse_retry_after(value: str | None, now: datetime, longest: timedelta = LONGEST_WAIT) -> timedelta | None:
    """RFC 9110 section 10.2.3: seconds or an HTTP date, clamped to 0 .. ``longest``; None if unreadable."""
    if value is None:
        return None
    text = value.strip()
    if re.fullmatch(r"[0-9]{1,12}", text):
        return timedelta(seconds=min(int(text), longest.total_seconds()))
    try:
        then = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    # "-0000" parses as naive; HTTP dates are always UTC, whatever the zone of this machine.
    wait = then.replace(tzinfo=then.tzinfo or UTC) - now
    return max(timedelta(0), min(wait, longest))


#: Actions in which ``unauthorized`` speaks of the account and not of control over a name.
_ABOUT_ACCOUNT = frozenset(
    {"new-account", "find-account", "get-account", "update-account", "deactivate-account", "key-change", "new-order"}
)


def failure(reply: Reply, action: str) -> problem.AcmeError:
    """The error that a reply with a status from 300 stands for; see :mod:`.problem`."""
    said = problem.from_body(reply.body)
    if said is None:
        return _without_problem(reply, action)
    kind = said.kind
    if said.type not in problem.KINDS and reply.status >= 500:
        kind = Kind.TRANSIENT
    if reply.status == 429:
        kind = Kind.RATE_LIMITED
    # RFC 8555 section 7.3.6: 401 is for a deactivated account, whatever was asked of it.
    if said.type == "unauthorized" and (action in _ABOUT_ACCOUNT or reply.status == 401):
        kind = Kind.CONFIGURATION
    message = f"{action}: the ACME server answered {reply.status} {said}"
    return error_of(kind, message, said, reply.status, retry_after=reply.retry_after(), at=reply.at)


def error_of(
    kind: Kind,
    message: str,
    said: Problem | None,
    status: int,
    *,
    at: datetime,
    retry_after: timedelta | None = None,
) -> problem.AcmeError:
    """The leaf of the error tree for a class of failure, with the CA's words attached."""
    reason = _reason(said, kind)
    error: problem.AcmeError
    if kind is Kind.RATE_LIMITED:
        error = problem.AcmeRateLimited(reason, message, at + (retry_after or problem.UNSTATED_RATE_LIMIT))
        error.stated = bool(retry_after)
    elif kind is Kind.TRANSIENT:
        error = problem.AcmeUnavailable(reason, message, retry_after)
    elif kind is Kind.CONFIGURATION:
        error = problem.AcmeConfigInvalid(reason, message)
    elif kind is Kind.VALIDATION:
        error = problem.ValidationFailed(reason, message)
    else:
        error = problem.AcmeRejected(reason, message)
    error.problem, error.http_status = said, status
    return error


def not_acme(what: str, reply: Reply) -> problem.AcmeError:
    """The error for an answer that no ACME server would give; ``what`` must hold nothing of the body."""
    message = f"the answer of {urlsplit(reply.url).netloc} (status {reply.status}) is not ACME: {what}"
    return error_of(Kind.TRANSIENT, message, None, reply.status, at=reply.at, retry_after=reply.retry_after())


def _without_problem(reply: Reply, action: str) -> problem.AcmeError:
    kind = Kind.RATE_LIMITED if reply.status == 429 else Kind.TRANSIENT
    message = f"{action}: the server answered {reply.status} without an ACME problem document"
    return error_of(kind, message, None, reply.status, retry_after=reply.retry_after(), at=reply.at)


def _reason(said: Problem | None, kind: Kind) -> str:
    """One CamelCase word: the CA's own type if it is one, else the class."""
    if said is not None and re.fullmatch(r"[A-Za-z]{3,40}", said.type):
        return said.type[0].upper() + said.type[1:]
    return {Kind.RATE_LIMITED: "RateLimited", Kind.TRANSIENT: "ServerError"}.get(kind, "Rejected")


_LINK = re.compile(r"<([^<>\s]{1,2000})>([^<]*)")
_REL = re.compile(r""";\s*rel\s*=\s*(?:"([^"]*)"|([^\s;,"]+))""", re.IGNORECASE)


def _links(header: str) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    for match in _LINK.finditer(header):
        rel = _REL.search(match[2])
        if rel is not None and len(found) < 20:
            found.append((match[1], (rel[1] or rel[2] or "").lower().split()))
    return found
