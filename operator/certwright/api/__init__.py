"""The kinds of the API as typed models. The CRDs in ``crds/`` are generated from them (``crdgen.py``)."""

from __future__ import annotations

from certwright.api.certificate import (
    AdditionalOutputFormat,
    Certificate,
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
from certwright.api.issuer import Issuer, IssuerSpec, IssuerStatus
from certwright.api.meta import Condition, IssuerRef, ObjectMeta, OwnerReference, SecretKeySelector

__all__ = [
    "AdditionalOutputFormat",
    "Certificate",
    "CertificateRenewal",
    "CertificateRequest",
    "CertificateRequestSpec",
    "CertificateRequestStatus",
    "CertificateSpec",
    "CertificateStatus",
    "Condition",
    "Issuer",
    "IssuerRef",
    "IssuerSpec",
    "IssuerStatus",
    "NameConstraintItem",
    "NameConstraints",
    "ObjectMeta",
    "OtherName",
    "OwnerReference",
    "PrivateKey",
    "RenewalWindow",
    "SecretKeySelector",
    "SecretTemplate",
    "X509Subject",
]
