"""Order and Challenge: an issuance at an ACME server (RFC 8555), and the proofs it asks for.

The operator makes both; people read them to see where an issuance stands.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, ClassVar

import msgspec

from certwright.api.meta import Doc, IssuerRef, Model, ObjectMeta, Rule, immutable
from certwright.api.solvers import Solver

STATES = ("valid", "ready", "pending", "processing", "invalid", "expired", "errored")
CHALLENGE_TYPES = ("HTTP-01", "DNS-01")


def _kept(path: str, empty: str = "''") -> Rule:
    """The rule, over the whole object, of a status field that keeps its first value that is not empty."""
    old, new = (f"{side}.?status.?{path}.orValue({empty})" for side in ("oldSelf", "self"))
    return Rule(
        f"{old} in [{empty}, {new}]",
        f"status.{path} is immutable once set",
        reason="FieldValueForbidden",
    )


class OrderSpec(Model, frozen=True, kw_only=True):
    """What is ordered."""

    common_name: Annotated[str, Doc("Common name of the CSR; one of dnsNames or ipAddresses.")] = ""
    dns_names: Annotated[tuple[str, ...], Doc("DNS names to be certified.")] = ()
    duration: Annotated[str, Doc("Lifetime asked for, e.g. 2160h; left to the CA when empty.")] = ""
    ip_addresses: Annotated[tuple[str, ...], Doc("IP addresses to be certified (RFC 8738).")] = ()
    issuer_ref: Annotated[IssuerRef, Doc("The ACME issuer.", required=True)] = msgspec.field(default_factory=IssuerRef)
    profile: Annotated[str, Doc("Profile of the CA; its default when empty.")] = ""
    replaces: Annotated[str, Doc("Identifier of the certificate that this one replaces (RFC 9773).")] = ""
    request: Annotated[
        bytes,
        Doc(
            "The PEM-encoded PKCS#10 certificate signing request. Immutable.",
            required=True,
            rules=(immutable("request"),),
        ),
    ] = b""


class ACMEChallenge(Model, frozen=True, kw_only=True):
    """status.authorizations[].challenges[]."""

    token: Annotated[str, Doc("Token of the challenge.", required=True)] = ""
    type: Annotated[str, Doc("Type in the CA's words, e.g. http-01 or dns-01.", required=True)] = ""
    url: Annotated[str, Doc("URL of the challenge at the CA.", required=True)] = ""


class ACMEAuthorization(Model, frozen=True, kw_only=True):
    """status.authorizations[]."""

    challenges: Annotated[tuple[ACMEChallenge, ...], Doc("What the CA offers as proof; one of them is enough.")] = ()
    identifier: Annotated[str, Doc("The name to be proved, without `*.`.")] = ""
    initial_state: Annotated[
        str,
        Doc(
            "State of the authorization when the order was made; nothing is left to do when it was valid.",
            schema={"enum": list(STATES)},
        ),
    ] = ""
    url: Annotated[str, Doc("URL of the authorization at the CA.", required=True)] = ""
    wildcard: Annotated[bool | None, Doc("Whether the name was ordered as a wildcard.")] = None


class OrderStatus(Model, frozen=True, kw_only=True):
    """Where it stands."""

    authorizations: Annotated[
        tuple[ACMEAuthorization, ...], Doc("What is to be proved to the CA. Never changes once set.")
    ] = ()
    certificate: Annotated[bytes, Doc("PEM chain as the CA gave it. Never changes once set.")] = b""
    failure_time: Annotated[datetime | None, Doc("When the order ended without a certificate.")] = None
    finalize_url: Annotated[str, Doc("Where the CSR is sent to. Never changes once set.")] = msgspec.field(
        default="", name="finalizeURL"
    )
    reason: Annotated[str, Doc("Why it is in this state, in words.")] = ""
    state: Annotated[
        str,
        Doc(
            "State of the order at the CA; errored when it could not even be made. valid, invalid, expired and errored are "
            "final.",
            schema={"enum": list(STATES)},
        ),
    ] = ""
    url: Annotated[str, Doc("URL of the order at the CA. Never changes once set.")] = ""


class Order(Model, frozen=True, kw_only=True):
    """One order at an ACME server. Made by the operator for a CertificateRequest."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: Annotated[OrderSpec, Doc("What is ordered.", required=True)] = msgspec.field(default_factory=OrderSpec)
    status: Annotated[OrderStatus, Doc("Where it stands.")] = msgspec.field(default_factory=OrderStatus)

    RULES: ClassVar[tuple[Rule, ...]] = (
        _kept("url"),
        _kept("finalizeURL"),
        _kept("certificate", "b''"),
        _kept("authorizations", "[]"),
    )


class ChallengeSpec(Model, frozen=True, kw_only=True):
    """What is to be proved, and how. Immutable."""

    authorization_url: Annotated[str, Doc("URL of the authorization at the CA.", required=True)] = msgspec.field(
        default="", name="authorizationURL"
    )
    dns_name: Annotated[str, Doc("Name or IP address to be proved, without `*.`.", required=True)] = ""
    issuer_ref: Annotated[IssuerRef, Doc("The ACME issuer.", required=True)] = msgspec.field(default_factory=IssuerRef)
    key: Annotated[
        str,
        Doc(
            "What the CA must find: the key authorization (HTTP-01) or the TXT record's value (DNS-01).", required=True
        ),
    ] = ""
    solver: Annotated[Solver, Doc("The issuer's solver that meets it.", required=True)] = msgspec.field(
        default_factory=Solver
    )
    token: Annotated[str, Doc("Token of the challenge.", required=True)] = ""
    type: Annotated[str, Doc("HTTP-01 or DNS-01.", required=True, schema={"enum": list(CHALLENGE_TYPES)})] = ""
    url: Annotated[str, Doc("URL of the challenge at the CA.", required=True)] = ""
    wildcard: Annotated[bool | None, Doc("Whether the name was ordered as a wildcard.")] = None


class ChallengeStatus(Model, frozen=True, kw_only=True):
    """Where it stands."""

    presented: Annotated[bool | None, Doc("Whether the proof has been set up.")] = None
    presented_at: Annotated[datetime | None, Doc("When the proof was set up first.")] = None
    processing: Annotated[bool | None, Doc("Whether it is being worked on; others wait for their turn.")] = None
    reason: Annotated[str, Doc("Why it is in this state, in words.")] = ""
    state: Annotated[
        str,
        Doc(
            "State of the authorization at the CA. valid, invalid, expired and errored are final.",
            schema={"enum": list(STATES)},
        ),
    ] = ""


class Challenge(Model, frozen=True, kw_only=True):
    """One proof of control over a name for an ACME server. Made by the operator for an Order."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: Annotated[
        ChallengeSpec,
        Doc("What is to be proved, and how. Immutable.", required=True, rules=(immutable("spec"),)),
    ] = msgspec.field(default_factory=ChallengeSpec)
    status: Annotated[ChallengeStatus, Doc("Where it stands.")] = msgspec.field(default_factory=ChallengeStatus)
