"""What makes a Certificate be issued again and what does not: the contract's list of what is easily got wrong.

Each test names the row of the API contract's section 8 that it holds in place; rows that need no cluster are tested in
tests/operator. Where somebody else has to sign, the administrator plays that issuer.
"""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certwright_issuers.contract import SigningRequest
from certwright_issuers.csr import parse_csr
from certwright_issuers.keys import KeySpec, generate_key
from certwright_issuers.leaf import Signer, sign_leaf
from tests.e2e.harness import Kubectl, condition, is_true
from tests.e2e.test_certificates import SELF_SIGNED, certificate, data_of, revision, secret_of
from tests.e2e.test_requests import set_condition

pytestmark = pytest.mark.usefixtures("operator")

OUTSIDE = {"name": "outside", "kind": "Thing", "group": "issuers.example.test"}
CA_KEY = generate_key(KeySpec("ECDSA", 256))
CA_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Outside CA")])


def sign_outside(kubectl: Kubectl, name: str, **status: str) -> dict[str, Any]:
    """Approve and sign a request as a controller of another API would; the request."""
    found = kubectl.wait("certificaterequest", name, lambda r: r["spec"]["request"])
    csr = parse_csr(base64.b64decode(found["spec"]["request"])).csr
    signing = SigningRequest(csr, timedelta(days=30), is_ca=False, usages=("server auth",), now=datetime.now(UTC))
    pem = sign_leaf(signing, Signer(CA_KEY, issuer=CA_NAME))[0].public_bytes(Encoding.PEM)
    set_condition(kubectl, name, "Approved")
    set_condition(kubectl, name, "Ready", reason="Issued", certificate=base64.b64encode(pem).decode(), **status)
    return found


def fail_outside(kubectl: Kubectl, name: str) -> dict[str, Any]:
    """Fail a request as a controller of another API would; the request."""
    found = kubectl.wait("certificaterequest", name, lambda r: r["spec"]["request"])
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    set_condition(kubectl, name, "Approved")
    set_condition(kubectl, name, "Ready", "no", value="False", reason="Failed", failureTime=now)
    return found


def settled(kubectl: Kubectl) -> dict[str, Any]:
    """Wait until the newest spec has been looked at and nothing is under way."""
    return kubectl.wait("certificate", "web", lambda c: is_true(c, "Ready") and condition(c, "Issuing") is None)


def issuing(obj: dict[str, Any]) -> tuple[str, str]:
    found = condition(obj, "Issuing") or {"status": "", "reason": ""}
    return found["status"], found["reason"]


def test_failure_success_and_what_they_leave(kubectl: Kubectl) -> None:
    """Contract rows 8.1, 8.16, 8.18 and 8.20: a failure sets Issuing False and keeps the request; a changed spec ends
    the pause, in a request of the same name; success removes Issuing and counts one revision."""
    kubectl.apply(certificate(issuer=OUTSIDE))
    first = fail_outside(kubectl, "web-1")
    failed = kubectl.wait("certificate", "web", lambda c: issuing(c)[0] == "False")
    assert issuing(failed) == ("False", "Failed")
    assert failed["status"]["failedIssuanceAttempts"] == 1
    assert "revision" not in failed["status"]
    kept = kubectl.get("certificaterequest", "web-1")
    assert kept is not None
    assert kept["metadata"]["uid"] == first["metadata"]["uid"]

    kubectl.apply(certificate(issuer=OUTSIDE, dnsNames=["new.example.test"]))
    kubectl.wait("certificaterequest", "web-1", lambda r: r["metadata"]["uid"] != first["metadata"]["uid"], seconds=5)
    sign_outside(kubectl, "web-1")
    ready = kubectl.wait_ready("web")
    assert condition(ready, "Issuing") is None
    assert revision(ready) == 1
    assert not {"lastFailureTime", "failedIssuanceAttempts", "nextPrivateKeySecretName"} & ready["status"].keys()


def test_ready_while_it_is_issued_again(kubectl: Kubectl) -> None:
    """Contract rows 8.2 and 8.16: False for a changed spec, with the fields, until it is issued; the old certificate
    stays. A change back to what was issued does not undo an issuance under way."""
    kubectl.apply(certificate(issuer=OUTSIDE))
    sign_outside(kubectl, "web-1")
    kubectl.wait_ready("web")
    before = data_of(secret_of(kubectl), "tls.crt")
    kubectl.apply(certificate(issuer=OUTSIDE, dnsNames=["new.example.test"]))
    waiting = kubectl.wait("certificate", "web", lambda c: issuing(c) == ("True", "RequestChanged"))
    ready = condition(waiting, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "RequestChanged")
    assert ready["message"] == "Fields on existing CertificateRequest resource not up to date: [spec.dnsNames]"
    assert data_of(secret_of(kubectl), "tls.crt") == before
    sign_outside(kubectl, "web-2")
    assert revision(kubectl.wait_ready("web")) == 2


