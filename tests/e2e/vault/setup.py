"""A Vault with a PKI and every login method that can be had here, and the issuers that use it."""

from __future__ import annotations

import base64
import json
import secrets
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from devcluster import Cluster
from devcluster.vault import SERVER_NAME, Vault
from tests.e2e.harness import Kubectl

#: What an issuer's token may do: sign with the roles, and read them.
POLICY = """
path "pki_int/sign/*" { capabilities = ["update"] }
path "pki_int/roles/*" { capabilities = ["read"] }
"""
#: The role that takes names, keys and lifetimes as they come, and the role that is picky.
ROLES: dict[str, dict[str, Any]] = {
    "open": {
        "allow_any_name": True,
        "enforce_hostnames": False,
        "allowed_uri_sans": "*",
        "allowed_other_sans": "*",
        "allow_ip_sans": True,
        "key_type": "any",
        "require_cn": False,
        "max_ttl": "43800h",
        "no_store": True,
    },
    "picky": {
        "allowed_domains": ["example.test"],
        "allow_subdomains": True,
        "key_type": "any",
        "require_cn": False,
        "max_ttl": "2h",
    },
}
SERVICE_ACCOUNT = "vault-login"


@dataclass(frozen=True)
class VaultSetup:
    """A configured Vault."""

    vault: Vault
    cluster: Cluster
    role_id: str
    #: PEM of the root that everything ends at.
    root: str
    #: Every credential that was handed out: none may be seen anywhere.
    given: list[str] = field(default_factory=list[str], repr=False)

    def audited(self) -> list[tuple[str, str]]:
        """All requests so far: path, and the token's accessor (hashed; empty for none)."""
        entries = map(json.loads, self.vault.files.audit.read_text().splitlines())
        return [
            (entry["request"]["path"], entry.get("auth", {}).get("accessor", ""))
            for entry in entries
            if entry["type"] == "request"
        ]

    def secret_id(self) -> str:
        """A new secret ID of the AppRole."""
        made = self.vault.call("POST", "auth/approle/role/certwright/secret-id")["data"]["secret_id"]
        self.given.append(made)
        return str(made)

    def token(self, **options: Any) -> str:
        """A new token with the issuer's policy."""
        body = {"policies": ["certwright"], "ttl": "24h", **options}
        made = self.vault.call("POST", "auth/token/create", body)["auth"]["client_token"]
        self.given.append(made)
        return str(made)

    def issuer(
        self, auth: dict[str, Any], *, name: str = "vault", kind: str = "Issuer", role: str = "open", **more: Any
    ) -> dict[str, Any]:
        """An issuer object."""
        spec = {
            "server": self.vault.url,
            "path": f"pki_int/sign/{role}",
            "caBundle": base64.b64encode(self.vault.files.ca.read_bytes()).decode(),
            "auth": auth,
            **more,
        }
        return {
            "apiVersion": "cert-manager.io/v1",
            "kind": kind,
            "metadata": {"name": name},
            "spec": {"vault": {key: value for key, value in spec.items() if value is not None}},
        }

    def client_secret(self, name: str = "vault-client") -> dict[str, Any]:
        """The client's certificate and key."""
        crt, key = self.vault.files.client
        return secret(name, **{"tls.crt": crt.read_text(), "tls.key": key.read_text()})


def secret(name: str, **data: str) -> dict[str, Any]:
    """A Secret of text."""
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}


def app_role(setup: VaultSetup, kubectl: Kubectl) -> dict[str, Any]:
    kubectl.apply(secret("vault-app-role", secretId=setup.secret_id()))
    ref = {"name": "vault-app-role", "key": "secretId"}
    return setup.issuer({"appRole": {"path": "approle", "roleId": setup.role_id, "secretRef": ref}})


def fixed_token(setup: VaultSetup, kubectl: Kubectl) -> dict[str, Any]:
    kubectl.apply(secret("vault-token", token=setup.token()))
    return setup.issuer({"tokenSecretRef": {"name": "vault-token"}})


def kubernetes_account(setup: VaultSetup, kubectl: Kubectl) -> dict[str, Any]:
    kubectl.apply(*account_manifests())
    account = {"name": SERVICE_ACCOUNT, "audiences": ["extra"]}
    return setup.issuer({"kubernetes": {"role": "certwright", "serviceAccountRef": account}})


def kubernetes_secret(setup: VaultSetup, kubectl: Kubectl) -> dict[str, Any]:
    kubectl.apply(account_manifests()[0])
    jwt = kubectl("create", "token", SERVICE_ACCOUNT, f"--audience={setup.vault.url}").stdout.strip()
    setup.given.append(jwt)
    kubectl.apply(secret("vault-jwt", token=jwt))
    return setup.issuer({"kubernetes": {"role": "certwright", "secretRef": {"name": "vault-jwt"}}})


def mutual_tls(setup: VaultSetup, kubectl: Kubectl) -> dict[str, Any]:
    """The client certificate for every connection, and for the login."""
    kubectl.apply(setup.client_secret())
    ref = {"name": "vault-client"}
    auth = {"clientCertificate": {"name": "certwright"}}
    return setup.issuer(auth, server=setup.vault.mutual_url, clientCertSecretRef=ref, clientKeySecretRef=ref)


