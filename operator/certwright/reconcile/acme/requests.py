"""A CertificateRequest of an ACME issuer: its Order, made once, and what has become of it.

API contract sections 2.3, 2.5, 3.1.5. An Order is worked on only while the request that controls it is approved and
asks for the same: whoever may create Orders must not get certificates by that (reliability row S1).
"""

from __future__ import annotations

import base64
import json
from datetime import timedelta
from typing import Any

import msgspec

from certwright.api import ACMEIssuer, CertificateRequest, Order, OrderSpec
from certwright.api.groups import ACME_API_VERSION, CERTIFICATE_API_VERSION
from certwright.errors import AlreadyExists, Forbidden, NotFound, Refused
from certwright.kube import ORDERS
from certwright.reconcile.context import Context, Retry
from certwright.reconcile.outcome import Outcome
from certwright.reconcile.renewalinfo import replaced_by
from certwright.reconcile.requests import copied_annotations
from certwright.reporter import find_condition, is_true
from certwright.store import controller_of
from certwright.workqueue import Key
from certwright_issuers.contract import Issued, RequestRejected
from certwright_issuers.csr import CSRFacts, InvalidCSR, parse_csr_facts

#: States that an Order or Challenge never leaves without a certificate or a proof.
LOST = frozenset({"invalid", "expired", "errored"})
ISSUED_MESSAGE = "Certificate fetched from issuer successfully"
#: Beginning of the message when the API server refuses an Order, and how soon that is tried again.
ORDER_REFUSED = "Failed to create Order resource"
REFUSED_RECHECK = timedelta(seconds=30)
#: Characters of a request's name in its Order's: with "-" and the hash at most 63 (API contract section 2.5).
LONGEST_PREFIX = 52


async def order_outcome(context: Context, request: CertificateRequest, facts: CSRFacts, acme: ACMEIssuer) -> Outcome:
    """Make the request's Order, or say how it stands. Raises RequestRejected, Retry, KubeError."""
    spec = order_spec(request, facts, acme)
    for order in context.store.orders.owned_by(request.metadata.uid):
        if _is_made_for(request, order):
            return await _progress(context, order)
    spec = msgspec.structs.replace(spec, replaces=await replaced_by(context, request, facts))
    try:
        order = await _create(context, request, spec)
    except (Forbidden, Refused) as error:
        # A quota or a policy of the cluster, which may change.
        return Outcome("Pending", "OrderCreatingError", f"{ORDER_REFUSED}: {error}", retry_after=REFUSED_RECHECK)
    where = f"{order.metadata.namespace}/{order.metadata.name}"
    return Outcome("Pending", "OrderCreated", f"Created Order resource {where}")


async def _progress(context: Context, order: Order) -> Outcome:
    where = f"{order.metadata.namespace}/{order.metadata.name}"
    state, reason = order.status.state, order.status.reason
    if state in LOST:
        return Outcome("Failed", "OrderFailed", f'Order {where} is in state "{state}": {reason}')
    if state == "valid" and order.status.certificate:
        try:
            full = await context.kube.get(ORDERS.path(order.metadata.namespace, order.metadata.name), Order)
        except NotFound as error:
            raise Retry(f"Order {where} is gone") from error
        return Outcome("Issued", "CertificateIssued", ISSUED_MESSAGE, issued=Issued(full.status.certificate))
    if not reason:
        # As it was said at the beginning: nothing new that is worth a write.
        return Outcome("Pending", "OrderCreated", f"Created Order resource {where}")
    waiting = f'Waiting on certificate issuance from order {where}: "{state or "pending"}": {reason}'
    return Outcome("Pending", "OrderPending", waiting)


def order_spec(request: CertificateRequest, facts: CSRFacts, acme: ACMEIssuer) -> OrderSpec:
    """What is ordered for a request. Raises RequestRejected."""
    names, common_name = facts.names, facts.common_name
    if not names.dns_names and not names.ip_addresses:
        raise RequestRejected(
            "InvalidOrder", "the CSR names no DNS name and no IP address, and ACME certifies no others"
        )
    if common_name and common_name.lower() not in names.hosts:
        raise RequestRejected(
            "InvalidOrder",
            f"the common name {common_name!r} is neither among the DNS names nor among the IP addresses of the CSR, where "
            "ACME wants it: add it to dnsNames, or leave it out",
        )
    return OrderSpec(
        request=request.spec.request,
        issuer_ref=request.spec.issuer_ref,
        common_name=common_name,
        dns_names=names.dns_names,
        ip_addresses=names.ip_addresses,
        duration=request.spec.duration if acme.enable_duration_feature else "",
        profile=acme.profile,
    )


