"""Objects of one kind that only the operator makes: the newest version known of each, found by key and by controller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from certwright.api import ObjectMeta
from certwright.index import Index
from certwright.versions import Versions
from certwright.workqueue import Key


class HasMeta(Protocol):
    """Any object of the API."""

    @property
    def metadata(self) -> ObjectMeta:
        """Its metadata."""
        ...


T = TypeVar("T", bound=HasMeta)


class Shelf(Generic[T]):
    """One kind. Versions that are not newer than the one held are refused, as in the rest of the store."""

    def __init__(
        self,
        kind: str,
        lean: Callable[[T], T] = lambda item: item,
        taken: Callable[[T], None] = lambda _: None,
        dropped: Callable[[str, str], None] = lambda _, __: None,
    ) -> None:
        """``lean`` takes away what nobody decides on before an object is kept.

        ``taken`` is told of each version, ``dropped`` of the namespace and name of each object that is gone.
        """
        self._kind = kind
        self._lean = lean
        self._taken = taken
        self._dropped = dropped
        self._items: dict[Key, T] = {}
        self._owned: Index[str, Key] = Index()
        self._versions = Versions()

    def key_of(self, item: T) -> Key:
        """The key of an object of this kind."""
        return Key(self._kind, item.metadata.namespace, item.metadata.name)

    def get(self, key: Key) -> T | None:
        """The object, if there is one."""
        return self._items.get(key)

    def keys(self) -> list[Key]:
        """All of them, in the order of arrival."""
        return list(self._items)

    def values(self) -> list[T]:
        """All of them, in the order of arrival."""
        return list(self._items.values())

    def put(self, item: T) -> bool:
        """Take a version in; False if it is not newer than the one held."""
        key = self.key_of(item)
        old = self._items.get(key)
        if not self._versions.is_newer(key, old.metadata if old else None, item.metadata):
            return False
        if old is not None:
            self._owned.remove(_controllers(old.metadata), key)
        self._items[key] = self._lean(item)
        self._owned.add(_controllers(item.metadata), key)
        self._taken(item)
        return True

    def drop(self, key: Key, uid: str = "", version: int = 0) -> None:
        """Forget an object that was deleted."""
        old = self._items.get(key)
        if old is None or (uid and old.metadata.uid != uid):
            return
        del self._items[key]
        self._owned.remove(_controllers(old.metadata), key)
        self._versions.bury(key, old.metadata, version)
        self._dropped(key.namespace, key.name)

    def owned_by(self, uid: str) -> list[T]:
        """Objects whose controller has this UID, in the order of their names."""
        return [self._items[key] for key in sorted(self._owned.get(uid))]


def _controllers(meta: ObjectMeta) -> list[str]:
    return [owner.uid for owner in meta.owner_references if owner.controller]
