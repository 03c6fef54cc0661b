"""The directory (RFC 8555 section 7.1.1): the only URL that is configured leads to all others.

Entries that are not known here are ignored: Let's Encrypt adds random ones so that clients learn to.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from certwright_issuers.acme.problem import AcmeConfigInvalid
from certwright_issuers.acme.reply import Reply
from certwright_issuers.text import cut


class _Meta(msgspec.Struct, rename="camel"):
    terms_of_service: str | None = None
    website: str | None = None
    caa_identities: list[str] | None = None
    external_account_required: bool | None = None
    profiles: dict[str, str] | None = None


class _Body(msgspec.Struct, rename="camel"):
    new_nonce: str
    new_account: str
    new_order: str
    revoke_cert: str | None = None
    key_change: str | None = None
    renewal_info: str | None = None
    meta: _Meta | None = None


@dataclass(frozen=True, slots=True)
class Directory:
    """URLs of the resources, absolute; empty for an optional one that the CA does not offer."""

    new_nonce: str
    new_account: str
    new_order: str
    revoke_cert: str = ""
    key_change: str = ""
    #: RFC 9773 section 4.1; empty: no ARI.
    renewal_info: str = ""
    #: May change at any time; agreed to at registration (contract section 3.1.1).
    terms_of_service: str = ""
    #: Names that CAA records may use for this CA (RFC 8659).
    caa_identities: tuple[str, ...] = ()
    external_account_required: bool = False
    #: Name to description of each profile on offer; empty: the CA has no profiles.
    profiles: Mapping[str, str] = field(default_factory=dict[str, str])

    def require_profile(self, name: str) -> None:
        """Raise :class:`AcmeConfigInvalid` if the profile is not on offer (any more); it is never replaced silently."""
        if name in self.profiles:
            return
        offered = ", ".join(sorted(cut(profile, 60) for profile in self.profiles)[:20])
        offer = f"it offers {offered}" if offered else "it has no profiles"
        raise AcmeConfigInvalid("InvalidProfile", f"the ACME server does not offer the profile {name!r}: {offer}")


def read(reply: Reply) -> Directory:
    """The directory in an answer. Raises :class:`AcmeUnavailable` if it isn't one."""
    body = reply.json(_Body)
    meta = body.meta or _Meta()
    return Directory(
        new_nonce=body.new_nonce,
        new_account=body.new_account,
        new_order=body.new_order,
        revoke_cert=body.revoke_cert or "",
        key_change=body.key_change or "",
        renewal_info=body.renewal_info or "",
        terms_of_service=meta.terms_of_service or "",
        caa_identities=tuple(meta.caa_identities or ()),
        external_account_required=bool(meta.external_account_required),
        profiles=meta.profiles or {},
    )
