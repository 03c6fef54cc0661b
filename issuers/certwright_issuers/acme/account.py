"""Accounts (RFC 8555 section 7.3): registration, look-up, contact, key change, end.

One account serves all certificates of an issuer: CAs limit how many one address may create.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from certwright_issuers.acme import keys, messages
from certwright_issuers.acme.directory import Directory
from certwright_issuers.acme.keys import AccountKey
from certwright_issuers.acme.problem import AccountDeactivated, AcmeConfigInvalid, AcmeError
from certwright_issuers.acme.reply import Call, Reply
from certwright_issuers.contract import ConfigInvalid


@dataclass(frozen=True, slots=True)
class ExternalBinding:
    """RFC 8555 section 7.3.4: proof of an account with the CA outside ACME; signed with HS256."""

    key_id: str
    #: Decoded; see :func:`keys.decode_mac_key`.
    mac_key: bytes = field(repr=False)


class _Body(msgspec.Struct):
    status: str = "valid"
    contact: list[str] | None = None


@dataclass(frozen=True, slots=True)
class Account:
    """An account as the CA shows it."""

    url: str
    #: valid, deactivated (by its owner) or revoked (by the CA).
    status: str
    #: URLs, most often ``mailto:``; several CAs keep none and return none.
    contact: tuple[str, ...] = ()

    def require_valid(self) -> None:
        """Raise :class:`AccountDeactivated` unless the account can be used."""
        if self.status != "valid":
            raise AccountDeactivated(
                "AccountDeactivated",
                "the ACME account of this key is deactivated or revoked; only a new key gives a new account",
            )


def contacts(emails: Iterable[str]) -> tuple[str, ...]:
    """``mailto:`` URLs, lower case (contract section 3.1.1). Raises :class:`ConfigInvalid` for what is no address."""
    found = tuple(email.strip().lower() for email in emails)
    for email in found:
        # RFC 8555 section 7.3: one address, no header fields. The rest is for the CA to judge.
        if "@" not in email or not email.isascii() or not email.isprintable() or set(" ,?") & set(email):
            raise ConfigInvalid("InvalidContact", "the contact is not one plain e-mail address")
    return tuple(f"mailto:{email}" for email in found)


def register(
    directory: Directory, key: AccountKey, contact: tuple[str, ...] | None, binding: ExternalBinding | None
) -> Call[Account]:
    """Create an account, or find the one that has this key (section 7.3.1). Agrees to the terms of service."""
    url = directory.new_account
    signed = None if binding is None else keys.external_binding(key, url, binding.key_id, binding.mac_key)
    return Call("new-account", url, messages.registration(contact, signed), _read_located, by_key=True)


def find(directory: Directory) -> Call[Account]:
    """The account that has this key. ``accountDoesNotExist`` if there is none (section 7.3.1)."""
    return Call("find-account", directory.new_account, messages.existing_only(), _read_located, by_key=True)


def fetch(url: str) -> Call[Account]:
    """The present state."""
    return Call("get-account", url, None, read)


def update(url: str, contact: tuple[str, ...]) -> Call[Account]:
    """Replace the contact URLs (section 7.3.2); an empty tuple removes them."""
    return Call("update-account", url, messages.contact_update(contact), read)


def deactivate(url: str) -> Call[Account]:
    """End the account for ever (section 7.3.6)."""
    return Call("deactivate-account", url, messages.deactivation(), read)


def change_key(directory: Directory, url: str, old: AccountKey, new: AccountKey) -> Call[None]:
    """Put ``new`` in the place of ``old`` (section 7.3.5): the outer signature is by the old key, the inner by the new.

    Raises :class:`AcmeConfigInvalid` if the CA offers no key change.
    """
    target = directory.key_change
    if not target:
        raise AcmeConfigInvalid("NoKeyChange", "the ACME server offers no key change")
    inner = json.dumps({"account": url, "oldKey": old.public_jwk()}).encode()
    return Call("key-change", target, json.loads(new.sign(target, inner, nonce=None)), lambda _: None)


def as_account_error(error: AcmeError) -> AcmeError:
    """``unauthorized`` from a request that only asks for the account says that the account is no more."""
    if error.problem is None or error.problem.type != "unauthorized":
        return error
    gone = AccountDeactivated("AccountDeactivated", error.message)
    gone.problem, gone.http_status = error.problem, error.http_status
    return gone


def read(reply: Reply) -> Account:
    """The account in an answer to a request for its URL."""
    return _account(reply, reply.url)


def _read_located(reply: Reply) -> Account:
    return _account(reply, reply.location())


def _account(reply: Reply, url: str) -> Account:
    body = reply.json(_Body)
    return Account(url, body.status, tuple(body.contact or ()))
