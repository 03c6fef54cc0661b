"""Issuers and ClusterIssuers: build, check, say so in the Ready condition, wake whoever waited."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable

from certwright.api import ACMEIssuerStatus, Issuer, IssuerStatus
from certwright.api.groups import CERTIFICATE_API_VERSION
from certwright.beside import T
from certwright.issuerpool import Loaded
from certwright.kube import CLUSTER_ISSUERS, ISSUERS
from certwright.reconcile.context import Context
from certwright.reconcile.statuspatch import status_patch
from certwright.reporter import Subject, find_condition, with_condition
from certwright.workqueue import Key


async def reconcile_issuer(context: Context, key: Key) -> float | None:
    """Returns after how many seconds to look again by itself."""
    issuer = context.store.issuers.get(key)
    if issuer is None or issuer.metadata.deletion_timestamp is not None:
        context.issuers.drop(key)
        _wake(context, key)
        return None
    before = context.issuers.find_key(key)

    async def beside(lane: Hashable, name: Hashable, work: Callable[[], Awaitable[T]]) -> T:
        return await context.outside.call(lane, name, key, work)

    loaded = await context.issuers.load(key, issuer, context.now(), beside)
    await _report(context, key, issuer, loaded)
    if before is None or before.health != loaded.health or before.fingerprint != loaded.fingerprint:
        _wake(context, key)
    recheck = loaded.health.recheck_after
    return recheck.total_seconds() if recheck is not None else None


async def _report(context: Context, key: Key, issuer: Issuer, loaded: Loaded) -> None:
    """Write what changed of the status, and one Event with a changed condition."""
    ready, reason, message = loaded.health.ready, loaded.health.reason, loaded.health.message
    status = "True" if ready else "False"
    old = find_condition(issuer.status.conditions, "Ready")
    generation = issuer.metadata.generation
    # Of an account that there never was there is nothing to say.
    acme = issuer.status.acme if loaded.acme_status in (None, ACMEIssuerStatus()) else loaded.acme_status
    told = old and (old.status, old.reason, old.message, old.observed_generation) == (
        status,
        reason,
        message,
        generation,
    )
    if told and acme == issuer.status.acme:
        return
    conditions = with_condition(
        issuer.status.conditions,
        "Ready",
        status=status,
        reason=reason,
        message=message,
        now=context.now(),
        generation=generation,
    )
    resource = ISSUERS if key.kind == "Issuer" else CLUSTER_ISSUERS
    patch = status_patch(issuer.metadata, issuer.status, IssuerStatus(acme=acme, conditions=conditions))
    written = await context.kube.merge_patch(resource.path(key.namespace, key.name, "status"), patch, Issuer)
    context.store.put_issuer(key.kind, written)
    subject = Subject(CERTIFICATE_API_VERSION, key.kind, issuer.metadata)
    for note in loaded.notes:
        context.reporter.normal(subject, note.reason, note.message)
    if told or not message:
        return
    if ready:
        context.reporter.normal(subject, reason, message)
    else:
        context.reporter.warning(subject, reason, message)
        # By this one people find it whatever the type (API contract section 2.4).
        context.reporter.warning(subject, "ErrInitIssuer", f"Error initializing issuer: {message}")


def _wake(context: Context, key: Key) -> None:
    for waiter in context.issuers.take_waiting(key):
        context.queue.add(waiter)
