"""From watch events to keys in the queue: decode, store, and add whoever is concerned.

An event that tells nothing new (an echo of an own write, a repeated list) ends here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

from certwright.api import Certificate, CertificateRequest, Challenge, Ingress, Issuer, Order
from certwright.settings import ShimSettings
from certwright.shims.ingress import essence
from certwright.store import NamespacedName, Store, controller_of
from certwright.versions import version_of
from certwright.workqueue import Key, WorkQueue

logger = logging.getLogger(__name__)

T = TypeVar("T")


#: Bookmarks come each minute on every watch, so a healthy one is never silent for long (seconds).
FRESH = 90.0
DEAF = 300.0


class Ingest:
    """The one place where events enter."""

    def __init__(self, store: Store, queue: WorkQueue, shim: ShimSettings) -> None:
        self._store = store
        self._queue = queue
        self._shim = shim
        #: Kind -> when something was heard of it, on ``time.monotonic``.
        self._heard: dict[str, float] = {}

    def hear(self, kind: str) -> None:
        """The API server has said something about a kind, if only that there is nothing new."""
        self._heard[kind] = time.monotonic()

    def deaf(self) -> set[str]:
        """Kinds of which nothing was heard for long, although something was of others: their watch is dead."""
        now = time.monotonic()
        ages = {kind: now - heard for kind, heard in self._heard.items()}
        if not ages or min(ages.values()) > FRESH:
            return set()
        return {kind for kind, age in ages.items() if age > DEAF}

    def holds(self, key: Key, uid: str, version: str) -> bool:
        """Whether an event with this version of an object would tell nothing."""
        held = self._store.held(key)
        if held is None or held.metadata.uid != uid or not version.isdigit():
            return False
        return version_of(held.metadata) >= int(version)

    def listed(self, kind: str, keys: set[Key], version: int) -> None:
        """All objects of a kind that existed at a list's ``version``: what was deleted unseen is not among them.

        What is newer than the list may exist without being in it.
        """
        for key in self._store.not_newer(kind, version) - keys:
            logger.info("%s was deleted while it was not watched", key)
            self._gone(key, self._store.held(key))

    def _gone(self, key: Key, item: Any) -> None:
        """An object was deleted; ``item`` is the last version of it."""
        self._store.drop(key, item.metadata.uid, version_of(item.metadata))
        self._queue.forget(key)
        match item:
            case Certificate():
                self._wake_ingresses(item)
                where = NamespacedName(key.namespace, item.spec.secret_name)
                for other in self._store.certificates_for_secret(where):
                    self._queue.add(Key("Certificate", key.namespace, other.metadata.name))
            case CertificateRequest():
                self._queue.add(self._store.worker_of(item))
            case Order():
                self._queue.add(key)
                self._add_request_of(item)
            case Challenge():
                self._queue.add(key)
                self._add_order_of(item)
            case Issuer():
                self._queue.add(key)
            case _:
                # Nobody waits for the end of an Ingress: what it has is deleted with it.
                return

    def certificate(self, type_: str | None, body: Mapping[str, Any]) -> None:
        """A Certificate event as Kopf gives it; ``type_`` is None for objects of a list."""
        certificate = _decode(body, Certificate)
        if certificate is None:
            return
        if type_ == "DELETED":
            self._gone(Key("Certificate", certificate.metadata.namespace, certificate.metadata.name), certificate)
        else:
            self.take_certificate(certificate)

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
        if type_ == "DELETED":
            self._gone(Key("Ingress", ingress.metadata.namespace, ingress.metadata.name), ingress)
        else:
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
        if type_ == "DELETED":
            self._gone(Key("CertificateRequest", request.metadata.namespace, request.metadata.name), request)
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
        if type_ == "DELETED":
            self._gone(self._store.orders.key_of(order), order)
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
        if type_ == "DELETED":
            self._gone(self._store.challenges.key_of(challenge), challenge)
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
        if type_ == "DELETED":
            self._gone(Key(kind, issuer.metadata.namespace, issuer.metadata.name), issuer)
        else:
            self.take_issuer(kind, issuer)

    def take_issuer(self, kind: str, issuer: Issuer) -> None:
        """A version of an issuer."""
        key = Key(kind, issuer.metadata.namespace, issuer.metadata.name)
        old = self._store.issuers.get(key)
        if not self._store.put_issuer(kind, issuer):
            return
        self._queue.add(key)
        if old is not None and _renewal_source(old) != _renewal_source(issuer):
            for user in self._store.users_of_issuer(key):
                self._queue.add(user)

    def secret(self, where: NamespacedName) -> None:
        """A Secret that somebody names has changed."""
        for user in self._store.secret_users(where):
            self._queue.add(user)


def _renewal_source(issuer: Issuer) -> str:
    """What decides when the issuer's certificates are renewed."""
    return issuer.spec.acme.renewal_information_source if issuer.spec.acme is not None else ""


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
