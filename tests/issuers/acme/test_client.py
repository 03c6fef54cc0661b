"""Each step of the client against a CA that does all right."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from acme import jws
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from josepy import jwa, jwk

from certwright_issuers.acme import ari, keys
from certwright_issuers.acme.account import ExternalBinding
from certwright_issuers.acme.authorization import AuthorizationStatus
from certwright_issuers.acme.client import Client
from certwright_issuers.acme.issue import Publication, Wish, issue
from certwright_issuers.acme.order import OrderStatus, identifiers
from certwright_issuers.acme.problem import AccountDeactivated, AcmeConfigInvalid, AcmeRateLimited, ValidationFailed
from certwright_issuers.acme.transport import Transport, TransportPool
from certwright_issuers.contract import ConfigInvalid, RequestRejected, Unavailable
from tests.issuers.acme.conftest import csr_der, server
from tests.issuers.acme.fakeca import FakeCA, problem

NAMES = identifiers(["a.example.com"])


class MemorySolver:
    """Remembers what is published."""

    kinds = ("http-01",)

    def __init__(self) -> None:
        self.visible: list[Publication] = []
        self.seen: list[Publication] = []

    async def publish(self, publication: Publication) -> None:
        self.visible.append(publication)
        self.seen.append(publication)

    async def withdraw(self, publication: Publication) -> None:
        self.visible.remove(publication)


async def test_one_name_costs_six_signed_requests(client: Client, ca: FakeCA) -> None:
    """order, authorization, challenge, poll, finalize, certificate; one directory and one nonce for all of it."""
    ca.seen.clear()
    solver = MemorySolver()
    chain = await issue(client, Wish(NAMES, csr_der("a.example.com")), solver)
    assert ca.signed == 6
    assert ca.seen["GET directory"] == ca.seen["HEAD nonce"] == 0
    assert len(chain.certificates) == 1
    assert chain.pem.startswith(b"-----BEGIN CERTIFICATE-----")
    assert solver.visible == []
    assert solver.seen[0].value == f"{solver.seen[0].token}.{client.key.thumbprint}"


async def test_many_names_are_polled_by_their_order(client: Client, ca: FakeCA) -> None:
    """Authorizations are read and answered once each; the order alone is asked how far it is."""
    ca.seen.clear()
    names = [f"n{index}.example.com" for index in range(20)]
    await issue(client, Wish(identifiers(names), csr_der(*names)), MemorySolver())
    assert (ca.seen["POST authz"], ca.seen["POST chall"], ca.seen["POST order"]) == (20, 20, 1)


async def test_slots_bound_the_requests_in_flight(ca: FakeCA, transport: Transport, key: keys.AccountKey) -> None:
    """However many tasks use an account, the CA sees at most as many requests at once as configured."""
    client = Client(transport, key, concurrency=3)
    await client.register()
    ca.delay, ca.most_in_flight = 0.005, 0
    names = [f"n{index}.example.com" for index in range(12)]
    await issue(client, Wish(identifiers(names), csr_der(*names)), MemorySolver())
    assert ca.most_in_flight == 3


async def test_connections_are_reused(client: Client, ca: FakeCA) -> None:
    """A sequence of steps goes through one connection, which names client, version and contact."""
    order = await client.new_order(NAMES)
    for _ in range(5):
        await client.get_order(order.url)
    assert len(ca.connections) == 1
    assert ca.user_agents == {"certwright/0 (mailto:ops@example.com)"}


async def test_the_directory_is_fetched_once(ca: FakeCA, transport: Transport, key: keys.AccountKey) -> None:
    """Many tasks that begin at the same time share one answer, and later ones use it too."""
    client = Client(transport, key)
    await asyncio.gather(*(client.directory() for _ in range(20)))
    await client.register()
    assert ca.seen["GET directory"] == 1


async def test_steps_go_on_in_another_process(ca: FakeCA, transport: Transport, key: keys.AccountKey) -> None:
    """All that a step needs is its URL: a new client finishes what another one began."""
    first = Client(transport, key)
    account = await first.register()
    order = await first.new_order(NAMES)
    second = Client(transport, key, account.url)
    seen = await second.get_authorization(order.authorizations[0])
    offer = seen.offered("http-01")
    assert offer is not None
    await second.answer_challenge(offer.url)
    third = Client(transport, key, account.url)
    ready = await third.get_order(order.url)
    assert ready.status is OrderStatus.READY
    assert (await third.finalize(order.url, order.finalize, csr_der("a.example.com"))).status is OrderStatus.VALID


async def test_finalize_after_a_crash_returns_the_finished_order(client: Client) -> None:
    """A second finalize is refused with 403; the order's present state is the answer, so the chain can be fetched."""
    order = await client.new_order(NAMES)
    offer = (await client.get_authorization(order.authorizations[0])).offered("http-01")
    assert offer is not None
    await client.answer_challenge(offer.url)
    await client.get_order(order.url)
    for _ in range(2):
        done = await client.finalize(order.url, order.finalize, csr_der("a.example.com"))
        assert done.status is OrderStatus.VALID
        assert (await client.download(done.certificate)).certificates


