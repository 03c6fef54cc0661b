"""Ask an issuer whose signatures are made elsewhere, without holding up a worker (``outside``)."""

from __future__ import annotations

from dataclasses import dataclass

from certwright.api import IssuerRef
from certwright.reconcile.context import Context
from certwright.store import issuer_key
from certwright.workqueue import Key
from certwright_issuers.contract import ConfigInvalid, Issued, Issuer, Pending, SigningRequest, Unavailable


def would_ask(context: Context, ref: IssuerRef, namespace: str) -> bool:
    """Whether this issuer is ready, and its signatures are made elsewhere."""
    loaded = context.issuers.find(ref, namespace)
    return loaded is not None and loaded.type is not None and loaded.health.ready and not loaded.type.in_process


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be signed: by which issuer, for which request (its UID), and who is looked at when there is an answer."""

    ref: IssuerRef
    namespace: str
    uid: str
    waiter: Key

    @property
    def lane(self) -> tuple[str, Key]:
        """Shared by all that ask this issuer."""
        return "sign", issuer_key(self.ref, self.namespace)


def is_asked(context: Context, question: Question) -> bool:
    """Whether this request has been handed to the issuer and the answer is not fetched: it counts whatever came since."""
    return context.outside.knows(question.lane, question.uid)


async def ask(context: Context, issuer: Issuer, question: Question, signing: SigningRequest) -> Issued | Pending:
    """The issuer's answer to a request, asked for once. Raises IssuerError, and Waiting while there is none."""
    try:
        return await context.outside.call(question.lane, question.uid, question.waiter, lambda: issuer.sign(signing))
    except (ConfigInvalid, Unavailable):
        # What keeps the issuer from signing shows in its own condition soon.
        key = issuer_key(question.ref, question.namespace)
        context.queue.add_after(key, context.issuers.check_due(key))
        raise
