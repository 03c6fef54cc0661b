"""The token of one issuer: obtained when needed, kept until near its end, obtained again when Vault disowns it.

cert-manager logs in for every signature. Here one login serves all signatures of the lease's first four fifths.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from certwright_issuers.contract import ConfigInvalid, Unavailable
from certwright_issuers.vault.client import Client, Refused
from certwright_issuers.vault.methods import FixedToken, LoginRequest, Method

#: Of a lease. What is left suffices for everything that was begun with the token.
KEPT_SHARE = 0.8
#: Seconds. A younger token was good a moment ago, so a 403 is about what was asked for, not about the token.
TRUSTED_AGE = 5.0
LOGIN_SECONDS = 15.0
#: Seconds, 30 years: a number that still fits a float.
_LONGEST_LEASE = 10**9
#: What a login's failure is called (contract section 2.3).
INIT_ERROR = "VaultInitError"


@dataclass(slots=True)
class _Token:
    value: str = field(repr=False)
    obtained: float
    #: On the monotonic clock.
    until: float
    #: How often it may still be used; None: without limit.
    uses: int | None


class Login:
    """Hands out tokens. One event loop."""

    def __init__(self, method: Method, client: Client, clock: Callable[[], float] = time.monotonic) -> None:
        """``client``: for the login, which may show another client certificate than other requests."""
        self._fixed = method.value if isinstance(method, FixedToken) else ""
        self._request = method if isinstance(method, LoginRequest) else None
        self._client = client
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: _Token | None = None

    @property
    def is_fixed(self) -> bool:
        """Whether there is nothing to log in with but the one token."""
        return self._request is None

    async def token(self) -> str:
        """A token to use once, now. Many callers at a time cause one login.

        Raises ConfigInvalid if Vault refuses the credentials, Unavailable, or what obtaining the credentials raises.
        """
        if self._request is None:
            return self._fixed
        async with self._lock:
            token = self._token
            if token is None or token.until <= self._clock() or token.uses == 0:
                token = self._token = await self._log_in(self._request)
            if token.uses is not None:
                token.uses -= 1
            return token.value

    def disown(self, value: str) -> bool:
        """Vault answered 403 to this token. Whether another one may fare better."""
        if self.is_fixed:
            return False
        token = self._token
        if token is None or token.value != value:
            return True
        if self._clock() - token.obtained < TRUSTED_AGE:
            return False
        self._token = None
        return True

    async def _log_in(self, method: LoginRequest) -> _Token:
        host = self._client.server.host
        body = await method.body()
        try:
            answer = await self._client.request("POST", method.path, body=body, seconds=LOGIN_SECONDS)
        except Refused as error:
            raise ConfigInvalid(
                INIT_ERROR, f"Vault at {host} refuses the login by {method.name} at {method.path}: {error.text}"
            ) from None
        auth = answer.section("auth")
        value, lease, uses = auth.get("client_token"), auth.get("lease_duration"), auth.get("num_uses")
        if not isinstance(value, str) or not value:
            raise Unavailable(INIT_ERROR, f"Vault at {host} answered the login by {method.name} without a token")
        now = self._clock()
        kept = min(lease, _LONGEST_LEASE) * KEPT_SHARE if isinstance(lease, int) and lease > 0 else math.inf
        return _Token(value, now, now + kept, uses if isinstance(uses, int) and uses > 0 else None)
