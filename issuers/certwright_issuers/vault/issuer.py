"""The Vault issuer: check and sign, with the errors of either made those of the issuer contract."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from certwright_issuers.contract import (
    PLAIN,
    ConfigInvalid,
    Environment,
    Health,
    Issued,
    IssuerError,
    IssuerType,
    RequestRejected,
    Secrets,
    SigningRequest,
    Unavailable,
)
from certwright_issuers.vault import health
from certwright_issuers.vault.calls import Calls
from certwright_issuers.vault.client import Answer, Client, Refused
from certwright_issuers.vault.config import (
    VAULT_ERROR,
    Section,
    api_path,
    read_server,
    required,
    secret_names,
)
from certwright_issuers.vault.login import Login
from certwright_issuers.vault.methods import Given, LoginRequest, read_method
from certwright_issuers.vault.signing import SIGNING_ERROR, issued, signing_body

#: Requests to one Vault at a time: enough to keep two of its cores busy.
AT_ONCE: Final = 8
SIGN_SECONDS: Final = 30.0
#: When to look again: a Vault that was sealed or restarted is found ready within seconds.
RECHECK_READY: Final = timedelta(seconds=30)
RECHECK_UNAVAILABLE: Final = timedelta(seconds=5)
#: Vault locks out an AppRole after five refused logins in 15 minutes.
RECHECK_REFUSED: Final = timedelta(seconds=30)


class Vault:
    """One configured Vault."""

    def __init__(self, client: Client, login: Login, path: str) -> None:
        self._client = client
        #: Checks have places of their own, or signatures that hang would hide for long that Vault does.
        self._checks = client.beside(Calls(2))
        self._login = login
        self._path = path
        self._engine = health.SigningPath.of(path)

    async def check(self, now: datetime) -> Health:
        """Never raises an IssuerError: each has a time to look again."""
        try:
            await health.check_server(self._checks)
            token = await health.check_token(self._checks, self._login)
            engine = await health.check_role(self._checks, self._engine, token)
            await health.check_authority(self._checks, engine, now)
        except Unavailable as error:
            return Health(ready=False, reason=VAULT_ERROR, message=error.message, recheck_after=RECHECK_UNAVAILABLE)
        except IssuerError as error:
            return Health(ready=False, reason=VAULT_ERROR, message=error.message, recheck_after=RECHECK_REFUSED)
        return Health(ready=True, reason="VaultVerified", message="Vault verified", recheck_after=RECHECK_READY)

    async def sign(self, request: SigningRequest) -> Issued:
        """One signature: asked for again only where Vault has said that it made none."""
        body = signing_body(request)
        token = await self._login.token()
        try:
            try:
                answer = await self._post(token, body)
            except Refused as error:
                if error.status != 403 or not self._login.disown(token):
                    raise
                answer = await self._post(await self._login.token(), body)
        except Refused as error:
            raise await self._refusal(error, request.now) from None
        return issued(answer.section("data"), request)

    async def _post(self, token: str, body: dict[str, str]) -> Answer:
        return await self._client.request("POST", f"v1/{self._path}", token=token, body=body, seconds=SIGN_SECONDS)

    async def _refusal(self, error: Refused, now: datetime) -> IssuerError:
        """What a 4xx answer to a signing request means for the request."""
        where = f'"{self._path}" of Vault at {self._client.server.host}'
        if error.status == 403:
            return Unavailable("AuthFailed", f"{where} does not let us sign: {error.text}")
        if error.status in {404, 405} or "unknown role" in error.text:
            return ConfigInvalid(VAULT_ERROR, f"{where} can't sign: {error.text}")
        try:
            # Everything is refused below an expired CA, and for good only until the CA is replaced.
            await health.check_authority(self._client, self._engine, now)
        except IssuerError as worse:
            return worse
        return RequestRejected(SIGNING_ERROR, f"Vault failed to sign certificate: {error.text}")


def build(config: Section, secrets: Secrets, environment: Environment = PLAIN, /) -> Vault:
    """Raises ConfigInvalid."""
    calls = Calls(AT_ONCE)
    server = read_server(config, secrets, environment)
    path = api_path(required(config, "path", "spec.vault"), "spec.vault.path")
    method = read_method(config, Given(secrets, environment, server, calls))
    client = Client.open(server, calls, AT_ONCE)
    login_client = client
    if isinstance(method, LoginRequest) and method.security is not None:
        login_client = Client.open(replace(server, security=method.security), calls, 1)
    return Vault(client, Login(method, login_client), path)


TYPE: Final = IssuerType(key="vault", build=build, secret_names=secret_names)