async def test_finalize_too_early_is_an_error(client: Client) -> None:
    """403 for an order that still waits for its authorizations stays an error, with the CA's words."""
    order = await client.new_order(NAMES)
    with pytest.raises(Unavailable, match="orderNotReady: the order is pending"):
        await client.finalize(order.url, order.finalize, csr_der("a.example.com"))


async def test_processing_orders_are_polled(client: Client, ca: FakeCA) -> None:
    """A CA that finalizes asynchronously costs one more request."""
    ca.finalize_status = "processing"
    ca.seen.clear()
    await issue(client, Wish(NAMES, csr_der("a.example.com")), MemorySolver())
    assert ca.signed == 7


async def test_a_failed_validation_tells_why_and_cleans_up(client: Client, ca: FakeCA) -> None:
    """The error holds name, type and detail of the CA; the answer is withdrawn, the pending authorization given up."""
    ca.validation = {
        "status": "invalid",
        "error": {"type": "urn:ietf:params:acme:error:caa", "detail": "CAA record for b.example.com forbids"},
    }
    solver = MemorySolver()
    with pytest.raises(ValidationFailed, match=r"a\.example\.com: caa: CAA record") as failed:
        await issue(client, Wish(NAMES, csr_der("a.example.com")), solver)
    assert failed.value.reason == "Caa"
    assert solver.visible == []


async def test_pending_authorizations_are_given_up(client: Client, ca: FakeCA) -> None:
    """When the solver fails, the CA is told that nobody will answer."""

    class Broken(MemorySolver):
        async def publish(self, publication: Publication) -> None:
            raise ConfigInvalid("Broken", f"no {publication.type}")

    with pytest.raises(ConfigInvalid, match="no http-01"):
        await issue(client, Wish(NAMES, csr_der("a.example.com")), Broken())
    assert ca.payloads["authz"] == [None, {"status": "deactivated"}]


async def test_an_issuance_has_an_end(client: Client, ca: FakeCA) -> None:
    """A CA that never validates leads to a time-out that names the order's state."""
    ca.validation = {"status": "pending"}
    for seconds in (0.05, 0.5, 5):
        with pytest.raises(Unavailable) as caught:
            await issue(client, Wish(NAMES, csr_der("a.example.com")), MemorySolver(), timeout=seconds)
        # On a busy machine 0.05 s may end before there is an order.
        if caught.value.message.endswith("the order is pending"):
            return
    pytest.fail(caught.value.message)


async def test_a_name_that_no_challenge_can_prove_is_rejected(client: Client) -> None:
    """If the CA offers none of the solver's types, the error lists what it offers."""

    class Other(MemorySolver):
        kinds = ("dns-account-01",)

    with pytest.raises(RequestRejected, match="the CA offers dns-01, dns-persist-01, http-01, tls-alpn-01"):
        await issue(client, Wish(NAMES, csr_der("a.example.com")), Other())


async def test_a_conflict_at_the_challenge_is_no_failure(client: Client, ca: FakeCA) -> None:
    """A challenge that the CA is validating already is returned as it is."""
    order = await client.new_order(NAMES)
    offer = (await client.get_authorization(order.authorizations[0])).offered("http-01")
    assert offer is not None
    ca.fail("/chall", lambda: problem(409, "conflict"))
    assert (await client.answer_challenge(offer.url)).status == "processing"
    assert ca.payloads["chall"] == [None]


# --- accounts


async def test_registration_finds_the_account_of_the_key(
    ca: FakeCA, transport: Transport, key: keys.AccountKey
) -> None:
    """The same key leads to the same account; addresses are sent in lower case; terms are agreed to."""
    first = await Client(transport, key).register(["Ops@Example.COM"])
    again = Client(transport, key)
    assert await again.find_account() == first
    assert again.account_url == first.url
    assert ca.payloads["account"][0] == {"contact": ["mailto:ops@example.com"], "termsOfServiceAgreed": True}
    assert ca.payloads["account"][1] == {"onlyReturnExisting": True}


async def test_an_unknown_key_has_no_account(transport: Transport, key: keys.AccountKey) -> None:
    """Looking up an account creates none."""
    assert await Client(transport, key).find_account() is None


async def test_contact_can_be_changed_and_removed(client: Client, ca: FakeCA) -> None:
    """An empty contact is sent as an empty list, because a missing one would change nothing."""
    assert (await client.update_contact(["new@example.com"])).contact == ("mailto:new@example.com",)
    assert (await client.update_contact([])).contact == ()
    assert ca.payloads["account"][-1] == {"contact": []}


