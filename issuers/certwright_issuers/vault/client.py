"""Vault's HTTP API: one request, one answer or one clear error. Blocking work happens in threads (``calls``).

hvac carries the conventions of Vault's API (paths, headers, statuses). Its client object is not used: that would read
VAULT_TOKEN and ~/.vault-token, and keeps one token for all. Each request here names its token.
"""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, Literal, cast
from urllib.parse import quote, urlsplit

import requests
from hvac.adapters import RawAdapter  # type: ignore[import-untyped]
from urllib3.exceptions import NameResolutionError

from certwright_issuers.contract import ConfigInvalid, IssuerError, Unavailable
from certwright_issuers.egress import EgressPolicy, EgressRefused
from certwright_issuers.text import cut, strings
from certwright_issuers.vault.calls import Calls
from certwright_issuers.vault.transport import AnswerRefused, Security, open_session

#: Characters of Vault's own words that are repeated.
TEXT_LIMIT = 500
#: The longest pause that an answer's Retry-After can ask for, in seconds.
LONGEST_PAUSE = 60
#: Values of a request's body that must not come back in an error text.
_SECRET_FIELDS = ("secret_id", "role_id", "jwt", "iam_request_headers", "iam_request_body")
_HIDDEN = "[hidden]"


class Refused(Exception):
    """A 4xx answer: Vault understood and said no. What that means depends on what was asked."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        #: Vault's own words, bounded, without anything secret; the bare status if it gave none.
        self.text = text


@dataclass(frozen=True, slots=True)
class Server:
    """Which Vault, and how to reach it."""

    url: str
    #: Enterprise namespace; empty for none.
    namespace: str = ""
    security: Security = field(default_factory=Security)
    egress: EgressPolicy = field(default_factory=EgressPolicy)

    @property
    def host(self) -> str:
        """For messages."""
        return urlsplit(self.url).netloc


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is no refusal. ``body`` is empty if it was not a JSON object."""

    status: int
    text: str = field(repr=False)
    body: Mapping[str, Any] = field(repr=False)

    def section(self, name: str) -> Mapping[str, Any]:
        """A member that is an object; empty if there is none."""
        value = self.body.get(name)
        return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


class Client:
    """Requests to one server."""

    def __init__(self, server: Server, calls: Calls, adapter: RawAdapter) -> None:
        self.server = server
        self._calls = calls
        self._adapter = adapter

    @classmethod
    def open(cls, server: Server, calls: Calls, connections: int) -> Client:
        """Raises ConfigInvalid for a CA bundle or client certificate that is none."""
        session = open_session(server.url, server.egress, server.security, connections)
        return cls(server, calls, RawAdapter(base_uri=server.url, session=session, allow_redirects=False))

    def beside(self, calls: Calls) -> Client:
        """The same connections, for requests that must not wait behind others."""
        return Client(self.server, calls, self._adapter)

    async def request(
        self,
        method: Literal["GET", "POST"],
        path: str,
        *,
        token: str = "",
        body: Mapping[str, str] | None = None,
        in_namespace: bool = True,
        good: frozenset[int] = frozenset(),
        seconds: float,
    ) -> Answer:
        """One request to ``path`` (from ``v1/``). ``good``: statuses beyond 2xx that are answers.

        Raises :class:`Refused` for 4xx, Unavailable for everything that may pass, ConfigInvalid if the egress policy
        forbids the server.
        """
        headers: dict[str, str] = {}
        if token:
            headers["X-Vault-Token"] = token
        if in_namespace and self.server.namespace:
            headers["X-Vault-Namespace"] = self.server.namespace
        secrets = (token, *((body or {}).get(name, "") for name in _SECRET_FIELDS))

        def work() -> requests.Response:
            response: requests.Response = self._adapter.request(
                method.lower(), quote(path, safe="/:@+,=~"), headers=headers, json=body, raise_exception=False
            )
            return response

        try:
            response = await self._calls.run(work, seconds)
        except TimeoutError as error:
            raise Unavailable("Timeout", f"Vault at {self.server.host} did not answer in {seconds:.0f} s") from error
        except (requests.RequestException, OSError, ValueError) as error:
            # Not chained: its own chain holds the request with its token.
            raise _explained(error, self.server.host) from None
        return self._judged(response, good, secrets)

    def _judged(self, response: requests.Response, good: frozenset[int], secrets: tuple[str, ...]) -> Answer:
        status, text = response.status_code, response.content.decode("utf-8", "replace")
        body = _object(text)
        if 200 <= status < 300 or status in good:
            return Answer(status, text, body)
        told = _told(status, body, secrets)
        host = self.server.host
        if 300 <= status < 400:
            raise Unavailable(
                "Redirected", f"Vault at {host} wants to redirect to another server; that is not followed"
            )
        if status == 503 and "sealed" in told:
            raise Unavailable("Sealed", f"Vault at {host} is sealed")
        if status in {412, 429, 472, 473} or status >= 500:
            raise Unavailable("VaultDown", f"Vault at {host} answered: {told}", _pause(response))
        raise Refused(status, told)


