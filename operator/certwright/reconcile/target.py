"""The target Secret: what it must hold, whether it still does, and the one server-side apply that writes it.

Server-side apply with a stable field manager: keys, labels and annotations we applied earlier and leave out now vanish,
those of others survive (API contract sections 3.0, 4.3, 5.8). The name of the manager is cert-manager's, so that Secrets
taken over from it lose what it had applied.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Mapping
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
from certwright.api.meta import controller_reference
from certwright.derived import DERIVED, STORE_NAMES, output_files, output_types, wanted_files
from certwright.kube import SECRETS
from certwright.reconcile.context import Context, Retry
from certwright.reconcile.keystores import make_keystores, read_passwords, tell_missing
from certwright.secretfacts import CA_CRT, TLS_CRT, TLS_KEY, Secret, SecretFacts, facts_of
from certwright.store import NamespacedName
from certwright_issuers.certificate import CertificateFacts, parse_certificate_facts
from certwright_issuers.keystores import Content
from certwright_issuers.names import csv_line

logger = logging.getLogger(__name__)

TLS_TYPE = "kubernetes.io/tls"
#: What :func:`drift` calls keystores that are missing, when nothing else is wrong.
KEYSTORES = "keystores"


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
    annotated = secret.annotations.get(ANNOTATION_CERTIFICATE_NAME) is not None
    if secret.certificate is None or not (annotated or secret.applied_keys):
        return ""
    spec = certificate.spec
    annotations = annotations_for(
        spec, certificate.metadata.name, _issuer_of(certificate, secret.annotations), secret.certificate
    )
    labels = labels_for(spec)
    wanted = wanted_files(spec, with_ca=CA_CRT in secret.keys)
    lost = wanted - (secret.sound & secret.applied_keys)
    checks = (
        ("labels", any(secret.labels.get(name) != value for name, value in labels.items())),
        ("annotations", any(secret.annotations.get(name) != value for name, value in annotations.items())),
        ("labels no longer in the template", bool(secret.applied_labels - labels.keys())),
        ("annotations no longer in the template", bool(secret.applied_annotations - annotations.keys())),
        ("owner reference", owner_ref and secret.owner_uid != certificate.metadata.uid),
        ("owner reference that is no longer wanted", secret.applied_owner and not owner_ref),
        ("derived data no longer in the spec", bool(secret.applied_keys & DERIVED - wanted)),
        ("additional output formats", bool(lost - STORE_NAMES)),
        (KEYSTORES, bool(lost & STORE_NAMES)),
    )
    return next((what for what, wrong in checks if wrong), "")


def _issuer_of(certificate: Certificate, annotations: Mapping[str, str]) -> dict[str, str]:
    """The issuer annotations of a Secret as they are; where all are lost, those of the spec."""
    ours = issuer_annotations(certificate.spec.issuer_ref)
    return {name: annotations.get(name, "") for name in ours} if ours.keys() & annotations.keys() else ours


async def apply_secret(
    context: Context,
    certificate: Certificate,
    issuer: dict[str, str],
    content: Content,
    known: SecretFacts | None,
    keystores: Mapping[str, bytes],
) -> SecretFacts:
    """Write the target Secret. Raises Conflict when it changed since ``known``, Refused when it is immutable."""
    where = NamespacedName(certificate.metadata.namespace, certificate.spec.secret_name)
    owner_ref = context.settings.issuance.certificate_owner_ref
    body = secret_body(certificate, issuer, content, known, keystores, owner_ref=owner_ref)
    path = SECRETS.path(where.namespace, where.name)
    written = await context.kube.apply(path, body, Secret, field_manager=SECRET_FIELD_MANAGER)
    facts = facts_of(written)
    context.store.put_secret(where, facts)
    # The watch will tell us nothing new about it, but an issuer may sign with what we have just written.
    for user in context.store.secret_users(where):
        if user.kind != "Certificate":
            context.queue.add(user)
    return facts


async def reapply(context: Context, certificate: Certificate, known: SecretFacts, what: str) -> None:
    """Write the Secret again with the key and certificate it holds, because of ``what`` :func:`drift` has found.

    Keystores that are there stay as they are, whatever became of their passwords. Raises StoreFailed.
    """
    where = NamespacedName(certificate.metadata.namespace, certificate.spec.secret_name)
    secret = await context.read_secret(where)
    if secret is None or secret.metadata.resource_version != known.resource_version:
        context.store.forget_secret(where)
        raise Retry(f"Secret {where.name} changed while it was being repaired")
    kept = {name: secret.data[name] for name in STORE_NAMES & known.sound & known.applied_keys}
    passwords = await read_passwords(context, certificate)
    if passwords.missing:
        tell_missing(context, certificate, passwords)
    content = Content(secret.data[TLS_KEY], secret.data[TLS_CRT], secret.data.get(CA_CRT, b""))
    keystores = await make_keystores(context, certificate, content, passwords, kept)
    if what == KEYSTORES and keystores == kept:
        return
    logger.info("Secret %s is applied again: %s", where.name, what)
    await apply_secret(
        context, certificate, _issuer_of(certificate, secret.metadata.annotations), content, known, keystores
    )


def secret_body(
    certificate: Certificate,
    issuer: dict[str, str],
    content: Content,
    known: SecretFacts | None,
    keystores: Mapping[str, bytes],
    *,
    owner_ref: bool,
) -> dict[str, Any]:
    """The apply configuration. An existing Secret keeps its type (8.25) and must be the version that was judged."""
    spec = certificate.spec
    facts = parse_certificate_facts(content.chain_pem)
    data = {TLS_KEY: content.key_pem, TLS_CRT: content.chain_pem}
    if content.ca_pem:
        data[CA_CRT] = content.ca_pem
    data |= output_files(output_types(spec), content.key_pem, content.chain_pem)
    data |= keystores
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
    return controller_reference(CERTIFICATE_API_VERSION, "Certificate", certificate.metadata)
