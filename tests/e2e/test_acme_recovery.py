"""A CA that fails at any step, in any way, and what becomes of account, Order and Certificate: told, tried again, mended."""

import time
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from aiohttp import web

from devcluster import Cluster
from tests.e2e.acme import direct_fixture
from tests.e2e.harness import Kubectl, condition
from tests.e2e.insideca import InsideCA, inside_ca
from tests.e2e.test_acme_manners import issuer, waiting
from tests.e2e.test_certificates import certificate, revision
from tests.issuers.acme.fakeca import answer, problem

pytestmark = pytest.mark.usefixtures("direct")

ORDERS = "orders.acme.cert-manager.io"
CHALLENGES = "challenges.acme.cert-manager.io"
ISSUER = {"name": "acme"}
#: Every request of an issuance by an account that has a nonce.
CALLS = ("/new-order", "/authz", "/chall", "/finalize", "/cert")

direct = direct_fixture()


async def drop(request: web.Request) -> web.StreamResponse:
    """The connection breaks without an answer."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


FAULTS: dict[str, Callable[[web.Request], Awaitable[web.StreamResponse]]] = {
    "dropped": drop,
    "429": answer(lambda: problem(429, "rateLimited", "slowly", headers={"Retry-After": "2"})),
    "503": answer(lambda: problem(503, "serverInternal", "busy", headers={"Retry-After": "1"})),
    "html": answer(lambda: web.Response(text="<html>CANARY</html>", content_type="text/html")),
}


@pytest.fixture
def ca(cluster: Cluster) -> Iterator[InsideCA]:
    """A CA of the test's own: it believes every proof at once."""
    with inside_ca(cluster) as running:
        yield running


@pytest.fixture
def acme(kubectl: Kubectl, ca: InsideCA) -> None:
    """An issuer that is Ready."""
    kubectl.apply(issuer(ca))
    kubectl.wait_ready("acme", kind="issuer")


def account_of(kubectl: Kubectl) -> str:
    found = kubectl.wait_ready("acme", kind="issuer")
    return str(found["status"]["acme"]["uri"])


def failed(kubectl: Kubectl) -> str:
    """What a Certificate says whose first issuance has failed."""
    found = kubectl.wait("certificate", "web", lambda o: o.get("status", {}).get("lastFailureTime"), 40)
    assert found["status"]["failedIssuanceAttempts"] == 1
    return str((condition(found, "Issuing") or {})["message"])


@pytest.mark.parametrize("path", ["/directory", "/nonce", "/account"])
@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_ca_that_stumbles_at_the_registration_is_asked_again(
    kubectl: Kubectl, ca: InsideCA, path: str, fault: str
) -> None:
    """Told with the time of the next try, then Ready without help; one account is made."""
    ca.faults[path].append(FAULTS[fault])
    kubectl.apply(issuer(ca))
    kubectl.wait_ready("acme", kind="issuer", seconds=30)
    told = [event["message"] for event in kubectl.events("acme") if event["type"] == "Warning"]
    # aiohttp itself repeats a GET or HEAD whose kept connection was closed.
    assert [text for text in told if "; next try at " in text] or (fault == "dropped" and path != "/account")
    assert "CANARY" not in "".join(told)
    assert ca.seen["POST account"] <= 2


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize("path", CALLS)
@pytest.mark.parametrize("fault", ["dropped", "429"])
def test_a_call_that_fails_ends_nothing(kubectl: Kubectl, ca: InsideCA, path: str, fault: str) -> None:
    """The same Order and Challenge go on."""
    ca.faults[path].append(FAULTS[fault])
    kubectl.apply(certificate(issuer=ISSUER))
    ready = kubectl.wait_ready("web", seconds=40)
    assert (revision(ready), ready["status"].get("failedIssuanceAttempts")) == (1, None)
    assert len(kubectl.all(ORDERS)) == len(kubectl.all("certificaterequest")) == 1
    assert ca.faults[path] == []


@pytest.mark.usefixtures("acme")
def test_names_that_are_proved_already_need_no_challenge(kubectl: Kubectl, ca: InsideCA) -> None:
    """The order is ready at once: nothing is set up, and the CA is not told of any challenge."""
    ca.first_state = "valid"
    kubectl.apply(certificate(issuer=ISSUER, dnsNames=["a.example.test", "b.example.test"]))
    assert revision(kubectl.wait_ready("web")) == 1
    assert ca.seen["POST chall"] == 0
    (order,) = kubectl.all(ORDERS)
    assert [a["initialState"] for a in order["status"]["authorizations"]] == ["valid", "valid"]
    assert kubectl.all(CHALLENGES) == kubectl.all("ingresses") == []


