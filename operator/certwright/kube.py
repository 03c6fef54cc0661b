"""The one way to the API server for everything but Kopf's watches and the Lease.

Requests are bounded in time and number; HTTP statuses become the errors of ``errors.py`` here and nowhere else; every
write passes the fence first. Bodies go in and out as msgspec values or plain dicts.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Self, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec

from certwright.access import Access
from certwright.errors import (
    AlreadyExists,
    Conflict,
    Forbidden,
    Gone,
    KubeError,
    NotFound,
    Refused,
    Throttled,
    Unreachable,
)
from certwright.fence import Fence
from certwright.settings import KubeSettings

T = TypeVar("T")

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
#: Server-side apply; JSON is YAML, so the body needs no other encoder.
APPLY_PATCH = "application/apply-patch+yaml"
#: Only metadata of each object, whatever its kind.
METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
#: How much of the server's own message is worth repeating: admission policies write sentences, schemas write pages.
MESSAGE_LIMIT = 1000
#: A pause without a number of its own; the API server's priority and fairness answers say 1.
DEFAULT_RETRY_AFTER = 1.0
#: Seconds for which credentials once read serve, unless they are refused. The kubernetes package builds its configuration
#: anew at each look, 40 us of a request's 400; tokens are replaced long before they expire.
AUTHORIZATION_SECONDS = 5.0
#: No watch line is longer: etcd refuses objects over 1.5 MiB.
WATCH_LINE_LIMIT = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Resource:
    """A kind as the API server's paths name it."""

    group: str
    version: str
    plural: str

    def path(self, namespace: str = "", name: str = "", subresource: str = "") -> str:
        """The URL path of an object, of a namespace's collection, or of the whole collection."""
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if namespace:
            parts.append(f"namespaces/{quote(namespace, safe='')}")
        parts.append(self.plural)
        if name:
            parts.append(quote(name, safe=""))
        if subresource:
            parts.append(subresource)
        return "/".join(parts)


SECRETS = Resource("", "v1", "secrets")
EVENTS = Resource("", "v1", "events")
SERVICES = Resource("", "v1", "services")
ENDPOINT_SLICES = Resource("discovery.k8s.io", "v1", "endpointslices")
CERTIFICATES = Resource("cert-manager.io", "v1", "certificates")
CERTIFICATE_REQUESTS = Resource("cert-manager.io", "v1", "certificaterequests")
ISSUERS = Resource("cert-manager.io", "v1", "issuers")
CLUSTER_ISSUERS = Resource("cert-manager.io", "v1", "clusterissuers")
INGRESSES = Resource("networking.k8s.io", "v1", "ingresses")
SIGNING_REQUESTS = Resource("certificates.k8s.io", "v1", "certificatesigningrequests")
ORDERS = Resource("acme.cert-manager.io", "v1", "orders")
CHALLENGES = Resource("acme.cert-manager.io", "v1", "challenges")


class _Status(msgspec.Struct, gc=False):
    """The part of a Kubernetes Status that decides what an error is."""

    reason: str = ""
    message: str = ""


class _ListMeta(msgspec.Struct, gc=False):
    resource_version: str = msgspec.field(default="", name="resourceVersion")
    continue_: str = msgspec.field(default="", name="continue")


class _Page(msgspec.Struct, gc=False):
    metadata: _ListMeta
    items: list[msgspec.Raw] | None = None


class WatchLine(msgspec.Struct, gc=False):
    """One event of a watch."""

    type: str
    object: msgspec.Raw


