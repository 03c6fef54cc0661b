"""What an issuer is: one protocol, its results, and the one tree of errors.

An issuer turns a certificate signing request into a chain. It knows nothing of Kubernetes: its configuration comes as
plain data (the part of the issuer object under its own key, and the bytes of the Secrets it named), and its answer is a
value or one of the errors below. Adding an issuer is one module that implements :class:`Issuer` and one row in
:mod:`certwright_issuers.registry`; :mod:`certwright_issuers.testing` then tests it.

The error tree, and who can mend each leaf::

    IssuerError
    ├── RequestRejected   the requester: this request can never be signed, another one may be
    ├── ConfigInvalid     the issuer's owner: nothing can be signed until the configuration changes
    ├── Unavailable       nobody: the CA is out of reach or busy, the same request is worth a retry
    └── RateLimited       nobody: as Unavailable, but the CA has said when

Everything else that an issuer raises is a bug in it; callers log it and answer "internal error".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol, runtime_checkable

from cryptography import x509

from certwright_issuers.egress import EgressPolicy
from certwright_issuers.keys import PrivateKey

#: Lifetime of a certificate whose request names none (contract section 1.2, spec.duration).
DEFAULT_DURATION = timedelta(days=90)


class IssuerError(Exception):
    """An answer of "no" that a person will read.

    ``reason`` is one CamelCase word for an Event or a condition. The message is complete, needs no prefix, and never
    holds key material, tokens or the body of a foreign answer.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


class RequestRejected(IssuerError):
    """Final for this request: it contradicts itself, the issuer's rules, or the CA said no for good."""


class ConfigInvalid(IssuerError):
    """The issuer can't work as configured: a Secret is missing or malformed, a CA is expired, a field makes no sense."""


class Unavailable(IssuerError):
    """The CA could not be asked or did not answer in time; retry with back-off, or after ``retry_after`` if given."""

    def __init__(self, reason: str, message: str, retry_after: timedelta | None = None) -> None:
        super().__init__(reason, message)
        self.retry_after = retry_after


class RateLimited(IssuerError):
    """The CA asked to wait until ``retry_at``; asking earlier is a breach of its rules."""

    def __init__(self, reason: str, message: str, retry_at: datetime) -> None:
        super().__init__(reason, message)
        self.retry_at = retry_at


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """What is to be signed. The CSR has been parsed, bounded in size, and its own signature verified by the caller."""

    csr: x509.CertificateSigningRequest
    #: Lifetime asked for; issuers may shorten it, and then say so in ``Issued.notes``.
    duration: timedelta
    is_ca: bool
    #: Words of the API's KeyUsage enum, in the order of the request; never empty (the caller applies the default).
    usages: tuple[str, ...]
    #: The instant the certificate begins to be valid; UTC, aware.
    now: datetime
    #: The key that belongs to the CSR. Only given to issuers whose registry row says ``needs_private_key``.
    private_key: PrivateKey | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Note:
    """Something the requester should know about a certificate that was issued all the same."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Issued:
    """A signed certificate.

    ``chain_pem``: the leaf first, then intermediates, no self-signed root unless the leaf is one.
    ``ca_pem``: the top of the chain (contract section 3.0), empty when unknown.
    """

    chain_pem: bytes
    ca_pem: bytes = b""
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class Pending:
    """Not decided yet: ask again with the same request, not before ``retry_after`` has passed."""

    reason: str
    message: str
    retry_after: timedelta


@dataclass(frozen=True, slots=True)
class Health:
    """Whether the issuer can sign now: becomes the Ready condition of the issuer object."""

    ready: bool
    reason: str
    message: str
    #: When to look again without being told of a change; None: only when the configuration changes.
    recheck_after: timedelta | None = None


@runtime_checkable
class Issuer(Protocol):
    """One configured issuer.

    MUST: be safe to call concurrently from one event loop; bound every external call in time and number; be
    idempotent in ``check``; leave no trace of a request in the instance.
    MUST NOT: block the loop for more than a few milliseconds; log or return key material.
    MAY: cache connections, tokens and parsed keys in the instance. It lives until the configuration changes.
    """

    async def check(self, now: datetime) -> Health:
        """Whether signing would work at ``now``. Raises :class:`IssuerError` where a reason is better said that way."""
        ...

    async def sign(self, request: SigningRequest) -> Issued | Pending:
        """Sign, or say when to ask again. Raises :class:`IssuerError`. Never signs twice for one call."""
        ...


#: Bytes of each Secret that exists, by name: ``{"ca-key-pair": {"tls.crt": b"...", "tls.key": b"..."}}``.
Secrets = Mapping[str, Mapping[str, bytes]]


class AccountTokens(Protocol):
    """Tokens of the service accounts that the issuer may use: those of the namespace its Secrets are in."""

    async def __call__(self, account: str, audiences: Sequence[str], lifetime: timedelta) -> str:
        """A JWT for these audiences. Raises :class:`ConfigInvalid` (no such account, no permission), Unavailable."""
        ...


async def no_account_tokens(account: str, audiences: Sequence[str], lifetime: timedelta) -> str:  # noqa: ARG001
    """Where there are no service accounts."""
    raise ConfigInvalid("NoServiceAccounts", f'there is no token for service account "{account}" here')


@dataclass(frozen=True, slots=True)
class Environment:
    """What an issuer may use beyond its configuration. The same issuer object always gets an equal one."""

    #: What the issuer is called where it is configured: ``<namespace>/<name>``, or ``<name>`` for the whole cluster.
    name: str = ""
    account_tokens: AccountTokens = no_account_tokens
    #: Where it may connect to.
    egress: EgressPolicy = field(default_factory=EgressPolicy)
    #: Whether it may use credentials of the process itself (a cloud's, from environment variables).
    ambient_credentials: bool = False


#: For issuers that need nothing, and for tests.
PLAIN: Final = Environment()


class Builder(Protocol):
    """Makes an issuer of its configuration."""

    def __call__(self, config: Mapping[str, Any], secrets: Secrets, environment: Environment = PLAIN, /) -> Issuer:
        """Raises :class:`ConfigInvalid` if the configuration or a Secret can't work."""
        ...


@dataclass(frozen=True, slots=True)
class IssuerType:
    """One row of the registry."""

    #: The key under ``spec`` of the issuer object that selects this type: ``ca``, ``selfSigned`` ...
    key: str
    build: Builder
    #: Names of the Secrets that ``build`` wants, from the configuration alone. Total: never raises.
    secret_names: Callable[[Mapping[str, Any]], frozenset[str]]
    #: ``sign`` is arithmetic: it returns within a millisecond and its result can be thrown away without loss.
    in_process: bool = False
    #: ``sign`` wants ``SigningRequest.private_key``.
    needs_private_key: bool = False
