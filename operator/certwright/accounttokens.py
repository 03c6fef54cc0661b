"""Tokens of ServiceAccounts for issuers that log in as one (TokenRequest, authentication.k8s.io/v1).

certwright's own role has no right to make them: the user grants ``create`` on ``serviceaccounts/token`` per account.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import msgspec

from certwright.errors import Forbidden, KubeError, NotFound, Transient
from certwright.kube import KubeClient, Resource
from certwright_issuers.contract import ConfigInvalid, Unavailable

SERVICE_ACCOUNTS = Resource("", "v1", "serviceaccounts")


class _Status(msgspec.Struct):
    token: str


class _TokenRequest(msgspec.Struct):
    status: _Status


@dataclass(frozen=True, slots=True)
class ServiceAccountTokens:
    """Those of one namespace."""

    kube: KubeClient = field(repr=False)
    namespace: str

    async def __call__(self, account: str, audiences: Sequence[str], lifetime: timedelta) -> str:
        """A JWT. Raises ConfigInvalid, with what to grant if that is missing, and Unavailable; Fenced passes through."""
        where = f'ServiceAccount "{self.namespace}/{account}"'
        body = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"audiences": list(audiences), "expirationSeconds": int(lifetime.total_seconds())},
        }
        try:
            made = await self.kube.create(SERVICE_ACCOUNTS.path(self.namespace, account, "token"), body, _TokenRequest)
        except NotFound as error:
            raise ConfigInvalid("ServiceAccountMissing", f"{where} not found") from error
        except Forbidden as error:
            raise ConfigInvalid(
                "TokenForbidden",
                f"certwright may not make tokens for {where}: grant its service account the verb create on "
                f'serviceaccounts/token with resourceNames ["{account}"] in that namespace',
            ) from error
        except Transient as error:
            raise Unavailable("TokenUnavailable", f"no token for {where} yet: {error}") from error
        except KubeError as error:
            raise ConfigInvalid("TokenRefused", f"no token for {where}: {error}") from error
        return made.status.token
