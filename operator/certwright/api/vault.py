"""HashiCorp Vault as an issuer: ``spec.vault``."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from certwright.api.meta import HOLDS_CERTIFICATE, Doc, Model, Rule, SecretKeySelector, ServiceAccountRef, not_empty

#: A path with a segment ``..`` would reach another endpoint of Vault than the one it names.
_NO_PARENT = "!(('/' + self + '/').contains('/../'))"


def _path(name: str) -> Rule:
    return Rule(_NO_PARENT, f"{name} must not have a segment '..'")


class VaultAppRole(Model, frozen=True, kw_only=True):
    """spec.vault.auth.appRole."""

    path: Annotated[
        str,
        Doc("Where the method is mounted below auth/, usually approle.", required=True, rules=(_path("path"),)),
    ] = ""
    role_id: Annotated[str, Doc("ID of the role.", required=True, rules=(not_empty("roleId"),))] = ""
    secret_ref: Annotated[
        SecretKeySelector,
        Doc(
            "Secret with the secret ID of the role; its key must be given.",
            required=True,
            rules=(Rule("self.name != ''", "secretRef.name must not be empty", ".name", "FieldValueRequired"),),
        ),
    ] = msgspec.field(default_factory=SecretKeySelector)


class VaultAWS(Model, frozen=True, kw_only=True):
    """spec.vault.auth.aws."""

    iam_role_arn: Annotated[
        str, Doc("ARN of the role that serviceAccountRef's token is exchanged for; needed with serviceAccountRef.")
    ] = ""
    mount_path: Annotated[
        str, Doc("Where the method is mounted; /v1/auth/aws when empty.", rules=(_path("mountPath"),))
    ] = ""
    region: Annotated[str, Doc("AWS region of the STS endpoint; from the operator's environment when empty.")] = ""
    role: Annotated[str, Doc("Role of Vault to log in to.", required=True, schema={"minLength": 1})] = ""
    service_account_ref: Annotated[
        ServiceAccountRef | None,
        Doc("ServiceAccount whose token is exchanged for AWS credentials; the operator's own credentials when absent."),
    ] = None
    vault_header_value: Annotated[
        str, Doc("Value of the header X-Vault-AWS-IAM-Server-ID that this Vault asks for, if it does.")
    ] = ""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!has(self.serviceAccountRef) || (has(self.iamRoleArn) && self.iamRoleArn != '')",
            "iamRoleArn is needed when serviceAccountRef is set",
            ".iamRoleArn",
            "FieldValueRequired",
        ),
    )


class VaultClientCertificate(Model, frozen=True, kw_only=True):
    """spec.vault.auth.clientCertificate."""

    mount_path: Annotated[
        str, Doc("Where the method is mounted; /v1/auth/cert when empty.", rules=(_path("mountPath"),))
    ] = ""
    name: Annotated[str, Doc("Certificate role of Vault; any that matches when empty.")] = ""
    secret_name: Annotated[
        str,
        Doc("Secret with `tls.crt` and `tls.key` of the client; that of clientCertSecretRef when empty."),
    ] = ""


class VaultKubernetes(Model, frozen=True, kw_only=True):
    """spec.vault.auth.kubernetes."""

    mount_path: Annotated[
        str, Doc("Where the method is mounted; /v1/auth/kubernetes when empty.", rules=(_path("mountPath"),))
    ] = ""
    role: Annotated[str, Doc("Role of Vault to log in to.", required=True, rules=(not_empty("role"),))] = ""
    secret_ref: Annotated[
        SecretKeySelector | None,
        Doc(
            "Secret with a long-lived ServiceAccount token, under the key `token` unless given. Prefer serviceAccountRef."
        ),
    ] = None
    service_account_ref: Annotated[
        ServiceAccountRef | None,
        Doc(
            "ServiceAccount for which a token of 10 minutes is made at each login. Its audiences are the given ones, then "
            "vault://NAMESPACE/ISSUER (vault://ISSUER for a ClusterIssuer), then the server's URL."
        ),
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.secretRef) && self.secretRef.name != '')"
            " != (has(self.serviceAccountRef) && self.serviceAccountRef.name != '')",
            "kubernetes needs exactly one of secretRef and serviceAccountRef, with a name",
        ),
    )


class VaultAuth(Model, frozen=True, kw_only=True):
    """spec.vault.auth."""

    app_role: Annotated[VaultAppRole | None, Doc("Log in with a role ID and a secret ID.")] = None
    aws: Annotated[VaultAWS | None, Doc("Log in with an AWS identity.")] = None
    client_certificate: Annotated[VaultClientCertificate | None, Doc("Log in with a TLS client certificate.")] = None
    kubernetes: Annotated[VaultKubernetes | None, Doc("Log in with a ServiceAccount token.")] = None
    token_secret_ref: Annotated[
        SecretKeySelector | None, Doc("Secret with a Vault token, under the key `token` unless given.")
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "has(self.tokenSecretRef) || has(self.appRole) || has(self.clientCertificate) || has(self.kubernetes)"
            " || has(self.aws)",
            "auth needs one of tokenSecretRef, appRole, clientCertificate, kubernetes and aws",
            reason="FieldValueRequired",
        ),
    )


class VaultIssuer(Model, frozen=True, kw_only=True):
    """spec.vault."""

    auth: Annotated[VaultAuth, Doc("How to log in; exactly one method.", required=True)] = msgspec.field(
        default_factory=VaultAuth
    )
    ca_bundle: Annotated[
        bytes, Doc("PEM roots for Vault's TLS certificate; the system's when empty. Excludes caBundleSecretRef.")
    ] = b""
    ca_bundle_secret_ref: Annotated[
        SecretKeySelector | None, Doc("Secret with those roots, under the key `ca.crt` unless given.")
    ] = None
    client_cert_secret_ref: Annotated[
        SecretKeySelector | None,
        Doc(
            "Secret with a TLS client certificate, under `tls.crt` unless given. Set together with clientKeySecretRef."
        ),
    ] = None
    client_key_secret_ref: Annotated[
        SecretKeySelector | None, Doc("Secret with the key of that certificate, under `tls.key` unless given.")
    ] = None
    namespace: Annotated[str, Doc("Vault Enterprise namespace for login and signing; none when empty.")] = ""
    path: Annotated[
        str,
        Doc(
            "Endpoint that signs, e.g. pki/sign/my-role.",
            required=True,
            rules=(not_empty("path"), _path("path")),
        ),
    ] = ""
    server: Annotated[
        str, Doc("URL of Vault, e.g. https://vault.example.com:8200.", required=True, rules=(not_empty("server"),))
    ] = ""
    server_name: Annotated[
        str, Doc("Name that Vault's TLS certificate must have; the host of the server's URL when empty.")
    ] = ""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.caBundle) && has(self.caBundleSecretRef))",
            "caBundle and caBundleSecretRef exclude each other",
            ".caBundle",
        ),
        HOLDS_CERTIFICATE,
        Rule(
            "has(self.clientCertSecretRef) == has(self.clientKeySecretRef)",
            "clientCertSecretRef and clientKeySecretRef are set together or not at all",
            ".clientCertSecretRef",
        ),
    )
