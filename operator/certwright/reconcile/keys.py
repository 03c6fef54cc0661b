"""Which private key an issuance uses: a new one, or the one in the Secret (spec.privateKey.rotationPolicy)."""

from __future__ import annotations

from dataclasses import dataclass, field

from certwright.api import Certificate
from certwright.csrspec import DEFAULT_ROTATION, key_spec_of
from certwright.reconcile.context import Context, about_certificate
from certwright.reconcile.view import View
from certwright.secretfacts import TLS_KEY
from certwright.store import NamespacedName
from certwright.workqueue import Key
from certwright_issuers.keys import InvalidKey, PrivateKey, key_kind_violations, load_key


class CannotRegenerateKey(Exception):
    """rotationPolicy Never, and the key in the Secret does not fit the spec: a person has to decide."""


@dataclass(frozen=True, slots=True)
class ChosenKey:
    """The key, and whether it is the one already in the Secret."""

    key: PrivateKey = field(repr=False)
    reused: bool


async def choose_key(context: Context, view: View) -> ChosenKey:
    """Make or reuse a key. Raises CannotRegenerateKey."""
    spec = view.certificate.spec
    wanted = key_spec_of(spec)
    policy = (spec.private_key.rotation_policy if spec.private_key else "") or DEFAULT_ROTATION
    if policy == "Never" and view.secret is not None and view.secret.key is not None:
        violations = key_kind_violations(view.secret.key, wanted)
        if violations:
            raise CannotRegenerateKey(
                f'The private key in Secret "{spec.secret_name}" does not fit [{" ".join(violations)}], and '
                "spec.privateKey.rotationPolicy Never forbids making another one. Set it to Always, or delete the "
                "key from the Secret"
            )
        stored = await _stored_key(context, view)
        if stored is not None:
            return ChosenKey(stored, reused=True)
    return ChosenKey(await context.keys.generate(wanted), reused=False)


async def _stored_key(context: Context, view: View) -> PrivateKey | None:
    secret = await context.read_secret(view.where)
    try:
        return load_key(secret.data.get(TLS_KEY, b""), trusted=True) if secret else None
    except InvalidKey:
        return None


async def awaited_key(context: Context, reader: Key, where: NamespacedName) -> PrivateKey | None:
    """The key in somebody's Secret, for ``reader`` to sign with; None if there is no such Secret.

    Until there is a key in it, a change of it has ``reader`` looked at. Raises InvalidKey, KubeError.
    """
    # Before reading: a change while reading must find its way here.
    context.store.set_secrets_read(reader, frozenset({where}))
    secret = await context.read_secret(where)
    if secret is None:
        return None
    key = load_key(secret.data.get(TLS_KEY, b""), trusted=False)
    context.store.set_secrets_read(reader, frozenset())
    return key


def tell_reused(context: Context, certificate: Certificate) -> None:
    """rotationPolicy Never has kept the key."""
    text = f'Reusing private key stored in existing Secret resource "{certificate.spec.secret_name}"'
    context.reporter.normal(about_certificate(certificate), "Reused", text)


def tell_cannot_regenerate(context: Context, view: View, error: CannotRegenerateKey) -> None:
    """The Event for it."""
    context.reporter.warning(about_certificate(view.certificate), "CannotRegenerateKey", str(error))
