"""From the Certificates that are to those that an Ingress wants, in as few writes as it takes.

An Ingress decides the fields that a tls entry or an annotation can set (:data:`DECIDED`), the labels, and its own
annotations; whatever else somebody has set on its Certificates stays as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import msgspec

from certwright.api import Certificate, Ingress
from certwright.api import groups as names
from certwright.settings import ShimSettings
from certwright.shims.annotations import FIELDS
from certwright.shims.ingress import OVERRIDES, covers, wanted
from certwright.store import controller_of

#: Fields of a Certificate's spec that follow its Ingress.
DECIDED = frozenset(
    {field.path[0] for field in FIELDS} | {"dnsNames", "ipAddresses", "usages", "secretName", "issuerRef"}
)


@dataclass(frozen=True, slots=True)
class Update:
    """A Certificate, and the JSON merge patch that makes it as it is wanted. ``what`` changes, in words."""

    certificate: Certificate
    patch: dict[str, Any]
    what: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What to write, and what to tell."""

    create: tuple[Certificate, ...] = ()
    update: tuple[Update, ...] = ()
    delete: tuple[Certificate, ...] = ()
    problems: tuple[str, ...] = ()


def plan(
    ingress: Ingress, settings: ShimSettings, existing: Mapping[str, Certificate], owned: tuple[Certificate, ...]
) -> Plan:
    """``existing``: Certificates of the namespace by name; ``owned``: those that this Ingress controls."""
    aim = wanted(ingress, settings)
    if aim.certificates is None:
        return Plan(problems=aim.problems)
    problems = list(aim.problems)
    create: list[Certificate] = []
    update: list[Update] = []
    for certificate in aim.certificates:
        found = existing.get(certificate.metadata.name)
        if found is None:
            create.append(certificate)
        elif not is_owned(found, ingress):
            problems += _foreign_problems(found, certificate)
        elif found.metadata.deletion_timestamp is None:
            change = difference(found, certificate, settings)
            update += [change] if change else []
    named = {entry.secret_name for entry in ingress.spec.tls}
    delete = (
        certificate
        for certificate in owned
        if certificate.spec.secret_name not in named
        and certificate.metadata.name not in named
        and certificate.metadata.deletion_timestamp is None
    )
    return Plan(tuple(create), tuple(update), tuple(delete), tuple(problems))


def is_owned(certificate: Certificate, ingress: Ingress) -> bool:
    """Whether the Ingress is the Certificate's controller: that very Ingress, not another of its name."""
    owner = controller_of(certificate.metadata, "Ingress")
    return owner is not None and owner[1] == ingress.metadata.uid


def _foreign_problems(found: Certificate, certificate: Certificate) -> list[str]:
    """Sharing a Certificate is fine as long as it covers the hosts."""
    hosts = (*certificate.spec.dns_names, *certificate.spec.ip_addresses)
    missing = [host for host in hosts if not covers(found, host)]
    if not missing:
        return []
    name = certificate.metadata.name
    return [
        f"Certificate {name} was not made for this Ingress, so it is left alone, but it lacks {', '.join(missing)}: "
        "add the names there, or use another secretName"
    ]


def difference(found: Certificate, certificate: Certificate, settings: ShimSettings) -> Update | None:
    """What it takes to make ``found`` what is wanted; None if nothing."""
    before, after = _decided(found), _decided(certificate)
    if _issuer_of(found) == _issuer_of(certificate):
        # An empty kind or group says the same as the default.
        before["issuerRef"] = after["issuerRef"]
    spec = merge_patch(before, after)
    labels = merge_patch(found.metadata.labels, certificate.metadata.labels)
    annotations = merge_patch(_governed(found, certificate, settings), certificate.metadata.annotations)
    if not (spec or labels or annotations):
        return None
    metadata: dict[str, Any] = {"uid": found.metadata.uid}
    metadata |= {"labels": labels} if labels else {}
    metadata |= {"annotations": annotations} if annotations else {}
    patch = {"metadata": metadata, **({"spec": spec} if spec else {})}
    what = sorted(spec) + [name for name, part in (("labels", labels), ("annotations", annotations)) if part]
    return Update(found, patch, ", ".join(what))


def _decided(certificate: Certificate) -> dict[str, Any]:
    spec: dict[str, Any] = msgspec.to_builtins(certificate.spec)
    return {name: value for name, value in spec.items() if name in DECIDED}


def _issuer_of(certificate: Certificate) -> tuple[str, str, str]:
    ref = certificate.spec.issuer_ref
    return ref.effective_group, ref.effective_kind, ref.name


def _governed(found: Certificate, certificate: Certificate, settings: ShimSettings) -> dict[str, str]:
    """The annotations of ``found`` that go when the Ingress does not ask for them any more."""
    governed = OVERRIDES | set(settings.extra_annotations) | certificate.metadata.annotations.keys()
    if names.ANNOTATION_HTTP01_OVERRIDE_INGRESS_NAME in found.metadata.annotations:
        # Came with it; alone it is the user's.
        governed |= {names.ANNOTATION_TEMPORARY_CERTIFICATE}
    return {name: value for name, value in found.metadata.annotations.items() if name in governed}


def merge_patch(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """The JSON merge patch (RFC 7386) from one object to another; empty if they are equal."""
    patch: dict[str, Any] = {name: None for name in before if name not in after}
    for name, value in after.items():
        old = before.get(name)
        if old == value:
            continue
        both = isinstance(old, dict) and isinstance(value, dict)
        patch[name] = merge_patch(cast("dict[str, Any]", old), cast("dict[str, Any]", value)) if both else value
    return patch