@pytest.mark.parametrize("address", ["nobody", "a@b.example,c@d.example", "a@b.example?subject=x", "ä@b.example"])
async def test_a_contact_that_is_no_address_is_refused_before_it_is_sent(client: Client, address: str) -> None:
    """RFC 8555 section 7.3: one address without header fields."""
    with pytest.raises(ConfigInvalid, match="one plain e-mail address"):
        await client.update_contact([address])


async def test_a_deactivated_account_is_recognised(client: Client) -> None:
    """Its status says so at look-up, and it never becomes usable again."""
    assert (await client.deactivate_account()).status == "deactivated"
    with pytest.raises(AccountDeactivated, match="only a new key gives a new account"):
        await client.get_account()
    with pytest.raises(AccountDeactivated):
        await client.register()


@pytest.mark.parametrize("status", [401, 403])
async def test_unauthorized_from_the_account_means_deactivated(client: Client, ca: FakeCA, status: int) -> None:
    """RFC 8555 section 7.3.6 wants 401; Boulder answers 403."""
    ca.fail("/account", lambda: problem(status, "unauthorized", "account is deactivated"))
    with pytest.raises(AccountDeactivated, match="account is deactivated"):
        await client.get_account()


async def test_unauthorized_at_a_new_order_is_the_accounts_fault(client: Client, ca: FakeCA) -> None:
    """No request of this account can succeed, so it is not the requester's fault."""
    ca.fail("/new-order", lambda: problem(403, "unauthorized", "account is deactivated"))
    with pytest.raises(AcmeConfigInvalid):
        await client.new_order(NAMES)


async def test_the_key_can_be_changed(client: Client, transport: Transport) -> None:
    """After a key change the same account answers to the new key."""
    new = keys.generate()
    url = client.account_url
    await client.change_key(new)
    assert (await client.get_account()).url == url
    assert client.key is new


async def test_external_binding_is_signed_with_hs256(ca: FakeCA, transport: Transport, key: keys.AccountKey) -> None:
    """RFC 8555 section 7.3.4: the account's public key, for the URL of newAccount, by the CA's key."""
    await Client(transport, key).register([], ExternalBinding("kid-1", b"k" * 32))
    bound = jws.JWS.from_json(ca.payloads["account"][0]["externalAccountBinding"])
    header = bound.signature.combined
    assert (header.alg, header.kid, header.url, header.nonce) == (jwa.HS256, "kid-1", f"{ca.root}/account", None)
    assert bound.verify(jwk.JWKOct(key=b"k" * 32))
    assert key.thumbprint.encode() not in bound.payload
    assert "MAC" not in repr(ExternalBinding("kid-1", b"MAC"))


@pytest.mark.parametrize("kind", ["externalAccountRequired", "unauthorized", "invalidContact", "userActionRequired"])
async def test_a_refused_registration_is_a_matter_of_configuration(
    ca: FakeCA, transport: Transport, key: keys.AccountKey, kind: str
) -> None:
    """Wrong binding, refused e-mail, changed terms: nothing to retry, and the CA's words are in the message."""
    ca.fail("/account", lambda: problem(403, kind, "says the CA", instance="https://ca.example/agree"))
    with pytest.raises(AcmeConfigInvalid, match=r"says the CA; see https://ca.example/agree"):
        await Client(transport, key).register(["a@example.com"], ExternalBinding("kid", b"wrong"))


# --- orders


async def test_profile_duration_and_replacement_are_sent(client: Client, ca: FakeCA) -> None:
    """The new order carries what was asked for, times in UTC and whole seconds."""
    not_after = datetime(2026, 12, 1, 10, 0, 0, 123456, tzinfo=UTC)
    order = await client.new_order(NAMES, not_after=not_after, profile="short", replaces="aki.serial")
    assert ca.payloads["new-order"] == [
        {
            "identifiers": [{"type": "dns", "value": "a.example.com"}],
            "notAfter": "2026-12-01T10:00:00Z",
            "profile": "short",
            "replaces": "aki.serial",
        }
    ]
    assert (order.profile, order.replaces) == ("short", "aki.serial")


async def test_a_profile_that_is_not_on_offer_is_never_replaced(client: Client, ca: FakeCA) -> None:
    """A vanished profile is an error that lists what the CA offers; no order is made."""
    with pytest.raises(AcmeConfigInvalid, match="does not offer the profile 'gone': it offers short"):
        await client.new_order(NAMES, profile="gone")
    assert ca.payloads["new-order"] == []


