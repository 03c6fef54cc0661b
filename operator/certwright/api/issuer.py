"""Issuer and ClusterIssuer: one schema, two scopes."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from certwright.api.meta import Condition, Doc, Model, ObjectMeta


class SelfSignedIssuer(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """spec.selfSigned."""

    crl_distribution_points: Annotated[
        tuple[str, ...], Doc("URLs of certificate revocation lists, put into every certificate.")
    ] = ()


class CAIssuer(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """spec.ca."""

    crl_distribution_points: Annotated[
        tuple[str, ...], Doc("URLs of certificate revocation lists, put into every certificate.")
    ] = ()
    issuing_certificate_urls: Annotated[
        tuple[str, ...], Doc("URLs of the CA's own certificate, put into every certificate.")
    ] = msgspec.field(default=(), name="issuingCertificateURLs")
    ocsp_servers: Annotated[tuple[str, ...], Doc("URLs of OCSP responders, put into every certificate.")] = ()
    secret_name: Annotated[
        str, Doc("Secret with the CA's `tls.crt` (its own certificate first) and `tls.key`.", required=True)
    ] = ""


class IssuerSpec(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """Exactly one of the fields says how certificates are signed."""

    acme: dict[str, Any] | None = None
    ca: Annotated[CAIssuer | None, Doc("Sign with a CA key kept in a Secret.")] = None
    self_signed: Annotated[SelfSignedIssuer | None, Doc("Sign each certificate with its own key.")] = None
    vault: dict[str, Any] | None = None
    venafi: dict[str, Any] | None = None


class ACMEIssuerStatus(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """status.acme."""

    last_private_key_hash: Annotated[str, Doc("SHA-256 of the account key used last, base64.")] = ""
    last_registered_email: Annotated[str, Doc("Contact the account was registered with last.")] = ""
    uri: Annotated[str, Doc("The account's URL at the CA.")] = ""


class IssuerStatus(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """Whether it can sign."""

    acme: Annotated[ACMEIssuerStatus | None, Doc("The ACME account.")] = None
    conditions: Annotated[tuple[Condition, ...], Doc("Ready: certificates can be signed.")] = ()


class Issuer(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """Somebody who signs."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: Annotated[IssuerSpec, Doc("How certificates are signed.", required=True)] = msgspec.field(
        default_factory=IssuerSpec
    )
    status: Annotated[IssuerStatus, Doc("Whether it can sign.")] = msgspec.field(default_factory=IssuerStatus)
