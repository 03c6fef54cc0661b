"""The self-signed issuer: every certificate is signed with its own key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from certwright_issuers.chain import encode
from certwright_issuers.contract import (
    Health,
    Issued,
    IssuerType,
    Note,
    RequestRejected,
    Secrets,
    SigningRequest,
)
from certwright_issuers.digest import spki_digest
from certwright_issuers.leaf import Signer, sign_leaf

EMPTY_SUBJECT = Note(
    "BadConfig",
    "Certificate will be issued with an empty Issuer DN, which contravenes RFC 5280 and could break some strict clients",
)


class SelfSigned:
    """Stateless but for the URLs it puts into certificates."""

    def __init__(self, crl_urls: tuple[str, ...]) -> None:
        self._crl_urls = crl_urls

    async def check(self, now: datetime) -> Health:
        """There is nothing that could be wrong."""
        del now
        return Health(ready=True, reason="IsReady", message="")

    async def sign(self, request: SigningRequest) -> Issued:
        """Sign with ``request.private_key``."""
        key = request.private_key
        if key is None:
            raise RequestRejected(
                "ErrorKeyMatch", "Error generating certificate: the request's private key is not known"
            )
        if spki_digest(key.public_key()) != spki_digest(request.csr.public_key()):
            raise RequestRejected(
                "ErrorKeyMatch", "Error generating certificate: the private key does not match the CSR's public key"
            )
        certificate, notes = sign_leaf(request, Signer(key, crl_urls=self._crl_urls))  # type: ignore[arg-type]
        pem = encode([certificate])
        return Issued(pem, pem, notes if list(request.csr.subject) else (*notes, EMPTY_SUBJECT))


def _build(config: Mapping[str, Any], secrets: Secrets) -> SelfSigned:
    del secrets
    return SelfSigned(tuple(config.get("crlDistributionPoints", ())))


TYPE = IssuerType(
    key="selfSigned",
    build=_build,
    secret_names=lambda _: frozenset(),
    in_process=True,
    needs_private_key=True,
)
