"""A Pebble process with its mock DNS and an HTTP-01 solver, for tests against a real ACME server."""

from __future__ import annotations

import asyncio
import dataclasses
import ipaddress
import json
import os
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from certwright_issuers.acme import keys
from certwright_issuers.acme.chain import Chain
from certwright_issuers.acme.client import Client
from certwright_issuers.acme.issue import Publication, Wish, issue
from certwright_issuers.acme.order import Identifier, identifiers
from certwright_issuers.acme.transport import Exchange, Server, Transport
from certwright_issuers.egress import EgressPolicy
from tests.issuers.acme.binaries import program

LOOPBACK = EgressPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"),))
MAC_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def free_port() -> int:
    """A TCP port that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Web01:
    """An HTTP-01 solver: serves what is published at its own port."""

    kinds = ("http-01",)

    def __init__(self) -> None:
        self.port = free_port()
        self.files: dict[str, str] = {}
        self.hits = 0

    async def publish(self, publication: Publication) -> None:
        self.files[publication.token] = publication.value

    async def withdraw(self, publication: Publication) -> None:
        self.files.pop(publication.token, None)

    async def start(self) -> web.AppRunner:
        app = web.Application()
        app.router.add_get("/.well-known/acme-challenge/{token}", self._serve)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        return runner

    async def _serve(self, request: web.Request) -> web.Response:
        self.hits += 1
        value = self.files.get(request.match_info["token"])
        return web.Response(status=404) if value is None else web.Response(text=value)


@dataclasses.dataclass
class Pebble:
    """A Pebble process with its DNS server; a context."""

    folder: Path
    environment: dict[str, str] = dataclasses.field(default_factory=dict[str, str])
    config: dict[str, Any] = dataclasses.field(default_factory=dict[str, Any])
    solver: Web01 = dataclasses.field(default_factory=Web01)
    exchanges: list[Exchange] = dataclasses.field(default_factory=list[Exchange])

    async def __aenter__(self) -> Self:
        self.ports = {name: free_port() for name in ("acme", "manage", "dns", "dns_manage")}
        self._runner = await self.solver.start()
        self.roots = _serving_certificate(self.folder)
        config = {
            "listenAddress": f"127.0.0.1:{self.ports['acme']}",
            "managementListenAddress": f"127.0.0.1:{self.ports['manage']}",
            "certificate": str(self.folder / "tls.pem"),
            "privateKey": str(self.folder / "tls.key"),
            "httpPort": self.solver.port,
            "tlsPort": free_port(),
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            "domainBlocklist": ["blocked.example"],
            "retryAfter": {"authz": 1, "order": 1},
            "keyAlgorithm": "ecdsa",
            "profiles": {"short": {"description": "six days", "validityPeriod": 518400}},
            **self.config,
        }
        await asyncio.to_thread((self.folder / "pebble.json").write_text, json.dumps({"pebble": config}))
        dns = f"127.0.0.1:{self.ports['dns']}"
        off = ("-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
        manage = ("-management", f"127.0.0.1:{self.ports['dns_manage']}", "-dnsserver", dns)
        self._processes = [
            await self._start("pebble-challtestsrv", *off, *manage, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", ""),
            await self._start("pebble", "-config", str(self.folder / "pebble.json"), "-dnsserver", dns),
        ]
        for name in ("acme", "dns_manage"):
            await reachable(self.ports[name])
        self.transport = Transport(self.server(), self.exchanges.append)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.transport.close()
        for process in self._processes:
            process.terminate()
            await process.wait()
        await self._runner.cleanup()

    def server(self) -> Server:
        """How to reach it: with its own root, not with verification off."""
        return Server(
            f"https://localhost:{self.ports['acme']}/dir",
            "certwright/0 (mailto:ops@example.com)",
            ca_bundle=self.roots,
            egress=LOOPBACK,
            use_environment_proxy=False,
        )

    async def client(self, key: keys.AccountKey | None = None) -> Client:
        """A client with a registered account; from three requests in flight on Pebble can deadlock."""
        made = Client(self.transport, key or keys.generate(), concurrency=2)
        await made.register(["Ops@Example.com"])
        return made

    async def obtain(self, client: Client, *names: str, **more: Any) -> Chain:
        """A certificate by HTTP-01."""
        wanted = identifiers(names)
        return await issue(client, Wish(wanted, csr(wanted), **more), self.solver, timeout=60)

    async def dns(self, verb: str, **body: str) -> None:
        """A change of the mock DNS."""
        url = f"http://127.0.0.1:{self.ports['dns_manage']}/{verb}"
        async with aiohttp.ClientSession() as session, session.post(url, json=body) as response:
            assert response.status == 200

    async def _start(self, name: str, *arguments: str) -> asyncio.subprocess.Process:
        environment = {**os.environ, "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0", **self.environment}
        path = await asyncio.to_thread(program, name)
        with (self.folder / f"{name}.log").open("wb") as log:
            return await asyncio.create_subprocess_exec(path, *arguments, env=environment, stdout=log, stderr=log)


def csr(names: tuple[Identifier, ...]) -> bytes:
    """A CSR with a new P-256 key for these names."""
    alternatives = [
        x509.DNSName(name.value) if name.type == "dns" else x509.IPAddress(ipaddress.ip_address(name.value))
        for name in names
    ]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    signed = builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256())
    return signed.public_bytes(serialization.Encoding.DER)


def _serving_certificate(folder: Path) -> bytes:
    """Writes tls.pem and tls.key for localhost; returns the root that signed it."""
    now = datetime.now(UTC)
    root_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test root")])

    def certificate(public: ec.EllipticCurvePublicKey, *, is_ca: bool) -> bytes:
        builder = (
            x509.CertificateBuilder(name, name if is_ca else x509.Name([]), public, x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_ca, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=not is_ca)
        )
        return builder.sign(root_key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    (folder / "tls.pem").write_bytes(certificate(key.public_key(), is_ca=False))
    form = serialization.PrivateFormat.PKCS8
    (folder / "tls.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()))
    return certificate(root_key.public_key(), is_ca=True)


async def reachable(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
            else:
                writer.close()
                return
