"""The target Secret: what it must hold, whether it still does, and the one server-side apply that writes it.

Server-side apply with a stable field manager: keys, labels and annotations we applied earlier and leave out now vanish,
those of others survive (API contract sections 3.0, 4.3, 5.8). The name of the manager is cert-manager's, so that Secrets
taken over from it lose what it had applied.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

from certwright.api import Certificate, CertificateSpec, IssuerRef
from certwright.api.groups import (
    ANNOTATION_CERTIFICATE_NAME,
    ANNOTATION_ISSUER_GROUP,
    ANNOTATION_ISSUER_KIND,
    ANNOTATION_ISSUER_NAME,
    CERTIFICATE_API_VERSION,
    LABEL_FILTERED_CACHE,
    SECRET_FIELD_MANAGER,
)
from certwright.kube import SECRETS
from certwright.reconcile.context import Context, Retry
from certwright.secretfacts import CA_CRT, TLS_CRT, TLS_KEY, Secret, SecretFacts, facts_of
from certwright.store import NamespacedName
from certwright_issuers.certificate import CertificateFacts, parse_certificate_facts
from certwright_issuers.keystores import combined_pem, key_der
from certwright_issuers.names import csv_line

TLS_TYPE = "kubernetes.io/tls"
#: additionalOutputFormats type -> data key.
OUTPUT_KEYS = {"DER": "key.der", "CombinedPEM": "tls-combined.pem"}


@dataclass(frozen=True, slots=True)
class Material:
    """What was issued: PEM bytes. Never printed."""

    key_pem: bytes
    chain_pem: bytes
    ca_pem: bytes

    def __repr__(self) -> str:
        return "<Material>"


def labels_for(spec: CertificateSpec) -> dict[str, str]:
    """All labels we apply; ours win over the template's."""
    template = spec.secret_template.labels if spec.secret_template else {}
    return {**template, LABEL_FILTERED_CACHE: "true"}


def annotations_for(
    spec: CertificateSpec, name: str, issuer: dict[str, str], certificate: CertificateFacts
) -> dict[str, str]:
    """All annotations we apply; ``issuer`` holds the raw values of the request, possibly empty."""
    template = spec.secret_template.annotations if spec.secret_template else {}
    return {**template, **details_of(certificate), ANNOTATION_CERTIFICATE_NAME: name, **issuer}


def details_of(certificate: CertificateFacts) -> dict[str, str]:
    """Annotations that say what is in the certificate: the first four always, the others when not empty (8.28)."""
    subject = certificate.subject
    always = {
        "cert-manager.io/common-name": certificate.common_name,
        "cert-manager.io/alt-names": csv_line(certificate.names.dns_names),
        "cert-manager.io/ip-sans": csv_line(certificate.names.ip_addresses),
        "cert-manager.io/uri-sans": csv_line(certificate.names.uris),
    }
    perhaps = {
        "cert-manager.io/email-sans": csv_line(certificate.names.email_addresses),
        "cert-manager.io/subject-organizations": csv_line(subject.organizations),
        "cert-manager.io/subject-organizationalunits": csv_line(subject.organizational_units),
        "cert-manager.io/subject-countries": csv_line(subject.countries),
        "cert-manager.io/subject-provinces": csv_line(subject.provinces),
        "cert-manager.io/subject-localities": csv_line(subject.localities),
        "cert-manager.io/subject-postalcodes": csv_line(subject.postal_codes),
        "cert-manager.io/subject-streetaddresses": csv_line(subject.street_addresses),
        "cert-manager.io/subject-serialnumber": subject.serial_number,
    }
    return always | {name: value for name, value in perhaps.items() if value}


def issuer_annotations(ref: IssuerRef) -> dict[str, str]:
    """Raw values of the request's issuerRef: empty stays empty."""
    return {
        ANNOTATION_ISSUER_NAME: ref.name,
        ANNOTATION_ISSUER_KIND: ref.kind,
        ANNOTATION_ISSUER_GROUP: ref.group,
    }


