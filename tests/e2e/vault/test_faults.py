"""What goes wrong between certwright and a real Vault: told where people look, retried where it heals, final where not."""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from devcluster import Cluster
from devcluster.netns import ADDRESS
from tests.e2e.harness import Kubectl, Operator, condition, is_true
from tests.e2e.test_certificates import SELF_SIGNED, certificate, seconds_until_ready, secret_of, x509_of
from tests.e2e.vault.setup import VaultSetup, account_manifests, app_role, fixed_token, secret

pytestmark = pytest.mark.usefixtures("operator")

WEB = {"name": "vault"}


def says(obj: dict[str, Any], type_: str = "Ready") -> str:
    """The message of a condition."""
    found = condition(obj, type_)
    return str(found["message"]) if found else ""


def unready(kubectl: Kubectl, words: str, seconds: float = 60, name: str = "vault") -> dict[str, Any]:
    """Wait until an issuer is not ready, for this reason."""
    found = kubectl.wait("issuer", name, lambda o: words in says(o) and not is_true(o, "Ready"), seconds)
    ready = condition(found, "Ready")
    assert ready is not None
    assert (ready["status"], ready["reason"]) == ("False", "VaultError")
    return found


def test_a_missing_secret_is_told_and_waited_for(kubectl: Kubectl, vault: VaultSetup) -> None:
    """The issuer names it; Certificates that wait are issued when it comes."""
    ref = {"name": "late", "key": "secretId"}
    kubectl.apply(
        vault.issuer({"appRole": {"path": "approle", "roleId": vault.role_id, "secretRef": ref}}),
        certificate(issuer=WEB),
    )
    unready(kubectl, 'secret "late" not found')
    waiting = kubectl.wait("certificate", "web", lambda c: 'secret "late" not found' in says(c, "Issuing"))
    assert is_true(waiting, "Issuing")
    kubectl.apply(secret("late", other="x"))
    unready(kubectl, 'no data for "secretId" in secret "late"')
    kubectl.apply(secret("late", secretId=vault.secret_id()))
    kubectl.wait_ready("web", seconds=5)


def test_wrong_credentials(kubectl: Kubectl, vault: VaultSetup) -> None:
    """Vault's own words, and not the credentials."""
    kubectl.apply(app_role(vault, kubectl))
    kubectl.wait_ready("vault", kind="issuer")
    kubectl.apply(secret("vault-app-role", secretId="canary-wrong-secret-id"))
    found = unready(
        kubectl, "refuses the login by appRole at v1/auth/approle/login: invalid role or secret ID (HTTP 400)"
    )
    assert "canary" not in json.dumps(found["status"])
    kubectl.apply(certificate(issuer=WEB), secret("vault-app-role", secretId=vault.secret_id()))
    kubectl.wait_ready("web")


def test_a_service_account_that_may_not_be_used(kubectl: Kubectl, vault: VaultSetup, namespace: str) -> None:
    """First it is missing, then the permission: the message says what to grant."""
    account, role, binding = account_manifests()
    kubectl.apply(vault.issuer({"kubernetes": {"role": "certwright", "serviceAccountRef": {"name": "vault-login"}}}))
    unready(kubectl, f'certwright may not make tokens for ServiceAccount "{namespace}/vault-login"')
    kubectl.apply(role, binding)
    unready(kubectl, f'ServiceAccount "{namespace}/vault-login" not found')
    kubectl.apply(account)
    kubectl.wait_ready("vault", kind="issuer", seconds=40)


def test_a_name_that_the_role_forbids(kubectl: Kubectl, vault: VaultSetup) -> None:
    """Final: the request and the Certificate say it in Vault's words; a spec that fits is issued at once."""
    kubectl.apply(app_role(vault, kubectl) | {})
    issuer = app_role(vault, kubectl)
    issuer["spec"]["vault"]["path"] = "pki_int/sign/picky"
    kubectl.apply(issuer, certificate(issuer=WEB, dnsNames=["www.evil.test"]))
    failed = kubectl.wait("certificate", "web", lambda c: (condition(c, "Issuing") or {}).get("status") == "False")
    words = "subject alternate name www.evil.test not allowed by this role (HTTP 400)"
    assert words in says(failed, "Issuing")
    request = kubectl.get("certificaterequest", "web-1")
    assert request is not None
    ready = condition(request, "Ready")
    assert ready is not None
    assert ready["reason"] == "Failed"
    assert ready["message"] == f"Vault failed to sign certificate: {words}"
    assert kubectl.wait_event("web-1", "SigningError")["type"] == "Warning"
    assert is_true(kubectl.wait_ready("vault", kind="issuer"), "Ready")
    kubectl.apply(certificate(issuer=WEB))
    kubectl.wait_ready("web")


