"""``spec.vault`` and its Secrets, read and checked: what admission lets pass by mistake is refused here."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any, Final, cast
from urllib.parse import urlsplit

from certwright_issuers.contract import ConfigInvalid, Environment, Secrets
from certwright_issuers.vault.client import Server
from certwright_issuers.vault.transport import Security

#: The one reason of a Vault issuer that is not ready (contract section 3.4).
VAULT_ERROR: Final = "VaultError"

Section = Mapping[str, Any]


def section(config: Section, name: str) -> Section:
    """A member that is an object; empty if there is none."""
    value = config.get(name)
    return cast("Section", value) if isinstance(value, Mapping) else {}


def text(config: Section, name: str) -> str:
    """A member that is a string, without surrounding white space; empty if there is none."""
    value = config.get(name)
    return value.strip() if isinstance(value, str) else ""


def invalid(message: str) -> ConfigInvalid:
    """The configuration can't work."""
    return ConfigInvalid(VAULT_ERROR, message)


def required(config: Section, name: str, where: str) -> str:
    """A string that must be there. ``where``: the path of ``config``, for the message."""
    value = text(config, name)
    if not value:
        raise invalid(f"{where}.{name} is empty")
    return value


def secret_entry(secrets: Secrets, ref: Section, default_key: str) -> bytes:
    """The bytes that a Secret reference names; without a default the reference must name the key."""
    name, key = text(ref, "name"), text(ref, "key") or default_key
    if not name or not key:
        raise invalid("a secret reference lacks its name or its key")
    secret = secrets.get(name)
    if secret is None:
        raise invalid(f'secret "{name}" not found')
    value = secret.get(key, b"")
    if not value.strip():
        raise invalid(f'no data for "{key}" in secret "{name}"')
    return value


def secret_text(secrets: Secrets, ref: Section, default_key: str) -> str:
    """As :func:`secret_entry`, for a token or an ID: trimmed, in printable ASCII as header values have to be."""
    value = secret_entry(secrets, ref, default_key).strip()
    if not value.isascii() or not value.decode("ascii").isprintable():
        raise invalid(
            f'"{text(ref, "key") or default_key}" in secret "{text(ref, "name")}" has characters that a token can\'t have'
        )
    return value.decode("ascii")


def api_path(path: str, where: str) -> str:
    """A path below Vault's root that stays where it says. Raises ConfigInvalid."""
    trimmed = path.strip("/")
    parts = trimmed.split("/")
    if "://" in path or "\\" in path or not path.isprintable() or any(part in {"", ".", ".."} for part in parts):
        raise invalid(f"{where} {path!r} is not a path of Vault's API, such as pki/sign/my-role")
    return trimmed


def mount_path(config: Section, default: str, where: str) -> str:
    """``mountPath`` of a login method, a whole URL path such as /v1/auth/kubernetes."""
    return api_path(text(config, "mountPath") or default, f"{where}.mountPath")


def read_server(config: Section, secrets: Secrets, environment: Environment) -> Server:
    """Which server. Raises ConfigInvalid."""
    url = required(config, "server", "spec.vault")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise invalid("spec.vault.server is not a URL") from None
    if parts.scheme not in {"https", "http"} or not parts.hostname or port == 0 or not url.isprintable():
        raise invalid("spec.vault.server must be a URL such as https://vault.example.com:8200")
    if parts.username is not None or parts.password is not None:
        raise invalid("spec.vault.server must not hold a user or a password")
    if parts.query or parts.fragment or ".." in parts.path.split("/"):
        raise invalid("spec.vault.server must end with the host, its port or a plain path")
    namespace = text(config, "namespace")
    if not namespace.isascii() or not namespace.isprintable():
        raise invalid("spec.vault.namespace has characters that a namespace can't have")
    return Server(url.rstrip("/"), namespace, _security(config, secrets), environment.egress)


def _security(config: Section, secrets: Secrets) -> Security:
    given, ref = text(config, "caBundle"), section(config, "caBundleSecretRef")
    if given and ref:
        raise invalid("spec.vault.caBundle and caBundleSecretRef exclude each other")
    try:
        roots = base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError):
        raise invalid("spec.vault.caBundle is not base64") from None
    if ref:
        roots = secret_entry(secrets, ref, "ca.crt")
    certificate, key = section(config, "clientCertSecretRef"), section(config, "clientKeySecretRef")
    if bool(certificate) != bool(key):
        raise invalid("spec.vault.clientCertSecretRef and clientKeySecretRef are set together or not at all")
    return Security(
        roots=roots,
        certificate=secret_entry(secrets, certificate, "tls.crt") if certificate else b"",
        key=secret_entry(secrets, key, "tls.key") if key else b"",
        server_name=text(config, "serverName"),
    )


def secret_names(config: Section) -> frozenset[str]:
    """Every Secret that ``spec.vault`` can name."""
    auth = section(config, "auth")
    refs = (
        section(config, "caBundleSecretRef"),
        section(config, "clientCertSecretRef"),
        section(config, "clientKeySecretRef"),
        section(auth, "tokenSecretRef"),
        section(section(auth, "appRole"), "secretRef"),
        section(section(auth, "kubernetes"), "secretRef"),
    )
    names = {text(ref, "name") for ref in refs} | {text(section(auth, "clientCertificate"), "secretName")}
    return frozenset(names - {""})
