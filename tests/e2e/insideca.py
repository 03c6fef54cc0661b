"""The fault-injecting ACME server of ``tests/issuers/acme/fakeca.py``, inside a cluster's network and with TLS."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from types import TracebackType

from aiohttp import web

from devcluster import Cluster
from devcluster.certs import Authority
from devcluster.netns import ADDRESS
from tests.issuers.acme.fakeca import FakeCA


class InsideCA(FakeCA):
    """Runs in a thread of the test's process; what it accepts comes from inside."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster
        pki = cluster.files.pki
        if not (pki / "fake-ca.crt").exists():
            Authority(pki, "fake-ca-root").issue("fake-ca", "fake-ca", sans=(ADDRESS,))
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(pki / "fake-ca.crt", pki / "fake-ca.key")
        #: PEM, for ``spec.acme.caBundle``.
        self.bundle = (pki / "fake-ca-root.crt").read_bytes()

    async def _listen(self, runner: web.AppRunner) -> str:
        listener = self._cluster.listen_inside(ADDRESS)
        await web.SockSite(runner, listener, ssl_context=self._tls).start()
        return f"https://{ADDRESS}:{listener.getsockname()[1]}"

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()
        # The other side's half of the TLS goodbye.
        await asyncio.sleep(0.2)
        # Answers that a test has had delayed for longer than it took; the loop is this CA's own.
        rest = asyncio.all_tasks() - {asyncio.current_task()}
        for task in rest:
            task.cancel()
        await asyncio.gather(*rest, return_exceptions=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        response = await super()._handle(request)
        # No connection outlives a test.
        response.force_close()
        return response

    def times(self, path: str, count: int, response: Callable[[], web.StreamResponse]) -> None:
        """The next ``count`` requests below ``path`` get this answer."""
        self.fail(path, *(response for _ in range(count)))


@contextlib.contextmanager
def inside_ca(cluster: Cluster) -> Iterator[InsideCA]:
    """One that runs."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="fake CA", daemon=True)
    thread.start()
    ca = InsideCA(cluster)
    try:
        asyncio.run_coroutine_threadsafe(ca.__aenter__(), loop).result(20)
        yield ca
    finally:
        asyncio.run_coroutine_threadsafe(ca.__aexit__(None, None, None), loop).result(20)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()