@pytest.mark.usefixtures("acme")
def test_an_order_that_never_ends_holds_up_nobody(kubectl: Kubectl, ca: InsideCA) -> None:
    """Looked at less and less often; others are issued meanwhile, and it is fetched when it is done after all."""
    ca.finalize_status, ca.ends_processing = "processing", False
    kubectl.apply(certificate("slow", issuer=ISSUER))
    deadline = time.monotonic() + 20
    while not ca.seen["POST order"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    ca.finalize_status = "valid"
    for number in range(5):
        kubectl.apply(certificate(f"quick{number}", issuer=ISSUER))
    for number in range(5):
        kubectl.wait_ready(f"quick{number}", seconds=10)
    time.sleep(10)
    looks = ca.seen["POST order"]
    time.sleep(5)
    assert ca.seen["POST order"] - looks <= 2
    ca.ends_processing = True
    assert revision(kubectl.wait_ready("slow")) == 1
    assert ca.seen["POST finalize"] == 6


@pytest.mark.usefixtures("acme")
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (lambda: problem(404, "malformed", "no such order"), "404 malformed: no such order"),
        (lambda: problem(403, "orderNotReady", "the order has expired"), "orderNotReady: the order has expired"),
    ],
    ids=["gone", "expired"],
)
def test_an_order_that_the_ca_has_lost_is_told(
    kubectl: Kubectl, ca: InsideCA, fault: Callable[[], web.Response], words: str
) -> None:
    """At the next look at it: failed in the CA's words; a changed spec is ordered at once."""
    ca.finalize_status = "processing"
    ca.times("/order", 1, fault)
    kubectl.apply(certificate(issuer=ISSUER))
    if "orderNotReady" in words:
        waiting(kubectl, words)
    else:
        assert words in failed(kubectl)
        kubectl.apply(certificate(issuer=ISSUER, dnsNames=["other.example.test"]))
    assert revision(kubectl.wait_ready("web", seconds=40)) == 1


@pytest.mark.usefixtures("acme")
def test_an_order_that_turns_invalid_at_the_end_is_told(kubectl: Kubectl, ca: InsideCA) -> None:
    """After the CSR was handed in: one order, one failure."""
    ca.finalize_status = "invalid"
    kubectl.apply(certificate(issuer=ISSUER))
    assert "invalid" in failed(kubectl)
    time.sleep(2)
    assert ca.seen["POST new-order"] == ca.seen["POST finalize"] == 1


@pytest.mark.usefixtures("acme")
def test_an_account_key_that_is_deleted_is_made_anew(kubectl: Kubectl, ca: InsideCA) -> None:
    """Another key is another account: told, and certificates go on."""
    old = account_of(kubectl)
    kubectl("delete", "secret", "account")
    kubectl.wait("issuer", "acme", lambda o: o["status"]["acme"]["uri"] != old)
    assert kubectl.get("secret", "account") is not None
    assert (
        f"instead of {old}, because the account key in Secret 'account' has changed"
        in (kubectl.wait_event("acme", "ACMEAccountChanged")["message"])
    )
    kubectl.apply(certificate(issuer=ISSUER))
    assert revision(kubectl.wait_ready("web")) == 1
    assert ca.seen["POST account"] == 2


@pytest.mark.usefixtures("acme")
def test_new_terms_of_service_are_told_and_not_hammered(kubectl: Kubectl, ca: InsideCA) -> None:
    """userActionRequired names the address where a person has to go; the account is looked at once, then it is quiet."""
    where = "https://ca.example/agree"
    refused: Any = lambda: problem(403, "userActionRequired", "the terms have changed", instance=where)  # noqa: E731
    ca.times("/new-order", 1000, refused)
    kubectl.apply(certificate(issuer=ISSUER))
    assert where in waiting(kubectl, "userActionRequired: the terms have changed")
    time.sleep(2)
    asked = ca.signed
    time.sleep(5)
    assert ca.signed == asked
    assert (ca.seen["POST new-order"], ca.seen["POST account"]) == (1, 2)


@pytest.mark.usefixtures("acme")
def test_an_issuer_that_is_replaced_in_the_middle(kubectl: Kubectl, ca: InsideCA) -> None:
    """Deleted while its Order waits: pending, told; with an issuer of this name the same request goes on."""
    ca.finalize_status, ca.ends_processing = "processing", False
    kubectl.apply(certificate(issuer=ISSUER))
    deadline = time.monotonic() + 20
    while not ca.seen["POST order"]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    kubectl("delete", "issuer", "acme")
    waiting(kubectl, "does not exist")
    looks = ca.seen["POST order"]
    time.sleep(3)
    assert ca.seen["POST order"] - looks <= 1
    ca.ends_processing = True
    kubectl.apply(issuer(ca))
    assert revision(kubectl.wait_ready("web", seconds=40)) == 1
    assert ca.seen["POST new-order"] == 1
    assert len(kubectl.all("certificaterequest")) == 1