def order_name(request: CertificateRequest, spec: OrderSpec) -> str:
    """The request's name, cut, and a hash of what is ordered and of the request's UID.

    With the UID the Order of a request that is made again never meets the one of its predecessor of the same name
    (API contract row 8.42 has that wait).
    """
    plain = msgspec.to_builtins(msgspec.structs.replace(spec, request=b""))
    text = json.dumps([plain, request.metadata.name, request.metadata.uid], sort_keys=True)
    return hashed_name(request.metadata.name, text)


def hashed_name(prefix: str, text: str) -> str:
    """``prefix``, at most 52 characters of it, and the 32-bit FNV-1 hash of ``text`` in decimal."""
    digest = 2166136261
    for byte in text.encode():
        digest = (digest * 16777619 & 0xFFFFFFFF) ^ byte
    return f"{prefix[:LONGEST_PREFIX].rstrip('-.')}-{digest}"


def order_body(request: CertificateRequest, spec: OrderSpec, annotations: dict[str, str]) -> dict[str, Any]:
    """The object to create. Labels are the Certificate's: solvers are selected by them (row 8.43)."""
    meta = request.metadata
    owner = {"apiVersion": CERTIFICATE_API_VERSION, "kind": "CertificateRequest", "name": meta.name, "uid": meta.uid}
    plain = msgspec.to_builtins(spec)
    return {
        "apiVersion": ACME_API_VERSION,
        "kind": "Order",
        "metadata": {
            "name": order_name(request, spec),
            "namespace": meta.namespace,
            "labels": meta.labels,
            "annotations": annotations,
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": {**plain, "request": base64.b64encode(spec.request).decode()},
    }


async def _create(context: Context, request: CertificateRequest, spec: OrderSpec) -> Order:
    prefixes = context.settings.issuance.copied_annotation_prefixes
    body = order_body(request, spec, copied_annotations(request.metadata.annotations, prefixes))
    namespace, name = request.metadata.namespace, body["metadata"]["name"]
    try:
        order = await context.kube.create(ORDERS.path(namespace), body, Order)
    except AlreadyExists:
        order = await context.kube.get(ORDERS.path(namespace, name), Order)
        owner = controller_of(order.metadata, "CertificateRequest")
        if owner is None or owner[1] != request.metadata.uid:
            context.store.orders.put(order)
            text = f"Order {name} exists and is not controlled by CertificateRequest {request.metadata.name}"
            raise Retry(text, 60) from None
    context.store.orders.put(order)
    return order


def wake_orders(context: Context, request: CertificateRequest) -> None:
    """The request's status was written: its Orders may be worked on now."""
    for order in context.store.orders.owned_by(request.metadata.uid):
        context.queue.add(context.store.orders.key_of(order))


def request_of(context: Context, order: Order) -> CertificateRequest | None:
    """The approved request that the Order was made for; None if there is none, and then nothing may be done for it."""
    owner = controller_of(order.metadata, "CertificateRequest")
    if owner is None:
        return None
    record = context.store.requests.get(Key("CertificateRequest", order.metadata.namespace, owner[0]))
    if record is None or record.meta.uid != owner[1]:
        return None
    request = record.object
    conditions = request.status.conditions
    ready = find_condition(conditions, "Ready")
    settled = ready is not None and ready.reason in {"Failed", "Denied"}
    return request if is_true(conditions, "Approved") and not settled and _is_made_for(request, order) else None


def _is_made_for(request: CertificateRequest, order: Order) -> bool:
    """Whether the Order has the request's name, issuer, CSR, and the CSR's names."""
    spec = order.spec
    if (spec.request, spec.issuer_ref) != (request.spec.request, request.spec.issuer_ref):
        return False
    if order.metadata.name != order_name(request, spec):
        return False
    try:
        facts = parse_csr_facts(spec.request)
    except InvalidCSR:
        return False
    asked = (facts.common_name, facts.names.dns_names, facts.names.ip_addresses)
    return asked == (spec.common_name, spec.dns_names, spec.ip_addresses)
