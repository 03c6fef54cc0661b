"""The temporary Secret that keeps a new private key while somebody else signs.

Written before the CSR leaves the process and deleted after the target Secret is written, so the key of a certificate
that an outside CA has issued is never lost (``reliability`` invariant: a key is durable before its CSR is sent).
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass, field

from certwright.api import Certificate
from certwright.api.groups import LABEL_FILTERED_CACHE, LABEL_NEXT_PRIVATE_KEY
from certwright.csrspec import key_spec_of
from certwright.errors import AlreadyExists
from certwright.kube import SECRETS
from certwright.reconcile.context import Context, Retry, about_certificate
from certwright.reconcile.keys import ChosenKey, choose_key, tell_reused
from certwright.reconcile.target import controller_ref
from certwright.reconcile.view import View
from certwright.secretfacts import TLS_KEY, Secret
from certwright.store import NamespacedName
from certwright_issuers.keys import InvalidKey, PrivateKey, encode_key, key_facts, key_kind_violations, load_key

#: Longest part of the Certificate's name in a Secret's name: 253 less "-" and five characters.
LONGEST_PREFIX = 247


@dataclass(frozen=True, slots=True)
class NextKey:
    """The key of the issuance under way and the Secret that keeps it."""

    secret_name: str
    key: PrivateKey = field(repr=False)


def next_key_name(certificate: Certificate) -> str:
    """``<certificate>-xxxxx``: the same for every look at one attempt, another for the next attempt."""
    status = certificate.status
    attempt = f"{certificate.metadata.uid}/{status.revision or 0}/{status.failed_issuance_attempts or 0}"
    suffix = base64.b32encode(hashlib.sha256(attempt.encode()).digest()).decode().lower()[:5]
    return f"{certificate.metadata.name[:LONGEST_PREFIX]}-{suffix}"


async def obtain_next_key(context: Context, view: View) -> NextKey:
    """The key of this issuance, made and stored if there is none yet.

    Of several temporary Secrets the one named in the status is kept. A key that does not decode or no longer fits the
    spec is replaced. Raises CannotRegenerateKey, Retry, KubeError.
    """
    wanted = view.certificate.status.next_private_key_secret_name
    keep = wanted if wanted in view.next_keys else next(iter(view.next_keys), "")
    for name in view.next_keys:
        if name != keep:
            await delete_next_key(context, view, name)
    if keep:
        found = await _usable(context, view, keep)
        if found is not None:
            return found
    made = await _make(context, view)
    context.staged.pop(view.key, None)
    return made


async def _usable(context: Context, view: View, name: str) -> NextKey | None:
    """The key in this Secret; a Secret without a usable key is deleted."""
    where = NamespacedName(view.key.namespace, name)
    secret = await context.read_secret(where)
    if secret is None:
        context.store.drop_next_key(view.certificate.metadata.uid, where)
        return None
    about = about_certificate(view.certificate)
    try:
        key = load_key(secret.data.get(TLS_KEY, b""), trusted=True)
    except InvalidKey as error:
        context.reporter.warning(
            about, "DecodeFailed", f'Private key in temporary Secret "{name}" is not usable: {error}'
        )
    else:
        violations = key_kind_violations(key_facts(key), key_spec_of(view.certificate.spec))
        if not violations:
            return NextKey(name, key)
        fields = ", ".join(violations)
        context.reporter.normal(about, "Deleted", f"Regenerating private key due to change in fields: [{fields}]")
    await delete_next_key(context, view, name)
    return None


async def _make(context: Context, view: View) -> NextKey:
    certificate = view.certificate
    chosen = _begun(context, view) or await choose_key(context, view)
    name = next_key_name(certificate)
    body = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": view.key.namespace,
            "labels": {LABEL_NEXT_PRIVATE_KEY: "true", LABEL_FILTERED_CACHE: "true"},
            "ownerReferences": [controller_ref(certificate)],
        },
        "type": "Opaque",
        "data": {TLS_KEY: base64.b64encode(encode_key(chosen.key, "PKCS8")).decode()},
    }
    where = NamespacedName(view.key.namespace, name)
    try:
        await context.kube.create(SECRETS.path(view.key.namespace), body, Secret)
    except AlreadyExists as error:
        # Made by an attempt whose answer was lost: use that one.
        found = await _own(context, certificate, where)
        if found is None:
            raise Retry(f"Secret {name} exists and is not a temporary key of this Certificate", after=60) from error
        return found
    context.store.add_next_key(certificate.metadata.uid, where)
    if chosen.reused:
        tell_reused(context, certificate)
    else:
        text = f'Stored new private key in temporary Secret resource "{name}"'
        context.reporter.normal(about_certificate(certificate), "Generated", text)
    return NextKey(name, chosen.key)


def _begun(context: Context, view: View) -> ChosenKey | None:
    """The key of an issuance that was to be done at once and now has to wait: its request may have been signed."""
    staged = context.staged.get(view.key)
    if staged is None or (staged.uid, staged.revision) != (view.certificate.metadata.uid, view.revision):
        return None
    if key_kind_violations(key_facts(staged.key), key_spec_of(view.certificate.spec)):
        return None
    return ChosenKey(staged.key, reused=False)


async def _own(context: Context, certificate: Certificate, where: NamespacedName) -> NextKey | None:
    secret = await context.read_secret(where)
    if secret is None or certificate.metadata.uid not in {owner.uid for owner in secret.metadata.owner_references}:
        return None
    context.store.add_next_key(certificate.metadata.uid, where)
    try:
        return NextKey(where.name, load_key(secret.data.get(TLS_KEY, b""), trusted=True))
    except InvalidKey:
        return None


async def delete_next_key(context: Context, view: View, name: str) -> None:
    """Delete a temporary key Secret of this Certificate."""
    where = NamespacedName(view.key.namespace, name)
    secret = await context.read_secret(where)
    if secret is not None and view.certificate.metadata.uid in {o.uid for o in secret.metadata.owner_references}:
        await context.kube.delete(SECRETS.path(where.namespace, where.name), uid=secret.metadata.uid)
    context.store.drop_next_key(view.certificate.metadata.uid, where)
