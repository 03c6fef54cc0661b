"""What goes wrong between certwright, an ACME server and the world: told in the CA's words, tried again with manners."""

import base64
import time
from typing import Any

import pytest

from devcluster import Cluster, acmeca
from devcluster.acmeca import AcmeCA
from tests.e2e.acme import (
    ISSUER,
    NOBODY,
    Restartable,
    ca_fixture,
    direct_fixture,
    end,
    issuer,
    log_end,
    requests_of,
)
from tests.e2e.harness import Kubectl, condition
from tests.e2e.insideca import inside_ca
from tests.e2e.test_certificates import SELF_SIGNED, certificate, revision, seconds_until_ready

ORDERS = "orders.acme.cert-manager.io"
CHALLENGES = "challenges.acme.cert-manager.io"
MAC_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
PEBBLE = {"PEBBLE_AUTHZREUSE": "0"}


#: It refuses three nonces of ten.
ca = ca_fixture({**PEBBLE, "PEBBLE_WFE_NONCEREJECT": "30"})
direct = direct_fixture()


@pytest.fixture(autouse=True)
def acme(kubectl: Kubectl, ca: AcmeCA, direct: Restartable) -> None:
    """An issuer that is Ready."""
    kubectl.apply(issuer(ca))
    kubectl.wait_ready("acme", kind="issuer")


def failed(kubectl: Kubectl, name: str = "web") -> str:
    """Wait until an issuance has failed; what the Certificate says."""
    found = kubectl.wait("certificate", name, lambda o: o.get("status", {}).get("lastFailureTime"), 40)
    told = condition(found, "Issuing")
    assert told is not None
    assert (told["status"], found["status"]["failedIssuanceAttempts"]) == ("False", 1)
    return str(told["message"])


def the(kubectl: Kubectl, kind: str) -> dict[str, Any]:
    """The only object of a kind."""
    (found,) = kubectl.all(kind)
    return found


def ready_reason(kubectl: Kubectl, request: str = "web-1") -> str:
    found = kubectl.get("certificaterequest", request)
    assert found is not None
    ready = condition(found, "Ready")
    assert ready is not None
    return str(ready["reason"])


