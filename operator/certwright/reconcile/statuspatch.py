"""The smallest merge patch from one status to another."""

from __future__ import annotations

from typing import Any, cast

import msgspec

from certwright.api import ObjectMeta


def status_patch(meta: ObjectMeta, old: msgspec.Struct, new: msgspec.Struct) -> dict[str, Any]:
    """A JSON merge patch (RFC 7386) for the status subresource, fenced by the version it was decided on.

    Lists are replaced as a whole, so a Conflict is the only safe answer to a concurrent change: the resourceVersion in
    the patch makes the API server give it.
    """
    status = _changes(msgspec.to_builtins(old), msgspec.to_builtins(new))
    return {"metadata": {"resourceVersion": meta.resource_version, "uid": meta.uid}, "status": status}


def _changes(before: dict[str, Any], after: dict[str, Any]) -> dict[str, Any]:
    """What differs. A member that is gone, at any depth, is null: one that is only left out would stay."""
    changes: dict[str, Any] = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        both = isinstance(old, dict) and isinstance(new, dict)
        changes[name] = _changes(cast("dict[str, Any]", old), cast("dict[str, Any]", new)) if both else new
    return changes
