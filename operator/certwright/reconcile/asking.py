"""Ask an issuer whose signatures are made elsewhere, without holding up a worker (``outside``)."""

from __future__ import annotations

from certwright.api import IssuerRef, ObjectMeta
from certwright.reconcile.context import Context
from certwright.store import issuer_key
from certwright.workqueue import Key
from certwright_issuers.contract import ConfigInvalid, Issued, Issuer, Pending, SigningRequest, Unavailable


def would_ask(context: Context, ref: IssuerRef, namespace: str) -> bool:
    """Whether this issuer is ready, and its signatures are made elsewhere."""
    loaded = context.issuers.find(ref, namespace)
    return loaded is not None and loaded.type is not None and loaded.health.ready and not loaded.type.in_process


def is_asked(context: Context, ref: IssuerRef, request: ObjectMeta) -> bool:
    """Whether this request has been handed to the issuer and the answer is not fetched: it counts whatever came since."""
    return context.outside.knows(_lane(ref, request.namespace), request.uid)


async def ask(
    context: Context, issuer: Issuer, ref: IssuerRef, request: ObjectMeta, waiter: Key, signing: SigningRequest
) -> Issued | Pending:
    """The issuer's answer to a request, asked for once. Raises IssuerError, and Waiting while there is none."""
    try:
        return await context.outside.call(
            _lane(ref, request.namespace), request.uid, waiter, lambda: issuer.sign(signing)
        )
    except (ConfigInvalid, Unavailable):
        # What keeps the issuer from signing shows in its own condition soon.
        key = issuer_key(ref, request.namespace)
        context.queue.add_after(key, context.issuers.check_due(key))
        raise


def _lane(ref: IssuerRef, namespace: str) -> tuple[str, Key]:
    return "sign", issuer_key(ref, namespace)