def drift(certificate: Certificate, secret: SecretFacts, *, owner_ref: bool) -> str:
    """What of the Secret's metadata and derived data is no longer as applied; empty if nothing is.

    Only for a Secret that holds a valid pair issued for this Certificate.
    """
    if secret.certificate is None or secret.annotations.get(ANNOTATION_CERTIFICATE_NAME) is None:
        return ""
    spec = certificate.spec
    issuer = {name: secret.annotations.get(name, "") for name in issuer_annotations(spec.issuer_ref)}
    annotations = annotations_for(spec, certificate.metadata.name, issuer, secret.certificate)
    labels = labels_for(spec)
    outputs = {OUTPUT_KEYS[output.type] for output in spec.additional_output_formats if output.type in OUTPUT_KEYS}
    checks = (
        ("labels", any(secret.labels.get(name) != value for name, value in labels.items())),
        ("annotations", any(secret.annotations.get(name) != value for name, value in annotations.items())),
        ("labels no longer in the template", bool(secret.applied_labels - labels.keys())),
        ("annotations no longer in the template", bool(secret.applied_annotations - annotations.keys())),
        ("additional output formats", set(OUTPUT_KEYS.values()) & secret.keys != outputs),
        ("owner reference", owner_ref and secret.owner_uid != certificate.metadata.uid),
    )
    return next((what for what, wrong in checks if wrong), "")


async def apply_secret(
    context: Context, certificate: Certificate, issuer: dict[str, str], material: Material, known: SecretFacts | None
) -> SecretFacts:
    """Write the target Secret. Raises Conflict when it changed since ``known``, Refused when it is immutable."""
    where = NamespacedName(certificate.metadata.namespace, certificate.spec.secret_name)
    body = secret_body(certificate, issuer, material, known, owner_ref=context.settings.issuance.certificate_owner_ref)
    path = SECRETS.path(where.namespace, where.name)
    written = await context.kube.apply(path, body, Secret, field_manager=SECRET_FIELD_MANAGER)
    facts = facts_of(written)
    context.store.put_secret(where, facts)
    # The watch will tell us nothing new about it, but an issuer may sign with what we have just written.
    for user in context.store.secret_users(where):
        if user.kind != "Certificate":
            context.queue.add(user)
    return facts


async def reapply(context: Context, certificate: Certificate, known: SecretFacts) -> None:
    """Write the Secret again with the key and certificate it holds: metadata or derived data had drifted."""
    where = NamespacedName(certificate.metadata.namespace, certificate.spec.secret_name)
    secret = await context.read_secret(where)
    if secret is None or secret.metadata.resource_version != known.resource_version:
        context.store.forget_secret(where)
        raise Retry(f"Secret {where.name} changed while it was being repaired")
    material = Material(secret.data[TLS_KEY], secret.data[TLS_CRT], secret.data.get(CA_CRT, b""))
    issuer = {
        name: secret.metadata.annotations.get(name, "") for name in issuer_annotations(certificate.spec.issuer_ref)
    }
    await apply_secret(context, certificate, issuer, material, known)


def secret_body(
    certificate: Certificate, issuer: dict[str, str], material: Material, known: SecretFacts | None, *, owner_ref: bool
) -> dict[str, Any]:
    """The apply configuration. An existing Secret keeps its type (8.25) and must be the version that was judged."""
    spec = certificate.spec
    facts = parse_certificate_facts(material.chain_pem)
    data = {TLS_KEY: material.key_pem, TLS_CRT: material.chain_pem}
    if material.ca_pem:
        data[CA_CRT] = material.ca_pem
    data |= _outputs(spec, material)
    metadata: dict[str, Any] = {
        "name": spec.secret_name,
        "namespace": certificate.metadata.namespace,
        "labels": labels_for(spec),
        "annotations": annotations_for(spec, certificate.metadata.name, issuer, facts),
    }
    if known is not None:
        metadata |= {"uid": known.uid, "resourceVersion": known.resource_version}
    if owner_ref:
        metadata["ownerReferences"] = [controller_ref(certificate)]
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": metadata,
        "type": known.type if known is not None else TLS_TYPE,
        "data": {name: base64.b64encode(value).decode() for name, value in data.items()},
    }


def controller_ref(certificate: Certificate) -> dict[str, Any]:
    """An owner reference that makes the Certificate the controller."""
    return {
        "apiVersion": CERTIFICATE_API_VERSION,
        "kind": "Certificate",
        "name": certificate.metadata.name,
        "uid": certificate.metadata.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _outputs(spec: CertificateSpec, material: Material) -> dict[str, bytes]:
    makers = {
        "DER": lambda: key_der(material.key_pem),
        "CombinedPEM": lambda: combined_pem(material.key_pem, material.chain_pem),
    }
    return {
        OUTPUT_KEYS[output.type]: makers[output.type]()
        for output in spec.additional_output_formats
        if output.type in makers
    }
