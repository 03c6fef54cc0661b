"""Bodies of requests, by the message classes of the ``acme`` package and two extensions of them.

Bodies of *answers* are read by the modules named after each object, with msgspec: the ``acme`` classes refuse an order
whose identifier has a type they don't know, and accept a list of numbers where URLs belong.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from acme import fields, messages
from cryptography import x509
from josepy import json_util


class _NewOrder(messages.NewOrder):
    """RFC 8555 section 7.4 with ``notAfter``, and ``replaces`` of RFC 9773 section 5."""

    replaces: str = json_util.field("replaces", omitempty=True)
    not_after: datetime | None = fields.rfc3339("notAfter", omitempty=True)


_TYPES = {"dns": messages.IDENTIFIER_FQDN, "ip": messages.IDENTIFIER_IP}


def new_order(
    identifiers: Iterable[tuple[str, str]], not_after: datetime | None, profile: str, replaces: str
) -> dict[str, Any]:
    """``identifiers``: pairs of type (``dns`` or ``ip``) and value. What is empty is left out."""
    return _json(
        _NewOrder(
            identifiers=[messages.Identifier(typ=_TYPES[kind], value=value) for kind, value in identifiers],
            not_after=None if not_after is None else not_after.astimezone(UTC).replace(microsecond=0),
            profile=profile or None,
            replaces=replaces or None,
        )
    )


def registration(contact: tuple[str, ...] | None, binding: dict[str, Any] | None = None) -> dict[str, Any]:
    """RFC 8555 section 7.3. ``contact``: URLs; None leaves the member out, an empty tuple clears it at the CA."""
    given: dict[str, Any] = {} if contact is None else {"contact": contact}
    return _json(
        messages.NewRegistration.from_data(external_account_binding=binding, terms_of_service_agreed=True, **given)
    )


def contact_update(contact: tuple[str, ...]) -> dict[str, Any]:
    """RFC 8555 section 7.3.2."""
    return _json(messages.UpdateRegistration.from_data(contact=contact))


def existing_only() -> dict[str, Any]:
    """RFC 8555 section 7.3.1."""
    return _json(messages.NewRegistration(only_return_existing=True))


def deactivation() -> dict[str, Any]:
    """RFC 8555 sections 7.3.6 and 7.5.2: of an account or an authorization."""
    return _json(messages.UpdateAuthorization(status=messages.STATUS_DEACTIVATED))


def revocation(certificate: x509.Certificate, reason: int) -> dict[str, Any]:
    """RFC 8555 section 7.6."""
    return _json(messages.Revocation(certificate=certificate, reason=reason))


def _json(message: json_util.JSONObjectWithFields) -> dict[str, Any]:
    return dict(message.to_json())
