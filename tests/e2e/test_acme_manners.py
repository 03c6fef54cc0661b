"""Retry with manners: what the CA asks for is kept to the letter, shown, and survives a restart."""

import base64
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web

from devcluster import Cluster
from tests.e2e.acme import Restartable, direct_fixture
from tests.e2e.harness import Kubectl, condition
from tests.e2e.insideca import InsideCA, inside_ca
from tests.e2e.test_certificates import certificate, revision
from tests.issuers.acme.fakeca import problem

ORDERS = "orders.acme.cert-manager.io"
ISSUER = {"name": "acme"}


direct = direct_fixture()


@pytest.fixture
def ca(cluster: Cluster) -> Iterator[InsideCA]:
    """A CA of the test's own: it believes every proof at once."""
    with inside_ca(cluster) as running:
        yield running


@pytest.fixture(autouse=True)
def acme(kubectl: Kubectl, ca: InsideCA, direct: Restartable) -> None:
    """An issuer that is Ready."""
    kubectl.apply(issuer(ca))
    kubectl.wait_ready("acme", kind="issuer")


def issuer(ca: InsideCA) -> dict[str, Any]:
    solver = {"http01": {"ingress": {"ingressClassName": "none"}}, "waitInsteadOfSelfCheck": "0s"}
    spec = {
        "server": ca.url,
        "caBundle": base64.b64encode(ca.bundle).decode(),
        "privateKeySecretRef": {"name": "account"},
        "solvers": [solver],
    }
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": "acme"},
        "spec": {"acme": spec},
    }


def limited(seconds: str | None) -> Callable[[], web.Response]:
    headers = {} if seconds is None else {"Retry-After": seconds}
    return lambda: problem(429, "rateLimited", "too many certificates for example.test", headers=headers)


def waiting(kubectl: Kubectl, words: str, name: str = "web") -> str:
    """Wait until the Certificate says what it waits for."""
    found = kubectl.wait("certificate", name, lambda o: words in (condition(o, "Issuing") or {}).get("message", ""))
    told = condition(found, "Issuing")
    assert told is not None
    assert told["status"] == "True"
    return str(told["message"])


def next_try(message: str) -> datetime:
    found = re.search(r"; next try at (\S+Z)", message)
    assert found is not None, message
    return datetime.fromisoformat(found[1])


def test_a_rate_limit_is_waited_out_to_the_second(kubectl: Kubectl, ca: InsideCA) -> None:
    """One more request, not before the CA's time; nothing has failed."""
    ca.fail("/new-order", limited("5"))
    began = time.monotonic()
    kubectl.apply(certificate(issuer=ISSUER))
    waiting(kubectl, "new-order: the ACME server answered 429 rateLimited: too many certificates for example.test")
    ready = kubectl.wait_ready("web")
    assert time.monotonic() - began >= 5
    assert ca.seen["POST new-order"] == 2
    assert not ready["status"].get("failedIssuanceAttempts")


def test_a_long_rate_limit_is_shown_and_survives_a_restart(kubectl: Kubectl, ca: InsideCA, direct: Restartable) -> None:
    """The time is in the condition; no other event and no other process asks earlier; other names wait much less."""
    ca.fail("/new-order", limited("7200"))
    kubectl.apply(certificate(issuer=ISSUER))
    at = next_try(waiting(kubectl, "rateLimited"))
    assert abs(at - datetime.now(UTC) - timedelta(hours=2)) < timedelta(minutes=1)
    (order,) = kubectl.all(ORDERS)
    assert datetime.fromisoformat(order["metadata"]["annotations"]["acme.cert-manager.io/retry-at"]) == at
    kubectl("annotate", ORDERS, order["metadata"]["name"], "example.com/poke=1")
    direct.kill()
    direct.start()
    time.sleep(3)
    kubectl("annotate", ORDERS, order["metadata"]["name"], "example.com/poke=2", "--overwrite")
    time.sleep(2)
    assert ca.seen["POST new-order"] == 1
    assert next_try(waiting(kubectl, "rateLimited")) == at


def test_others_of_the_account_do_not_try_a_limit_in_turn(kubectl: Kubectl, ca: InsideCA) -> None:
    """The account pauses; none of them counts as failed."""
    ca.fail("/new-order", limited("7200"))
    kubectl.apply(certificate("first", issuer=ISSUER))
    waiting(kubectl, "rateLimited", "first")
    kubectl.apply(*(certificate(f"c{number}", issuer=ISSUER) for number in range(5)))
    for number in range(5):
        at = next_try(waiting(kubectl, "rateLimited", f"c{number}"))
        assert at - datetime.now(UTC) <= timedelta(seconds=41)
    assert ca.seen["POST new-order"] == 1


def test_a_rate_limit_without_a_time_is_not_hammered(kubectl: Kubectl, ca: InsideCA) -> None:
    """A quarter of an hour, then longer."""
    ca.fail("/new-order", limited(None))
    kubectl.apply(certificate(issuer=ISSUER))
    wait = next_try(waiting(kubectl, "rateLimited")) - datetime.now(UTC)
    assert timedelta(minutes=14) < wait < timedelta(minutes=17)
    assert ca.seen["POST new-order"] == 1


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        *((path, "503") for path in ("/nonce", "/new-order", "/authz", "/chall", "/finalize", "/cert")),
        *((path, "html") for path in ("/new-order", "/authz", "/finalize", "/cert")),
        ("/chall", "500"),
    ],
)
def test_a_ca_that_stumbles_is_asked_again(kubectl: Kubectl, ca: InsideCA, path: str, kind: str) -> None:
    """Once each: nothing is terminal, nothing of a foreign body is shown, one order is made."""
    answers: dict[str, Callable[[], web.Response]] = {
        "503": lambda: problem(503, "serverInternal", "busy", headers={"Retry-After": "1"}),
        "500": lambda: web.Response(status=500, text="CANARY"),
        "html": lambda: web.Response(text="<html>CANARY</html>", content_type="text/html"),
    }
    ca.nonces.clear()
    ca.fail(path, answers[kind])
    kubectl.apply(certificate(issuer=ISSUER))
    assert revision(kubectl.wait_ready("web", seconds=40)) == 1
    assert ca.seen["POST new-order"] <= 2
    assert len(kubectl.all(ORDERS)) == 1
    seen = "".join(kubectl("get", kind, "-o", "yaml").stdout for kind in ("events", "certificates", ORDERS))
    assert "CANARY" not in seen


def test_an_account_that_ended_is_told_and_not_asked_again(kubectl: Kubectl, ca: InsideCA) -> None:
    """The issuer is no longer Ready; the Certificate says why; the CA is left alone."""
    gone = lambda: problem(401, "unauthorized", "account is deactivated")  # noqa: E731
    ca.times("/new-order", 5, gone)
    ca.times("/account", 5, gone)
    kubectl.apply(certificate(issuer=ISSUER))
    found = kubectl.wait("issuer", "acme", lambda o: (condition(o, "Ready") or {}).get("status") == "False")
    told = condition(found, "Ready")
    assert told is not None
    assert "account is deactivated" in told["message"]
    assert waiting(kubectl, "is not ready: ").count("account is deactivated") >= 1
    asked = ca.signed
    time.sleep(3)
    assert ca.signed == asked
    assert asked <= 8
