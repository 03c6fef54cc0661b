"""The watch on Secrets: metadata only, all namespaces, nothing kept but what somebody asked about.

Kopf can't watch metadata alone, and full Secrets of a whole cluster don't belong into this process. This reflector lists
and watches ``PartialObjectMetadata``; for a Secret that a Certificate or an issuer names, a change makes the facts about
it forgotten and its users looked at again. All others cost a decoded line and are dropped.

At the start the labelled Secrets (those issued earlier) are listed in full once, page by page, so that a restart with
thousands of Certificates needs a handful of reads instead of thousands.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from certwright.api import ObjectMeta
from certwright.api.groups import LABEL_FILTERED_CACHE, LABEL_NEXT_PRIVATE_KEY
from certwright.kube import METADATA, METADATA_LIST, SECRETS, KubeClient
from certwright.reflector import Reflector
from certwright.secretfacts import Secret, facts_of
from certwright.store import NamespacedName, Store
from certwright.versions import version_of

#: Secrets that are reduced to facts before the event loop has its turn: a few milliseconds.
FACTS_IN_A_ROW = 25


class _Partial(msgspec.Struct, gc=False):
    metadata: ObjectMeta


class SecretWatch(Reflector):
    """Keeps ``store.secrets`` and ``store.next_keys`` true."""

    WHAT = "Secrets"

    def __init__(
        self, kube: KubeClient, store: Store, namespace: str, changed: Callable[[NamespacedName], None]
    ) -> None:
        super().__init__(kube)
        self._store = store
        self._path = SECRETS.path(namespace)
        self._changed = changed

    async def prime(self) -> int:
        """Read the facts of all issued Secrets; how many there are. Raises KubeError."""
        count = 0
        selector = {"labelSelector": f"{LABEL_FILTERED_CACHE}=true,!{LABEL_NEXT_PRIVATE_KEY}"}
        async for page, _ in self._kube.pages(self._path, Secret, query=selector):
            for secret in page:
                where = NamespacedName(secret.metadata.namespace, secret.metadata.name)
                self._store.put_secret(where, facts_of(secret))
                count += 1
                if count % FACTS_IN_A_ROW == 0:
                    await asyncio.sleep(0)
        await self._list()
        return count

    async def _list(self) -> None:
        listed: set[NamespacedName] = set()
        version = ""
        async for page, page_version in self._kube.pages(self._path, _Partial, accept=METADATA_LIST):
            version = page_version
            for item in page:
                listed.add(self._exists(item.metadata))
        for where in self._store.known_secrets() - listed:
            self._gone(where)
        self._version = version

    async def _watch(self) -> None:
        async for event in self._kube.watch(self._path, self._version, accept=METADATA):
            meta = msgspec.json.decode(event.object, type=_Partial).metadata
            if event.type == "DELETED":
                where = NamespacedName(meta.namespace, meta.name)
                self._gone(where)
                self._next_key(meta, where, exists=False)
            elif event.type != "BOOKMARK":
                self._exists(meta)
            self._version = meta.resource_version

    def _exists(self, meta: ObjectMeta) -> NamespacedName:
        where = NamespacedName(meta.namespace, meta.name)
        self._next_key(meta, where, exists=True)
        if self._store.see_secret(where, version_of(meta)):
            self._changed(where)
        return where

    def _gone(self, where: NamespacedName) -> None:
        if self._store.see_secret(where, 0):
            self._changed(where)

    def _next_key(self, meta: ObjectMeta, where: NamespacedName, *, exists: bool) -> None:
        if LABEL_NEXT_PRIVATE_KEY not in meta.labels:
            return
        for owner in meta.owner_references:
            if owner.kind == "Certificate":
                (self._store.add_next_key if exists else self._store.drop_next_key)(owner.uid, where)
