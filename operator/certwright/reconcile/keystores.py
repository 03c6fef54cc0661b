"""The keystores of a target Secret: their passwords, and making those that have to be made.

Passwords are read when stores are made and kept nowhere. A password that can't be had keeps an issuance from being
stored (contract row 8.63), nothing else: the key waits in its temporary Secret, the certificate in its request, and the
watch on Secrets brings the Certificate back when the password appears.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from certwright.api import Certificate
from certwright.api.keystores import JKSKeystore, PKCS12Keystore
from certwright.derived import enabled_stores, store_files
from certwright.reconcile.context import Context, about_certificate
from certwright.store import NamespacedName
from certwright_issuers.certificate import InvalidCertificate
from certwright_issuers.keys import InvalidKey
from certwright_issuers.keystores import Content, jks_files, pkcs12_files

#: Event reason (API contract section 2.2).
PASSWORD_MISSING = "KeystorePasswordSecretNotFound"  # noqa: S105 (a reason, not a password)


class StoreFailed(Exception):
    """A keystore can't be made of what was issued. The message never holds a password."""


@dataclass(frozen=True, slots=True)
class Passwords:
    """By field of spec.keystores. ``missing`` says which can't be had and why; empty if none is."""

    known: Mapping[str, str] = field(repr=False)
    missing: str = ""


async def read_passwords(context: Context, certificate: Certificate) -> Passwords:
    """The passwords of all stores the spec asks for. Raises KubeError."""
    known: dict[str, str] = {}
    problems: list[str] = []
    for field_, store in enabled_stores(certificate.spec).items():
        if store.password or store.password_secret_ref is None:
            known[field_] = store.password
            continue
        name, key = store.password_secret_ref.name, store.password_secret_ref.key
        secret = await context.read_secret(NamespacedName(certificate.metadata.namespace, name))
        path = f"spec.keystores.{field_}.passwordSecretRef"
        if secret is None:
            problems.append(f'{path}: Secret "{name}" does not exist')
        elif not secret.data.get(key):
            problems.append(f'{path}: Secret "{name}" has no data for key "{key}"')
        else:
            try:
                known[field_] = secret.data[key].decode()
            except UnicodeDecodeError:
                problems.append(f'{path}: key "{key}" of Secret "{name}" is not UTF-8')
    return Passwords(known, "; ".join(problems))


def tell_missing(context: Context, certificate: Certificate, passwords: Passwords) -> None:
    """The Event for passwords that can't be had."""
    context.reporter.warning(about_certificate(certificate), PASSWORD_MISSING, passwords.missing)


async def make_keystores(
    context: Context,
    certificate: Certificate,
    content: Content,
    passwords: Passwords,
    kept: Mapping[str, bytes],
) -> dict[str, bytes]:
    """The files of all stores the spec asks for.

    A store that is whole in ``kept`` stays as it is; one whose password is not known keeps what there is of it. Raises
    StoreFailed.
    """
    files: dict[str, bytes] = {}
    for field_, store in enabled_stores(certificate.spec).items():
        names = store_files(field_, with_ca=bool(content.ca_pem))
        present = {name: kept[name] for name in names if kept.get(name)}
        if len(present) == len(names) or field_ not in passwords.known:
            files |= present
            continue
        try:
            files |= await context.keystores.make(_writer(store, content, passwords.known[field_], context.now()))
        except (InvalidKey, InvalidCertificate, ValueError) as error:
            raise StoreFailed(f"spec.keystores.{field_}: the store can't be made: {error}") from error
    return files


def _writer(
    store: JKSKeystore | PKCS12Keystore, content: Content, password: str, now: datetime
) -> Callable[[], dict[str, bytes]]:
    if isinstance(store, JKSKeystore):
        return partial(jks_files, content, password, store.alias, now)
    return partial(pkcs12_files, content, password, store.profile)
