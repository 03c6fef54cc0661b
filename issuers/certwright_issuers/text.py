"""Foreign text made fit for a message."""

from __future__ import annotations

from typing import cast


def cut(text: str, limit: int) -> str:
    """``text`` on one line, unprintable characters replaced, at most ``limit`` characters with an ellipsis."""
    clean = "".join(char if char.isprintable() else " " for char in text[: limit + 1])
    return clean if len(clean) <= limit else clean[: limit - 1] + "…"


def strings(value: object) -> tuple[str, ...]:
    """The strings in a decoded list or tuple; none if it is neither."""
    members = cast("list[object]", value) if isinstance(value, list | tuple) else []
    return tuple(each for each in members if isinstance(each, str))
