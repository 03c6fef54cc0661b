"""The Secrets of an ACME issuer: the account's key, made when it is missing, and the external account binding's."""

from __future__ import annotations

import base64

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from certwright.api import ACMEIssuer
from certwright.errors import AlreadyExists, Forbidden, NotFound, Refused
from certwright.keyfactory import KeyFactory
from certwright.kube import SECRETS, KubeClient
from certwright.secretfacts import TLS_KEY, Secret
from certwright_issuers.acme import keys
from certwright_issuers.acme.account import ExternalBinding
from certwright_issuers.acme.keys import AccountKey
from certwright_issuers.contract import ConfigInvalid, IssuerError, Unavailable
from certwright_issuers.keys import KeySpec

VERIFY_FAILED = "ErrVerifyACMEAccount"
REGISTER_FAILED = "ErrRegisterACMEAccount"


class AccountFailed(Exception):
    """There is no usable account: ``reason`` is that of the Ready condition."""

    def __init__(self, reason: str, cause: IssuerError) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause


def secret_names(acme: ACMEIssuer) -> frozenset[str]:
    """The Secrets that an account depends on."""
    binding = acme.external_account_binding
    names = {acme.private_key_secret_ref.name, binding.key_secret_ref.name if binding else ""}
    return frozenset(names - {""})


class AccountSecrets:
    """Reads them, in the namespace that the issuer's Secrets are in."""

    def __init__(self, kube: KubeClient, keys: KeyFactory) -> None:
        self._kube = kube
        self._keys = keys

    async def key(self, namespace: str, acme: ACMEIssuer) -> AccountKey:
        """The account's key, made if it is missing and may be made. Raises AccountFailed, KubeError."""
        ref = acme.private_key_secret_ref
        entry = ref.key or TLS_KEY
        secret = await self._read(namespace, ref.name)
        if secret is None:
            if acme.disable_account_key_generation:
                why = f"Secret {ref.name!r} with the account key does not exist, and disableAccountKeyGeneration is set"
                raise AccountFailed(VERIFY_FAILED, ConfigInvalid("MissingAccountKey", why))
            secret = await self._make_key(namespace, ref.name, entry)
        pem = secret.data.get(entry)
        if not pem:
            why = f"Secret {ref.name!r} has no {entry!r}, which should hold the account key"
            raise AccountFailed(VERIFY_FAILED, ConfigInvalid("MissingAccountKey", why))
        try:
            return keys.load(pem)
        except ConfigInvalid as error:
            raise AccountFailed(VERIFY_FAILED, error) from error

    async def binding(self, namespace: str, acme: ACMEIssuer) -> ExternalBinding | None:
        """The external account binding, if the issuer has one. Raises AccountFailed, KubeError."""
        wanted = acme.external_account_binding
        if wanted is None:
            return None
        ref = wanted.key_secret_ref
        secret = await self._read(namespace, ref.name)
        mac_key = secret.data.get(ref.key) if secret is not None else None
        if mac_key is None:
            what = "does not exist" if secret is None else f"has no {ref.key!r}"
            why = f"Secret {ref.name!r} with the external account binding's key {what}"
            raise AccountFailed(REGISTER_FAILED, ConfigInvalid("MissingExternalAccountKey", why))
        try:
            return ExternalBinding(wanted.key_id, keys.decode_mac_key(mac_key))
        except ConfigInvalid as error:
            raise AccountFailed(REGISTER_FAILED, error) from error

    async def _make_key(self, namespace: str, name: str, entry: str) -> Secret:
        """RSA-2048 in PKCS#1, so that cert-manager can go on with it (contract section 3.1.1)."""
        made = await self._keys.generate(KeySpec("RSA", 2048))
        if not isinstance(made, RSAPrivateKey):
            raise TypeError("the key factory was asked for an RSA key")
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {
                "name": name,
                "namespace": namespace,
                "labels": {"app.kubernetes.io/managed-by": "cert-manager"},
            },
            "type": "Opaque",
            "data": {entry: base64.b64encode(AccountKey(made).pem()).decode()},
        }
        try:
            return await self._kube.create(SECRETS.path(namespace), body, Secret)
        except AlreadyExists:
            return await self._kube.get(SECRETS.path(namespace, name), Secret)
        except (Forbidden, NotFound, Refused) as error:
            # A quota, a policy, a cluster resource namespace that does not exist.
            why = f"Secret {name!r} for the account key can't be made: {error}"
            raise AccountFailed(VERIFY_FAILED, Unavailable("AccountKeyNotStored", why)) from error

    async def _read(self, namespace: str, name: str) -> Secret | None:
        try:
            return await self._kube.get(SECRETS.path(namespace, name), Secret)
        except NotFound:
            return None
