"""Many-to-many look-up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", bound=Hashable)


class Index(Generic[K, V]):
    """Values by key, many on both sides. Keeps no empty sets."""

    def __init__(self) -> None:
        self._sets: defaultdict[K, set[V]] = defaultdict(set)

    def add(self, keys: Iterable[K], value: V) -> None:
        """Make ``value`` found under each key."""
        for key in keys:
            self._sets[key].add(value)

    def remove(self, keys: Iterable[K], value: V) -> None:
        """Undo ``add``; unknown pairs are ignored."""
        for key in keys:
            found = self._sets.get(key)
            if found is not None:
                found.discard(value)
                if not found:
                    del self._sets[key]

    def get(self, key: K) -> frozenset[V]:
        """All values under ``key``."""
        return frozenset(self._sets.get(key, ()))
