"""An API server in memory, as far as reconciles of Orders and Challenges use one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from datetime import datetime
from typing import Any, cast

import msgspec

from certwright.errors import AlreadyExists, Conflict, NotFound


class FakeKube:
    """Objects by path. ``fault`` may raise before anything is done: it is given the method and the path."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.objects: dict[str, dict[str, Any]] = {}
        #: Method and path of each write.
        self.writes: list[tuple[str, str]] = []
        self.fault: Callable[[str, str], None] = lambda _, __: None
        self._now = now
        self._version = 0

    def require_lease(self) -> None:
        """It is held."""

    async def get(self, path: str, type_: Any) -> Any:
        self.fault("GET", path)
        if path not in self.objects:
            raise NotFound(path)
        return msgspec.convert(self.objects[path], type_, strict=False)

    async def create(self, path: str, body: dict[str, Any], type_: Any) -> Any:
        self._write("POST", path)
        full = f"{path}/{body['metadata']['name']}"
        if full in self.objects:
            raise AlreadyExists(full)
        made = self.objects[full] = copy.deepcopy(body)
        made["metadata"] |= {"uid": f"uid-{self._version + 1}", "creationTimestamp": self._now().isoformat()}
        return self._kept(full, type_)

    async def merge_patch(self, path: str, body: dict[str, Any], type_: Any) -> Any:
        self._write("PATCH", path)
        full = path.removesuffix("/status")
        if full not in self.objects:
            raise NotFound(path)
        found = self.objects[full]
        version = body.get("metadata", {}).get("resourceVersion")
        if version is not None and version != found["metadata"]["resourceVersion"]:
            raise Conflict(path)
        self.objects[full] = _merged(found, msgspec.to_builtins(body))
        patched = self._kept(full, type_)
        if "deletionTimestamp" in found["metadata"] and not self.objects[full]["metadata"].get("finalizers"):
            del self.objects[full]
        return patched

    async def delete(self, path: str, *, uid: str) -> None:
        self._write("DELETE", path)
        found = self.objects.get(path)
        if found is None:
            return
        if found["metadata"]["uid"] != uid:
            raise Conflict(path)
        if found["metadata"].get("finalizers"):
            found["metadata"].setdefault("deletionTimestamp", self._now().isoformat())
            self._kept(path, dict)
        else:
            del self.objects[path]

    def _write(self, method: str, path: str) -> None:
        self.fault(method, path)
        self.writes.append((method, path))

    def _kept(self, path: str, type_: Any) -> Any:
        self._version += 1
        self.objects[path]["metadata"]["resourceVersion"] = str(self._version)
        return msgspec.convert(self.objects[path], type_, strict=False)


def _merged(old: dict[str, Any], patch: dict[str, Any]) -> dict[str, Any]:
    """RFC 7386."""
    merged = dict(old)
    for name, value in patch.items():
        merged[name] = _merged(merged.get(name) or {}, cast("Any", value)) if isinstance(value, dict) else value
    return {name: value for name, value in merged.items() if value is not None}
