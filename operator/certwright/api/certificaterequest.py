"""CertificateRequest."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

import msgspec

from certwright.api.certificate import KEY_USAGES
from certwright.api.meta import (
    CONDITION_LIST,
    DURATION,
    SPEC_PRESENT,
    Condition,
    Doc,
    IssuerRef,
    Model,
    ObjectMeta,
    Rule,
    immutable,
)

#: `cmctl check api` and cert-manager's startupapicheck make a bad request on trial and take the API for ready when it is
#: refused in these words, whoever refuses it.
REFUSED_WORDS = 'admission webhook "webhook.cert-manager.io" denied the request: spec.request'


class CertificateRequestSpec(Model, frozen=True, kw_only=True):
    """What is to be signed. Immutable."""

    duration: Annotated[
        str,
        Doc(
            "Lifetime asked for as a Go duration; 2160h (90 days) when absent. Issuers may shorten it.",
            rules=(Rule(f"self.matches({DURATION})", "duration must be written like 2160h or 1h30m"),),
        ),
    ] = ""
    extra: Annotated[
        dict[str, tuple[str, ...]],
        Doc("Further attributes of the requester. Set by the API server, not by the client."),
    ] = msgspec.field(default={})
    groups: Annotated[tuple[str, ...], Doc("Groups of the requester. Set by the API server, not by the client.")] = ()
    is_ca: Annotated[
        bool | None, Doc("Ask for a CA certificate. Must agree with the CSR if that says something about it.")
    ] = msgspec.field(default=None, name="isCA")
    issuer_ref: Annotated[IssuerRef, Doc("Who is to sign.", required=True)] = msgspec.field(default_factory=IssuerRef)
    request: Annotated[
        bytes,
        Doc(
            "The PEM-encoded PKCS#10 certificate signing request.",
            required=True,
            rules=(
                Rule(
                    "string(self).contains('-----BEGIN CERTIFICATE REQUEST-----')",
                    f"request must be a certificate signing request in PEM (cmctl check api knows this as: {REFUSED_WORDS})",
                ),
            ),
        ),
    ] = b""
    uid: Annotated[str, Doc("UID of the requester. Set by the API server, not by the client.")] = ""
    usages: Annotated[
        tuple[str, ...],
        Doc(
            "What the key may be used for; must agree with the CSR if that has usages, in the order of the extended ones.",
            schema={"items": {"enum": list(KEY_USAGES)}},
        ),
    ] = ()
    username: Annotated[str, Doc("Name of the requester. Set by the API server, not by the client.")] = ""


class CertificateRequestStatus(Model, frozen=True, kw_only=True):
    """What became of it."""

    ca: Annotated[bytes, Doc("PEM of the CA, as far as the issuer knows it.")] = b""
    certificate: Annotated[bytes, Doc("PEM chain, the signed certificate first. Never changes once set.")] = b""
    conditions: Annotated[
        tuple[Condition, ...],
        Doc(
            "Approved or Denied: whether it may be signed. Ready: whether it was, with reason Pending, Issued, Failed or "
            "Denied. InvalidRequest: it never can be.",
            schema=CONDITION_LIST,
            without=("observedGeneration",),
        ),
    ] = ()
    failure_time: Annotated[datetime | None, Doc("When it failed or was denied.")] = None


class CertificateRequest(Model, frozen=True, kw_only=True):
    """A request for one signature, which another party may have to approve."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: Annotated[CertificateRequestSpec, Doc("What is to be signed. Immutable.", rules=(immutable("spec"),))] = (
        msgspec.field(default_factory=CertificateRequestSpec)
    )
    status: Annotated[CertificateRequestStatus, Doc("What became of it.")] = msgspec.field(
        default_factory=CertificateRequestStatus
    )

    RULES: ClassVar[tuple[Rule, ...]] = (SPEC_PRESENT,)
