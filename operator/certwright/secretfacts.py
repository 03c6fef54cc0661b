"""What decisions need to know of a Secret, without its bytes.

A Secret is read when a decision needs it, reduced to :class:`SecretFacts`, and let go: neither keys nor certificates
stay in memory. Facts of 10,000 Secrets fit in a few megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from certwright.api import ObjectMeta
from certwright.api.groups import SECRET_FIELD_MANAGER
from certwright.derived import sound_files
from certwright_issuers.certificate import CertificateFacts, InvalidCertificate, parse_certificate_facts
from certwright_issuers.digest import pem_digest
from certwright_issuers.keys import InvalidKey, KeyFacts, key_facts, load_key

TLS_KEY = "tls.key"
TLS_CRT = "tls.crt"
CA_CRT = "ca.crt"


class ManagedFields(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One entry of metadata.managedFields."""

    manager: str = ""
    operation: str = ""
    subresource: str = ""
    fields_v1: dict[str, Any] = msgspec.field(default_factory=dict[str, Any], name="fieldsV1")


class SecretMeta(ObjectMeta, frozen=True, kw_only=True, gc=False, rename="camel"):
    """Metadata of a Secret, with the owners of its fields."""

    managed_fields: tuple[ManagedFields, ...] = ()


class Secret(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A core/v1 Secret. ``data`` is decoded from base64."""

    metadata: SecretMeta
    data: dict[str, bytes] = msgspec.field(default_factory=dict[str, bytes])
    type: str = ""
    immutable: bool = False

    def __repr__(self) -> str:
        return f"<Secret {self.metadata.namespace}/{self.metadata.name}>"


@dataclass(frozen=True, slots=True)
class SecretFacts:
    """A Secret as the policies see it."""

    uid: str
    resource_version: str
    type: str
    immutable: bool
    labels: dict[str, str]
    annotations: dict[str, str]
    #: Names in ``data``.
    keys: frozenset[str]
    key: KeyFacts | None
    key_error: str
    certificate: CertificateFacts | None
    certificate_error: str
    #: SHA-256 of tls.crt, as in ``store.certificate_digest``.
    certificate_digest: bytes
    #: Derived names (``derived.py``) that hold what they should.
    sound: frozenset[str]
    #: Controller owner's UID, if any.
    owner_uid: str
    #: Labels, annotations and data keys that this operator applied (by managedFields).
    applied_labels: frozenset[str]
    applied_annotations: frozenset[str]
    applied_keys: frozenset[str]
    #: Whether this operator applied an owner reference.
    applied_owner: bool

    @property
    def has_data(self) -> bool:
        """Whether there is anything in ``data``."""
        return bool(self.keys)

    @property
    def has_key(self) -> bool:
        """Whether tls.key exists and is not empty."""
        return self.key is not None or bool(self.key_error)

    @property
    def has_certificate(self) -> bool:
        """Whether tls.crt exists and is not empty."""
        return self.certificate is not None or bool(self.certificate_error)


def facts_of(secret: Secret) -> SecretFacts:
    """Reduce a Secret to facts. Never raises: what does not decode becomes an error text."""
    key, key_error = _key(secret.data.get(TLS_KEY, b""))
    certificate, certificate_error = _certificate(secret.data.get(TLS_CRT, b""))
    applied = _applied(secret.metadata.managed_fields)
    owners = [owner.uid for owner in secret.metadata.owner_references if owner.controller]
    return SecretFacts(
        uid=secret.metadata.uid,
        resource_version=secret.metadata.resource_version,
        type=secret.type,
        immutable=secret.immutable,
        labels=secret.metadata.labels,
        annotations=secret.metadata.annotations,
        keys=frozenset(secret.data),
        key=key,
        key_error=key_error,
        certificate=certificate,
        certificate_error=certificate_error,
        certificate_digest=pem_digest(secret.data.get(TLS_CRT, b"")),
        sound=sound_files(secret.data, secret.data.get(TLS_KEY, b""), secret.data.get(TLS_CRT, b"")),
        owner_uid=owners[0] if owners else "",
        applied_labels=_names(applied, "f:metadata", "f:labels"),
        applied_annotations=_names(applied, "f:metadata", "f:annotations"),
        applied_keys=_names(applied, "f:data"),
        applied_owner=bool(_below(applied, "f:metadata", "f:ownerReferences")),
    )


def _key(pem: bytes) -> tuple[KeyFacts | None, str]:
    if not pem:
        return None, ""
    try:
        return key_facts(load_key(pem, trusted=True)), ""
    except InvalidKey as error:
        return None, str(error)


def _certificate(pem: bytes) -> tuple[CertificateFacts | None, str]:
    if not pem:
        return None, ""
    try:
        return parse_certificate_facts(pem), ""
    except InvalidCertificate as error:
        return None, str(error)


def _applied(entries: tuple[ManagedFields, ...]) -> dict[str, Any]:
    """The fields this operator owns by server-side apply."""
    for entry in entries:
        if entry.manager == SECRET_FIELD_MANAGER and entry.operation == "Apply" and not entry.subresource:
            return entry.fields_v1
    return {}


def _names(fields: dict[str, Any], *path: str) -> frozenset[str]:
    """Keys below ``path`` in FieldsV1, without their ``f:``."""
    return frozenset(name[2:] for name in _below(fields, *path) if name.startswith("f:"))


def _below(fields: dict[str, Any], *path: str) -> dict[str, Any]:
    for part in path:
        fields = fields.get(part) or {}
    return fields