class KubeClient:
    """One session to one API server. Use as an async context manager."""

    def __init__(self, access: Access, settings: KubeSettings, fence: Fence) -> None:
        self._access = access
        self._settings = settings
        self._fence = fence
        self._slots = asyncio.Semaphore(settings.max_in_flight)
        self._session: aiohttp.ClientSession | None = None
        self._authorization: str | None = None
        self._authorization_until = 0.0

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            limit=self._settings.max_in_flight + 16, ssl=self._access.ssl_context() or True, keepalive_timeout=75
        )
        self._session = aiohttp.ClientSession(
            self._access.server,
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=self._settings.request_timeout),
            headers={"User-Agent": self._access.user_agent},
            auto_decompress=True,
            read_bufsize=WATCH_LINE_LIMIT // 2,
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    def require_lease(self) -> None:
        """Raise Fenced unless this replica may act now: for side effects outside the API server."""
        self._fence.check()

    async def get(self, path: str, type_: type[T]) -> T:
        """Read one object. Raises NotFound, Forbidden, Transient."""
        return msgspec.json.decode(await self._request("GET", path), type=type_, strict=False)

    async def create(self, path: str, body: object, type_: type[T]) -> T:
        """Create in a collection. Raises AlreadyExists, Refused, Forbidden, NotFound (no such namespace), Transient."""
        return msgspec.json.decode(await self._write("POST", path, body, JSON), type=type_, strict=False)

    async def merge_patch(self, path: str, body: object, type_: type[T]) -> T:
        """JSON merge patch (RFC 7386). With metadata.resourceVersion in ``body`` it raises Conflict on a change."""
        return msgspec.json.decode(await self._write("PATCH", path, body, MERGE_PATCH), type=type_, strict=False)

    async def apply(self, path: str, body: object, type_: type[T], *, field_manager: str) -> T:
        """Server-side apply with force: the fields of ``body`` become ours, what we owned and left out goes."""
        query = {"fieldManager": field_manager, "force": "true"}
        return msgspec.json.decode(await self._write("PATCH", path, body, APPLY_PATCH, query), type=type_, strict=False)

    async def delete(self, path: str, *, uid: str) -> None:
        """Delete that very object; silent if it is gone already. Raises Conflict if another one has its name now."""
        body = {"apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": uid}}
        with suppress(NotFound):
            await self._write("DELETE", path, body, JSON)

    async def pages(
        self, path: str, type_: type[T], *, query: Mapping[str, str] | None = None, accept: str = JSON
    ) -> AsyncIterator[tuple[list[T], str]]:
        """List a collection page by page: decoded items and the resourceVersion of the list.

        Raises Gone if the list took so long that the server forgot where it was.
        """
        params = {"limit": str(self._settings.page_size), **(query or {})}
        while True:
            page = msgspec.json.decode(await self._request("GET", path, query=params, accept=accept), type=_Page)
            items = [msgspec.json.decode(raw, type=type_, strict=False) for raw in page.items or ()]
            yield items, page.metadata.resource_version
            if not page.metadata.continue_:
                return
            params["continue"] = page.metadata.continue_

    async def watch(
        self, path: str, resource_version: str, *, accept: str = JSON, inactivity: float = 90.0
    ) -> AsyncIterator[WatchLine]:
        """Events after ``resource_version`` until the server ends the stream; bookmarks included.

        Bookmarks come once a minute, so a stream that is silent for ``inactivity`` seconds is dead: Unreachable.
        Raises Gone when the server no longer knows the resourceVersion, in whichever way it says so.
        """
        query = {"watch": "true", "allowWatchBookmarks": "true", "resourceVersion": resource_version}
        query["timeoutSeconds"] = "300"
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=inactivity)
        session, headers = self._prepare(accept, None)
        try:
            async with session.get(path, params=query, headers=headers, timeout=timeout) as response:
                if response.status >= 300:
                    raise _error("GET", path, response, await response.content.read(64 * 1024))
                buffer = b""
                async for chunk in response.content.iter_any():
                    *lines, buffer = (buffer + chunk).split(b"\n")
                    for line in lines:
                        yield _watch_line(line, path)
                    if len(buffer) > WATCH_LINE_LIMIT:
                        raise Unreachable(f"watch {path}: a line of more than {WATCH_LINE_LIMIT} bytes")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unreachable(f"watch {path}: {_describe(error)}") from error

    async def _write(
        self, method: str, path: str, body: object, content_type: str, query: Mapping[str, str] | None = None
    ) -> bytes:
        return await self._request(method, path, query=query, body=msgspec.json.encode(body), content_type=content_type)

    async def _request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        content_type: str | None = None,
        accept: str = JSON,
    ) -> bytes:
        session, headers = self._prepare(accept, content_type)
        async with self._slots:
            if method != "GET":
                # After the wait for a slot, as the last thing before the bytes leave.
                self._fence.check()
            try:
                async with session.request(method, path, params=query, data=body, headers=headers) as response:
                    data = await response.read()
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                raise Unreachable(f"{method} {path}: {_describe(error)}") from error
        if response.status == 401:
            self._authorization_until = 0.0
        if response.status >= 300:
            raise _error(method, path, response, data)
        return data

    def _prepare(self, accept: str, content_type: str | None) -> tuple[aiohttp.ClientSession, dict[str, str]]:
        if self._session is None:
            raise RuntimeError("KubeClient is used outside its context")
        headers = {"Accept": accept}
        if content_type:
            headers["Content-Type"] = content_type
        now = time.monotonic()
        if now >= self._authorization_until:
            self._authorization = self._access.authorization()
            self._authorization_until = now + AUTHORIZATION_SECONDS
        if self._authorization:
            headers["Authorization"] = self._authorization
        return self._session, headers


def _watch_line(line: bytes, path: str) -> WatchLine:
    event = msgspec.json.decode(line, type=WatchLine)
    if event.type == "ERROR":
        status = msgspec.json.decode(event.object, type=_Status)
        kind = Gone if status.reason in {"Expired", "Gone"} else Unreachable
        raise kind(f"watch {path}: {status.message[:MESSAGE_LIMIT]}")
    return event


#: Statuses that say all by themselves; 409, 429 and 5xx are looked at more closely.
_BY_STATUS: dict[int, type[KubeError]] = {401: Forbidden, 403: Forbidden, 404: NotFound, 410: Gone}


def _error(method: str, path: str, response: aiohttp.ClientResponse, data: bytes) -> KubeError:
    """The exception for an answer that is not success; the server's message is kept, bounded."""
    try:
        status = msgspec.json.decode(data, type=_Status)
    except msgspec.MsgspecError:
        status = _Status()
    message = f"{method} {path}: HTTP {response.status} {status.message[:MESSAGE_LIMIT]}".rstrip()
    if response.status == 409:
        return AlreadyExists(message) if status.reason == "AlreadyExists" else Conflict(message)
    if response.status == 429:
        return Throttled(message, _retry_after(response.headers.get("Retry-After", "")))
    if response.status >= 500:
        return Unreachable(message)
    return _BY_STATUS.get(response.status, Refused)(message)


def _retry_after(value: str) -> float:
    """Seconds of a Retry-After header, as a number or as a date (RFC 9110 section 10.2.3), within one minute."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            when = parsedate_to_datetime(value)
        except ValueError:
            return DEFAULT_RETRY_AFTER
        seconds = (when - when.now(when.tzinfo)).total_seconds()
    return min(60.0, max(0.0, seconds))


def _describe(error: BaseException) -> str:
    return "timed out" if isinstance(error, TimeoutError) else (str(error) or type(error).__name__)
