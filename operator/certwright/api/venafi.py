"""CyberArk Certificate Manager (formerly Venafi) as an issuer: ``spec.venafi``."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from certwright.api.meta import HOLDS_CERTIFICATE, Doc, LocalObjectRef, Model, Rule, SecretKeySelector, not_empty


class VenafiCloud(Model, frozen=True, kw_only=True):
    """spec.venafi.cloud."""

    api_token_secret_ref: Annotated[
        SecretKeySelector, Doc("Secret with an API key, under the key `api-key` unless given.", required=True)
    ] = msgspec.field(default_factory=SecretKeySelector)
    url: Annotated[str, Doc("Base URL of the service; the public one when empty.")] = ""


class VenafiNGTS(Model, frozen=True, kw_only=True):
    """spec.venafi.ngts."""

    credentials_ref: Annotated[
        LocalObjectRef,
        Doc(
            "Secret with `client-id` and `client-secret` of a service account.",
            required=True,
            rules=(Rule("self.name != ''", "credentialsRef.name must not be empty", ".name", "FieldValueRequired"),),
        ),
    ] = msgspec.field(default_factory=LocalObjectRef)
    token_endpoint: Annotated[str, Doc("URL that gives out access tokens; the service's own when empty.")] = ""
    tsg_id: Annotated[str, Doc("ID of the tenant service group.", required=True, rules=(not_empty("tsgID"),))] = (
        msgspec.field(default="", name="tsgID")
    )
    url: Annotated[str, Doc("Base URL of the service; the public one when empty.")] = ""


class VenafiTPP(Model, frozen=True, kw_only=True):
    """spec.venafi.tpp."""

    ca_bundle: Annotated[
        bytes, Doc("PEM roots for the server's TLS certificate; the system's when empty. Excludes caBundleSecretRef.")
    ] = b""
    ca_bundle_secret_ref: Annotated[
        SecretKeySelector | None, Doc("Secret with those roots, under the key `ca.crt` unless given.")
    ] = None
    credentials_ref: Annotated[
        LocalObjectRef, Doc("Secret with `access-token`, or with `username` and `password`.", required=True)
    ] = msgspec.field(default_factory=LocalObjectRef)
    url: Annotated[
        str,
        Doc("URL of the server's API, e.g. https://tpp.example.com/vedsdk.", required=True, rules=(not_empty("url"),)),
    ] = ""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "!(has(self.caBundle) && has(self.caBundleSecretRef))",
            "caBundle and caBundleSecretRef exclude each other",
            ".caBundle",
        ),
        HOLDS_CERTIFICATE,
    )


class VenafiIssuer(Model, frozen=True, kw_only=True):
    """spec.venafi."""

    cloud: Annotated[VenafiCloud | None, Doc("Certificate Manager as a service.")] = None
    ngts: Annotated[VenafiNGTS | None, Doc("Certificate Manager on the next generation trust service.")] = None
    tpp: Annotated[VenafiTPP | None, Doc("Certificate Manager, self-hosted (formerly Trust Protection Platform).")] = (
        None
    )
    zone: Annotated[
        str,
        Doc("Zone or policy folder that certificates are requested in.", required=True, rules=(not_empty("zone"),)),
    ] = ""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.tpp) ? 1 : 0) + (has(self.cloud) ? 1 : 0) + (has(self.ngts) ? 1 : 0) == 1",
            "venafi needs exactly one of tpp, cloud and ngts",
        ),
    )