def _object(text: str) -> Mapping[str, Any]:
    """Decoded JSON; empty if it is anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _told(status: int, body: Mapping[str, Any], secrets: tuple[str, ...]) -> str:
    """Vault's ``errors``; nothing of any other kind of answer is repeated."""
    text = "; ".join(word.strip() for word in strings(body.get("errors")) if word.strip())
    for secret in secrets:
        if len(secret) > 3:
            text = text.replace(secret, _HIDDEN)
    text = cut(" ".join(text.split()), TEXT_LIMIT)
    return f"{text} (HTTP {status})" if text else f"HTTP {status}"


def _pause(response: requests.Response) -> timedelta | None:
    seconds = response.headers.get("Retry-After", "")
    if not seconds.isdecimal() or len(seconds) > 9:
        return None
    return timedelta(seconds=max(1, min(int(seconds), LONGEST_PAUSE)))


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An exception and those inside it: requests and urllib3 put the cause into args, ``reason`` or the chain."""
    pending: list[BaseException] = [error]
    seen = set[int]()
    while pending:
        found = pending.pop()
        if id(found) in seen:
            continue
        seen.add(id(found))
        yield found
        inner = [*found.args, getattr(found, "reason", None), found.__cause__, found.__context__]
        pending.extend(each for each in inner if isinstance(each, BaseException))


def _refused_by_policy(error: EgressRefused, host: str) -> IssuerError:
    del host
    return ConfigInvalid("EgressRefused", error.message)


def _not_vault(error: AnswerRefused, host: str) -> IssuerError:
    return Unavailable("NotVault", f"Vault at {host} gave no proper answer: {error}")


def _not_trusted(error: ssl.SSLCertVerificationError, host: str) -> IssuerError:
    why = cut(error.verify_message, 200)
    return Unavailable("TLSFailed", f"the certificate of Vault at {host} is not trusted: {why}")


def _unknown_host(error: NameResolutionError, host: str) -> IssuerError:
    del error
    return Unavailable("UnknownHost", f"the name of Vault's host {host} can't be resolved")


def _tls_failed(error: ssl.SSLError, host: str) -> IssuerError:
    """With OpenSSL's word for it, such as TLSV13_ALERT_CERTIFICATE_REQUIRED."""
    why = cut(error.reason or "handshake failed", 100).lower().replace("_", " ")
    return Unavailable("TLSFailed", f"no TLS connection with Vault at {host}: {why}")


def _timed_out(error: Exception, host: str) -> IssuerError:
    del error
    return Unavailable("Timeout", f"Vault at {host} did not answer in time")


def _unreachable(error: OSError, host: str) -> IssuerError:
    if not error.strerror:
        return Unavailable("Unreachable", f"the connection to Vault at {host} was cut")
    return Unavailable("Unreachable", f"no connection to Vault at {host}: {cut(error.strerror, 200)}")


#: In order of precedence: the first kind that is found anywhere among the causes is told.
_EXPLANATIONS: Final[tuple[tuple[type[Exception], Callable[..., IssuerError]], ...]] = (
    (EgressRefused, _refused_by_policy),
    (AnswerRefused, _not_vault),
    (ssl.SSLCertVerificationError, _not_trusted),
    (NameResolutionError, _unknown_host),
    (socket.gaierror, _unknown_host),
    (ssl.SSLError, _tls_failed),
    (TimeoutError, _timed_out),
    (requests.Timeout, _timed_out),
    (ConnectionError, _unreachable),
    (OSError, _unreachable),
)


def _explained(error: BaseException, host: str) -> IssuerError:
    """Why there was no answer, in words that hold nothing the server has sent and nothing of the request."""
    causes = list(_causes(error))
    for kind, tell in _EXPLANATIONS:
        for cause in causes:
            if isinstance(cause, kind):
                return tell(cast("Any", cause), host)
    return Unavailable("Unreachable", f"the connection to Vault at {host} was cut")
