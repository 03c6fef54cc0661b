"""Log lines: text or JSON, each with the key of the object being reconciled."""

from __future__ import annotations

import contextvars
import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any

#: What is being worked on; set by the workers, read by every line logged meanwhile.
current_key: contextvars.ContextVar[str] = contextvars.ContextVar("current_key", default="")

#: cert-manager's verbosity (0 to 5) to Python's levels.
LEVELS = {0: logging.WARNING, 1: logging.INFO, 2: logging.INFO}


class _Text(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        key = current_key.get()
        line = f"{when} {record.levelname:<7} {f'[{key}] ' if key else ''}{record.getMessage()}"
        if record.exc_info:
            line = f"{line}\n{self.formatException(record.exc_info)}"
        # One record is one line to whoever greps, whatever a CA or a Secret made its error text of.
        return line if record.exc_info else line.replace("\n", "\\n")


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        when = datetime.fromtimestamp(record.created, UTC)
        line: dict[str, Any] = {
            "ts": when.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "msg": record.getMessage(),
        }
        key = current_key.get()
        if key:
            line["key"] = key
        if record.exc_info:
            line["stacktrace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def configure_logging(style: str, verbosity: int) -> None:
    """Send everything to stderr as ``text`` or ``json``; verbosity 0 warns, 2 informs, 4 and more debugs."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if style == "json" else _Text())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(LEVELS.get(verbosity, logging.DEBUG))
    # Kopf says something about every event of every object; its own troubles are warnings.
    for name in ("kopf.objects", "kopf.activities", "kopf._core.reactor.running", "kopf._core.engines"):
        logging.getLogger(name).setLevel(logging.WARNING)
    for name in ("kopf", "aiohttp.access", "urllib3", "kubernetes", "asyncio"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level) if verbosity < 4 else logging.INFO)
