"""Certificates from a real ACME server: accounts, Orders, Challenges, what is written, and what is left behind."""

import base64
import hashlib
import time
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from devcluster import Cluster
from devcluster.acmeca import AcmeCA
from tests.e2e.acme import GONE, ISSUER, NOBODY, ca_fixture, direct_fixture, issuer, log_end, requests_of
from tests.e2e.harness import Kubectl, condition
from tests.e2e.test_certificates import certificate, revision, secret_of, writes_since, x509_of

pytestmark = pytest.mark.usefixtures("direct")


#: It refuses no nonces, so that requests can be counted.
ca = ca_fixture({"PEBBLE_WFE_NONCEREJECT": "0", "PEBBLE_AUTHZREUSE": "0", "PEBBLE_ALTERNATE_ROOTS": "2"})
direct = direct_fixture()


@pytest.fixture
def acme(kubectl: Kubectl, ca: AcmeCA) -> dict[str, Any]:
    """An issuer that is Ready."""
    kubectl.apply(issuer(ca))
    return kubectl.wait_ready("acme", kind="issuer")


def ready_of(found: dict[str, Any]) -> tuple[str, str, str]:
    ready = condition(found, "Ready")
    assert ready is not None
    return ready["status"], ready["reason"], ready["message"]


def wait_clean(kubectl: Kubectl, seconds: float = 60) -> None:
    """Nothing of any challenge is left in the namespace. A young cluster's garbage collector learns of CRDs in 30 s."""
    deadline = time.monotonic() + seconds
    while left := [item["metadata"]["name"] for kind in GONE for item in kubectl.all(kind)]:
        assert time.monotonic() < deadline, f"{left} is still there after {seconds} s"
        time.sleep(0.2)


# Accounts


