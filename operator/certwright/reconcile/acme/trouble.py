"""What an error means for an Order or a Challenge: the end of it, or another try, and when."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from certwright.api import Order
from certwright.reconcile.acme.memory import Memo
from certwright.reconcile.context import Context
from certwright.store import NamespacedName, controller_of
from certwright.workqueue import Key
from certwright_issuers.acme import retry
from certwright_issuers.acme.problem import AccountDeactivated, AcmeError, Kind
from certwright_issuers.contract import ConfigInvalid, IssuerError

#: Problem types that speak of the account and not of the order (RFC 8555 section 6.7).
_ABOUT_ACCOUNT = frozenset(
    {"accountDoesNotExist", "badPublicKey", "badSignatureAlgorithm", "externalAccountRequired", "userActionRequired"}
)


@dataclass(frozen=True, slots=True)
class Trouble:
    """``again`` None: it is over. ``text`` is for ``status.reason``; with a time if there is one."""

    kind: Kind
    text: str
    again: datetime | None
    #: The issuer's account has to be looked at.
    account: bool = False


def judge(what: str, error: IssuerError, memo: Memo, now: datetime, *, seed: str, expiry: datetime | None) -> Trouble:
    """Class an error. ``what`` failed: "Failed to create Order". ``expiry``: end of the certificate in use.

    A 4xx ends it and 5xx is tried again (API contract row 8.68), with two differences: a rate limit is waited out, and a
    refused account is the issuer's trouble.
    """
    kind = retry.kind_of(error)
    account = _about_account(error)
    if kind in (Kind.PERMANENT, Kind.VALIDATION) or (kind is Kind.CONFIGURATION and not account):
        return Trouble(kind, f"{what}: {error.message}", None)
    memo.failures += 1
    again = retry.next_attempt(retry.failure(error, now, memo.failures), seed=seed, not_after=expiry)
    # In the same second is no answer to "when".
    memo.not_before = max(again or now, now + timedelta(seconds=1))
    text = f"{what}: {error.message}; next try at {memo.not_before:%Y-%m-%dT%H:%M:%SZ}"
    return Trouble(kind, text, memo.not_before, account)


def _about_account(error: IssuerError) -> bool:
    if isinstance(error, AccountDeactivated):
        return True
    if not isinstance(error, ConfigInvalid):
        return False
    if not isinstance(error, AcmeError):
        # The transport: an address that is not allowed, a URL that is none.
        return True
    said = error.problem
    return said is not None and (said.type in _ABOUT_ACCOUNT or said.type == "unauthorized")


def expiry_of(context: Context, order: Order) -> datetime | None:
    """When the certificate that the Order is to replace expires; None if there is none."""
    owner = controller_of(order.metadata, "CertificateRequest")
    namespace = order.metadata.namespace
    record = context.store.requests.get(Key("CertificateRequest", namespace, owner[0])) if owner else None
    certificate = context.store.certificates.get(context.store.worker_of(record.object)) if record else None
    if certificate is None:
        return None
    facts = context.store.secrets.get(NamespacedName(namespace, certificate.spec.secret_name))
    return facts.certificate.not_after if facts is not None and facts.certificate is not None else None
