"""Waits of Orders and Challenges that outlive the process which began them: the time is in an annotation."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta
from typing import Any

from certwright.api.groups import ANNOTATION_RETRY_AT
from certwright.reconcile.acme.memory import Memo
from certwright.reconcile.acme.trouble import Trouble
from certwright.reconcile.context import Context
from certwright_issuers.acme.client import Client

logger = logging.getLogger(__name__)

#: Waits that are worth a write, so that a restart does not cut them short.
DURABLE = timedelta(minutes=1)


def lasting(trouble: Trouble, now: datetime, uid: str) -> dict[str, Any] | None:
    """The patch by which a long wait survives a restart; None: not worth a write, or the account's matter."""
    if trouble.again is None or trouble.account or trouble.again - now < DURABLE:
        return None
    stamp = trouble.again.isoformat(timespec="seconds")
    return {"metadata": {"annotations": {ANNOTATION_RETRY_AT: stamp}, "uid": uid}}


def remaining(context: Context, memo: Memo, annotations: dict[str, str], account: Client) -> float:
    """Seconds that still have to be waited out, also by a process that was not there when they began."""
    if memo.refused and memo.refused != account.account_url:
        return 0.0
    if memo.not_before is None and ANNOTATION_RETRY_AT in annotations:
        try:
            memo.not_before = datetime.fromisoformat(annotations[ANNOTATION_RETRY_AT])
        except ValueError:
            logger.warning("annotation %s is no time", ANNOTATION_RETRY_AT)
    if memo.not_before is None or memo.not_before.tzinfo is None:
        return 0.0
    return (memo.not_before - context.now()).total_seconds()