def test_a_lifetime_above_the_roles(kubectl: Kubectl, vault: VaultSetup) -> None:
    """Vault shortens it: issued, told once, not asked again."""
    issuer = app_role(vault, kubectl)
    issuer["spec"]["vault"]["path"] = "pki_int/sign/picky"
    kubectl.apply(issuer, certificate(issuer=WEB, duration="48h"))
    kubectl.wait_ready("web")
    event = kubectl.wait_event("web-1", "DurationShortened")
    assert "from 48h0m0s to " in event["message"]
    leaf = x509_of(secret_of(kubectl))
    assert (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() < 2 * 3600 + 60
    assert [r["metadata"]["name"] for r in kubectl.all("certificaterequest")] == ["web-1"]


def test_a_path_that_the_policy_denies(kubectl: Kubectl, vault: VaultSetup) -> None:
    """Pending, not failed: issued when the policy lets it."""
    kubectl.apply(secret("vault-token", token=vault.token(policies=["late-policy"])))
    kubectl.apply(vault.issuer({"tokenSecretRef": {"name": "vault-token"}}), certificate(issuer=WEB))
    told = kubectl.wait("certificaterequest", "web-1", lambda r: "does not let us sign" in says(r))
    ready = condition(told, "Ready")
    assert ready is not None
    assert (ready["reason"], "permission denied (HTTP 403)" in ready["message"]) == ("Pending", True)
    # The same on the Certificate, when it is looked at again.
    kubectl.wait("certificate", "web", lambda c: f". Waiting: {ready['message']}" in says(c, "Issuing"))
    vault.vault.call(
        "PUT", "sys/policies/acl/late-policy", {"policy": 'path "pki_int/sign/open" { capabilities = ["update"] }'}
    )
    kubectl.wait_ready("web", seconds=40)


def test_a_token_revoked_in_the_middle(kubectl: Kubectl, vault: VaultSetup) -> None:
    """Another login, and nobody notices; the fixed token's issuer says so."""
    kubectl.apply(app_role(vault, kubectl))
    fixed = fixed_token(vault, kubectl)
    fixed["metadata"]["name"] = "fixed"
    kubectl.apply(fixed)
    kubectl.wait_ready("vault", kind="issuer")
    kubectl.wait_ready("fixed", kind="issuer")
    time.sleep(5.5)  # younger tokens are trusted
    vault.vault.call("POST", "sys/leases/revoke-prefix/auth/approle")
    vault.vault.call("POST", "auth/token/revoke", {"token": _text_of(kubectl, "vault-token", "token")})
    kubectl.apply(certificate(issuer=WEB), certificate("other", issuer={"name": "fixed"}))
    kubectl.wait_ready("web", seconds=5)
    assert [event["reason"] for event in kubectl.events("web-1")] == ["cert-manager.io", "CertificateIssued"]
    found = unready(kubectl, "does not accept the token", name="fixed")
    assert "invalid token" in says(found)
    kubectl.apply(secret("vault-token", token=vault.token()))
    kubectl.wait_ready("other")


def _text_of(kubectl: Kubectl, name: str, key: str) -> str:
    found = kubectl.get("secret", name)
    assert found is not None
    return base64.b64decode(found["data"][key]).decode()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"caBundle": None}, "is not trusted: unable to get local issuer certificate"),
        ({"serverName": "other.test"}, "is not trusted: Hostname mismatch, certificate is not valid for 'other.test'."),
        ({"server": f"https://{ADDRESS}:8299"}, "no connection to Vault at 10.0.0.10:8299: Connection refused"),
        ({"server": "https://127.0.0.1:8210"}, "is not allowed: it is a loopback address"),
        ({"server": "https://169.254.169.254"}, "is not allowed: it is a link-local address"),
        ({"server": "https://vault.invalid"}, "the name of Vault's host vault.invalid can't be resolved"),
        ({"path": "pki_int/sign/absent"}, 'has no role "absent" at "pki_int"'),
        (
            {
                "auth": {
                    "appRole": {
                        "path": "absent",
                        "roleId": "r",
                        "secretRef": {"name": "vault-app-role", "key": "secretId"},
                    }
                }
            },
            "at v1/auth/absent/login: permission denied (HTTP 403)",
        ),
    ],
)
def test_issuers_that_can_not_work(kubectl: Kubectl, vault: VaultSetup, change: dict[str, Any], words: str) -> None:
    """Each says why within seconds."""
    issuer = app_role(vault, kubectl)
    spec = {key: value for key, value in {**issuer["spec"]["vault"], **change}.items() if value is not None}
    kubectl.apply({**issuer, "spec": {"vault": spec}})
    unready(kubectl, words, seconds=15)
    assert kubectl.wait_event("vault", "VaultError")["type"] == "Warning"


