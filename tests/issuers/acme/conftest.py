"""What the ACME tests share: a fake CA, a client for it, a request for a certificate."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from certwright_issuers.acme import keys, lifecycle
from certwright_issuers.acme.client import Client
from certwright_issuers.acme.transport import Server, Transport
from certwright_issuers.egress import EgressPolicy
from tests.issuers.acme.fakeca import FakeCA

# pytest-asyncio asks for the current loop before it sets its own, and Python makes one for that which nobody closes;
# warnings are errors, so some later test would fail. After this call there is nothing to make.
asyncio.set_event_loop(None)

LOOPBACK = EgressPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"),))


def server(url: str, **more: object) -> Server:
    """Settings that let a client reach a server on this machine."""
    fields = {"egress": LOOPBACK, "allow_http": True, "use_environment_proxy": False, **more}
    return Server(directory_url=url, user_agent="certwright/0 (mailto:ops@example.com)", **fields)  # type: ignore[arg-type]


def csr_der(*names: str) -> bytes:
    """A CSR with a new P-256 key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    key = ec.generate_private_key(ec.SECP256R1())
    return builder.add_extension(alternatives, critical=False).sign(key, hashes.SHA256()).public_bytes(Encoding.DER)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orders are looked at without a pause; how long the pauses are is tested with the state table."""
    monkeypatch.setattr(lifecycle, "POLLS", (0.0, 0.001))


@pytest.fixture(scope="session")
def key() -> keys.AccountKey:
    """An account key on P-256."""
    return keys.generate()


@pytest_asyncio.fixture
async def ca() -> AsyncIterator[FakeCA]:
    """A CA that does all right until a test says otherwise."""
    async with FakeCA() as running:
        yield running


@pytest_asyncio.fixture
async def transport(ca: FakeCA) -> AsyncIterator[Transport]:
    """Connections to the fake CA."""
    async with Transport(server(ca.url)) as opened:
        yield opened


@pytest_asyncio.fixture
async def client(transport: Transport, key: keys.AccountKey) -> Client:
    """A client whose account is registered."""
    made = Client(transport, key)
    await made.register(["ops@example.com"])
    return made
