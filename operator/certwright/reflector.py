"""A list and a watch that Kopf can't do: of metadata alone, or of a kind that is followed only when asked for."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod

import msgspec

from certwright.errors import Gone, KubeError
from certwright.kube import KubeClient

logger = logging.getLogger(__name__)

#: Seconds between two tries of a list or watch that failed.
RETRY_PAUSES = (1.0, 1.0, 2.0, 5.0, 10.0, 20.0)


class Reflector(ABC):
    """Lists, watches, and lists again when the server has lost track. Subclasses move ``_version`` forward."""

    #: For the log, in the plural.
    WHAT: str

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        #: Up to which resourceVersion everything is known; empty: nothing is.
        self._version = ""
        self._failures = 0

    async def run(self) -> None:
        """Watch for ever."""
        while True:
            try:
                if not self._version:
                    await self._list()
                await self._watch()
                self._failures = 0
            except Gone:
                self._version = ""
            except (KubeError, msgspec.MsgspecError) as error:
                pause = RETRY_PAUSES[min(self._failures, len(RETRY_PAUSES) - 1)]
                self._failures += 1
                logger.warning("%s can't be watched, next try in %.0f s: %s", self.WHAT, pause, error)
                await asyncio.sleep(pause)

    @abstractmethod
    async def _list(self) -> None:
        """Take everything in, and drop what is gone. Raises KubeError."""

    @abstractmethod
    async def _watch(self) -> None:
        """Take changes in until the server ends the stream. Raises KubeError."""