def test_a_failed_validation_is_told_everywhere(kubectl: Kubectl, ca: AcmeCA) -> None:
    """Challenge, Order, request and Certificate hold what the CA said; what was set up is gone."""
    ca.point("bad.example.test", NOBODY)
    kubectl.apply(certificate(issuer=ISSUER, dnsNames=["bad.example.test", "good.example.test"]))
    message = failed(kubectl)
    said = "bad.example.test: Error accepting authorization: connection: "
    refused = "dial tcp 10.0.0.10:80: connect: connection refused"
    assert said in message
    assert refused in message
    order = the(kubectl, ORDERS)["status"]
    assert order["state"] == "invalid"
    assert order["reason"].startswith(said)
    assert refused in order["reason"]
    assert order["failureTime"]
    challenges = {c["spec"]["dnsName"]: c["status"] for c in kubectl.all(CHALLENGES)}
    assert challenges["bad.example.test"]["state"] == "invalid"
    assert refused in challenges["bad.example.test"]["reason"]
    assert not challenges["bad.example.test"].get("presented")
    request = kubectl.get("certificaterequest", "web-1")
    assert request is not None
    ready = condition(request, "Ready")
    assert ready is not None
    assert ready["reason"] == "Failed"
    assert refused in ready["message"]
    assert request["status"]["failureTime"]
    assert refused in kubectl.wait_event("web-1", "OrderFailed")["message"]
    deadline = time.monotonic() + 60
    while kubectl.all("ingresses"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    ca.point("bad.example.test")


def test_after_a_failure_the_spec_can_be_mended(kubectl: Kubectl, ca: AcmeCA) -> None:
    """Another spec is tried at once; so is a request for renewal."""
    ca.point("bad.example.test", NOBODY)
    kubectl.apply(certificate(issuer=ISSUER, dnsNames=["bad.example.test"]))
    failed(kubectl)
    kubectl.apply(certificate(issuer=ISSUER, dnsNames=["good.example.test"]))
    assert revision(kubectl.wait_ready("web", seconds=40)) == 1
    ca.point("bad.example.test")


def test_a_name_that_the_ca_refuses_is_final(kubectl: Kubectl, ca: AcmeCA) -> None:
    """rejectedIdentifier: one request, no Challenge, the CA's words."""
    since = log_end(ca)
    kubectl.apply(certificate(issuer=ISSUER, dnsNames=["blocked.example"]))
    message = failed(kubectl)
    assert "Failed to create Order: new-order: the ACME server answered 400 rejectedIdentifier: " in message
    order = the(kubectl, ORDERS)["status"]
    assert (order["state"], order.get("url", "")) == ("errored", "")
    assert kubectl.all(CHALLENGES) == []
    time.sleep(3)
    # Some nonces are refused, and each of those requests comes again.
    assert len([asked for asked in requests_of(ca, since) if asked == "POST /order-plz"]) <= 10


def test_a_profile_that_is_not_offered_is_told(kubectl: Kubectl, ca: AcmeCA) -> None:
    """It is never replaced by another one."""
    kubectl.apply(issuer(ca, "vanished", profile="tlsclient"))
    kubectl.wait_ready("vanished", kind="issuer")
    kubectl.apply(certificate(issuer={"name": "vanished"}))
    message = failed(kubectl)
    assert "does not offer the profile 'tlsclient': it offers default, shortlived" in message


def test_a_wildcard_is_refused_for_http01(kubectl: Kubectl) -> None:
    """Nothing fails: a solver may be added. The reason is on Order and Certificate."""
    kubectl.apply(certificate(issuer=ISSUER, dnsNames=["*.example.test"]))
    found = kubectl.wait("certificate", "web", lambda o: "DNS-01" in (condition(o, "Issuing") or {}).get("message", ""))
    told = condition(found, "Issuing")
    assert told is not None
    assert told["status"] == "True"
    order = the(kubectl, ORDERS)
    text = "Failed to determine a valid solver configuration for the set of domains on the Order: "
    assert order["status"]["reason"].startswith(text)
    assert order["status"]["state"] == "pending"
    assert kubectl.wait_event(order["metadata"]["name"], "Solver")["type"] == "Warning"
    assert ready_reason(kubectl) == "Pending"


def test_a_common_name_must_be_among_the_names(kubectl: Kubectl) -> None:
    """InvalidOrder: final."""
    kubectl.apply(certificate(issuer=ISSUER, commonName="other.example.test"))
    message = failed(kubectl)
    assert "the common name 'other.example.test' is neither among the DNS names nor among the IP addresses" in message
    assert kubectl.wait_event("web-1", "InvalidOrder")["type"] == "Warning"
    assert kubectl.all(ORDERS) == []


def test_only_names_and_addresses_are_certified(kubectl: Kubectl) -> None:
    kubectl.apply(certificate(issuer=ISSUER, dnsNames=None, emailAddresses=["a@example.test"]))
    assert "ACME certifies no others" in failed(kubectl)


def test_an_operator_killed_after_finalize_fetches_what_it_has_ordered(
    kubectl: Kubectl, ca: AcmeCA, direct: Restartable
) -> None:
    """No second order, the key that was stored before the CSR left."""
    since = log_end(ca)
    kubectl.apply(certificate(issuer=ISSUER))
    deadline = time.monotonic() + 20
    while "POST /finalize-order/" not in requests_of(ca, since):
        assert time.monotonic() < deadline
        time.sleep(0.005)
    direct.kill()
    direct.start()
    assert revision(kubectl.wait_ready("web", seconds=60)) == 1
    assert requests_of(ca, since).count("POST /certZ/") >= 1
    assert len(kubectl.all(ORDERS)) == len(kubectl.all("certificaterequest")) == 1
    assert ca.cluster.files.log("pebble").read_text()[since:].count("Added order") == 1
    mine = [s["metadata"]["name"] for s in kubectl.all("secret") if s["metadata"]["name"].startswith("web")]
    assert mine == ["web-tls"]


def test_an_operator_killed_while_a_challenge_waits_goes_on_with_it(
    kubectl: Kubectl, ca: AcmeCA, direct: Restartable
) -> None:
    """The proof that was set up is served by the next process; the CA is told of it once."""
    kubectl.apply(issuer(ca, "patient", wait=None))
    kubectl.wait_ready("patient", kind="issuer")
    ca.point("web.example.test", NOBODY)
    since = log_end(ca)
    kubectl.apply(certificate(issuer={"name": "patient"}))
    deadline = time.monotonic() + 20
    while not [c for c in kubectl.all(CHALLENGES) if c.get("status", {}).get("presented")]:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    direct.kill()
    ca.point("web.example.test")
    direct.start()
    assert revision(kubectl.wait_ready("web", seconds=60)) == 1
    log = ca.cluster.files.log("pebble").read_text()[since:]
    assert log.count("Added order") == 1
    assert log.count("Starting 3 validations.") == 1


def test_servers_that_hang_hold_up_nobody(cluster: Cluster, kubectl: Kubectl, ca: AcmeCA) -> None:
    """16 issuers wait for an answer; others issue as ever, and one whose server is mended is Ready at once."""
    with inside_ca(cluster) as hanging:
        hanging.delay = 120
        bundle = base64.b64encode(hanging.bundle).decode()
        servers = [f"{hanging.url}?{number}" for number in range(16)]
        issuers = (issuer(ca, f"hangs{n}", server=server, caBundle=bundle) for n, server in enumerate(servers))
        kubectl.apply(SELF_SIGNED, *issuers)
        deadline = time.monotonic() + 20
        while hanging.in_flight < len(servers):
            assert time.monotonic() < deadline, hanging.in_flight
            time.sleep(0.1)
        took = [seconds_until_ready(kubectl, f"quick{number}") for number in range(5)]
        assert sorted(took)[2] < 2, took
        kubectl.apply(issuer(ca, "hangs0"))
        kubectl.wait_ready("hangs0", kind="issuer", seconds=8)
        # 30 s without a byte.
        told = kubectl.wait("issuer", "hangs1", lambda o: condition(o, "Ready"), seconds=60)
        ready = condition(told, "Ready")
        assert ready is not None
        assert (ready["status"], ready["reason"]) == ("False", "ErrRegisterACMEAccount")
        assert "did not answer in time; next try at " in ready["message"]


def test_orders_that_hang_hold_up_nobody(cluster: Cluster, kubectl: Kubectl, ca: AcmeCA) -> None:
    """More of them than are worked on at a time: Certificates of other issuers, ACME or not, are issued as ever."""
    with inside_ca(cluster) as hanging:
        bundle = base64.b64encode(hanging.bundle).decode()
        kubectl.apply(SELF_SIGNED, issuer(ca, "hangs", server=hanging.url, caBundle=bundle))
        kubectl.wait_ready("hangs", kind="issuer")
        hanging.delay = 120
        kubectl.apply(*(certificate(f"hangs{number}", issuer={"name": "hangs"}) for number in range(600)))
        deadline = time.monotonic() + 60
        while len(kubectl.all(ORDERS)) < 600:
            assert time.monotonic() < deadline
            time.sleep(1)
        took = {
            name: [seconds_until_ready(kubectl, f"{name}{number}", name) for number in range(5)]
            for name in ("self-signed", "acme")
        }
        assert sorted(took["self-signed"])[2] < 2, took
        assert sorted(took["acme"])[2] < 8, took


def test_a_ca_that_has_forgotten_the_account_gets_it_again(cluster: Cluster, kubectl: Kubectl, ca: AcmeCA) -> None:
    """accountDoesNotExist: registered anew, told, and the certificate is issued without help."""
    before = kubectl.get("issuer", "acme")
    assert before is not None
    end(cluster)
    acmeca.start(cluster, environment=PEBBLE)
    kubectl.apply(certificate(issuer=ISSUER))
    assert revision(kubectl.wait_ready("web", seconds=60)) == 1
    kubectl.wait_ready("acme", kind="issuer")


def test_an_account_must_be_bound_where_the_ca_says_so(cluster: Cluster, kubectl: Kubectl, ca: AcmeCA) -> None:
    """Without binding, with a missing Secret, with a wrong key, with the right one."""
    end(cluster)
    config = {"externalAccountBindingRequired": True, "externalAccountMACKeys": {"kid-1": MAC_KEY}}
    acmeca.start(cluster, environment=PEBBLE, config=config)
    kubectl.apply(issuer(ca, "bound"))

    def told(words: str) -> None:
        found = kubectl.wait("issuer", "bound", lambda o: words in (condition(o, "Ready") or {}).get("message", ""))
        ready = condition(found, "Ready")
        assert ready is not None
        assert (ready["status"], ready["reason"]) == ("False", "ErrRegisterACMEAccount")

    def mac_key(text: str) -> None:
        data = {"mac": base64.b64encode(text.encode()).decode()}
        kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "eab"}, "data": data})

    told("the ACME server answered 403 externalAccountRequired: ")
    binding = {"keyID": "kid-1", "keySecretRef": {"name": "eab", "key": "mac"}}
    kubectl.apply(issuer(ca, "bound", externalAccountBinding=binding))
    told("Secret 'eab' with the external account binding's key does not exist")
    mac_key("AAAA" * 16)
    told("the ACME server answered")
    mac_key(f"{MAC_KEY}\n")
    kubectl.wait_ready("bound", kind="issuer")
    kubectl.apply(certificate(issuer={"name": "bound"}))
    kubectl.wait_ready("web", seconds=40)
    end(cluster)
    acmeca.start(cluster, environment=PEBBLE)
