"""An ACME server in the test's own event loop, whose answers can be made to go wrong one by one.

It checks signatures, nonces and URLs as RFC 8555 section 6 wants, and issues real certificates. ``faults`` maps a path
prefix to a list of responders; each request to such a path uses up one of them in place of the normal answer.
"""

from __future__ import annotations

import asyncio
import base64
import json
import random
import secrets
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from acme import jws
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from josepy import json_util
from josepy import jwk as jose_jwk

Fault = Callable[[web.Request], Awaitable[web.StreamResponse]]


def problem(status: int, kind: str, detail: str = "as the test says", **more: Any) -> web.Response:
    """A problem document of an ACME type; ``headers`` and further members by name."""
    headers = more.pop("headers", {})
    body = {"type": f"urn:ietf:params:acme:error:{kind}", "detail": detail, **more}
    return web.json_response(body, status=status, headers=headers, content_type="application/problem+json")


def answer(response: Callable[[], web.StreamResponse]) -> Fault:
    """A fault that answers with what ``response`` makes."""

    async def respond(_: web.Request) -> web.StreamResponse:
        return response()

    return respond


class FakeCA:
    """Use as an asynchronous context; then ``url`` is the directory's."""

    def __init__(self) -> None:
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        #: Answers of each action so far: POSTs by path, and "GET directory", "HEAD nonce".
        self.seen: Counter[str] = Counter()
        #: Payloads of POSTs, by path, decoded; None for a POST-as-GET.
        self.payloads: dict[str, list[Any]] = defaultdict(list)
        self.user_agents: set[str] = set()
        self.connections: set[int] = set()
        self.in_flight = self.most_in_flight = 0
        #: Share of good nonces that is refused.
        self.reject_nonces = 0.0
        self.validation: dict[str, Any] = {"status": "valid"}
        self.meta: dict[str, Any] = {"profiles": {"short": "six days"}, "termsOfService": "https://ca.example/terms"}
        self.finalize_status = "valid"
        #: Whether an order that is processing becomes valid when it is looked at.
        self.ends_processing = True
        #: State of the authorizations of a new order.
        self.first_state = "pending"
        self.retry_after: str | None = None
        self.alternates: list[bytes] = []
        #: What every certificate's URL answers, if it is set.
        self.chain: bytes | None = None
        self.delay = 0.0
        self.nonces: set[str] = set()
        self._payload: Any = None
        self._jwk: Any = None
        self._accounts: dict[str, dict[str, Any]] = {}
        self._orders: dict[str, dict[str, Any]] = {}
        self._chains: dict[str, bytes] = {}
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._random = random.Random(7)  # noqa: S311 - which nonces are refused is no secret
        self.url = ""

    async def __aenter__(self) -> Self:
        app = web.Application(client_max_size=1 << 20)
        app.router.add_route("*", "/{tail:.*}", self._handle)
        self._runner = web.AppRunner(app, shutdown_timeout=0.1)
        await self._runner.setup()
        self.root = await self._listen(self._runner)
        self.url = f"{self.root}/directory"
        return self

    async def _listen(self, runner: web.AppRunner) -> str:
        """Begin to answer; the URL of the root."""
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    @property
    def signed(self) -> int:
        """How many POSTs were answered."""
        return sum(count for name, count in self.seen.items() if name.startswith("POST"))

    def fail(self, path: str, *responses: Callable[[], web.StreamResponse]) -> None:
        """The next requests below ``path`` get these answers."""
        self.faults[path] += [answer(response) for response in responses]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.user_agents.add(request.headers.get("User-Agent", ""))
        if request.transport is not None:
            self.connections.add(id(request.transport))
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            if self.delay:
                await asyncio.sleep(self.delay)
            self.seen[f"{request.method} {request.path.split('/')[1]}"] += 1
            for prefix, responders in self.faults.items():
                if request.path.startswith(prefix) and responders:
                    return await responders.pop(0)(request)
            response = await self._respond(request)
            response.headers.setdefault("Replay-Nonce", self._nonce())
            return response
        finally:
            self.in_flight -= 1

    def _nonce(self) -> str:
        nonce = base64.urlsafe_b64encode(secrets.token_bytes(12)).decode()
        self.nonces.add(nonce)
        return nonce

    async def _respond(self, request: web.Request) -> web.Response:
        if request.path == "/directory":
            return web.json_response({**self._directory(), "x9kq": "https://community.example/random"})
        if request.path == "/nonce":
            # aiohttp gives a HEAD no length by itself, and its client then closes the connection.
            return web.Response(headers={"Content-Length": "0"})
        if request.path.startswith("/ari/"):
            now = datetime.now(UTC)
            window = {"start": now.isoformat(), "end": (now + timedelta(days=1)).isoformat()}
            return web.json_response({"suggestedWindow": window}, headers={"Retry-After": "21600"})
        signed = jws.JWS.json_loads(await request.text())
        header = signed.signature.combined
        nonce = json_util.encode_b64jose(header.nonce)
        if nonce not in self.nonces or self._random.random() < self.reject_nonces:
            self.nonces.discard(nonce)
            return problem(400, "badNonce", "no such nonce")
        self.nonces.discard(nonce)
        if header.url != f"{self.root}{request.path}":
            return problem(400, "unauthorized", "the URL signed is another")
        return self._post(request.path, signed, header)

    def _directory(self) -> dict[str, Any]:
        names = {"newNonce": "nonce", "newAccount": "account", "newOrder": "new-order", "revokeCert": "revoke"}
        names |= {"keyChange": "key-change", "renewalInfo": "ari"}
        return {name: f"{self.root}/{path}" for name, path in names.items()} | {"meta": self.meta}

    def _post(self, path: str, signed: Any, header: Any) -> web.Response:
        if header.kid is None:
            jwk = header.jwk
        elif header.kid in self._accounts:
            jwk = self._accounts[header.kid]["jwk"]
        else:
            return problem(400, "accountDoesNotExist", "no such account")
        if not signed.verify(jwk):
            return problem(400, "malformed", "bad signature")
        payload = json.loads(signed.payload) if signed.payload else None
        kind, *rest = path.strip("/").split("/")
        self.payloads[kind].append(payload)
        handler = getattr(self, f"_{kind.replace('-', '_')}")
        # Handlers don't wait, so no other request comes between.
        self._payload, self._jwk = payload, jwk
        return handler(*rest)  # type: ignore[no-any-return]

    def _account(self, number: str = "") -> web.Response:
        if number:
            known = self._accounts[f"{self.root}/account/{number}"]
            known["body"] |= self._payload or {}
            return web.json_response(known["body"])
        url = f"{self.root}/account/{json_util.encode_b64jose(self._jwk.thumbprint())[:8]}"
        status = 200 if url in self._accounts else 201
        if status == 201:
            if self._payload.get("onlyReturnExisting"):
                return problem(400, "accountDoesNotExist", "none with this key")
            body = {"status": "valid", "contact": self._payload.get("contact", [])}
            self._accounts[url] = {"jwk": self._jwk, "body": body}
        return web.json_response(self._accounts[url]["body"], status=status, headers={"Location": url})

    def _key_change(self) -> web.Response:
        inner = jws.JWS.from_json(self._payload)
        new, said = inner.signature.combined.jwk, json.loads(inner.payload)
        if not inner.verify(new) or jose_jwk.JWK.from_json(said["oldKey"]) != self._jwk:
            return problem(400, "malformed", "bad inner signature")
        self._accounts[said["account"]]["jwk"] = new
        return web.json_response({})

    def _new_order(self) -> web.Response:
        number = str(len(self._orders) + 1)
        names = self._payload["identifiers"]
        self._orders[number] = {
            "status": "pending",
            "identifiers": names,
            "authorizations": [f"{self.root}/authz/{number}/{index}" for index in range(len(names))],
            "finalize": f"{self.root}/finalize/{number}",
            "states": [self.first_state] * len(names),
        } | {key: self._payload[key] for key in ("profile", "replaces", "notAfter") if key in self._payload}
        return self._shown(number, 201)

    def _current(self, number: str) -> dict[str, Any]:
        """An order as its authorizations make it."""
        order = self._orders[number]
        if order["status"] == "pending" and set(order["states"]) == {"valid"}:
            order["status"] = "ready"
        if "invalid" in order["states"]:
            order["status"] = "invalid"
        return order

    def _shown(self, number: str, status: int = 200) -> web.Response:
        order = self._current(number)
        headers = {"Location": f"{self.root}/order/{number}"}
        if self.retry_after is not None:
            headers["Retry-After"] = self.retry_after
        return web.json_response({k: v for k, v in order.items() if k != "states"}, status=status, headers=headers)

    def _order(self, number: str) -> web.Response:
        if self._orders[number]["status"] == "processing" and self.ends_processing:
            self._valid(number)
        return self._shown(number)

    def _authz(self, number: str, index: str) -> web.Response:
        order = self._orders[number]
        if self._payload:
            order["states"][int(index)] = self._payload["status"]
        state, name = order["states"][int(index)], order["identifiers"][int(index)]
        token = base64.urlsafe_b64encode(f"token-{number:>08}-{index:>08}".encode()).decode().rstrip("=")
        offers: list[dict[str, Any]] = [{"type": kind, "token": token} for kind in ("tls-alpn-01", "dns-01", "http-01")]
        offers.append({"type": "dns-persist-01", "issuer-domain-names": ["ca.example"]})
        for offer in offers:
            offer.update(url=f"{self.root}/chall/{number}/{index}/{offer['type']}", status="pending")
            if state in ("valid", "invalid") and offer["type"] == "http-01":
                offer.update(self.validation)
        wildcard = name["value"].startswith("*.")
        shown = {**name, "value": name["value"].removeprefix("*.")}
        return web.json_response({"identifier": shown, "status": state, "challenges": offers, "wildcard": wildcard})

    def _chall(self, number: str, index: str, kind: str) -> web.Response:
        if self._payload is not None:
            self._orders[number]["states"][int(index)] = self.validation["status"]
        url = f"{self.root}/chall/{number}/{index}/{kind}"
        return web.json_response({"type": kind, "url": url, "token": "x" * 32, "status": "processing"})

    def _finalize(self, number: str) -> web.Response:
        order = self._current(number)
        if order["status"] != "ready":
            return problem(403, "orderNotReady", f"the order is {order['status']}")
        self._chains[number] = self.certificate(json_util.decode_b64jose(self._payload["csr"]))
        order["status"] = self.finalize_status
        if self.finalize_status == "valid":
            self._valid(number)
        return self._shown(number)

    def _valid(self, number: str) -> None:
        self._orders[number] |= {"status": "valid", "certificate": f"{self.root}/cert/{number}"}

    def _cert(self, number: str) -> web.Response:
        body = self._chains.get(number, b"") if self.chain is None else self.chain
        # aiohttp joins nothing: one header field for each alternate, as Pebble sends them.
        response = web.Response(body=body, content_type="application/pem-certificate-chain")
        for index in range(len(self.alternates)):
            response.headers.add("Link", f'<{self.root}/alternate/{index}>;rel="alternate"')
        return response

    def _alternate(self, index: str) -> web.Response:
        return web.Response(body=self.alternates[int(index)])

    def _revoke(self) -> web.Response:
        return web.Response()

    def certificate(self, csr_der: bytes, issuer: str = "Fake Root X1") -> bytes:
        """A chain of one certificate for the CSR."""
        csr = x509.load_der_x509_csr(csr_der)
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now)
            .not_valid_after(now + timedelta(days=6))
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)
