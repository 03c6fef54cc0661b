"""Whether Vault would sign now: reachable, initialised, unsealed, our token alive, the role there, its CA not expired.

What the token's policy does not let us read is left out: many policies allow nothing but signing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from certwright_issuers.certificate import InvalidCertificate, facts_of, load_chain
from certwright_issuers.contract import ConfigInvalid, Unavailable
from certwright_issuers.vault.client import Answer, Client, Refused
from certwright_issuers.vault.config import VAULT_ERROR
from certwright_issuers.vault.login import Login

CHECK_SECONDS: Final = 10.0
#: Active, standby, and two kinds of secondary: all of them sign or pass on (Vault API, /sys/health).
_SERVING: Final = frozenset({200, 429, 472, 473})
_NOT_INITIALISED, _SEALED = 501, 503
_SIGNS = re.compile(r"(?P<mount>.+?)(?:/issuer/(?P<issuer>[^/]+))?/(?:sign|sign-verbatim|issue)/(?P<role>[^/]+)")


@dataclass(frozen=True, slots=True)
class SigningPath:
    """What ``spec.vault.path`` says about the engine behind it; all empty if it is of an unknown form."""

    mount: str = ""
    role: str = ""
    #: Which of the engine's issuers, if the path says.
    issuer: str = ""

    @classmethod
    def of(cls, path: str) -> SigningPath:
        """Read ``<mount>[/issuer/<ref>]/(sign|sign-verbatim|issue)/<role>``."""
        found = _SIGNS.fullmatch(path)
        return cls(found["mount"], found["role"], found["issuer"] or "") if found else cls()


async def check_server(client: Client) -> None:
    """Raises Unavailable. Without the namespace: the endpoint exists at the root alone."""
    host = client.server.host
    good = _SERVING | {_NOT_INITIALISED, _SEALED}
    try:
        answer = await client.request("GET", "v1/sys/health", in_namespace=False, good=good, seconds=CHECK_SECONDS)
    except Refused as error:
        raise Unavailable(VAULT_ERROR, f"{host} does not answer as a Vault server does: HTTP {error.status}") from None
    if answer.status == _NOT_INITIALISED:
        raise Unavailable(VAULT_ERROR, f"Vault at {host} is not initialised")
    if answer.status == _SEALED:
        raise Unavailable(VAULT_ERROR, f"Vault at {host} is sealed")
    if "sealed" not in answer.body:
        raise Unavailable(VAULT_ERROR, f"{host} does not answer as a Vault server does")


async def check_token(client: Client, login: Login) -> str:
    """A token that Vault knows. Raises ConfigInvalid if it knows none of ours, and what logging in raises."""
    token = await login.token()
    try:
        own = await _look_up(client, token)
    except Refused as error:
        if "invalid token" not in error.text and "bad token" not in error.text:
            return token  # its policy does not let it look at itself
        if not login.disown(token):
            raise ConfigInvalid(
                VAULT_ERROR, f"Vault at {client.server.host} does not accept the token: {error.text}"
            ) from None
        return await login.token()
    if login.is_fixed:
        await _keep_alive(client, token, own)
    return token


async def _look_up(client: Client, token: str) -> Answer:
    return await client.request("GET", "v1/auth/token/lookup-self", token=token, seconds=CHECK_SECONDS)


async def _keep_alive(client: Client, token: str, own: Answer) -> None:
    """Renew a fixed token when less than half of its period is left, if it can be: nobody else does."""
    data = own.section("data")
    left, whole = data.get("ttl"), data.get("period") or data.get("creation_ttl")
    if not data.get("renewable") or not isinstance(left, int) or not isinstance(whole, int):
        return
    if 0 < 2 * left < whole:
        try:
            await client.request("POST", "v1/auth/token/renew-self", token=token, seconds=CHECK_SECONDS)
        except Refused:
            return  # its policy does not let it; it serves to its end


async def check_role(client: Client, path: SigningPath, token: str) -> SigningPath:
    """The path with the issuer that the role names. Raises ConfigInvalid if there is no such role or engine."""
    if not path.role:
        return path
    try:
        answer = await client.request("GET", f"v1/{path.mount}/roles/{path.role}", token=token, seconds=CHECK_SECONDS)
    except Refused as error:
        if error.status == 404:
            what = "has no handler" if "no handler" in error.text else f'has no role "{path.role}"'
            raise ConfigInvalid(
                VAULT_ERROR, f'Vault at {client.server.host} {what} at "{path.mount}": {error.text}'
            ) from None
        return path
    issuer = answer.section("data").get("issuer_ref")
    if path.issuer or not isinstance(issuer, str) or issuer == "default":
        return path
    return SigningPath(path.mount, path.role, issuer)


async def check_authority(client: Client, path: SigningPath, now: datetime) -> None:
    """Raises ConfigInvalid if the CA's certificate has expired; whoever may not read it learns nothing."""
    if not path.mount:
        return
    where = f"issuer/{path.issuer}/pem" if path.issuer else "ca/pem"
    try:
        answer = await client.request("GET", f"v1/{path.mount}/{where}", seconds=CHECK_SECONDS)
        facts = facts_of(load_chain(answer.text.encode())[0])
    except (Refused, InvalidCertificate):
        return
    if facts.not_after <= now:
        raise ConfigInvalid(
            VAULT_ERROR,
            f'the CA certificate "{facts.subject_name}" of "{path.mount}" in Vault at {client.server.host} has expired on '
            f"{facts.not_after.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC",
        )
