"""Reviews over TLS: what Kopf calls an admission server, with certificates that change while it runs."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any, cast

from aiohttp import web

from certwright.health import split_address
from certwright.webhook.authority import Authority

logger = logging.getLogger(__name__)

#: etcd refuses objects over 1.5 MiB; a review of an update holds two, and JSON escapes.
BODY_LIMIT = 8 * 1024 * 1024
#: Reviews at once; the API server waits for the rest, in its own queues.
IN_FLIGHT = 64
#: The API server waits no longer than its configuration says (10 s); an answer after that is for nobody.
REVIEW_SECONDS = 9.0
REASONS = {403: "Forbidden", 422: "Invalid"}


def is_review(review: Any) -> bool:
    """Whether the body has what every review of the API server has."""
    request = cast("dict[str, Any]", review).get("request") if isinstance(review, dict) else None
    if not isinstance(request, dict):
        return False
    fields = cast("dict[str, Any]", request)
    return all(isinstance(fields.get(name), dict) for name in ("resource", "userInfo", "object"))


class AdmissionServer:
    """Hands reviews to Kopf. Each path is the id of the handler that is meant."""

    def __init__(self, address: str, authority: Authority) -> None:
        self._address = address
        self._authority = authority
        self._slots = asyncio.Semaphore(IN_FLIGHT)
        self.serving = asyncio.Event()

    async def __call__(self, fn: Any) -> AsyncIterator[dict[str, Any]]:
        """Serve until cancelled. ``fn`` answers one review."""

        async def handle(request: web.Request) -> web.StreamResponse:
            async with self._slots:
                return await self._answer(fn, request)

        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_post("/{id}", handle)
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            host, port = split_address(self._address)
            await web.TCPSite(runner, host, port, ssl_context=self._authority.context).start()
            self.serving.set()
            logger.info("takes reviews at %s", self._address)
            yield {}
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()

    async def _answer(self, fn: Any, request: web.Request) -> web.StreamResponse:
        try:
            review = json.loads(await request.text())
        except ValueError as error:
            raise web.HTTPBadRequest(text="no JSON") from error
        if not is_review(review):
            raise web.HTTPBadRequest(text="no AdmissionReview with an object and a user")
        try:
            async with asyncio.timeout(REVIEW_SECONDS):
                answer = await fn(review, webhook=request.match_info["id"])
        except Exception:
            # The border: a review that can't be answered is refused by the API server, and the next one is served.
            logger.exception("a review for %s failed", request.path)
            raise web.HTTPInternalServerError(text="internal error, see the webhook's log") from None
        status = answer["response"].get("status")
        if status is not None:
            status["reason"] = REASONS.get(status["code"], "InternalError")
        return web.json_response(answer)
