"""What becomes of Certificates and CertificateRequests, as a client that watches them sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec
from cryptography import x509

from bench.api import Api
from bench.objects import CERTIFICATES, REQUESTS

#: Nothing became Ready for so many seconds: it never will.
STALL_SECONDS = 90.0
#: Between the end of a watch and its resumption.
RECONNECT_SECONDS = 0.05


class Stalled(Exception):
    """Certificates did not become Ready."""


class _Meta(msgspec.Struct, gc=False):
    name: str = ""
    namespace: str = ""
    generation: int = 0
    resource_version: str = msgspec.field(default="", name="resourceVersion")


class _Condition(msgspec.Struct, gc=False):
    type: str
    status: str
    message: str = ""
    observed_generation: int | None = msgspec.field(default=None, name="observedGeneration")


class _Status(msgspec.Struct, gc=False):
    conditions: list[_Condition] = []
    revision: int = 0
    certificate: str = ""


class _Object(msgspec.Struct, gc=False):
    metadata: _Meta
    status: _Status = msgspec.field(default_factory=_Status)


class _Line(msgspec.Struct, gc=False):
    type: str
    object: _Object


@dataclass
class Watcher:
    """Watches from :meth:`start` until :meth:`stop`. Times are the event loop's, in seconds."""

    api: Api
    #: When a Certificate was first seen Ready for its generation.
    ready_at: dict[tuple[str, str], float] = field(default_factory=dict[tuple[str, str], float])
    #: The highest revision seen.
    revision: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    #: Every certificate that any CertificateRequest ever held: base64 of PEM.
    certificates: set[str] = field(default_factory=set[str])
    #: What the newest version of a Certificate that is not Ready says of it.
    complaints: dict[tuple[str, str], str] = field(default_factory=dict[tuple[str, str], str])
    _tasks: list[asyncio.Task[None]] = field(default_factory=list[asyncio.Task[None]])
    _progress: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """Watch what changes from now on."""
        for path, take in ((CERTIFICATES, self._certificate), (REQUESTS, self._request)):
            version = await self.api.version(path)
            self._tasks.append(asyncio.create_task(self._run(path, version, take)))

    async def stop(self) -> None:
        """End the watches. Raises what ended one before its time."""
        for task in self._tasks:
            task.cancel()
        for result in await asyncio.gather(*self._tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result

    async def wait_ready(self, wanted: set[tuple[str, str]]) -> None:
        """Wait until all of these have been seen Ready. Raises Stalled."""
        while missing := wanted - self.ready_at.keys():
            self._progress.clear()
            self._raise_broken()
            try:
                async with asyncio.timeout(STALL_SECONDS):
                    await self._progress.wait()
            except TimeoutError as error:
                example = min(missing)
                said = self.complaints.get(example, "has no status")
                raise Stalled(f"{len(missing)} of {len(wanted)} not Ready; {'/'.join(example)}: {said}") from error

    def _raise_broken(self) -> None:
        """Raise what ended a watch, if one has ended."""
        for task in self._tasks:
            if task.done():
                task.result()

    def serials(self) -> set[int]:
        """Serial numbers of all certificates seen: each is one signing."""
        found: set[int] = set()
        for encoded in self.certificates:
            pem = msgspec.convert(encoded, bytes, strict=False)
            found.add(x509.load_pem_x509_certificates(pem)[0].serial_number)
        return found

    async def _run(self, path: str, version: str, take: Callable[[_Object], None]) -> None:
        while True:
            # The API server ends the streams of clients that lag behind: go on where it ended.
            async for line in self.api.watch(path, version):
                event = msgspec.json.decode(line, type=_Line)
                if event.type == "ERROR":
                    raise Stalled(f"the watch on {path} broke: {line.decode()}")
                version = event.object.metadata.resource_version
                if event.type != "DELETED":
                    take(event.object)
            await asyncio.sleep(RECONNECT_SECONDS)

    def _certificate(self, seen: _Object) -> None:
        key = (seen.metadata.namespace, seen.metadata.name)
        self.revision[key] = max(self.revision.get(key, 0), seen.status.revision)
        for condition in seen.status.conditions:
            if condition.type == "Ready":
                current = condition.observed_generation in {None, seen.metadata.generation}
                if condition.status == "True" and current:
                    self.ready_at.setdefault(key, asyncio.get_running_loop().time())
                    self._progress.set()
                else:
                    self.complaints[key] = condition.message

    def _request(self, seen: _Object) -> None:
        if seen.status.certificate:
            self.certificates.add(seen.status.certificate)
