"""What all kinds share: metadata, conditions, references.

Conventions of all models: attributes are snake_case, JSON names camelCase; absent strings are empty, absent lists are
empty tuples, absent numbers, booleans and objects are None. Decoding never fails because something is missing: what is
required, enumerated or bounded is said in the CRDs (``crdgen.py`` reads it from the :class:`typing.Annotated` notes).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec

from certwright.api.groups import DEFAULT_ISSUER_GROUP, DEFAULT_ISSUER_KIND

EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Doc:
    """What a CRD says of a field besides its type: a description for ``kubectl explain`` and schema keywords."""

    text: str
    required: bool = False
    schema: dict[str, Any] = field(default_factory=dict)


class Model(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """Base of all API types."""


class OwnerReference(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """metadata.ownerReferences[]."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class ObjectMeta(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """metadata, without managedFields."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = msgspec.field(default_factory=dict)
    annotations: dict[str, str] = msgspec.field(default_factory=dict)
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()
    creation_timestamp: datetime = EPOCH
    deletion_timestamp: datetime | None = None


class IssuerRef(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """A reference to an Issuer, a ClusterIssuer, or an issuer of another controller."""

    group: Annotated[str, Doc("API group of the issuer; cert-manager.io when empty.")] = ""
    kind: Annotated[str, Doc("Kind of the issuer; Issuer when empty. Issuer and ClusterIssuer are built in.")] = ""
    name: Annotated[str, Doc("Name of the issuer.", required=True)] = ""

    @property
    def effective_kind(self) -> str:
        """The kind, or what an empty one means."""
        return self.kind or DEFAULT_ISSUER_KIND

    @property
    def effective_group(self) -> str:
        """The group, or what an empty one means."""
        return self.group or DEFAULT_ISSUER_GROUP


class SecretKeySelector(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """One key of a Secret."""

    key: Annotated[str, Doc("Key in the Secret's data; which one is meant when it is empty depends on the field.")] = ""
    name: Annotated[str, Doc("Name of the Secret.", required=True)] = ""


class Condition(Model, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """status.conditions[]. ``observed_generation`` exists on Certificates and issuers."""

    last_transition_time: datetime | None = None
    message: str = ""
    observed_generation: int | None = None
    reason: str = ""
    status: str = ""
    type: str = ""
