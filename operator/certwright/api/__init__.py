"""The kinds of the API as typed models. The CRDs in ``crds/`` are generated from them (``crdgen.py``)."""

from __future__ import annotations

from certwright.api.acme import (
    ACMEAuthorization,
    ACMEChallenge,
    Challenge,
    ChallengeSpec,
    ChallengeStatus,
    Order,
    OrderSpec,
    OrderStatus,
)
from certwright.api.acmeissuer import ACMEIssuer, ACMEIssuerStatus, ExternalAccountBinding
from certwright.api.certificate import (
    AdditionalOutputFormat,
    ARIStatus,
    ARIWindow,
    Certificate,
    CertificateACMEStatus,
    CertificateRenewal,
    CertificateSpec,
    CertificateStatus,
    NameConstraintItem,
    NameConstraints,
    OtherName,
    PrivateKey,
    RenewalWindow,
    SecretTemplate,
    X509Subject,
)
from certwright.api.certificaterequest import CertificateRequest, CertificateRequestSpec, CertificateRequestStatus
from certwright.api.ingress import Ingress, IngressSpec, IngressTLS
from certwright.api.issuer import CAIssuer, ClusterIssuer, Issuer, IssuerSpec, IssuerStatus, SelfSignedIssuer
from certwright.api.keystores import JKSKeystore, Keystores, PKCS12Keystore
from certwright.api.meta import (
    Condition,
    IssuerRef,
    LocalObjectRef,
    ObjectMeta,
    OwnerReference,
    SecretKeySelector,
    ServiceAccountRef,
)
from certwright.api.solvers import DNS01Solver, HTTP01Ingress, HTTP01Solver, ParentReference, Solver, SolverSelector
from certwright.api.vault import VaultAuth, VaultIssuer
from certwright.api.venafi import VenafiIssuer

__all__ = [
    "ACMEAuthorization",
    "ACMEChallenge",
    "ACMEIssuer",
    "ACMEIssuerStatus",
    "ARIStatus",
    "ARIWindow",
    "AdditionalOutputFormat",
    "CAIssuer",
    "Certificate",
    "CertificateACMEStatus",
    "CertificateRenewal",
    "CertificateRequest",
    "CertificateRequestSpec",
    "CertificateRequestStatus",
    "CertificateSpec",
    "CertificateStatus",
    "Challenge",
    "ChallengeSpec",
    "ChallengeStatus",
    "ClusterIssuer",
    "Condition",
    "DNS01Solver",
    "ExternalAccountBinding",
    "HTTP01Ingress",
    "HTTP01Solver",
    "Ingress",
    "IngressSpec",
    "IngressTLS",
    "Issuer",
    "IssuerRef",
    "IssuerSpec",
    "IssuerStatus",
    "JKSKeystore",
    "Keystores",
    "LocalObjectRef",
    "NameConstraintItem",
    "NameConstraints",
    "ObjectMeta",
    "Order",
    "OrderSpec",
    "OrderStatus",
    "OtherName",
    "OwnerReference",
    "PKCS12Keystore",
    "ParentReference",
    "PrivateKey",
    "RenewalWindow",
    "SecretKeySelector",
    "SecretTemplate",
    "SelfSignedIssuer",
    "ServiceAccountRef",
    "Solver",
    "SolverSelector",
    "VaultAuth",
    "VaultIssuer",
    "VenafiIssuer",
    "X509Subject",
]
