"""The last write of an issuance: the Secret holds what was issued, and the status has still to say so."""

from __future__ import annotations

from certwright.api import Certificate
from certwright.reconcile import status as statuses
from certwright.reconcile.context import Context
from certwright.reconcile.renewalpoll import ask_if_due
from certwright.reconcile.view import gather
from certwright.workqueue import Key


async def record_issued(context: Context, key: Key, certificate: Certificate) -> None:
    """Write it, with what the CA says of the new certificate if that comes at once. Raises KubeError."""
    after = await gather(context, key, certificate, just_issued=True)
    after = await ask_if_due(context, after, just_issued=True)
    await statuses.write(context, after.certificate, statuses.issued(after))
