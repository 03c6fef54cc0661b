"""An annotated Ingress: make, change and delete its Certificates, and tell on the Ingress what was done or can't be."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec

from certwright.api import Certificate, Ingress
from certwright.api.groups import ANNOTATION_CERTIFICATE_NAME, CERTIFICATE_API_VERSION
from certwright.api.meta import controller_reference
from certwright.errors import AlreadyExists, Refused
from certwright.kube import CERTIFICATES
from certwright.reconcile.context import Context, Retry, about_ingress
from certwright.shims.update import Update, plan
from certwright.store import NamespacedName
from certwright.workqueue import Key

#: How often a Certificate that the API server refuses is tried again, in seconds: a policy may have changed.
REFUSED_RECHECK = 600.0


async def reconcile_ingress(context: Context, key: Key) -> float | None:
    """Returns after how many seconds to look again; None: only when the Ingress or one of its Certificates changes."""
    store = context.store
    ingress = store.ingresses.get(key)
    if ingress is None:
        return None
    existing = {
        entry.secret_name: found
        for entry in ingress.spec.tls
        if (found := store.certificates.get(Key("Certificate", key.namespace, entry.secret_name))) is not None
    }
    owned = tuple(store.certificates_owned_by(ingress.metadata.uid))
    todo = plan(ingress, context.settings.shim, existing, owned)
    for problem in todo.problems:
        context.reporter.warning(about_ingress(ingress), "BadConfig", problem)
    refused = False
    for certificate in todo.create:
        refused |= not await _accepted(
            context, ingress, certificate.metadata.name, _create(context, ingress, certificate)
        )
    for update in todo.update:
        name = update.certificate.metadata.name
        refused |= not await _accepted(context, ingress, name, _update(context, ingress, update))
    for certificate in todo.delete:
        await _delete(context, ingress, certificate)
    return REFUSED_RECHECK if refused else None


async def _accepted(context: Context, ingress: Ingress, name: str, write: Awaitable[None]) -> bool:
    """Whether the API server takes what is written. One entry of spec.tls that it refuses does not hold up the others."""
    try:
        await write
    except Refused as error:
        context.reporter.warning(about_ingress(ingress), "BadConfig", f"Certificate {name} is refused: {error}")
        return False
    return True


async def _create(context: Context, ingress: Ingress, certificate: Certificate) -> None:
    meta = certificate.metadata
    key = Key("Certificate", meta.namespace, meta.name)
    try:
        made = await context.kube.create(CERTIFICATES.path(meta.namespace), _body(certificate, ingress), Certificate)
    except AlreadyExists:
        await context.refresh_certificate(key)
        raise Retry(f"Certificate {meta.name} was made meanwhile", after=0) from None
    context.store.put_certificate(made)
    context.reporter.normal(about_ingress(ingress), "CreateCertificate", f"Created Certificate {meta.name}")
    try:
        # What is read here, the Certificate's own reconcile finds in the store.
        await _warn_of_foreign_secret(context, ingress, meta.name)
    finally:
        # The watch tells nothing new of an own write.
        context.queue.add(key)


async def _warn_of_foreign_secret(context: Context, ingress: Ingress, name: str) -> None:
    secret = await context.secret_facts(NamespacedName(ingress.metadata.namespace, name))
    if secret is not None and secret.keys and secret.annotations.get(ANNOTATION_CERTIFICATE_NAME) != name:
        message = f"Secret {name} was there before and is not from Certificate {name}, which replaces what it holds"
        context.reporter.warning(about_ingress(ingress), "ReplacesSecret", message)


async def _update(context: Context, ingress: Ingress, update: Update) -> None:
    meta = update.certificate.metadata
    written = await context.kube.merge_patch(CERTIFICATES.path(meta.namespace, meta.name), update.patch, Certificate)
    context.store.put_certificate(written)
    context.queue.add(Key("Certificate", meta.namespace, meta.name))
    message = f"Updated Certificate {meta.name}: {update.what}"
    context.reporter.normal(about_ingress(ingress), "UpdateCertificate", message)


async def _delete(context: Context, ingress: Ingress, certificate: Certificate) -> None:
    meta = certificate.metadata
    await context.kube.delete(CERTIFICATES.path(meta.namespace, meta.name), uid=meta.uid)
    context.store.drop_certificate(Key("Certificate", meta.namespace, meta.name), meta.uid)
    message = f"Deleted Certificate {meta.name}, as no entry of spec.tls names its Secret any more"
    context.reporter.normal(about_ingress(ingress), "DeleteCertificate", message)


def _body(certificate: Certificate, ingress: Ingress) -> dict[str, Any]:
    meta = certificate.metadata
    return {
        "apiVersion": CERTIFICATE_API_VERSION,
        "kind": "Certificate",
        "metadata": {
            "name": meta.name,
            "namespace": meta.namespace,
            "labels": meta.labels,
            "annotations": meta.annotations,
            "ownerReferences": [controller_reference("networking.k8s.io/v1", "Ingress", ingress.metadata)],
        },
        "spec": msgspec.to_builtins(certificate.spec),
    }