def test_two_ways_to_log_in(kubectl: Kubectl, vault: VaultSetup) -> None:
    """Admission lets them pass, as cert-manager's does; the issuer refuses."""
    both = app_role(vault, kubectl)
    both["spec"]["vault"]["auth"] |= fixed_token(vault, kubectl)["spec"]["vault"]["auth"]
    kubectl.apply(both)
    unready(kubectl, "Multiple auth methods cannot be set on the same Vault issuer")


def test_a_listener_that_wants_a_client_certificate(kubectl: Kubectl, vault: VaultSetup) -> None:
    """Without one there is no connection."""
    issuer = app_role(vault, kubectl)
    issuer["spec"]["vault"]["server"] = vault.vault.mutual_url
    kubectl.apply(issuer)
    unready(kubectl, "certificate required", seconds=15)


def test_a_sealed_vault(kubectl: Kubectl, vault: VaultSetup) -> None:
    """Not ready within 60 s; requests stay pending; all is issued within 10 s of the unsealing."""
    kubectl.apply(app_role(vault, kubectl))
    kubectl.wait_ready("vault", kind="issuer")
    vault.vault.seal()
    try:
        kubectl.apply(*(certificate(f"web{number}", issuer=WEB) for number in range(5)))
        unready(kubectl, "is sealed")
        kubectl.wait("certificate", "web0", lambda c: "is sealed" in says(c, "Issuing"))
        request = kubectl.wait("certificaterequest", "web0-1", lambda r: condition(r, "Ready"))
        assert (condition(request, "Ready") or {})["reason"] == "Pending"
    finally:
        vault.vault.unseal()
    began = time.monotonic()
    for number in range(5):
        kubectl.wait_ready(f"web{number}", seconds=15)
    assert time.monotonic() - began < 10


def test_a_role_that_is_removed(kubectl: Kubectl, vault: VaultSetup) -> None:
    """Found by a signature at once, else by the next look; pending, and ready again by itself."""
    path = "pki_int/roles/removed"
    vault.vault.call("POST", path, {"allow_any_name": True, "key_type": "any", "require_cn": False})
    issuer = app_role(vault, kubectl)
    issuer["spec"]["vault"]["path"] = "pki_int/sign/removed"
    kubectl.apply(issuer)
    kubectl.wait_ready("vault", kind="issuer")
    vault.vault.call("DELETE", path)
    kubectl.apply(certificate(issuer=WEB))
    unready(kubectl, 'has no role "removed" at "pki_int"', seconds=10)
    request = kubectl.get("certificaterequest", "web-1")
    assert request is not None
    assert (condition(request, "Ready") or {})["reason"] == "Pending"
    vault.vault.call("POST", path, {"allow_any_name": True, "key_type": "any", "require_cn": False})
    kubectl.wait_ready("web", seconds=40)


