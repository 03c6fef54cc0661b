"""A proxy between a client and the API server that fails on request.

It runs in a thread of the test's process, listens inside the cluster's namespace (or, for clients there, outside), and
speaks TLS with the API server's own certificate: kubectl and client-go send no token over plain http. Clients
authenticate by token; a client certificate ends at the proxy.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import ssl
import threading
import weakref
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, TCPConnector, web

from devcluster.cluster import Cluster
from devcluster.errors import DevclusterError
from devcluster.faults import Fault, Faults, WatchFault, gone_event, status_body
from devcluster.kubeconfig import write_kubeconfig

START_SECONDS = 10.0
#: Headers that belong to one connection (RFC 9110, 7.6.1), and those aiohttp sets itself.
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host", "content-length"}
)


class Request(NamedTuple):
    """One request as its client saw it: ``WATCH`` for watches, status 0 for a dropped connection."""

    method: str
    path: str
    status: int


@dataclass(eq=False)
class _Watch:
    """A watch that is open."""

    path_and_query: str
    broken: asyncio.Future[WatchFault]

    def break_(self, how: WatchFault) -> None:
        if not self.broken.done():
            self.broken.set_result(how)


class KubeFaultProxy:
    """Start it as a context manager, or with :meth:`start` and :meth:`stop`."""

    def __init__(self, cluster: Cluster, *, inside: bool = True) -> None:
        self.requests: list[Request] = []
        self._cluster = cluster
        self._inside = inside
        self._faults = Faults()
        self._watches: set[_Watch] = set()
        self._transports: weakref.WeakSet[asyncio.Transport] = weakref.WeakSet()
        self._stopping = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fault proxy", daemon=True)
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop
        self._listener: socket.socket
        self._session: ClientSession

    # For tests

    def start(self) -> KubeFaultProxy:
        """Listen. Raises DevclusterError."""
        self._listener = self._cluster.listen_inside() if self._inside else socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._thread.start()
        if not self._ready.wait(START_SECONDS) or self._failure is not None:
            raise DevclusterError(f"the fault proxy did not start: {self._failure or 'timed out'}")
        return self

    def stop(self) -> None:
        """Break all connections and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def kubeconfig(self, source: Path) -> Path:
        """A kubeconfig beside ``source`` that keeps its token and points here."""
        user: dict[str, Any] = json.loads(source.read_text())["users"][0]["user"]
        if "token" not in user:
            raise DevclusterError(f"{source} has no token; use that of cluster.service_account_kubeconfig")
        path = source.with_name(f"{source.name}.proxy-{self.port}")
        ca = self._cluster.files.pki / "ca.crt"
        return write_kubeconfig(path, f"https://127.0.0.1:{self.port}", ca, token=user["token"])

    def fault(  # noqa: PLR0913 (keywords, each a sentence of the docstring)
        self,
        *,
        method: str | None = None,
        path_regex: str = "",
        status: int | None = None,
        reason: str = "",
        retry_after: int | None = None,
        drop_before: bool = False,
        drop_after: bool = False,
        delay: float = 0.0,
        watch: WatchFault | None = None,
        after_events: int = 0,
        every: int = 1,
        count: int | None = None,
    ) -> Fault:
        """From now on, fail requests of ``method`` (``WATCH`` for watches) whose path and query match ``path_regex``.

        ``status`` is answered by the proxy, with a Status object. ``drop_before`` breaks the connection before the API
        server has heard of the request, ``drop_after`` once it has answered. ``delay`` holds the request back first.
        ``watch`` ends a watch after ``after_events`` lines. Each ``every``-th match is met, at most ``count`` of them.
        """
        return self._faults.add(
            Fault(
                method=method,
                path_regex=path_regex,
                status=status,
                reason=reason,
                retry_after=retry_after,
                drop_before=drop_before,
                drop_after=drop_after,
                delay=delay,
                watch=watch,
                after_events=after_events,
                every=every,
                count=count,
            )
        )

    def break_watches(self, how: WatchFault, path_regex: str = "") -> int:
        """Do ``how`` to the watches that are open now; how many they are."""

        async def do() -> int:
            met = [watch for watch in self._watches if re.search(path_regex, watch.path_and_query)]
            for watch in met:
                watch.break_(how)
            return len(met)

        return asyncio.run_coroutine_threadsafe(do(), self._loop).result(START_SECONDS)

    def clear(self) -> None:
        """No faults from the next request on; watches that stall stay so until their client gives up."""
        self._faults.clear()

    # In the thread

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 (shown by start)
            self._failure = error
        finally:
            self._ready.set()
            self._listener.close()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        pki = self._cluster.files.pki
        outward = ssl.create_default_context(cafile=str(pki / "ca.crt"))
        inward = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        inward.load_cert_chain(pki / "apiserver.crt", pki / "apiserver.key")
        connector = TCPConnector(ssl=outward, limit=0)
        timeout = ClientTimeout(total=None)
        async with ClientSession(connector=connector, auto_decompress=False, timeout=timeout) as self._session:
            application = web.Application(client_max_size=16 * 1024**2)
            application.router.add_route("*", "/{path:.*}", self._handle)
            runner = web.AppRunner(application, handler_cancellation=True, access_log=None, shutdown_timeout=0.1)
            await runner.setup()
            await web.SockSite(runner, self._listener, ssl_context=inward).start()
            self._ready.set()
            await self._stopping.wait()
            for transport in self._transports:  # first: a TLS transport closed twice ignores this (CPython 3.11)
                transport.abort()
            await runner.cleanup()
            await connector.close(abort_ssl=True)
        await asyncio.sleep(0)  # transports close in the loop's next turn

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            self._transports.add(request.transport)
        is_watch = request.query.get("watch", "").lower() in {"true", "1"}
        method = "WATCH" if is_watch else request.method
        fault = self._faults.for_request(method, request.path_qs)
        if fault is not None:
            await asyncio.sleep(fault.delay)
            if fault.drop_before:
                return self._drop(request, method)
            if fault.status is not None:
                return self._answer(request, method, fault.status, fault)
        try:
            async with self._forward(request) as upstream:
                if is_watch and upstream.status == 200:
                    return await self._watch(request, upstream, fault)
                body = await upstream.read()
        except (ClientError, OSError):
            return self._drop(request, method)
        if fault is not None and fault.drop_after:
            return self._drop(request, method)
        self.requests.append(Request(method, request.path, upstream.status))
        return web.Response(status=upstream.status, body=body, headers=_passed_on(upstream.headers.items()))

    def _answer(self, request: web.Request, method: str, status: int, fault: Fault) -> web.Response:
        self.requests.append(Request(method, request.path, status))
        headers = {} if fault.retry_after is None else {"Retry-After": str(fault.retry_after)}
        body = status_body(status, fault.reason)
        return web.Response(status=status, body=body, content_type="application/json", headers=headers)

    def _drop(self, request: web.Request, method: str) -> web.Response:
        self.requests.append(Request(method, request.path, 0))
        _abort(request)
        return web.Response()

    @contextlib.asynccontextmanager
    async def _forward(self, request: web.Request) -> AsyncGenerator[ClientResponse]:
        url = self._cluster.server + request.raw_path
        body = await request.read() if request.body_exists else None
        headers = _passed_on(request.headers.items())
        async with self._session.request(
            request.method,
            url,
            data=body,
            headers=headers,
            allow_redirects=False,
            # Else what comes without a type would go on as one that the API server refuses.
            skip_auto_headers=("Content-Type",),
        ) as response:
            try:
                yield response
            finally:  # a watch that has not ended: no farewell that waits for the API server's
                if response.connection is not None and response.connection.transport is not None:
                    response.connection.transport.abort()

    # Watches

    async def _watch(self, request: web.Request, upstream: ClientResponse, fault: Fault | None) -> web.StreamResponse:
        response = web.StreamResponse(status=200, headers=_passed_on(upstream.headers.items()))
        response.enable_chunked_encoding()
        await response.prepare(request)
        self.requests.append(Request("WATCH", request.path, 200))
        watch = _Watch(request.path_qs, self._loop.create_future())
        self._watches.add(watch)
        try:
            await self._pass_events(upstream, response, watch, fault)
        except (ClientError, OSError):  # either end is gone
            _abort(request)
            return response
        finally:
            self._watches.discard(watch)
        if not watch.broken.done():
            await response.write_eof()
            return response
        how = watch.broken.result()
        if how == "gone":
            await response.write(gone_event())
            await response.write_eof()
        elif how == "cut":
            _abort(request)
        else:
            await self._stopping.wait()  # or until the client gives up, which cancels this
        return response

    async def _pass_events(
        self, upstream: ClientResponse, response: web.StreamResponse, watch: _Watch, fault: Fault | None
    ) -> None:
        """Pass on whole lines until the API server ends the watch, or it is broken."""
        left = fault.after_events if fault is not None and fault.watch is not None else -1
        rest = b""
        while True:
            if left == 0 and fault is not None and fault.watch is not None:
                watch.break_(fault.watch)
            if watch.broken.done():
                return
            line, newline, after = rest.partition(b"\n")
            if newline:
                await response.write(line + newline)
                rest = after
                left -= 1
                continue
            chunk = await _next_chunk(upstream, watch.broken)
            if chunk is None:
                return
            rest += chunk


async def _next_chunk(upstream: ClientResponse, broken: asyncio.Future[WatchFault]) -> bytes | None:
    """What the API server sends next; None if it ends the watch, or the watch is broken first."""
    read = asyncio.ensure_future(upstream.content.readany())
    either: set[asyncio.Future[Any]] = {read, broken}
    try:
        await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        return (await read or None) if read.done() else None
    finally:
        if read.cancel():
            await asyncio.wait({read})


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()


def _passed_on(headers: Any) -> list[tuple[str, str]]:
    return [(name, value) for name, value in headers if name.lower() not in _HOP_BY_HOP]
