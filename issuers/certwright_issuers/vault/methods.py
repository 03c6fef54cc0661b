"""The ways to get a token from Vault: one row for each (contract section 3.4)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Final

from certwright_issuers.contract import Environment, Secrets
from certwright_issuers.text import strings
from certwright_issuers.vault.aws import AWSIdentity
from certwright_issuers.vault.calls import Calls
from certwright_issuers.vault.client import Server
from certwright_issuers.vault.config import (
    Section,
    api_path,
    invalid,
    mount_path,
    required,
    secret_entry,
    secret_text,
    section,
    text,
)
from certwright_issuers.vault.transport import Security

#: Of the ServiceAccount token that a login shows once. The API server makes none that live shorter.
ACCOUNT_TOKEN_LIFETIME: Final = timedelta(minutes=10)
MULTIPLE: Final = "Multiple auth methods cannot be set on the same Vault issuer"

Body = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FixedToken:
    """A token that somebody else has made."""

    value: str = field(repr=False)
    name: str = "tokenSecretRef"


@dataclass(frozen=True, slots=True)
class LoginRequest:
    """Credentials that Vault exchanges for a token."""

    #: The method, as the API calls it.
    name: str
    #: Path of the login, from v1/.
    path: str
    #: Makes the body anew for each login: what it shows may live for minutes only.
    body: Callable[[], Awaitable[Body]] = field(repr=False)
    #: How the connection for the login is secured, if otherwise than the others.
    security: Security | None = None


Method = FixedToken | LoginRequest


@dataclass(frozen=True, slots=True)
class Given:
    """What methods are made of."""

    secrets: Secrets = field(repr=False)
    environment: Environment
    server: Server
    calls: Calls


def read_method(config: Section, given: Given) -> Method:
    """The one method that ``spec.vault.auth`` names. Raises ConfigInvalid."""
    auth = section(config, "auth")
    named = [name for name in METHODS if isinstance(auth.get(name), Mapping)]
    if not named:
        raise invalid(f"spec.vault.auth needs one of {', '.join(METHODS)}")
    if len(named) > 1:
        raise invalid(f"{MULTIPLE}: {', '.join(named)}")
    return METHODS[named[0]](section(auth, named[0]), given)


def _token(config: Section, given: Given) -> Method:
    return FixedToken(secret_text(given.secrets, config, "token"))


def _app_role(config: Section, given: Given) -> Method:
    where = "spec.vault.auth.appRole"
    path = api_path(text(config, "path") or "approle", f"{where}.path")
    role_id = required(config, "roleId", where)
    secret_id = secret_text(given.secrets, section(config, "secretRef"), "")
    return LoginRequest("appRole", f"v1/auth/{path}/login", _constant({"role_id": role_id, "secret_id": secret_id}))


def _client_certificate(config: Section, given: Given) -> Method:
    path = mount_path(config, "/v1/auth/cert", "spec.vault.auth.clientCertificate")
    name, secret = text(config, "name"), text(config, "secretName")
    security = None
    if secret:
        security = replace(
            given.server.security,
            certificate=secret_entry(given.secrets, {"name": secret}, "tls.crt"),
            key=secret_entry(given.secrets, {"name": secret}, "tls.key"),
        )
    elif not given.server.security.certificate:
        raise invalid("spec.vault.auth.clientCertificate needs secretName, or spec.vault.clientCertSecretRef")
    return LoginRequest("clientCertificate", f"{path}/login", _constant({"name": name} if name else {}), security)


def _kubernetes(config: Section, given: Given) -> Method:
    where = "spec.vault.auth.kubernetes"
    path, role = mount_path(config, "/v1/auth/kubernetes", where), required(config, "role", where)
    ref, account = section(config, "secretRef"), section(config, "serviceAccountRef")
    if bool(ref) == bool(account):
        raise invalid(f"{where} needs exactly one of secretRef and serviceAccountRef")
    if ref:
        jwt = secret_text(given.secrets, ref, "token")
        return LoginRequest("kubernetes", f"{path}/login", _constant({"role": role, "jwt": jwt}))
    name = required(account, "name", f"{where}.serviceAccountRef")

    async def body() -> Body:
        jwt = await given.environment.account_tokens(name, audiences(account, given), ACCOUNT_TOKEN_LIFETIME)
        return {"role": role, "jwt": jwt}

    return LoginRequest("kubernetes", f"{path}/login", body)


def audiences(account: Section, given: Given) -> tuple[str, ...]:
    """Those of the specification, then the issuer's own, then the server's URL as it is written."""
    return (*strings(account.get("audiences")), f"vault://{given.environment.name}", given.server.url)


def _aws(config: Section, given: Given) -> Method:
    where = "spec.vault.auth.aws"
    path, role = mount_path(config, "/v1/auth/aws", where), required(config, "role", where)
    account = section(config, "serviceAccountRef")
    identity = AWSIdentity(
        region=text(config, "region"),
        role_arn=text(config, "iamRoleArn"),
        account=text(account, "name"),
        audiences=(*strings(account.get("audiences")), "sts.amazonaws.com"),
        header_value=text(config, "vaultHeaderValue"),
        environment=given.environment,
        calls=given.calls,
    )
    identity.require_usable()

    async def body() -> Body:
        return {"role": role, **await identity.signed_request()}

    return LoginRequest("aws", f"{path}/login", body)


def _constant(body: dict[str, str]) -> Callable[[], Awaitable[Body]]:
    async def same() -> Body:
        return body

    return same


METHODS: Final[Mapping[str, Callable[[Section, Given], Method]]] = {
    "tokenSecretRef": _token,
    "appRole": _app_role,
    "clientCertificate": _client_certificate,
    "kubernetes": _kubernetes,
    "aws": _aws,
}
