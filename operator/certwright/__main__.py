"""The command line: options to settings, settings to a running operator."""

from __future__ import annotations

import asyncio
import errno
import gc
import logging
import sys
from collections.abc import Coroutine, Sequence
from typing import Any

import uvloop

from certwright.access import NoAccess
from certwright.flagsettings import settings_of
from certwright.gates import without_effect
from certwright.ignoredflags import ignored_flags
from certwright.logs import configure_logging
from certwright.options import SWITCHES, parse
from certwright.settings import Settings
from certwright.webhook.options import COMMAND, webhook_settings_of
from certwright.webhook.settings import WebhookSettings

logger = logging.getLogger(__name__)

#: Seconds after which a thread hands the interpreter back: the Lease's and the one that makes keystores share it with
#: the event loop.
SWITCH_INTERVAL = 0.0005


async def _run(settings: Settings) -> None:
    from certwright.runtime import Runtime  # noqa: PLC0415 (imports kopf and kubernetes: half a second --help can do without)

    await Runtime(settings).run()


async def _serve_webhook(settings: WebhookSettings) -> None:
    from certwright.webhook.runtime import serve_webhook  # noqa: PLC0415 (as above)

    await serve_webhook(settings)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit status."""
    options = parse(argv)
    configure_logging(options.logging_format, options.v)
    if options.command == COMMAND:
        return _run_until_done(_serve_webhook(webhook_settings_of(options)))
    for sentence in (*without_effect(options.feature_gates), *ignored_flags(options, SWITCHES)):
        logger.warning("%s", sentence)
    # Objects of a store live long: fewer, larger collections (measured: a quarter of the time at start).
    gc.set_threshold(20_000, 20, 50)
    sys.setswitchinterval(SWITCH_INTERVAL)
    return _run_until_done(_run(settings_of(options)))


def _run_until_done(work: Coroutine[Any, Any, None]) -> int:
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(work)
    except NoAccess as error:
        logger.critical("%s", error)
        return 1
    except OSError as error:
        if error.errno not in {errno.EADDRINUSE, errno.EADDRNOTAVAIL, errno.EACCES}:
            raise
        # The address is in the text.
        logger.critical("can't listen: %s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
