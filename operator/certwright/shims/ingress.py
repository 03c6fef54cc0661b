"""What Certificates an Ingress wants: one for each entry of spec.tls (contract sections 2.7, 4.1 and 4.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec

from certwright.api import Certificate, CertificateSpec, Ingress, IngressTLS, IssuerRef, ObjectMeta
from certwright.api import groups as names
from certwright.settings import ShimSettings
from certwright.shims.annotations import translate, unique
from certwright_issuers.sans import canonical_ip
from certwright_issuers.usages import DEFAULT_USAGES

#: What strconv.ParseBool takes for true.
_TRUE = frozenset({"1", "t", "T", "true", "True", "TRUE"})
_ISSUER_ANNOTATIONS = (names.ANNOTATION_INGRESS_ISSUER, names.ANNOTATION_INGRESS_CLUSTER_ISSUER)
#: An owner with this finalizer is on its way out, deleted with all it owns.
_FOREGROUND_DELETION = "foregroundDeletion"
#: Says which ApplySet an object is part of; its Certificates are not.
_APPLYSET_LABEL = "applyset.kubernetes.io/part-of"
#: Class of the solver's Ingress, on the Ingress -> on its Certificates.
_CLASS_OVERRIDES = {
    names.ANNOTATION_HTTP01_INGRESS_CLASS: names.ANNOTATION_HTTP01_OVERRIDE_INGRESS_CLASS,
    names.ANNOTATION_HTTP01_INGRESS_CLASS_NAME: names.ANNOTATION_HTTP01_OVERRIDE_INGRESS_CLASS_NAME,
}
#: What the shim alone decides on a Certificate, besides --extra-certificate-annotations.
OVERRIDES = frozenset({*_CLASS_OVERRIDES.values(), names.ANNOTATION_HTTP01_OVERRIDE_INGRESS_NAME})


@dataclass(frozen=True, slots=True)
class Wanted:
    """``certificates`` are None when nothing may be done at all: neither made nor changed nor deleted."""

    certificates: tuple[Certificate, ...] | None
    problems: tuple[str, ...] = ()


def essence(ingress: Ingress, settings: ShimSettings) -> Ingress | None:
    """The Ingress with nothing but what decisions are made on; None if it asks for no Certificate.

    Annotations of others (configuration snippets, the last applied manifest) are often larger than all else.
    """
    meta = ingress.metadata
    if meta.deletion_timestamp is not None or _FOREGROUND_DELETION in meta.finalizers:
        return None
    if not _is_activated(meta.annotations, settings):
        return None
    prefixes = (f"{names.GROUP}/", f"{names.ACME_GROUP}/")
    lean = ObjectMeta(
        name=meta.name,
        namespace=meta.namespace,
        uid=meta.uid,
        resource_version=meta.resource_version,
        labels={name: value for name, value in meta.labels.items() if name != _APPLYSET_LABEL},
        annotations={
            name: value
            for name, value in meta.annotations.items()
            if name.startswith(prefixes) or name in settings.extra_annotations
        },
    )
    return msgspec.structs.replace(ingress, metadata=lean)


def _is_activated(annotations: Mapping[str, str], settings: ShimSettings) -> bool:
    return any(name in annotations for name in _ISSUER_ANNOTATIONS) or any(
        annotations.get(name) in _TRUE for name in settings.auto_annotations
    )


def wanted(ingress: Ingress, settings: ShimSettings) -> Wanted:
    """The Certificates that the essence of an Ingress asks for. Never raises: what can't be met is told as a problem."""
    annotations = ingress.metadata.annotations
    issuer, problems = _issuer(annotations, settings)
    template, more = translate(annotations)
    problems += more + tuple(_repeated(ingress.spec.tls))
    if problems:
        return Wanted(None, problems)
    usable: list[IngressTLS] = []
    skipped: list[str] = []
    for index, entry in enumerate(ingress.spec.tls):
        missing = [what for what, there in (("hosts", entry.hosts), ("secretName", entry.secret_name)) if not there]
        if missing:
            skipped.append(f"spec.tls[{index}] is skipped, because it has no {' and no '.join(missing)}")
        else:
            usable.append(entry)
    return Wanted(
        tuple(_certificate(ingress, entry, issuer, template, settings) for entry in usable),
        tuple(skipped),
    )


