"""From watch events to keys in the queue: decode, store, and add whoever is concerned.

An event that tells nothing new (an echo of an own write, a repeated list) ends here.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from certwright.api import Certificate, CertificateRequest, Challenge, Ingress, Issuer, ObjectMeta, Order
from certwright.settings import ShimSettings
from certwright.shims.ingress import essence
from certwright.store import NamespacedName, Store, controller_of
from certwright.versions import version_of
from certwright.workqueue import Key, WorkQueue

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Ingest:
    """The one place where events enter."""

    def __init__(self, store: Store, queue: WorkQueue, shim: ShimSettings) -> None:
        self._store = store
        self._queue = queue
        self._shim = shim
        #: Objects listed again by Kopf after the start: a sign that its watch had a gap.
        self.relisted = 0

    def certificate(self, type_: str | None, body: Mapping[str, Any]) -> None:
        """A Certificate event as Kopf gives it; ``type_`` is None for objects of a list."""
        certificate = _decode(body, Certificate)
        if certificate is None:
            return
        key = Key("Certificate", certificate.metadata.namespace, certificate.metadata.name)
        if not self._gone(type_, key, certificate.metadata):
            self.take_certificate(certificate)
            return
        self._wake_ingresses(certificate)
        for other in self._store.certificates_for_secret(NamespacedName(key.namespace, certificate.spec.secret_name)):
            self._queue.add(Key("Certificate", key.namespace, other.metadata.name))

    def take_certificate(self, certificate: Certificate) -> None:
        """A version of a Certificate."""
        if self._store.put_certificate(certificate):
            self._queue.add(Key("Certificate", certificate.metadata.namespace, certificate.metadata.name))
            self._wake_ingresses(certificate)

    def _wake_ingresses(self, certificate: Certificate) -> None:
        """Somebody has changed or deleted a Certificate that Ingresses have, or wait for."""
        meta = certificate.metadata
        for ingress in self._store.ingresses_naming(NamespacedName(meta.namespace, meta.name)):
            self._queue.add(ingress)
        owner = controller_of(meta, "Ingress")
        if owner is not None and (key := Key("Ingress", meta.namespace, owner[0])) in self._store.ingresses:
            self._queue.add(key)

    def ingress(self, type_: str | None, body: Mapping[str, Any]) -> None:
        """An Ingress event."""
        ingress = _decode(body, Ingress)
        if ingress is None:
            return
        key = Key("Ingress", ingress.metadata.namespace, ingress.metadata.name)
        if not self._gone(type_, key, ingress.metadata):
            self.take_ingress(ingress)

    def take_ingress(self, ingress: Ingress) -> None:
        """A version of an Ingress; most ask for nothing and are not kept."""
        key = Key("Ingress", ingress.metadata.namespace, ingress.metadata.name)
        lean = essence(ingress, self._shim)
        if lean is None:
            self._store.drop_ingress(key, ingress.metadata.uid, version_of(ingress.metadata))
        elif self._store.put_ingress(lean):
            self._queue.add(key)

    def request(self, type_: str | None, body: Mapping[str, Any]) -> None:
        """A CertificateRequest event."""
        request = _decode(body, CertificateRequest)
        if request is None:
            return
        key = Key("CertificateRequest", request.metadata.namespace, request.metadata.name)
        if self._gone(type_, key, request.metadata):
            self._queue.add(self._store.worker_of(request))
        else:
            self.take_request(request)

    def take_request(self, request: CertificateRequest) -> None:
        """A version of a CertificateRequest."""
        if self._store.put_request(request):
            self._queue.add(self._store.worker_of(request))

    def order(self, type_: str | None, body: Mapping[str, Any]) -> None:
        """An Order event."""
        order = _decode(body, Order)
        if order is None:
            return
        key = self._store.orders.key_of(order)
        if self._gone(type_, key, order.metadata):
            self._queue.add(key)
            self._add_request_of(order)
        else:
            self.take_order(order)

    def take_order(self, order: Order) -> None:
        """A version of an Order."""
        if self._store.orders.put(order):
            self._queue.add(self._store.orders.key_of(order))
            self._add_request_of(order)

    def _add_request_of(self, order: Order) -> None:
        owner = controller_of(order.metadata, "CertificateRequest")
        if owner is None:
            return
        record = self._store.requests.get(Key("CertificateRequest", order.metadata.namespace, owner[0]))
        if record is not None:
            self._queue.add(self._store.worker_of(record.object))

    def challenge(self, type_: str | None, body: Mapping[str, Any]) -> None:
        """A Challenge event."""
        challenge = _decode(body, Challenge)
        if challenge is None:
            return
        key = self._store.challenges.key_of(challenge)
        if self._gone(type_, key, challenge.metadata):
            self._queue.add(key)
            self._add_order_of(challenge)
        else:
            self.take_challenge(challenge)

    def take_challenge(self, challenge: Challenge) -> None:
        """A version of a Challenge."""
        if self._store.challenges.put(challenge):
            self._queue.add(self._store.challenges.key_of(challenge))
            self._add_order_of(challenge)

    def _add_order_of(self, challenge: Challenge) -> None:
        owner = controller_of(challenge.metadata, "Order")
        if owner is not None:
            self._queue.add(Key("Order", challenge.metadata.namespace, owner[0]))

    def issuer(self, kind: str, type_: str | None, body: Mapping[str, Any]) -> None:
        """An Issuer or ClusterIssuer event."""
        issuer = _decode(body, Issuer)
        if issuer is None:
            return
        key = Key(kind, issuer.metadata.namespace, issuer.metadata.name)
        if self._gone(type_, key, issuer.metadata):
            self._queue.add(key)
        else:
            self.take_issuer(kind, issuer)

    def take_issuer(self, kind: str, issuer: Issuer) -> None:
        """A version of an issuer."""
        if self._store.put_issuer(kind, issuer):
            self._queue.add(Key(kind, issuer.metadata.namespace, issuer.metadata.name))

    def secret(self, where: NamespacedName) -> None:
        """A Secret that somebody names has changed."""
        for user in self._store.secret_users(where):
            self._queue.add(user)

    def _gone(self, type_: str | None, key: Key, meta: ObjectMeta) -> bool:
        """Whether the event says so; then the object is forgotten."""
        if type_ is None:
            self.relisted += 1
        if type_ != "DELETED":
            return False
        self._store.drop(key, meta.uid, version_of(meta))
        self._queue.forget(key)
        return True


def _decode(body: Mapping[str, Any], type_: type[T]) -> T | None:
    try:
        return msgspec.convert(dict(body), type=type_, strict=False)
    except msgspec.ValidationError as error:
        # The schema forbids it; an object stored before the schema was tightened may still look like this.
        meta = body.get("metadata", {})
        logger.error(
            "%s %s/%s does not decode and is ignored: %s",
            body.get("kind"),
            meta.get("namespace"),
            meta.get("name"),
            error,
        )
        return None
