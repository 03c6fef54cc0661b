"""The smallest merge patch from one status to another."""

from __future__ import annotations

from typing import Any

import msgspec

from certwright.api import ObjectMeta


def status_patch(meta: ObjectMeta, old: msgspec.Struct, new: msgspec.Struct) -> dict[str, Any]:
    """A JSON merge patch (RFC 7386) for the status subresource, fenced by the version it was decided on.

    Lists are replaced as a whole, so a Conflict is the only safe answer to a concurrent change: the resourceVersion in
    the patch makes the API server give it.
    """
    before: dict[str, Any] = msgspec.to_builtins(old)
    after: dict[str, Any] = msgspec.to_builtins(new)
    status: dict[str, Any] = {
        name: after.get(name) for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    }
    return {"metadata": {"resourceVersion": meta.resource_version, "uid": meta.uid}, "status": status}