MUST_NOT: list[dict[str, Any]] = [
    {"issuerRef": {"name": "self-signed", "kind": "Issuer", "group": "cert-manager.io"}},
    {"privateKey": {"algorithm": "ECDSA", "encoding": "PKCS8"}},
    {"privateKey": {"algorithm": "ECDSA", "size": 256, "rotationPolicy": "Always"}},
    {"nameConstraints": {"permitted": {"dnsDomains": ["example.test"]}}},
    {"signatureAlgorithm": "ECDSAWithSHA384"},
    {"encodeUsagesInRequest": False},
    {"renewBefore": "500h"},
    {"renewBeforePercentage": 20},
    {"renewal": {"policy": "Disabled"}},
    {"renewal": {"policy": "RenewBefore", "windows": [{"cron": "0 3 * * *", "windowDuration": "2h"}]}},
    {"keystores": {"pkcs12": {"create": True, "password": "x"}}},
    {"additionalOutputFormats": [{"type": "DER"}]},
    {"secretTemplate": {"labels": {"a": "b"}}},
    {"revisionHistoryLimit": 3},
    {"duration": "200h"},
    {"otherNames": None},
    {"dnsNames": ["b.example.test", "web.example.test"]},
    {"usages": ["server auth", "cert sign"]},
]


def test_changes_that_must_not_issue_again(kubectl: Kubectl) -> None:
    """Contract rows 8.5, 8.6 and 8.7: each changed by itself, and none makes a second revision or another file."""
    base: dict[str, Any] = {
        "isCA": True,
        "dnsNames": ["web.example.test", "b.example.test"],
        "otherNames": [{"oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "me@example.test"}],
        "usages": ["cert sign", "server auth"],
        "issuer": {"name": "self-signed"},
    }
    kubectl.apply(SELF_SIGNED, certificate(**base))
    settled(kubectl)
    pair = {name: secret_of(kubectl)["data"][name] for name in ("tls.key", "tls.crt")}
    for change in MUST_NOT:
        made = certificate(**base)
        made["spec"] = {name: value for name, value in (made["spec"] | change).items() if value is not None}
        kubectl.apply(made)
        assert revision(settled(kubectl)) == 1, change
        assert secret_of(kubectl)["data"].items() >= pair.items(), change
    annotations = secret_of(kubectl)["metadata"]["annotations"]
    assert (annotations["cert-manager.io/issuer-kind"], annotations["cert-manager.io/issuer-group"]) == ("", "")


MUST: list[dict[str, Any]] = [
    {"dnsNames": ["new.example.test"]},
    {"commonName": "web.example.test"},
    {"ipAddresses": ["192.0.2.1"]},
    {"uris": ["spiffe://example.test/a"]},
    {"emailAddresses": ["me@example.test"]},
    {"otherNames": [{"oid": "1.3.6.1.4.1.311.20.2.3", "utf8Value": "me@example.test"}]},
    {"subject": {"organizations": ["Example"]}},
    {"subject": {"serialNumber": "1"}},
    {"literalSubject": "CN=web.example.test,O=Example"},
    {"isCA": True},
    {"usages": ["digital signature", "server auth"]},
    {"duration": "101h"},
    {"privateKey": {"algorithm": "ECDSA", "size": 384}},
    {"privateKey": {"algorithm": "Ed25519"}},
    {"issuerRef": {"name": "other"}},
    {"issuerRef": {"name": "self-signed-everywhere", "kind": "ClusterIssuer"}},
    {"secretName": "elsewhere-tls"},
]


def test_changes_that_must_issue_again(kubectl: Kubectl) -> None:
    """Contract rows 8.4 and 8.7: each change makes a revision, and so does taking it back."""
    everywhere = {**SELF_SIGNED, "kind": "ClusterIssuer", "metadata": {"name": "self-signed-everywhere"}}
    other = {**SELF_SIGNED, "metadata": {"name": "other"}}
    base = certificate(duration="100h")
    kubectl.apply(SELF_SIGNED, other, everywhere, base)
    assert revision(settled(kubectl)) == 1
    expected = 1
    for change in MUST:
        kubectl.apply({**base, "spec": base["spec"] | change})
        expected += 1
        assert revision(settled(kubectl)) == expected, change
    kubectl("delete", "clusterissuer", "self-signed-everywhere")


def test_disabled_renewal_turns_off_the_clock_and_nothing_else(kubectl: Kubectl) -> None:
    """Contract row 8.13: no renewal time; a lost Secret and a changed spec are issued all the same."""
    off = {"policy": "Disabled"}
    kubectl.apply(SELF_SIGNED, certificate(renewal=off))
    assert "renewalTime" not in settled(kubectl)["status"]
    kubectl("delete", "secret", "web-tls")
    kubectl.wait("certificate", "web", lambda c: revision(c) == 2 and is_true(c, "Ready"))
    kubectl.apply(certificate(renewal=off, dnsNames=["new.example.test"]))
    assert revision(settled(kubectl)) == 3


def test_a_window_that_can_not_be_used_is_told(kubectl: Kubectl) -> None:
    """Contract row 8.12: Ready=False with reason WindowError, an Event, and the plain renewal time."""
    never = {"policy": "RenewBefore", "windows": [{"cron": "0 0 30 2 *", "windowDuration": "1h"}]}
    kubectl.apply(SELF_SIGNED, certificate(renewal=never))
    told = kubectl.wait("certificate", "web", lambda c: (condition(c, "Ready") or {}).get("reason") == "WindowError")
    assert "renewalTime" in told["status"]
    assert kubectl.wait_event("web", "WindowError")["type"] == "Warning"
    assert revision(told) == 1
    kubectl.apply(certificate())
    assert revision(settled(kubectl)) == 1


def test_revision_history(kubectl: Kubectl) -> None:
    """Contract row 8.21: the newest requests up to the limit are kept; of 4 revisions the last two."""
    for number in range(4):
        kubectl.apply(SELF_SIGNED, certificate(revisionHistoryLimit=2, dnsNames=[f"n{number}.example.test"]))
        assert revision(settled(kubectl)) == number + 1
    kubectl.wait("certificate", "web", lambda _: len(kubectl.all("certificaterequest")) == 2)
    assert [r["metadata"]["name"] for r in kubectl.all("certificaterequest")] == ["web-3", "web-4"]
    kubectl.apply(certificate(dnsNames=["n3.example.test"]))
    kubectl.wait("certificate", "web", lambda _: len(kubectl.all("certificaterequest")) == 1)


def test_nothing_is_stored_in_the_spec(kubectl: Kubectl) -> None:
    """Contract row 8.22: defaults apply when they are used; what the user wrote stays as it is."""
    made = certificate()
    del made["spec"]["privateKey"]
    kubectl.apply(SELF_SIGNED, made)
    assert settled(kubectl)["spec"] == made["spec"]
    assert b"BEGIN RSA PRIVATE KEY" in data_of(secret_of(kubectl), "tls.key")


def test_the_temporary_key(kubectl: Kubectl) -> None:
    """Contract row 8.23: PKCS#8 whatever the spec's encoding, labelled, owned, named in the status; gone afterwards."""
    kubectl.apply(certificate(issuer=OUTSIDE, privateKey={"algorithm": "ECDSA", "encoding": "PKCS1"}))
    waiting = kubectl.wait("certificate", "web", lambda c: c.get("status", {}).get("nextPrivateKeySecretName"))
    name = waiting["status"]["nextPrivateKeySecretName"]
    temporary = kubectl.get("secret", name)
    assert temporary is not None
    assert temporary["type"] == "Opaque"
    assert data_of(temporary, "tls.key").startswith(b"-----BEGIN PRIVATE KEY-----")
    assert temporary["metadata"]["labels"] == {
        "cert-manager.io/next-private-key": "true",
        "controller.cert-manager.io/fao": "true",
    }
    owner = temporary["metadata"]["ownerReferences"][0]
    assert (owner["uid"], owner["controller"]) == (waiting["metadata"]["uid"], True)
    request = sign_outside(kubectl, "web-1")
    assert request["metadata"]["annotations"]["cert-manager.io/private-key-secret-name"] == name
    kubectl.wait_ready("web")
    assert data_of(secret_of(kubectl), "tls.key").startswith(b"-----BEGIN EC PRIVATE KEY-----")
    assert [secret["metadata"]["name"] for secret in kubectl.all("secret")] == ["web-tls"]


def test_what_was_applied_earlier_and_is_no_longer_goes(kubectl: Kubectl) -> None:
    """Contract rows 8.26 and 8.27: a CA that is no longer given and template keys vanish, foreign ones stay; the field
    manager is the one that Secrets of cert-manager have."""
    template = {"labels": {"old": "1"}, "annotations": {"old": "1"}}
    kubectl.apply(certificate(issuer=OUTSIDE, secretTemplate=template))
    sign_outside(kubectl, "web-1", ca=base64.b64encode(b"a CA").decode())
    kubectl.wait_ready("web")
    assert data_of(secret_of(kubectl), "ca.crt") == b"a CA"
    foreign = {"data": {"foreign": "eA=="}, "metadata": {"labels": {"foreign": "1"}}}
    kubectl("patch", "secret", "web-tls", "--type=merge", "-p", json.dumps(foreign))
    kubectl.apply(certificate(issuer=OUTSIDE, dnsNames=["new.example.test"]))
    sign_outside(kubectl, "web-2")
    kubectl.wait("certificate", "web", lambda c: revision(c) == 2 and is_true(c, "Ready"))
    secret = secret_of(kubectl)
    assert set(secret["data"]) == {"tls.key", "tls.crt", "foreign"}
    assert secret["metadata"]["labels"] == {"foreign": "1", "controller.cert-manager.io/fao": "true"}
    assert "old" not in secret["metadata"]["annotations"]
    shown = json.loads(kubectl("get", "secret", "web-tls", "-o", "json", "--show-managed-fields").stdout)
    managers = {field["manager"] for field in shown["metadata"]["managedFields"] if field["operation"] == "Apply"}
    assert managers == {"cert-manager-certificates-issuing"}
