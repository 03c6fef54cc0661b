"""CertificateSigningRequest of certificates.k8s.io: a kind of Kubernetes itself, as far as it is read here."""

from __future__ import annotations

import msgspec

from certwright.api.meta import Model, ObjectMeta

API_VERSION = "certificates.k8s.io/v1"


class SigningRequestCondition(Model, frozen=True, kw_only=True):
    """status.conditions[]: Approved, Denied or Failed."""

    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""
    last_update_time: str = ""
    last_transition_time: str = ""


class SigningRequestSpec(Model, frozen=True, kw_only=True):
    """What is to be signed, by whom, and who asks; the latter is written by the API server."""

    request: bytes = b""
    signer_name: str = ""
    #: Seconds, 600 or more.
    expiration_seconds: int | None = None
    usages: tuple[str, ...] = ()
    username: str = ""
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: dict[str, tuple[str, ...]] = msgspec.field(default={})


class SigningRequestStatus(Model, frozen=True, kw_only=True):
    """What became of it."""

    conditions: tuple[SigningRequestCondition, ...] = ()
    certificate: bytes = b""


class CertificateSigningRequest(Model, frozen=True, kw_only=True):
    """A request to a signer of the cluster."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: SigningRequestSpec = msgspec.field(default_factory=SigningRequestSpec)
    status: SigningRequestStatus = msgspec.field(default_factory=SigningRequestStatus)

    def has(self, type_: str) -> bool:
        """Whether the condition is there; Kubernetes lets none of them be anything but True."""
        return any(condition.type == type_ for condition in self.status.conditions)
