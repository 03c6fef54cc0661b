"""The least client that can drive an API server hard: one session, JSON in, bytes out."""

from __future__ import annotations

import base64
import json
import ssl
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import aiohttp
import msgspec

JSON = "application/json"
MERGE_PATCH = "application/merge-patch+json"
APPLY_PATCH = "application/apply-patch+yaml"
#: Longest a request may take, in seconds; the API server itself gives up after 60.
REQUEST_SECONDS = 60.0


class Refused(Exception):
    """The API server answered with something else than success."""


class _ListMeta(msgspec.Struct, gc=False):
    resource_version: str = msgspec.field(name="resourceVersion")


class _List(msgspec.Struct, gc=False):
    metadata: _ListMeta


class Api:
    """One user's session to one API server. Use as an async context manager."""

    def __init__(self, kubeconfig: Path, connections: int = 64) -> None:
        config: dict[str, Any] = json.loads(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self._server: str = cluster["server"]
        self._headers = {"Authorization": f"Bearer {user['token']}"} if "token" in user else {}
        self._tls = ssl.create_default_context(cadata=_decoded(cluster["certificate-authority-data"]))
        if "client-certificate-data" in user:
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as pair:
                pair.write(_decoded(user["client-certificate-data"]) + _decoded(user["client-key-data"]))
                pair.flush()
                self._tls.load_cert_chain(pair.name)
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            self._server,
            connector=aiohttp.TCPConnector(ssl=self._tls, limit=self._connections),
            headers=self._headers,
            timeout=aiohttp.ClientTimeout(total=REQUEST_SECONDS),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.close()

    async def send(self, method: str, path: str, body: Any = None, content_type: str = JSON) -> bytes:
        """One request; the body of its answer. Raises Refused on any status but 2xx."""
        data = None if body is None else msgspec.json.encode(body)
        headers = {"Content-Type": content_type} if data is not None else None
        async with self._open.request(method, path, data=data, headers=headers) as response:
            answer = await response.read()
        if response.status >= 300:
            raise Refused(f"{method} {path}: HTTP {response.status} {answer[:500].decode(errors='replace')}")
        return answer

    async def version(self, path: str) -> str:
        """The resourceVersion of a collection now, to watch it from."""
        return msgspec.json.decode(await self.send("GET", f"{path}?limit=1"), type=_List).metadata.resource_version

    async def watch(self, path: str, version: str) -> AsyncIterator[bytes]:
        """JSON lines of all changes after ``version``, until the server ends the stream."""
        url = f"{path}?watch=true&resourceVersion={version}&timeoutSeconds=3600"
        rest = b""
        async with self._open.get(url, timeout=aiohttp.ClientTimeout(total=None)) as response:
            if response.status >= 300:
                raise Refused(f"watch {path}: HTTP {response.status}")
            async for chunk in response.content.iter_any():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    yield line

    @property
    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            raise RuntimeError("Api is used outside its context")
        return self._session


def _decoded(text: str) -> str:
    return base64.b64decode(text).decode()
