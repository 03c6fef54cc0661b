"""What an Order leaves behind, at the CA and in the cluster, and how it goes."""

from __future__ import annotations

import asyncio
import logging

from certwright.api import Challenge
from certwright.kube import CHALLENGES
from certwright.reconcile.context import Context
from certwright_issuers.acme.authorization import Authorization, AuthorizationStatus
from certwright_issuers.acme.client import Client
from certwright_issuers.contract import IssuerError

logger = logging.getLogger(__name__)


async def give_up_pending(context: Context, client: Client, urls: tuple[str, ...]) -> None:
    """The Order was deleted: deactivate what the CA still shows as pending; what is valid stays, for other orders."""
    context.kube.require_lease()
    seen = await asyncio.gather(*(client.get_authorization(url) for url in urls), return_exceptions=True)
    known = [one for one in seen if isinstance(one, Authorization)]
    await give_up(client, [one.url for one in known if one.status is AuthorizationStatus.PENDING])


async def give_up(client: Client, urls: list[str]) -> None:
    """Deactivate authorizations. Best effort: the CA lets them expire anyway."""
    for url in urls:
        try:
            await client.deactivate_authorization(url)
        except IssuerError as error:
            logger.info("a pending authorization was not deactivated: %s", error.message)


async def remove(context: Context, challenges: list[Challenge]) -> None:
    """Delete them; what was created for them goes by owner references, or by their finalizer."""
    for challenge in challenges:
        meta = challenge.metadata
        if meta.deletion_timestamp is None:
            await context.kube.delete(CHALLENGES.path(meta.namespace, meta.name), uid=meta.uid)
            if not meta.finalizers:
                key = context.store.challenges.key_of(challenge)
                context.store.challenges.drop(key, meta.uid)
                # Its reconcile cleans up what does not go by owner references.
                context.queue.add(key)
