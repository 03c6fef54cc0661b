"""Self-checks against web servers that are right, wrong, slow or hostile; names by a resolver of the test's own."""

import asyncio
import ipaddress
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from certwright.solvers import selfcheck
from certwright.solvers.resolver import NameserverResolver, SystemResolver
from certwright.solvers.selfcheck import SelfCheck
from certwright_issuers.egress import EgressPolicy

KEY = "token.thumbprint"
PATH = "/.well-known/acme-challenge/token"
LOOPBACK = EgressPolicy(allow=(ipaddress.ip_network("127.0.0.0/8"),))
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Names(AbstractResolver):
    """Knows the names it is given."""

    def __init__(self, **names: list[str]) -> None:
        self.names = names

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        if host not in self.names or family not in {socket.AF_UNSPEC, socket.AF_INET}:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [
            ResolveResult(hostname=host, host=address, port=port, family=socket.AF_INET, proto=0, flags=0)
            for address in self.names[host]
        ]

    async def close(self) -> None: ...


class Site:
    """A web server at several loopback addresses, all with one port."""

    def __init__(self) -> None:
        self.handlers: dict[str, Handler] = {}
        self.runners: list[web.AppRunner] = []
        self.hosts: list[str] = []
        # Free at every address, and not only at the first one that is served.
        with socket.create_server(("", 0)) as probe:
            self.port = int(probe.getsockname()[1])

    async def serve(self, address: str, handler: Handler) -> None:
        async def handle(request: web.Request) -> web.StreamResponse:
            self.hosts.append(request.headers["Host"])
            return await handler(request)

        app = web.Application()
        app.router.add_get("/{path:.*}", handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, address, self.port).start()
        self.runners.append(runner)

    async def probe(self, name: str = "good", policy: EgressPolicy = LOOPBACK, **names: list[str]) -> str | None:
        known = {"good": ["127.0.0.1"], **names}
        async with SelfCheck(policy, Names(**known), "test/1", port=self.port) as checker:
            return await checker.probe(name, PATH, KEY)


def text(body: str, status: int = 200) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=body)

    return handle


def to(location: str) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"Location": location})

    return handle


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    made = Site()
    yield made
    for runner in made.runners:
        await runner.cleanup()


async def test_the_right_key_passes_with_the_name_as_host(site: Site) -> None:
    await site.serve("127.0.0.1", text(KEY))
    assert await site.probe() is None
    assert site.hosts == ["good"]


@pytest.mark.parametrize(
    ("handler", "words"),
    [
        (text(KEY + "\n"), "something else than the challenge's key"),
        (text(""), "something else than the challenge's key"),
        (text("secret" * 1_000_000), "something else than the challenge's key"),
        (text(KEY, 404), "HTTP status 404"),
        (text(KEY, 201), "HTTP status 201"),
        (to("ftp://good/"), "redirects to a URL that is none"),
        (to("http://user@good/"), "redirects to a URL that is none"),
        (to(""), "redirects to a URL that is none"),
        (to("http://[bad/"), "redirects to a URL that is none"),
        (to("http://good:8080/"), "port other than 80 and 443"),
        (to("http://good:6443/secret"), "port other than 80 and 443"),
        (to("http://nowhere/secret"), "a name that does not resolve"),
        (to(PATH), "redirects more than 10 times"),
    ],
)
async def test_what_is_wrong_is_told_without_a_word_of_the_answer(site: Site, handler: Handler, words: str) -> None:
    await site.serve("127.0.0.1", handler)
    found = await site.probe()
    assert found is not None
    assert words in found
    assert found.startswith(f"http://good{PATH} ")
    assert "secret" not in found


async def test_redirects_are_followed_to_another_name(site: Site) -> None:
    await site.serve("127.0.0.2", text(KEY))
    await site.serve("127.0.0.1", to(f"http://other:{site.port}/elsewhere"))
    assert await site.probe(other=["127.0.0.2"]) is None


@pytest.mark.parametrize("target", ["http://127.0.0.9:{port}/", "http://inner:{port}/", "http://169.254.169.254/"])
async def test_redirects_inward_are_refused(site: Site, target: str) -> None:
    await site.serve("127.0.0.9", text(KEY))
    await site.serve("127.0.0.1", to(target.format(port=site.port)))
    policy = EgressPolicy(allow=(ipaddress.ip_network("127.0.0.1/32"),))
    found = await site.probe(policy=policy, inner=["127.0.0.9"])
    assert found is not None
    assert "leads to an address that must not be connected to" in found


@pytest.mark.parametrize("address", ["127.0.0.9", "169.254.169.254", "0.0.0.1"])
async def test_names_that_lead_inward_are_not_asked(site: Site, address: str) -> None:
    await site.serve("127.0.0.1", text(KEY))
    found = await site.probe("inner", policy=EgressPolicy(), inner=[address])
    assert found is not None
    assert "is not asked" in found
    assert address not in found
    assert site.hosts == []


async def test_every_address_that_answers_must_be_right(site: Site) -> None:
    await site.serve("127.0.0.1", text(KEY))
    await site.serve("127.0.0.2", text("old", 404))
    found = await site.probe("both", both=["127.0.0.1", "127.0.0.2"])
    assert found is not None
    assert "HTTP status 404" in found


async def test_an_address_that_takes_no_connection_is_passed_over(site: Site) -> None:
    await site.serve("127.0.0.1", text(KEY))
    assert await site.probe("both", both=["127.0.0.3", "127.0.0.1"]) is None
    found = await site.probe("closed", closed=["127.0.0.3"])
    assert found == f"http://closed{PATH} can't be reached: Connection refused"


async def test_unknown_names(site: Site) -> None:
    await site.serve("127.0.0.1", text(KEY))
    assert await site.probe("unknown") == (
        f"http://unknown{PATH} can't be reached: the name does not resolve to an address"
    )


async def test_slow_answers_end(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(_: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    monkeypatch.setattr(selfcheck, "TIMEOUT", 0.2)
    await site.serve("127.0.0.1", never)
    found = await site.probe()
    assert found is not None
    assert "in time" in found or "did not answer within" in found


async def test_bytes_that_are_no_http() -> None:
    async def garbage(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-secret\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(garbage, "127.0.0.1", 0)
    async with (
        server,
        SelfCheck(LOOPBACK, Names(good=["127.0.0.1"]), "t", port=server.sockets[0].getsockname()[1]) as c,
    ):
        found = await c.probe("good", PATH, KEY)
    assert found is not None
    assert "can't be reached: the answer is no HTTP" in found
    assert "SSH" not in found


async def test_the_system_resolves_localhost() -> None:
    resolver = SystemResolver()
    assert "127.0.0.1" in {found["host"] for found in await resolver.resolve("localhost", 0, socket.AF_INET)}
    async with SelfCheck(LOOPBACK, resolver, "t") as checker:
        assert "does not resolve to an address" in str(await checker.probe("a..b", PATH, KEY))


async def test_nameservers_that_are_silent_end_in_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        resolver = NameserverResolver([silent.getsockname()])
        resolver._resolver.lifetime = 0.2
        with pytest.raises(socket.gaierror):
            await resolver.resolve("example.com")
