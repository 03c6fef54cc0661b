"""Issuer and ClusterIssuer: one schema, two scopes."""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec

from certwright.api.acmeissuer import ACMEIssuer, ACMEIssuerStatus
from certwright.api.meta import CONDITION_LIST, Condition, Doc, Model, ObjectMeta, Rule, not_empty
from certwright.api.vault import VaultIssuer
from certwright.api.venafi import VenafiIssuer


class SelfSignedIssuer(Model, frozen=True, kw_only=True):
    """spec.selfSigned."""

    crl_distribution_points: Annotated[
        tuple[str, ...], Doc("URLs of certificate revocation lists, put into every certificate.")
    ] = ()


class CAIssuer(Model, frozen=True, kw_only=True):
    """spec.ca."""

    crl_distribution_points: Annotated[
        tuple[str, ...], Doc("URLs of certificate revocation lists, put into every certificate.")
    ] = ()
    issuing_certificate_urls: Annotated[
        tuple[str, ...],
        Doc(
            "URLs of the CA's own certificate, put into every certificate.",
            rules=(Rule("!('' in self)", "issuingCertificateURLs must not hold an empty string"),),
        ),
    ] = msgspec.field(default=(), name="issuingCertificateURLs")
    ocsp_servers: Annotated[
        tuple[str, ...],
        Doc(
            "URLs of OCSP responders, put into every certificate.",
            rules=(Rule("!('' in self)", "ocspServers must not hold an empty string"),),
        ),
    ] = ()
    secret_name: Annotated[
        str,
        Doc(
            "Secret with the CA's `tls.crt` (its own certificate first, then its issuers) and `tls.key`. It is in the "
            "Issuer's namespace, or in the cluster resource namespace for a ClusterIssuer.",
            required=True,
            rules=(not_empty("secretName"),),
        ),
    ] = ""


class IssuerSpec(Model, frozen=True, kw_only=True):
    """Exactly one of the fields says how certificates are signed."""

    acme: Annotated[ACMEIssuer | None, Doc("Order from a CA that speaks ACME (RFC 8555), e.g. Let's Encrypt.")] = None
    ca: Annotated[CAIssuer | None, Doc("Sign with a CA key kept in a Secret.")] = None
    self_signed: Annotated[SelfSignedIssuer | None, Doc("Sign each certificate with its own key.")] = None
    vault: Annotated[VaultIssuer | None, Doc("Let HashiCorp Vault's PKI engine sign.")] = None
    venafi: Annotated[
        VenafiIssuer | None,
        Doc("CyberArk Certificate Manager (formerly Venafi). Accepted, but not served: never Ready."),
    ] = None

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.acme) ? 1 : 0) + (has(self.ca) ? 1 : 0) + (has(self.selfSigned) ? 1 : 0)"
            " + (has(self.vault) ? 1 : 0) + (has(self.venafi) ? 1 : 0) == 1",
            "spec needs exactly one of acme, ca, selfSigned, vault and venafi",
        ),
    )


class IssuerStatus(Model, frozen=True, kw_only=True):
    """Whether it can sign."""

    acme: Annotated[ACMEIssuerStatus | None, Doc("The ACME account.")] = None
    conditions: Annotated[tuple[Condition, ...], Doc("Ready: certificates can be signed.", schema=CONDITION_LIST)] = ()


class Issuer(Model, frozen=True, kw_only=True):
    """A signer for the Certificates of its namespace."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: Annotated[IssuerSpec, Doc("How certificates are signed.", required=True)] = msgspec.field(
        default_factory=IssuerSpec
    )
    status: Annotated[IssuerStatus, Doc("Whether it can sign.")] = msgspec.field(default_factory=IssuerStatus)


class ClusterIssuer(Issuer, frozen=True, kw_only=True):
    """A signer for the Certificates of all namespaces."""