def client_certificate(setup: VaultSetup, kubectl: Kubectl) -> dict[str, Any]:
    """The client certificate for the login alone; roots from a Secret, and another name for the server."""
    kubectl.apply(setup.client_secret(), secret("vault-ca", **{"ca.crt": setup.vault.files.ca.read_text()}))
    auth = {"clientCertificate": {"secretName": "vault-client", "mountPath": "/v1/auth/cert"}}
    return setup.issuer(auth, caBundle=None, caBundleSecretRef={"name": "vault-ca"}, serverName=SERVER_NAME)


METHODS: dict[str, Callable[[VaultSetup, Kubectl], dict[str, Any]]] = {
    "appRole": app_role,
    "tokenSecretRef": fixed_token,
    "kubernetes serviceAccountRef": kubernetes_account,
    "kubernetes secretRef": kubernetes_secret,
    "clientCertificate": client_certificate,
    "clientCertificate over mutual TLS": mutual_tls,
}


def account_manifests(name: str = SERVICE_ACCOUNT) -> list[dict[str, Any]]:
    """A ServiceAccount, and what lets certwright make tokens for it."""
    metadata = {"name": f"certwright-{name}"}
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": metadata,
        "rules": [
            {"apiGroups": [""], "resources": ["serviceaccounts/token"], "resourceNames": [name], "verbs": ["create"]}
        ],
    }
    binding = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": metadata["name"]},
        "subjects": [{"kind": "ServiceAccount", "name": "cert-manager", "namespace": "cert-manager"}],
    }
    return [{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}, role, binding]


def configure(cluster: Cluster, vault: Vault) -> VaultSetup:
    """PKI root and intermediate, roles, policy, and the login methods."""
    root = _make_pki(vault)
    for name, role in ROLES.items():
        vault.call("POST", f"pki_int/roles/{name}", role)
    vault.call("PUT", "sys/policies/acl/certwright", {"policy": textwrap.dedent(POLICY)})
    for method in ("approle", "kubernetes", "cert"):
        vault.call("POST", f"sys/auth/{method}", {"type": method})
    token = {"token_policies": ["certwright"], "token_ttl": "1h"}
    vault.call("POST", "auth/approle/role/certwright", token)
    role_id = vault.call("GET", "auth/approle/role/certwright/role-id")["data"]["role_id"]
    vault.call("POST", "auth/cert/certs/certwright", {"certificate": vault.files.client[0].read_text(), **token})
    _allow_service_accounts(cluster, vault, token)
    return VaultSetup(vault, cluster, role_id, root)


#: Where a PKI engine makes its root, and signs with it.
ROOT = "pki/root"


def _make_pki(vault: Vault) -> str:
    for mount in ("pki", "pki_int"):
        vault.call("POST", f"sys/mounts/{mount}", {"type": "pki", "config": {"max_lease_ttl": "87600h"}})
    root = vault.call(
        "POST", f"{ROOT}/generate/internal", {"common_name": "Vault Root", "ttl": "87600h", "key_type": "ec"}
    )["data"]["certificate"]
    csr = vault.call(
        "POST", "pki_int/intermediate/generate/internal", {"common_name": "Vault Intermediate", "key_type": "ec"}
    )["data"]["csr"]
    signed = vault.call("POST", f"{ROOT}/sign-intermediate", {"csr": csr, "ttl": "80000h", "format": "pem_bundle"})[
        "data"
    ]["certificate"]
    vault.call("POST", "pki_int/intermediate/set-signed", {"certificate": f"{signed}\n{root}"})
    return str(root)


def _allow_service_accounts(cluster: Cluster, vault: Vault, token: dict[str, Any]) -> None:
    """Vault asks the real API server's TokenReview, with a token of its own that may."""
    name = f"vault-reviewer-{secrets.token_hex(3)}"
    cluster.kubectl("-n", "kube-system", "create", "serviceaccount", name)
    cluster.kubectl(
        "create",
        "clusterrolebinding",
        name,
        "--clusterrole=system:auth-delegator",
        f"--serviceaccount=kube-system:{name}",
    )
    reviewer = cluster.kubectl("-n", "kube-system", "create", "token", name, "--duration=24h").stdout.strip()
    vault.call(
        "POST",
        "auth/kubernetes/config",
        {
            "kubernetes_host": "https://127.0.0.1:6443",
            "kubernetes_ca_cert": (cluster.files.pki / "ca.crt").read_text(),
            "token_reviewer_jwt": reviewer,
        },
    )
    vault.call(
        "POST",
        "auth/kubernetes/role/certwright",
        {
            "bound_service_account_names": [SERVICE_ACCOUNT],
            "bound_service_account_namespaces": ["*"],
            "audience": vault.url,
            **token,
        },
    )


def wait_until(what: str, condition: Callable[[], Any], seconds: float) -> float:
    """Poll; how long it took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, f"{what}: not after {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - began