@pytest.mark.parametrize(
    "refusal",
    [
        (409, "alreadyReplaced", "used"),
        (400, "malformed", "the replaces field is unknown"),
        (403, "unauthorized", "requester account did not request the certificate being replaced by this order"),
        (500, "serverInternal", "could not find an order for the given certificate"),
    ],
)
async def test_an_order_is_made_without_replaces_if_that_is_refused(
    client: Client, ca: FakeCA, refusal: tuple[int, str, str]
) -> None:
    """RFC 9773 section 5: the replacement is a hint, not a condition."""
    ca.fail("/new-order", lambda: problem(*refusal))
    order = await client.new_order(NAMES, replaces="aki.serial")
    assert order.replaces == ""
    assert "replaces" not in ca.payloads["new-order"][-1]


async def test_another_refusal_of_an_order_with_replaces_is_final(client: Client, ca: FakeCA) -> None:
    """Only refusals that may concern the replacement are tried again."""
    ca.fail("/new-order", lambda: problem(400, "rejectedIdentifier", "no"))
    with pytest.raises(RequestRejected, match="rejectedIdentifier: no"):
        await client.new_order(NAMES, replaces="aki.serial")
    assert ca.payloads["new-order"] == []


async def test_a_rate_limit_is_kept_without_asking_again(
    ca: FakeCA, transport: Transport, key: keys.AccountKey
) -> None:
    """The set of names that was refused waits as long as the CA said, others only a short while."""
    now = datetime.now(UTC)
    client = Client(transport, key, now=lambda: now)
    await client.register()
    ca.fail("/new-order", lambda: problem(429, "rateLimited", "too many", headers={"Retry-After": "7200"}))
    for _ in range(3):
        with pytest.raises(AcmeRateLimited, match="too many") as limited:
            await client.new_order(NAMES)
    assert timedelta(hours=1.9) < limited.value.retry_at - now < timedelta(hours=2.1)
    others = identifiers(["b.example.com"])
    with pytest.raises(AcmeRateLimited) as paused:
        await client.new_order(others)
    assert paused.value.retry_at - now <= timedelta(minutes=1)
    assert ca.seen["POST new-order"] == 1
    now += timedelta(minutes=1)
    await client.new_order(others)
    with pytest.raises(AcmeRateLimited):
        await client.new_order(NAMES)
    now += timedelta(hours=2)
    await client.new_order(NAMES)


# --- certificates


async def test_the_preferred_chain_is_looked_for_lazily(client: Client, ca: FakeCA) -> None:
    """Alternates are fetched in order until one fits; without a fit the default chain is taken."""
    der = csr_der("a.example.com")
    for issuer in ("Fake Root X2", "Fake Root X3", "Fake Root X4"):
        ca.alternates.append(ca.certificate(der, issuer))
    ca.chain = ca.certificate(der)

    async def top(preferred: str) -> str:
        chain = await client.download(f"{ca.root}/cert/1", preferred)
        return chain.certificates[-1].issuer.rfc4514_string()

    assert await top("") == await top("Fake Root X1") == "CN=Fake Root X1"
    assert ca.seen["POST alternate"] == 0
    assert await top("Fake Root X3") == "CN=Fake Root X3"
    assert ca.seen["POST alternate"] == 2
    assert await top("Unknown") == "CN=Fake Root X1"


async def test_certificates_can_be_revoked_by_either_key(client: Client, ca: FakeCA) -> None:
    """By the account with its URL, or by the certificate's own key; the reason is sent."""
    certificate = x509.load_pem_x509_certificate(ca.certificate(csr_der("a.example.com")))
    await client.revoke(certificate, 1)
    await client.revoke(certificate, 4, ec.generate_private_key(ec.SECP256R1()))
    assert [sent["reason"] for sent in ca.payloads["revoke"]] == [1, 4]


async def test_renewal_information_is_read_without_a_signature(client: Client, ca: FakeCA) -> None:
    """One plain GET for the certificate's id; the next one is due when the CA says."""
    certificate = x509.load_pem_x509_certificate(ca.certificate(csr_der("a.example.com")))
    certid = ari.certificate_id(certificate)
    assert certid is not None
    before = ca.signed
    info = await client.renewal_info(certid)
    assert info is not None
    assert info.window.end - info.window.start == timedelta(days=1)
    assert info.next_check - datetime.now(UTC) > timedelta(hours=5)
    assert ca.signed == before


async def test_transports_are_shared_by_equal_settings(ca: FakeCA) -> None:
    """Issuers of one server with one CA bundle use one pool; a different setting gets its own."""
    pool = TransportPool()
    assert pool.get(server(ca.url)) is pool.get(server(ca.url))
    assert pool.get(server(ca.url)) is not pool.get(server(ca.url, skip_tls_verify=True))
    assert (await pool.get(server(ca.url)).directory()).status == 200
    await pool.close()


async def test_given_up_authorizations_say_so(client: Client) -> None:
    """Deactivation returns the new state."""
    order = await client.new_order(NAMES)
    seen = await client.deactivate_authorization(order.authorizations[0])
    assert seen.status is AuthorizationStatus.DEACTIVATED
