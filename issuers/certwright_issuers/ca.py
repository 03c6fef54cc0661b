"""The CA issuer: certificates are signed with a CA key that lies in a Secret."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from cryptography import x509

from certwright_issuers.certificate import InvalidCertificate, is_ca, is_issued_by, load_chain
from certwright_issuers.chain import build_chain
from certwright_issuers.contract import (
    ConfigInvalid,
    Health,
    Issued,
    IssuerType,
    RequestRejected,
    Secrets,
    SigningRequest,
)
from certwright_issuers.digest import spki_digest
from certwright_issuers.keys import InvalidKey, PrivateKey, load_key
from certwright_issuers.leaf import Signer, sign_leaf

TLS_CRT, TLS_KEY, CA_CRT = "tls.crt", "tls.key", "ca.crt"
GET_FAILED = "ErrGetKeyPair"
INVALID = "ErrInvalidKeyPair"
PREFIX = "Error getting keypair for CA issuer: "


class CA:
    """One CA: its chain, the issuing certificate first, and the key of that."""

    def __init__(self, name: str, chain: list[x509.Certificate], key: PrivateKey, config: Mapping[str, Any]) -> None:
        self._name = name
        self._chain = chain
        self._signer = Signer(
            key,
            chain[0],
            crl_urls=tuple(config.get("crlDistributionPoints", ())),
            ocsp_urls=tuple(config.get("ocspServers", ())),
            issuer_urls=tuple(config.get("issuingCertificateURLs", ())),
        )

    async def check(self, now: datetime) -> Health:
        """Whether the certificate in the Secret is a CA's, valid now, and belongs to the key."""
        certificate = self._chain[0]
        problem = self._problem(certificate, now)
        if problem:
            recheck = certificate.not_valid_before_utc - now if certificate.not_valid_before_utc > now else None
            return Health(ready=False, reason=INVALID, message=f"{PREFIX}{problem}", recheck_after=recheck)
        return Health(
            ready=True,
            reason="KeyPairVerified",
            message="Signing CA verified",
            recheck_after=certificate.not_valid_after_utc - now,
        )

    def _problem(self, certificate: x509.Certificate, now: datetime) -> str:
        if not is_ca(certificate):
            return "certificate is not a CA"
        if not _may_sign(certificate):
            return "certificate is a CA but its key usage does not allow it to sign certificates"
        if spki_digest(certificate.public_key()) != spki_digest(self._signer.key.public_key()):
            return f'the key in Secret "{self._name}" does not belong to the certificate there'
        if now >= certificate.not_valid_after_utc:
            return f"the CA certificate has expired on {certificate.not_valid_after_utc:%Y-%m-%d %H:%M:%S} UTC"
        if now < certificate.not_valid_before_utc:
            return f"the CA certificate is not valid before {certificate.not_valid_before_utc:%Y-%m-%d %H:%M:%S} UTC"
        return ""

    async def sign(self, request: SigningRequest) -> Issued:
        """Sign, and add the chain up to but without the root."""
        basic = self._chain[0].extensions.get_extension_for_class(x509.BasicConstraints).value
        if request.is_ca and basic.path_length == 0:
            raise RequestRejected(
                "SigningError", "Error signing certificate: the CA's path length constraint of 0 allows no CA below it"
            )
        certificate, notes = sign_leaf(request, self._signer)
        if not is_issued_by(certificate, self._chain[0]):
            raise RequestRejected(
                "SigningError", "Error signing certificate: the CA's key does not belong to its certificate"
            )
        try:
            chain_pem, ca_pem = build_chain([certificate, *self._chain])
        except InvalidCertificate as error:
            raise ConfigInvalid(INVALID, f'Secret "{self._name}": {error}') from error
        return Issued(chain_pem, ca_pem, notes)


def _may_sign(certificate: x509.Certificate) -> bool:
    """Without a KeyUsage extension everything is allowed (RFC 5280 section 4.2.1.3)."""
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    except x509.ExtensionNotFound:
        return True


def _build(config: Mapping[str, Any], secrets: Secrets) -> CA:
    name = str(config.get("secretName", ""))
    secret = secrets.get(name)
    if secret is None:
        raise ConfigInvalid(GET_FAILED, f'{PREFIX}secret "{name}" not found')
    for entry in (TLS_CRT, TLS_KEY):
        if not secret.get(entry):
            raise ConfigInvalid(GET_FAILED, f'{PREFIX}no data for "{entry}" in secret "{name}"')
    try:
        chain = load_chain(secret[TLS_CRT])
        if secret.get(CA_CRT):
            chain.append(load_chain(secret[CA_CRT])[0])
    except InvalidCertificate as error:
        raise ConfigInvalid(INVALID, f'{PREFIX}secret "{name}": {error}') from error
    try:
        key = load_key(secret[TLS_KEY], trusted=False)
    except InvalidKey as error:
        raise ConfigInvalid(INVALID, f'{PREFIX}secret "{name}", key "{TLS_KEY}": {error}') from error
    return CA(name, chain, key, config)


TYPE = IssuerType(
    key="ca",
    build=_build,
    secret_names=lambda config: frozenset({str(config["secretName"])} if config.get("secretName") else ()),
    in_process=True,
)