def test_a_ca_that_expires(kubectl: Kubectl, vault: VaultSetup) -> None:
    """The issuer says so within 60 s, and is ready again with the CA that replaces it."""
    mount, body = f"pki_{kubectl.namespace.replace('-', '_')}", {"common_name": "Short", "key_type": "ec"}
    root = f"{mount}/root"
    call = vault.vault.call
    call("POST", f"sys/mounts/{mount}", {"type": "pki", "config": {"max_lease_ttl": "8760h"}})
    call("POST", f"{root}/generate/internal", {**body, "ttl": "12s"})
    call("POST", f"{mount}/roles/web", {"allow_any_name": True, "key_type": "any", "require_cn": False})
    call("PUT", "sys/policies/acl/short", {"policy": f'path "{mount}/sign/web" {{ capabilities = ["update"] }}'})
    kubectl.apply(secret("vault-token", token=vault.token(policies=["short"])))
    kubectl.apply(vault.issuer({"tokenSecretRef": {"name": "vault-token"}}, path=f"{mount}/sign/web"))
    kubectl.wait_ready("vault", kind="issuer", seconds=10)
    unready(kubectl, f'the CA certificate "CN=Short" of "{mount}"', seconds=60)
    kubectl.apply(certificate(issuer=WEB))
    kubectl.wait("certificate", "web", lambda c: "has expired on" in says(c, "Issuing"))
    new = call("POST", f"{root}/rotate/internal", {**body, "ttl": "8760h"})["data"]["issuer_id"]
    call("POST", f"{mount}/config/issuers", {"default": new})
    kubectl.wait_ready("web", seconds=40)


class _Hanging(BaseHTTPRequestHandler):
    """A Vault that is well until it is asked to sign."""

    def do_GET(self) -> None:
        self._answer({"initialized": True, "sealed": False, "data": {"ttl": 3600}})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        time.sleep(60)

    def _answer(self, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Not into the test's output."""


@contextmanager
def hanging_vault(cluster: Cluster) -> Iterator[str]:
    """Its URL inside."""
    listener = cluster.listen_inside(ADDRESS)
    server = ThreadingHTTPServer(listener.getsockname(), _Hanging, bind_and_activate=False)
    server.daemon_threads = True
    server.socket.close()
    server.socket = listener
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{ADDRESS}:{listener.getsockname()[1]}"
    finally:
        server.shutdown()
        listener.close()


def test_a_vault_that_hangs_holds_up_nobody_else(cluster: Cluster, kubectl: Kubectl, vault: VaultSetup) -> None:
    """200 Certificates wait for it; one of another issuer, in the same namespace, takes a second."""
    with hanging_vault(cluster) as url:
        kubectl.apply(SELF_SIGNED, secret("token", token="canary-token-of-a-hanging-vault"))
        hanging = vault.issuer({"tokenSecretRef": {"name": "token"}}, name="hangs", server=url, caBundle=None)
        kubectl.apply(hanging)
        kubectl.wait_ready("hangs", kind="issuer")
        kubectl.apply(*(certificate(f"hangs{number}", issuer={"name": "hangs"}) for number in range(200)))
        kubectl.wait("certificaterequest", "hangs0-1", lambda r: is_true(r, "Approved"))
        took = [seconds_until_ready(kubectl, f"quick{number}") for number in range(5)]
        assert sorted(took)[2] < 3, took
        # 30 s later: told as a time-out, still pending.
        told = kubectl.wait("certificaterequest", "hangs0-1", lambda r: "did not answer" in says(r), seconds=60)
        assert (condition(told, "Ready") or {})["reason"] == "Pending"


def test_nothing_secret_is_told(kubectl: Kubectl, vault: VaultSetup, operator: Operator) -> None:
    """No credential that any test has used, and no token that Vault has made, occurs in any output (S6)."""
    kubectl.apply(app_role(vault, kubectl), certificate(issuer=WEB))
    kubectl.wait_ready("web")
    everything = kubectl(
        "get", "events,issuers,clusterissuers,certificates,certificaterequests", "-A", "-o", "json"
    ).stdout
    # The CSR and the CA bundle are what the user wrote, in base64, in which anything may occur by chance.
    sinks = operator.log.read_text() + re.sub(r'"(request|caBundle)": "[^"]*"', "", everything)
    client_key = vault.vault.files.client[1].read_text().splitlines()[1:-1]
    canaries = ["canary", "hvs.", *vault.given, *client_key]
    assert vault.given
    for canary in canaries:
        assert canary not in sinks
        assert base64.b64encode(canary.encode()).decode().rstrip("=") not in sinks
