"""The self-signed issuer: every certificate is signed with its own key."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from certwright_issuers import extensions as ext
from certwright_issuers.chain import encode
from certwright_issuers.contract import (
    PLAIN,
    Environment,
    Health,
    Issued,
    IssuerType,
    Note,
    RequestRejected,
    Secrets,
    SigningRequest,
)
from certwright_issuers.csr import EMPTY_NAME
from certwright_issuers.keys import spki_sha256
from certwright_issuers.leaf import Signer, configured_urls, sign_leaf

EMPTY_SUBJECT: Final = Note(
    "BadConfig",
    "The request has no subject, so the certificate's issuer is empty too, which RFC 5280 section 4.1.2.4 forbids: "
    "strict clients may refuse it. Set commonName or subject",
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
        """Sign with ``request.private_key``, which must be the key of the CSR."""
        key = request.private_key
        if key is None:
            raise RequestRejected("ErrorKeyMatch", "Error signing certificate: the request's private key is not known")
        if spki_sha256(key) != spki_sha256(request.csr):
            raise RequestRejected(
                "ErrorKeyMatch", "Error signing certificate: the private key is not the one the CSR was signed with"
            )
        try:
            certificate, notes = sign_leaf(request, Signer(key, crl_urls=self._crl_urls))
        except RequestRejected as error:
            raise RequestRejected("ErrorSigning", error.message) from error
        pem = encode([certificate])
        nameless = ext.split_certificate(certificate).subject == EMPTY_NAME
        return Issued(pem, pem, (*notes, EMPTY_SUBJECT) if nameless else notes)


def build(config: Mapping[str, Any], _secrets: Secrets, _environment: Environment = PLAIN, /) -> SelfSigned:
    """Needs no Secret."""
    return SelfSigned(configured_urls(config, "crlDistributionPoints"))


def _no_secrets(config: Mapping[str, Any]) -> frozenset[str]:
    del config
    return frozenset()


TYPE: Final = IssuerType(
    key="selfSigned", build=build, secret_names=_no_secrets, in_process=True, needs_private_key=True
)
