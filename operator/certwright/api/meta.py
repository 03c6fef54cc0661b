"""What all kinds share: metadata, conditions, references.

Conventions of all models: attributes are snake_case, JSON names camelCase; absent strings are empty, absent lists are
empty tuples, absent numbers, booleans and objects are None. Decoding never fails because something is missing: what is
required, enumerated or bounded is said in the CRDs (``crdgen.py`` reads it from the :class:`typing.Annotated` notes).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar

import msgspec

from certwright.api.groups import DEFAULT_ISSUER_GROUP, DEFAULT_ISSUER_KIND

#: Schema keywords of a list of conditions: one of each type.
CONDITION_LIST = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}
CONDITION_STATUS = ("True", "False", "Unknown")
#: CEL string: a superset of Go's durations that keeps the estimated cost of rules below the API server's limit of 10
#: million a rule. What it lets through beyond them (1..5h) is an error of CEL's duration().
DURATION = r"'^[-+]?([0-9.]+(h|m|s|[mnuµμ]s))+$'"
EPOCH = datetime.fromtimestamp(0, UTC)


@dataclass(frozen=True)
class Rule:
    """A validation rule of a CRD, in CEL over ``self`` (and ``oldSelf``, which makes it a rule for updates only).

    ``field`` is the path below ``self`` that the refusal names, with a leading dot.
    """

    cel: str
    message: str
    field: str = ""
    reason: str = "FieldValueInvalid"


#: For the kinds whose schema does not require a spec, though nothing can be done without one.
SPEC_PRESENT = Rule("has(self.spec)", "spec is required", ".spec", "FieldValueRequired")


#: That each certificate parses is for the operator to say: CEL can't.
HOLDS_CERTIFICATE = Rule(
    "!has(self.caBundle) || string(self.caBundle).contains('-----BEGIN CERTIFICATE-----')",
    "caBundle must hold at least one certificate in PEM",
    ".caBundle",
)


def not_empty(name: str) -> Rule:
    """The rule of a required string that may not be empty either."""
    return Rule("self != ''", f"{name} must not be empty", reason="FieldValueRequired")


def immutable(name: str) -> Rule:
    """The rule of a field that keeps its first value."""
    return Rule("self == oldSelf", f"{name} is immutable: make a new object instead", reason="FieldValueForbidden")


@dataclass(frozen=True)
class Doc:
    """What a CRD says of a field besides its type: a description for ``kubectl explain``, schema keywords and rules.

    ``without`` names properties of the items of a list, or of an object, that this use of the type leaves out.
    """

    text: str
    required: bool = False
    schema: dict[str, Any] = field(default_factory=dict[str, Any])
    rules: tuple[Rule, ...] = ()
    without: tuple[str, ...] = ()


class Model(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True, rename="camel"):
    """Base of all API types. Subclasses repeat ``frozen`` and ``kw_only``, which type checkers do not inherit."""

    #: Rules of the CRD over this object as a whole.
    RULES: ClassVar[tuple[Rule, ...]] = ()


class OwnerReference(Model, frozen=True, kw_only=True):
    """metadata.ownerReferences[]."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class ObjectMeta(Model, frozen=True, kw_only=True):
    """metadata, without managedFields."""

    name: str = ""
    namespace: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: dict[str, str] = msgspec.field(default={})
    annotations: dict[str, str] = msgspec.field(default={})
    owner_references: tuple[OwnerReference, ...] = ()
    finalizers: tuple[str, ...] = ()
    creation_timestamp: datetime = EPOCH
    deletion_timestamp: datetime | None = None


def controller_reference(api_version: str, kind: str, meta: ObjectMeta) -> dict[str, Any]:
    """The entry of ownerReferences that makes an object the controller of another."""
    return {
        "apiVersion": api_version,
        "kind": kind,
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


class IssuerRef(Model, frozen=True, kw_only=True):
    """A reference to an Issuer, a ClusterIssuer, or an issuer of another controller."""

    group: Annotated[str, Doc("API group of the issuer; cert-manager.io when empty.")] = ""
    kind: Annotated[
        str,
        Doc(
            "Kind of the issuer; Issuer when empty. Issuer (of the same namespace) and ClusterIssuer are built in, other "
            "kinds need a group."
        ),
    ] = ""
    name: Annotated[str, Doc("Name of the issuer.", required=True, rules=(not_empty("issuerRef.name"),))] = ""

    RULES: ClassVar[tuple[Rule, ...]] = (
        Rule(
            "(has(self.group) && !(self.group in ['', 'cert-manager.io'])) || !has(self.kind)"
            " || self.kind in ['', 'Issuer', 'ClusterIssuer']",
            "issuerRef.kind must be Issuer or ClusterIssuer; for a kind of another API, set issuerRef.group too",
            ".kind",
            "FieldValueInvalid",
        ),
    )

    @property
    def effective_kind(self) -> str:
        """The kind, or what an empty one means."""
        return self.kind or DEFAULT_ISSUER_KIND

    @property
    def effective_group(self) -> str:
        """The group, or what an empty one means."""
        return self.group or DEFAULT_ISSUER_GROUP


class SecretKeySelector(Model, frozen=True, kw_only=True):
    """One key of a Secret."""

    key: Annotated[str, Doc("Key in the Secret's data; which one is meant when it is empty depends on the field.")] = ""
    name: Annotated[str, Doc("Name of the Secret.", required=True)] = ""


class ServiceAccountRef(Model, frozen=True, kw_only=True):
    """A ServiceAccount that a short-lived token is made for."""

    audiences: Annotated[
        tuple[str, ...], Doc("Audiences of the token; which ones there are besides depends on the field.")
    ] = ()
    name: Annotated[str, Doc("Name of the ServiceAccount.", required=True)] = ""


class LocalObjectRef(Model, frozen=True, kw_only=True):
    """A Secret as a whole."""

    name: Annotated[str, Doc("Name of the Secret.", required=True)] = ""


class Condition(Model, frozen=True, kw_only=True):
    """status.conditions[]. ``observed_generation`` exists on Certificates and issuers."""

    last_transition_time: Annotated[
        datetime | None, Doc("When the status changed last; a new reason or message alone does not count.")
    ] = None
    message: Annotated[str, Doc("What is the case, in words.")] = ""
    observed_generation: Annotated[
        int | None,
        Doc("The metadata.generation that the condition was found for.", schema={"format": "int64"}),
    ] = None
    reason: Annotated[str, Doc("What is the case, in one word for programs.")] = ""
    status: Annotated[str, Doc("True, False or Unknown.", required=True, schema={"enum": list(CONDITION_STATUS)})] = ""
    type: Annotated[str, Doc("What the condition is about.", required=True)] = ""