def _issuer(annotations: Mapping[str, str], settings: ShimSettings) -> tuple[IssuerRef, tuple[str, ...]]:
    """Who signs. ``issuer-kind`` and ``issuer-group`` go with ``issuer`` or with the default."""
    issuer, cluster_issuer = (annotations.get(name) for name in _ISSUER_ANNOTATIONS)
    kind = annotations.get(names.ANNOTATION_ISSUER_KIND)
    group = annotations.get(names.ANNOTATION_ISSUER_GROUP)
    problems: list[str] = []
    if cluster_issuer is not None:
        beside = {
            names.ANNOTATION_INGRESS_ISSUER: issuer,
            names.ANNOTATION_ISSUER_KIND: kind,
            names.ANNOTATION_ISSUER_GROUP: group,
        }
        problems += [
            f"{name} can't be used together with {names.ANNOTATION_INGRESS_CLUSTER_ISSUER}"
            for name, value in beside.items()
            if value is not None
        ]
        chosen = IssuerRef(group=settings.default_issuer_group, kind="ClusterIssuer", name=cluster_issuer)
    else:
        default_kind = settings.default_issuer_kind if issuer is None else "Issuer"
        chosen = IssuerRef(
            group=settings.default_issuer_group if group is None else group,
            kind=default_kind if kind is None else kind,
            name=settings.default_issuer_name if issuer is None else issuer,
        )
    if not chosen.name:
        problems.append(
            f"no issuer is named: set {names.ANNOTATION_INGRESS_ISSUER} or {names.ANNOTATION_INGRESS_CLUSTER_ISSUER}"
            + ("" if settings.default_issuer_name else ", as there is no default issuer")
        )
    return chosen, tuple(problems)


def _repeated(entries: Iterable[IngressTLS]) -> Iterator[str]:
    seen: set[str] = set()
    for name in (entry.secret_name for entry in entries if entry.secret_name):
        if name in seen:
            yield f"spec.tls names the Secret {name} more than once: put its hosts into one entry"
        seen.add(name)


def _certificate(
    ingress: Ingress, entry: IngressTLS, issuer: IssuerRef, template: CertificateSpec, settings: ShimSettings
) -> Certificate:
    addresses = tuple(host for host in entry.hosts if _is_ip(host))
    hosts = tuple(host for host in entry.hosts if host not in addresses)
    spec = msgspec.structs.replace(
        template,
        dns_names=unique(hosts + template.dns_names),
        ip_addresses=unique(addresses + template.ip_addresses),
        usages=template.usages or DEFAULT_USAGES,
        secret_name=entry.secret_name,
        issuer_ref=issuer,
    )
    meta = ObjectMeta(
        name=entry.secret_name,
        namespace=ingress.metadata.namespace,
        labels=ingress.metadata.labels,
        annotations=_certificate_annotations(ingress.metadata, settings),
    )
    return Certificate(metadata=meta, spec=spec)


def _is_ip(host: str) -> bool:
    try:
        canonical_ip(host)
    except ValueError:
        return False
    return True


def _certificate_annotations(meta: ObjectMeta, settings: ShimSettings) -> dict[str, str]:
    inherited = {name: meta.annotations[name] for name in settings.extra_annotations if name in meta.annotations}
    overrides = {
        override: meta.annotations[name] for name, override in _CLASS_OVERRIDES.items() if name in meta.annotations
    }
    if meta.annotations.get(names.ANNOTATION_HTTP01_EDIT_IN_PLACE) == "true":
        overrides |= {
            names.ANNOTATION_HTTP01_OVERRIDE_INGRESS_NAME: meta.name,
            names.ANNOTATION_TEMPORARY_CERTIFICATE: "true",
        }
    return inherited | overrides


def covers(certificate: Certificate, host: str) -> bool:
    """Whether a Certificate's names serve a host of an Ingress; a wildcard stands for one label (RFC 6125 6.4.3)."""
    served = {certificate.spec.common_name, *certificate.spec.dns_names, *certificate.spec.ip_addresses}
    return host in served or f"*.{host.partition('.')[2]}" in served
