"""The CertificateRequest of an issuance: its name, what it inherits, and making it exactly once.

The name follows from the Certificate's name and the revision, so a request whose creation was never confirmed is found
again instead of being made twice.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from certwright.api import Certificate, CertificateRequest
from certwright.api.groups import (
    ANNOTATION_CERTIFICATE_NAME,
    ANNOTATION_CERTIFICATE_REVISION,
    ANNOTATION_PRIVATE_KEY_SECRET_NAME,
    CERTIFICATE_API_VERSION,
)
from certwright.errors import AlreadyExists
from certwright.kube import CERTIFICATE_REQUESTS
from certwright.reconcile.context import Context, Retry
from certwright.reconcile.target import controller_ref
from certwright.store import controller_of
from certwright.workqueue import Key

#: Longest Certificate name that is used as it is: room for "-" and a revision within 253 (API contract section 2.2).
LONGEST_PREFIX = 233


class NameTaken(Exception):
    """A request of the wanted name exists and belongs to somebody else."""


def request_name(certificate_name: str, revision: int) -> str:
    """``<certificate>-<revision>``; longer names are cut and carry a digest of the whole."""
    prefix = certificate_name
    if len(prefix) > LONGEST_PREFIX:
        prefix = f"{prefix[:168]}-{hashlib.sha256(certificate_name.encode()).hexdigest()}"
    return f"{prefix}-{revision}"


def copied_annotations(annotations: Mapping[str, str], prefixes: Sequence[str]) -> dict[str, str]:
    """The annotations a request inherits.

    Entries work in order: ``*`` takes everything, ``-prefix`` takes away what was taken before, any other entry takes
    what begins with it. Once ``*`` was seen every later positive entry takes everything again (contract row 8.60).
    """
    copied: dict[str, str] = {}
    everything = False
    for entry in prefixes:
        if entry.startswith("-"):
            copied = {name: value for name, value in copied.items() if not name.startswith(entry[1:])}
            continue
        everything = everything or entry == "*"
        copied |= {name: value for name, value in annotations.items() if everything or name.startswith(entry)}
    return copied


def request_body(
    certificate: Certificate, revision: int, csr_pem: bytes, key_secret: str, prefixes: Sequence[str]
) -> dict[str, Any]:
    """The object to create. Fields of the spec are copied as they are: what is empty stays empty."""
    spec = certificate.spec
    ref = {"name": spec.issuer_ref.name, "kind": spec.issuer_ref.kind, "group": spec.issuer_ref.group}
    optional = {"duration": spec.duration, "isCA": spec.is_ca, "usages": list(spec.usages)}
    return {
        "apiVersion": CERTIFICATE_API_VERSION,
        "kind": "CertificateRequest",
        "metadata": {
            "name": request_name(certificate.metadata.name, revision),
            "namespace": certificate.metadata.namespace,
            "labels": certificate.metadata.labels,
            "annotations": {
                **copied_annotations(certificate.metadata.annotations, prefixes),
                ANNOTATION_CERTIFICATE_REVISION: str(revision),
                ANNOTATION_PRIVATE_KEY_SECRET_NAME: key_secret,
                ANNOTATION_CERTIFICATE_NAME: certificate.metadata.name,
            },
            "ownerReferences": [controller_ref(certificate)],
        },
        "spec": {
            "request": base64.b64encode(csr_pem).decode(),
            "issuerRef": {name: value for name, value in ref.items() if value},
            **{name: value for name, value in optional.items() if value},
        },
    }


async def create_request(
    context: Context, certificate: Certificate, revision: int, csr_pem: bytes, key_secret: str
) -> CertificateRequest:
    """Create the request, or find the one that an unconfirmed earlier attempt made.

    Raises NameTaken when the name belongs to somebody else, Retry when an own but outdated request had to be removed.
    """
    body = request_body(
        certificate, revision, csr_pem, key_secret, context.settings.issuance.copied_annotation_prefixes
    )
    namespace, name = certificate.metadata.namespace, body["metadata"]["name"]
    try:
        created = await context.kube.create(CERTIFICATE_REQUESTS.path(namespace), body, CertificateRequest)
    except AlreadyExists:
        return await _adopt(context, certificate, namespace, name, csr_pem)
    context.store.put_request(created)
    return created


async def _adopt(
    context: Context, certificate: Certificate, namespace: str, name: str, csr_pem: bytes
) -> CertificateRequest:
    found = await context.refresh_request(namespace, name)
    if found is None:
        raise Retry(f"CertificateRequest {name} was there and is gone")
    owner = controller_of(found.metadata, "Certificate")
    if owner is None or owner[1] != certificate.metadata.uid:
        raise NameTaken(
            f'CertificateRequest "{name}" already exists and is not controlled by this Certificate; delete it to let '
            "the issuance go on"
        )
    if found.spec.request != csr_pem:
        await delete_request(context, found)
        raise Retry(f"CertificateRequest {name} was left over from an earlier attempt")
    return found


async def delete_request(context: Context, request: CertificateRequest) -> None:
    """Delete that very request; it is gone from the store at once."""
    meta = request.metadata
    await context.kube.delete(CERTIFICATE_REQUESTS.path(meta.namespace, meta.name), uid=meta.uid)
    context.store.drop_request(Key("CertificateRequest", meta.namespace, meta.name), meta.uid)