def test_an_account_is_made_and_told_of(kubectl: Kubectl, acme: dict[str, Any], ca: AcmeCA) -> None:
    """Key Secret, status and condition as in cert-manager."""
    message = "The ACME account was registered with the ACME server"
    assert ready_of(acme) == ("True", "ACMEAccountRegistered", message)
    status = acme["status"]["acme"]
    assert status["uri"].startswith(ca.directory.removesuffix("dir"))
    assert status["lastRegisteredEmail"] == "Ops@Example.com"
    secret = kubectl.get("secret", "acme-account")
    assert secret is not None
    assert secret["type"] == "Opaque"
    assert secret["metadata"]["labels"] == {"app.kubernetes.io/managed-by": "cert-manager"}
    pem = base64.b64decode(secret["data"]["tls.key"])
    assert pem.startswith(b"-----BEGIN RSA PRIVATE KEY-----")
    key = load_pem_private_key(pem, None)
    assert isinstance(key, rsa.RSAPrivateKey)
    der = key.private_bytes(Encoding.DER, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    assert status["lastPrivateKeyHash"] == base64.b64encode(hashlib.sha256(der).digest()).decode()


def test_a_changed_contact_is_told_to_the_ca(kubectl: Kubectl, acme: dict[str, Any], ca: AcmeCA) -> None:
    """The account stays the same one."""
    since = log_end(ca)
    kubectl.apply(issuer(ca, email="new@example.com"))
    changed = kubectl.wait("issuer", "acme", lambda o: o["status"]["acme"]["lastRegisteredEmail"] == "new@example.com")
    assert changed["status"]["acme"]["uri"] == acme["status"]["acme"]["uri"]
    assert "POST /my-account/" in " ".join(requests_of(ca, since))


@pytest.mark.usefixtures("acme")
def test_an_elliptic_key_that_replaces_the_first_one_is_another_account(
    kubectl: Kubectl, acme: dict[str, Any], ca: AcmeCA
) -> None:
    """Told in an Event; certificates go on with the new account."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    data = {"tls.key": base64.b64encode(pem).decode()}
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "acme-account"}, "data": data})
    old = acme["status"]["acme"]["uri"]
    changed = kubectl.wait("issuer", "acme", lambda o: o["status"]["acme"]["uri"] != old)
    message = kubectl.wait_event("acme", "ACMEAccountChanged")["message"]
    new = changed["status"]["acme"]["uri"]
    assert message == (
        f"The ACME account is now {new} instead of {old}, because the account key in Secret 'acme-account' has changed"
    )
    kubectl.apply(certificate(issuer=ISSUER))
    kubectl.wait_ready("web")


def test_a_key_that_must_exist_is_waited_for(kubectl: Kubectl, ca: AcmeCA) -> None:
    """With disableAccountKeyGeneration; it may be there later."""
    kubectl.apply(issuer(ca, "given", disableAccountKeyGeneration=True))
    waiting = kubectl.wait("issuer", "given", lambda o: condition(o, "Ready"))
    status, reason, message = ready_of(waiting)
    assert (status, reason) == ("False", "ErrVerifyACMEAccount")
    assert message.startswith(
        "Secret 'given-account' with the account key does not exist, and disableAccountKeyGeneration is set; next try at "
    )
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    data = {"tls.key": base64.b64encode(pem).decode()}
    kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "given-account"}, "data": data})
    kubectl.wait_ready("given", kind="issuer")


def test_a_key_that_can_not_be_stored_is_told_and_tried_again(kubectl: Kubectl, ca: AcmeCA) -> None:
    kubectl.apply(
        {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": {"secrets": "0"}}}
    )
    kubectl.wait("resourcequota", "q", lambda q: q.get("status", {}).get("hard"))
    kubectl.apply(issuer(ca))
    status, reason, message = ready_of(kubectl.wait("issuer", "acme", lambda o: condition(o, "Ready")))
    assert (status, reason) == ("False", "ErrVerifyACMEAccount")
    assert message.startswith("Secret 'acme-account' for the account key can't be made: ")
    assert "exceeded quota: q" in message
    kubectl("delete", "resourcequota", "q")
    kubectl.wait_ready("acme", 30, "issuer")


@pytest.mark.parametrize(
    ("spec", "reason", "words"),
    [
        ({"server": "http://10.0.0.10:14000/dir"}, "InvalidURL", "must begin with https://"),
        ({"server": "https://127.0.0.1:14000/dir"}, "InvalidURL", "loopback"),
        ({"server": "https://acme-v01.api.letsencrypt.org/directory"}, "InvalidConfig", "switched off"),
        ({"server": "https://10.0.0.10:14999/dir"}, "ErrRegisterACMEAccount", "no connection to the ACME server"),
        ({"server": "https://acme.invalid/dir"}, "ErrRegisterACMEAccount", "name acme.invalid can't be resolved"),
        ({"caBundle": None}, "ErrRegisterACMEAccount", "is not trusted"),
        ({"email": "nobody@example.invalid, x"}, "ErrRegisterACMEAccount", "one plain e-mail address"),
    ],
)
def test_what_is_wrong_with_an_issuer_is_said(
    kubectl: Kubectl, ca: AcmeCA, spec: dict[str, Any], reason: str, words: str
) -> None:
    """The reason of the contract, the cause in the message, and when it is tried again."""
    body = issuer(ca, "bad", **spec)
    body["spec"]["acme"] = {name: value for name, value in body["spec"]["acme"].items() if value is not None}
    kubectl.apply(body)
    found = kubectl.wait("issuer", "bad", lambda o: condition(o, "Ready"))
    status, told, message = ready_of(found)
    assert (status, told) == ("False", reason)
    assert words in message
    assert "; next try at 20" in message
    assert kubectl.wait_event("bad", reason)["type"] == "Warning"


# Orders


@pytest.mark.usefixtures("acme")
def test_a_certificate_is_issued_within_the_budget(
    cluster: Cluster, kubectl: Kubectl, namespace: str, ca: AcmeCA
) -> None:
    """One name: at most 18 object writes, 6 Events, 9 signed requests; nothing of the way is left over."""
    position, since = cluster.audit_log.stat().st_size, log_end(ca)
    kubectl.apply(certificate(issuer=ISSUER))
    kubectl.wait_ready("web")
    kubectl.wait_event("web-1", "CertificateIssued")
    wait_clean_of_challenges(kubectl)
    written = writes_since(cluster, position, namespace)
    # One for each namespace and not for each certificate.
    shared = [write for write in written if write[1] in {"services", "endpointslices"}]
    events = [write for write in written if write[1] == "events"]
    assert len(written) - len(events) - len(shared) <= 18
    assert len(events) <= 6
    assert len([asked for asked in requests_of(ca, since) if asked.startswith("POST")]) <= 9
    secret = secret_of(kubectl)
    assert set(secret["data"]) == {"tls.key", "tls.crt"}
    names = x509_of(secret).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["web.example.test"]


def wait_clean_of_challenges(kubectl: Kubectl) -> None:
    deadline = time.monotonic() + 10
    while kubectl.all("challenges.acme.cert-manager.io") or kubectl.all("ingresses"):
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.usefixtures("acme")
def test_the_order_looks_as_tools_expect(kubectl: Kubectl) -> None:
    """Name, owner, labels, annotations, spec and status."""
    wanted = certificate(
        issuer=ISSUER, dnsNames=["web.example.test", "www.example.test"], commonName="web.example.test"
    )
    wanted["metadata"] |= {"labels": {"team": "a"}, "annotations": {"example.com/note": "note"}}
    kubectl.apply(wanted)
    kubectl.wait_ready("web")
    (order,) = kubectl.all("orders.acme.cert-manager.io")
    request = kubectl.get("certificaterequest", "web-1")
    assert request is not None
    meta = order["metadata"]
    prefix, _, digest = meta["name"].rpartition("-")
    assert (prefix, digest.isdecimal()) == ("web-1", True)
    (owner,) = meta["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == (
        "CertificateRequest",
        request["metadata"]["uid"],
        True,
    )
    assert meta["labels"] == {"team": "a"}
    assert meta["annotations"]["example.com/note"] == "note"
    assert order["spec"] == {
        "commonName": "web.example.test",
        "dnsNames": ["web.example.test", "www.example.test"],
        "issuerRef": ISSUER,
        "request": request["spec"]["request"],
    }
    status = order["status"]
    assert status["state"] == "valid"
    assert status["certificate"] == request["status"]["certificate"]
    assert sorted(a["identifier"] for a in status["authorizations"]) == ["web.example.test", "www.example.test"]
    assert {a["initialState"] for a in status["authorizations"]} == {"pending"}
    assert all(c["token"] for a in status["authorizations"] for c in a["challenges"])
    (ready,) = [c for c in request["status"]["conditions"] if c["type"] == "Ready"]
    assert (ready["reason"], ready["message"]) == ("Issued", "Certificate fetched from issuer successfully")
    assert not request["status"].get("ca")


@pytest.mark.usefixtures("acme")
def test_an_address_is_certified(kubectl: Kubectl) -> None:
    """RFC 8738."""
    kubectl.apply(certificate(issuer=ISSUER, dnsNames=None, ipAddresses=["10.0.0.20"]))
    kubectl.wait_ready("web")


def test_profile_and_duration_reach_the_ca(kubectl: Kubectl, ca: AcmeCA) -> None:
    """The profile's lifetime is in the certificate, the duration only where the issuer says so."""
    kubectl.apply(issuer(ca, profile="shortlived", enableDurationFeature=True))
    kubectl.wait_ready("acme", kind="issuer")
    kubectl.apply(certificate(issuer=ISSUER, duration="100h"))
    kubectl.wait_ready("web")
    (order,) = kubectl.all("orders.acme.cert-manager.io")
    assert (order["spec"]["profile"], order["spec"]["duration"]) == ("shortlived", "100h0m0s") or (
        order["spec"]["profile"],
        order["spec"]["duration"],
    ) == ("shortlived", "100h")
    found = x509_of(secret_of(kubectl))
    assert (found.not_valid_after_utc - found.not_valid_before_utc).total_seconds() <= 6 * 86400


@pytest.mark.parametrize("wanted", [0, 1, 2, None])
def test_the_chain_that_the_issuer_prefers_is_taken(kubectl: Kubectl, ca: AcmeCA, wanted: int | None) -> None:
    """By the name of the root; the default one where there is no such chain."""
    (name,) = [
        str(attribute.value)
        for attribute in x509.load_pem_x509_certificate(ca.root(wanted or 0)).subject
        if attribute.oid == x509.NameOID.COMMON_NAME
    ]
    kubectl.apply(issuer(ca, preferredChain="No Such Root" if wanted is None else name))
    kubectl.wait_ready("acme", kind="issuer")
    kubectl.apply(certificate(issuer=ISSUER))
    kubectl.wait_ready("web")
    chain = x509.load_pem_x509_certificates(base64.b64decode(secret_of(kubectl)["data"]["tls.crt"]))
    assert f"CN={name}" in chain[-1].issuer.rfc4514_string()


@pytest.mark.usefixtures("acme")
def test_one_name_in_many_certificates_is_proved_one_after_the_other(kubectl: Kubectl) -> None:
    """All of them become Ready, and nothing is left."""
    kubectl.apply(*(certificate(f"c{n}", issuer=ISSUER, dnsNames=["same.example.test"]) for n in range(5)))
    for number in range(5):
        assert revision(kubectl.wait_ready(f"c{number}", seconds=60)) == 1


# Slow names, deletion, crashes


def test_names_that_nobody_serves_hold_up_nobody(kubectl: Kubectl, ca: AcmeCA) -> None:
    """Their Certificates say why; the others are issued meanwhile, and the slow ones once the cause is gone."""
    kubectl.apply(issuer(ca, wait=None))
    kubectl.wait_ready("acme", kind="issuer")
    slow = [f"slow{number}" for number in range(3)]
    for name in slow:
        ca.point(f"{name}.example.test", NOBODY)
    kubectl.apply(*(certificate(name, issuer=ISSUER) for name in slow))
    time.sleep(2)
    kubectl.apply(*(certificate(f"quick{number}", issuer=ISSUER) for number in range(10)))
    for number in range(10):
        kubectl.wait_ready(f"quick{number}", seconds=40)
    for name in slow:
        found = kubectl.wait(
            "certificate", name, lambda o: "propagation" in (condition(o, "Issuing") or {}).get("message", ""), 40
        )
        told = condition(found, "Issuing")
        assert told is not None
        assert f"{name}.example.test: Waiting for HTTP-01 challenge propagation: " in told["message"]
        ca.point(f"{name}.example.test")
    for name in slow:
        assert revision(kubectl.wait_ready(name, seconds=60)) == 1


def hanging(kubectl: Kubectl, ca: AcmeCA) -> None:
    """A Certificate whose challenge is set up and not seen."""
    kubectl.apply(issuer(ca, wait=None))
    kubectl.wait_ready("acme", kind="issuer")
    ca.point("web.example.test", NOBODY)
    kubectl.apply(certificate(issuer=ISSUER))
    deadline = time.monotonic() + 20
    while not [c for c in kubectl.all("challenges.acme.cert-manager.io") if c.get("status", {}).get("presented")]:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert kubectl.all("ingresses")


def test_what_a_deleted_certificate_has_left_goes(kubectl: Kubectl, ca: AcmeCA) -> None:
    """In the middle of a challenge: objects go by themselves, and the CA is told that the authorization is given up."""
    hanging(kubectl, ca)
    since = log_end(ca)
    kubectl("delete", "certificate", "web")
    wait_clean(kubectl)
    ca.point("web.example.test")
    deadline = time.monotonic() + 20
    while [s for s in kubectl.all("secret") if s["metadata"]["name"].startswith("web")]:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    while len([asked for asked in requests_of(ca, since) if asked.startswith("POST /authZ/")]) < 2:
        assert time.monotonic() < deadline, requests_of(ca, since)
        time.sleep(0.2)


@pytest.mark.usefixtures("acme")
def test_an_order_that_no_request_stands_behind_is_left_alone(kubectl: Kubectl, ca: AcmeCA) -> None:
    """Whoever may create Orders and Challenges gets nothing done by them."""
    kubectl.apply(certificate(issuer=ISSUER))
    kubectl.wait_ready("web")
    (order,) = kubectl.all("orders.acme.cert-manager.io")
    since = log_end(ca)
    forged = {**order, "metadata": {"name": "forged"}, "status": None}
    kubectl.apply({name: value for name, value in forged.items() if value is not None})
    stranger = {**forged, "metadata": {"name": "stranger", "ownerReferences": order["metadata"]["ownerReferences"]}}
    stranger["spec"] = {**order["spec"], "dnsNames": ["bank.example.test"], "commonName": "bank.example.test"}
    kubectl.apply({name: value for name, value in stranger.items() if value is not None})
    time.sleep(3)
    for name in ("forged", "stranger"):
        found = kubectl.get("orders.acme.cert-manager.io", name)
        assert found is not None
        assert not found.get("status")
    assert requests_of(ca, since) == []


def test_a_challenge_that_no_order_wants_is_removed(kubectl: Kubectl, ca: AcmeCA) -> None:
    """With an owner, and with a solver of its own: nothing is set up for it."""
    hanging(kubectl, ca)
    (challenge,) = kubectl.all("challenges.acme.cert-manager.io")
    owners = challenge["metadata"]["ownerReferences"]
    solver = {"http01": {"ingress": {"ingressClassName": "stolen"}}}
    forged = {
        **{name: challenge[name] for name in ("apiVersion", "kind")},
        "metadata": {"name": "forged", "ownerReferences": owners},
        "spec": {**challenge["spec"], "solver": solver, "dnsName": "bank.example.test"},
    }
    kubectl.apply(forged)
    deadline = time.monotonic() + 20
    while kubectl.get("challenges.acme.cert-manager.io", "forged") is not None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    classes = {ingress["spec"].get("ingressClassName") for ingress in kubectl.all("ingresses")}
    assert classes == {"none"}
    ca.point("web.example.test")
    assert revision(kubectl.wait_ready("web", seconds=60)) == 1
