"""Which of two versions of an object is newer, also after the object was deleted."""

from __future__ import annotations

from certwright.api import ObjectMeta
from certwright.workqueue import Key

#: How long a deleted object's last version is remembered, in objects: events older than the deletion are refused.
TOMBSTONES = 4096


class Versions:
    """Remembers deletions, so that an event from before one does not bring the object back."""

    def __init__(self) -> None:
        self._tombstones: dict[tuple[Key, str], int] = {}

    def is_newer(self, key: Key, old: ObjectMeta | None, new: ObjectMeta) -> bool:
        """Whether ``new`` is to replace ``old``. etcd's versions are integers that grow (Kubernetes KEP-5504)."""
        version = version_of(new)
        if old is not None and old.uid == new.uid:
            return version > version_of(old)
        return self._tombstones.get((key, new.uid), -1) < version

    def bury(self, key: Key, meta: ObjectMeta, version: int) -> None:
        """The object was deleted at ``version`` (0: unknown)."""
        self._tombstones[key, meta.uid] = max(version, version_of(meta))
        while len(self._tombstones) > TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]


def version_of(meta: ObjectMeta) -> int:
    """The resourceVersion as a number; 0 where there is none."""
    return int(meta.resource_version) if meta.resource_version.isdigit() else 0
