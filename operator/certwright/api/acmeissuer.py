"""An ACME server (RFC 8555) as an issuer: ``spec.acme`` and ``status.acme``."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from certwright.api.meta import HOLDS_CERTIFICATE, Doc, Model, Rule, SecretKeySelector, not_empty
from certwright.api.solvers import Solver

_NAMED = Rule("self.name != ''", "the name of the Secret must not be empty", ".name", "FieldValueRequired")


class ExternalAccountBinding(Model, frozen=True, kw_only=True):
    """spec.acme.externalAccountBinding."""

    key_algorithm: Annotated[
        str,
        Doc("Deprecated and ignored: HS256 is always used.", schema={"enum": ["HS256", "HS384", "HS512"]}),
    ] = ""
    key_id: Annotated[str, Doc("ID of the key, from the CA.", required=True, rules=(not_empty("keyID"),))] = (
        msgspec.field(default="", name="keyID")
    )
    key_secret_ref: Annotated[
        SecretKeySelector,
        Doc(
            "Secret with the MAC key from the CA as unpadded base64url text; its key must be given.",
            required=True,
            rules=(
                _NAMED,
                Rule(
                    "has(self.key) && self.key != ''",
                    "keySecretRef.key must not be empty",
                    ".key",
                    "FieldValueRequired",
                ),
            ),
        ),
    ] = msgspec.field(default_factory=SecretKeySelector)


class ACMEIssuer(Model, frozen=True, kw_only=True):
    """spec.acme."""

    ca_bundle: Annotated[
        bytes, Doc("PEM roots for the server's TLS certificate; the system's when empty. Excludes skipTLSVerify.")
    ] = b""
    disable_account_key_generation: Annotated[
        bool | None,
        Doc("Whether the account key must exist already instead of being made when it is missing; false when absent."),
    ] = None
    email: Annotated[str, Doc("Where the CA may write to about the account, e.g. before a certificate expires.")] = ""
    enable_duration_feature: Annotated[
        bool | None,
        Doc("Whether to ask the CA for the Certificate's duration. Many CAs refuse that; false when absent."),
    ] = None
    external_account_binding: Annotated[
        ExternalAccountBinding | None, Doc("Binds the ACME account to an account that exists at the CA.")
    ] = None
    preferred_chain: Annotated[
        str,
        Doc(
            "Common name of the issuer of the topmost certificate of the wanted chain, when the CA offers several; at most "
            "64 characters. The CA's default chain is taken when none matches.",
            schema={"maxLength": 64},
        ),
    ] = ""
    private_key_secret_ref: Annotated[
        SecretKeySelector,
        Doc("Secret with the account key, under the key `tls.key` unless given.", required=True, rules=(_NAMED,)),
    ] = msgspec.field(default_factory=SecretKeySelector)
    profile: Annotated[
        str, Doc("Profile of the CA for every certificate, e.g. shortlived; its default when empty.")
    ] = ""
    renewal_information_source: Annotated[
        str,
        Doc(
            "Whether the CA's renewal information (RFC 9773) decides when to renew: ARI or None.",
            schema={"enum": ["ARI", "None"], "default": "ARI"},
        ),
    ] = ""
    server: Annotated[
        str,
        Doc(
            "URL of the directory, e.g. https://acme-v02.api.letsencrypt.org/directory.",
            required=True,
            rules=(not_empty("server"),),
        ),
    ] = ""
    skip_tls_verify: Annotated[
        bool | None,
        Doc("Whether to accept any TLS certificate of the server: for tests only. Prefer caBundle. False when absent."),
    ] = msgspec.field(default=None, name="skipTLSVerify")
    solvers: Annotated[
        tuple[Solver, ...], Doc("How challenges are met. The best selector wins, then the earlier in the list.")
    ] = ()

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.caBundle) && has(self.skipTLSVerify) && self.skipTLSVerify)",
            "caBundle and skipTLSVerify exclude each other",
            ".skipTLSVerify",
        ),
        HOLDS_CERTIFICATE,
    )


class ACMEIssuerStatus(Model, frozen=True, kw_only=True):
    """status.acme."""

    last_private_key_hash: Annotated[str, Doc("SHA-256 of the account key used last, base64.")] = ""
    last_registered_email: Annotated[str, Doc("Contact the account was registered with last.")] = ""
    uri: Annotated[str, Doc("The account's URL at the CA.")] = ""
