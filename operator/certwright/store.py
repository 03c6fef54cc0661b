"""What certwright knows of the cluster: the objects it decides on, with the look-ups it needs, and nothing more.

Filled by the first lists, by watches, and by the answers of its own writes ("read your writes"): a version older than
the one held is ignored, so an event that is still on its way can't undo what was just written. Secrets are held as facts
(``secretfacts.py``), never as bytes, and issued certificates of requests as digests.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec

from certwright.api import Certificate, CertificateRequest, Challenge, Ingress, Issuer, IssuerRef, ObjectMeta, Order
from certwright.derived import enabled_stores
from certwright.index import Index
from certwright.secretfacts import SecretFacts
from certwright.shelf import HasMeta, Shelf
from certwright.solvers.live import LiveChallenges
from certwright.versions import Versions, version_of
from certwright.workqueue import Key


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """A CertificateRequest without its issued certificate, of which only the SHA-256 digest is kept."""

    object: CertificateRequest
    certificate_digest: bytes

    @property
    def meta(self) -> ObjectMeta:
        """Shorthand."""
        return self.object.metadata


@dataclass(frozen=True, slots=True)
class NamespacedName:
    """Where an object lives."""

    namespace: str
    name: str


def issuer_key(ref: IssuerRef, namespace: str) -> Key:
    """The key of the issuer that ``ref`` names when read in ``namespace``."""
    kind = ref.effective_kind
    return Key(kind, "" if kind == "ClusterIssuer" else namespace, ref.name)


def certificate_digest(pem: bytes) -> bytes:
    """How stored certificates are compared without being kept."""
    return hashlib.sha256(pem.strip()).digest() if pem.strip() else b""


def controller_of(meta: ObjectMeta, kind: str) -> tuple[str, str] | None:
    """Name and UID of the controller, if it is of this kind."""
    for owner in meta.owner_references:
        if owner.controller and owner.kind == kind:
            return owner.name, owner.uid
    return None


class Store:
    """All objects of the watched kinds, newest version known. One event loop; not thread safe."""

    def __init__(self) -> None:
        self.certificates: dict[Key, Certificate] = {}
        self.requests: dict[Key, RequestRecord] = {}
        self.issuers: dict[Key, Issuer] = {}
        #: HTTP-01 challenges that a CA may still look for.
        self.live_challenges = LiveChallenges()
        #: Ingresses that ask for Certificates, reduced to what is decided on (``shims/ingress.py``).
        self.ingresses: dict[Key, Ingress] = {}
        live = self.live_challenges
        self.challenges: Shelf[Challenge] = Shelf("Challenge", taken=live.put, dropped=live.drop)
        #: What is known of Secrets; None: known not to exist; no entry: has to be read.
        self.secrets: dict[NamespacedName, SecretFacts | None] = {}
        self._by_secret_name: Index[NamespacedName, Key] = Index()
        self._by_password_secret: Index[NamespacedName, Key] = Index()
        self._certificates_by_owner: Index[str, Key] = Index()
        self._requests_by_owner: Index[str, Key] = Index()
        self._ingresses_by_secret: Index[NamespacedName, Key] = Index()
        self._users_of_issuer: Index[Key, Key] = Index()
        self._next_keys: Index[str, NamespacedName] = Index()
        self._seen_secrets: dict[NamespacedName, int] = {}
        self._readers_by_secret: Index[NamespacedName, Key] = Index()
        self._secrets_read: dict[Key, frozenset[NamespacedName]] = {}
        self._versions = Versions()
        self.orders: Shelf[Order] = Shelf("Order", _lean_order)

    # Certificates

    def put_certificate(self, certificate: Certificate) -> bool:
        """Take a version in; False if it is not newer than the one held."""
        key = Key("Certificate", certificate.metadata.namespace, certificate.metadata.name)
        old = self.certificates.get(key)
        if not self._versions.is_newer(key, old.metadata if old else None, certificate.metadata):
            return False
        if old is not None:
            self._unindex_certificate(key, old)
        self.certificates[key] = certificate
        self._by_secret_name.add([NamespacedName(key.namespace, certificate.spec.secret_name)], key)
        self._by_password_secret.add(_password_secrets(certificate), key)
        self._certificates_by_owner.add(_owner_uids(certificate.metadata), key)
        self._users_of_issuer.add([issuer_key(certificate.spec.issuer_ref, key.namespace)], key)
        return True

    def drop_certificate(self, key: Key, uid: str = "", version: int = 0) -> None:
        """Forget an object that was deleted."""
        old = self.certificates.get(key)
        if old is None or (uid and old.metadata.uid != uid):
            return
        del self.certificates[key]
        self._unindex_certificate(key, old)
        self._versions.bury(key, old.metadata, version)

    def _unindex_certificate(self, key: Key, old: Certificate) -> None:
        self._by_secret_name.remove([NamespacedName(key.namespace, old.spec.secret_name)], key)
        self._by_password_secret.remove(_password_secrets(old), key)
        self._certificates_by_owner.remove(_owner_uids(old.metadata), key)
        self._users_of_issuer.remove([issuer_key(old.spec.issuer_ref, key.namespace)], key)

    def certificates_for_secret(self, secret: NamespacedName) -> list[Certificate]:
        """Certificates whose spec names this Secret."""
        return [self.certificates[key] for key in self._by_secret_name.get(secret)]

    def certificates_owned_by(self, uid: str) -> list[Certificate]:
        """Certificates whose controller has this UID, in the order of their names."""
        return [self.certificates[key] for key in sorted(self._certificates_by_owner.get(uid))]

    # CertificateRequests

    def put_request(self, request: CertificateRequest) -> bool:
        """Take a version in; False if it is not newer than the one held."""
        key = Key("CertificateRequest", request.metadata.namespace, request.metadata.name)
        old = self.requests.get(key)
        if not self._versions.is_newer(key, old.meta if old else None, request.metadata):
            return False
        if old is not None:
            self._unindex_request(key, old)
        digest = certificate_digest(request.status.certificate)
        lean = msgspec.structs.replace(request, status=msgspec.structs.replace(request.status, certificate=b"", ca=b""))
        self.requests[key] = RequestRecord(lean, digest)
        self._requests_by_owner.add(_owner_uids(request.metadata), key)
        self._users_of_issuer.add([issuer_key(request.spec.issuer_ref, key.namespace)], key)
        return True

    def drop_request(self, key: Key, uid: str = "", version: int = 0) -> None:
        """Forget an object that was deleted."""
        old = self.requests.get(key)
        if old is None or (uid and old.meta.uid != uid):
            return
        del self.requests[key]
        self._unindex_request(key, old)
        self.set_secrets_read(key, frozenset())
        self._versions.bury(key, old.meta, version)

    def _unindex_request(self, key: Key, old: RequestRecord) -> None:
        self._requests_by_owner.remove(_owner_uids(old.meta), key)
        self._users_of_issuer.remove([issuer_key(old.object.spec.issuer_ref, key.namespace)], key)

    def worker_of(self, request: CertificateRequest) -> Key:
        """Whose reconcile deals with a request: its Certificate's, so that two never work on it at a time."""
        owner = controller_of(request.metadata, "Certificate")
        if owner is not None:
            key = Key("Certificate", request.metadata.namespace, owner[0])
            certificate = self.certificates.get(key)
            if certificate is not None and certificate.metadata.uid == owner[1]:
                return key
        return Key("CertificateRequest", request.metadata.namespace, request.metadata.name)

    def requests_owned_by(self, uid: str) -> list[RequestRecord]:
        """Requests whose controller has this UID, in the order of their names."""
        return [self.requests[key] for key in sorted(self._requests_by_owner.get(uid))]

    # Issuers

    def put_issuer(self, kind: str, issuer: Issuer) -> bool:
        """Take a version in; False if it is not newer than the one held."""
        key = Key(kind, issuer.metadata.namespace, issuer.metadata.name)
        old = self.issuers.get(key)
        if not self._versions.is_newer(key, old.metadata if old else None, issuer.metadata):
            return False
        self.issuers[key] = issuer
        return True

    def drop_issuer(self, key: Key, uid: str = "", version: int = 0) -> None:
        """Forget an object that was deleted."""
        old = self.issuers.get(key)
        if old is not None and (not uid or old.metadata.uid == uid):
            del self.issuers[key]
            self._versions.bury(key, old.metadata, version)

    def users_of_issuer(self, key: Key) -> frozenset[Key]:
        """Certificates and CertificateRequests whose issuerRef names this issuer."""
        return self._users_of_issuer.get(key)

    # Ingresses

    def put_ingress(self, ingress: Ingress) -> bool:
        """Take a version in; False if it says nothing new."""
        key = Key("Ingress", ingress.metadata.namespace, ingress.metadata.name)
        old = self.ingresses.get(key)
        if not self._versions.is_newer(key, old.metadata if old else None, ingress.metadata):
            return False
        self.ingresses[key] = ingress
        if old is None:
            self._ingresses_by_secret.add(_tls_secrets(ingress), key)
            return True
        self._ingresses_by_secret.remove(_tls_secrets(old), key)
        self._ingresses_by_secret.add(_tls_secrets(ingress), key)
        version = ingress.metadata.resource_version
        same = msgspec.structs.replace(old.metadata, resource_version=version)
        return msgspec.structs.replace(old, metadata=same) != ingress

    def drop_ingress(self, key: Key, uid: str = "", version: int = 0) -> None:
        """Forget an object that was deleted, or no longer asks for Certificates."""
        old = self.ingresses.get(key)
        if old is not None and (not uid or old.metadata.uid == uid):
            del self.ingresses[key]
            self._ingresses_by_secret.remove(_tls_secrets(old), key)
            self._versions.bury(key, old.metadata, version)

    def ingresses_naming(self, secret: NamespacedName) -> frozenset[Key]:
        """Ingresses with this Secret in spec.tls; their Certificates have its name."""
        return self._ingresses_by_secret.get(secret)

    # Secrets

    def put_secret(self, where: NamespacedName, facts: SecretFacts | None) -> None:
        """Remember what was read of a Secret, or that there is none, unless the watch has seen something newer."""
        version = int(facts.resource_version) if facts else 0
        seen = self._seen_secrets.get(where, 0)
        if facts is None and seen == 0:
            self.secrets[where] = None
        elif facts is not None and version >= seen:
            self.secrets[where] = facts
            self._seen_secrets[where] = version

    def see_secret(self, where: NamespacedName, version: int) -> bool:
        """The watch tells of a version (0: deleted). True if somebody cares and what was known is no longer true.

        Versions are kept only of Secrets that somebody named, so unrelated Secrets cost nothing.
        """
        if where not in self.secrets and where not in self._seen_secrets and not self.secret_users(where):
            if version:
                return False
            self._seen_secrets.pop(where, None)
            return False
        facts = self.secrets.get(where)
        known = int(facts.resource_version) if facts else 0
        if version and version <= max(known, self._seen_secrets.get(where, 0)):
            return False
        self._seen_secrets[where] = version
        if where in self.secrets and version == known:
            return False
        self.secrets.pop(where, None)
        return True

    def forget_secret(self, where: NamespacedName) -> None:
        """The Secret has to be read before the next decision."""
        self.secrets.pop(where, None)

    def known_secrets(self) -> set[NamespacedName]:
        """Secrets of which it is known that they exist."""
        return {where for where, facts in self.secrets.items() if facts is not None}

    def secret_users(self, where: NamespacedName) -> frozenset[Key]:
        """Certificates and issuers that name this Secret, be it for a keystore's password, and requests that wait for it."""
        own = self._by_secret_name.get(where) | self._by_password_secret.get(where)
        return own | self._readers_by_secret.get(where)

    def set_secrets_read(self, reader: Key, secrets: frozenset[NamespacedName]) -> None:
        """Remember which Secrets an issuer reads, or a request waits for, so that their changes reach it."""
        self._readers_by_secret.remove(self._secrets_read.pop(reader, frozenset()), reader)
        if secrets:
            self._secrets_read[reader] = secrets
            self._readers_by_secret.add(secrets, reader)

    def add_next_key(self, owner_uid: str, where: NamespacedName) -> None:
        """A temporary key Secret that belongs to the Certificate with this UID exists."""
        self._next_keys.add([owner_uid], where)

    def drop_next_key(self, owner_uid: str, where: NamespacedName) -> None:
        """Undo :meth:`add_next_key`."""
        self._next_keys.remove([owner_uid], where)

    def next_keys(self, owner_uid: str) -> list[str]:
        """Names of the temporary key Secrets of a Certificate."""
        return sorted(where.name for where in self._next_keys.get(owner_uid))

    # Versions

    def drop(self, key: Key, uid: str = "", version: int = 0) -> None:
        """Forget a deleted object of any kind."""
        match key.kind:
            case "Certificate":
                self.drop_certificate(key, uid, version)
            case "CertificateRequest":
                self.drop_request(key, uid, version)
            case "Ingress":
                self.drop_ingress(key, uid, version)
            case "Order":
                self.orders.drop(key, uid, version)
            case "Challenge":
                self.challenges.drop(key, uid, version)
            case _:
                self.drop_issuer(key, uid, version)

    def all_keys(self) -> Iterator[Key]:
        """All keys: issuers first, because the others wait for them."""
        yield from list(self.issuers)
        yield from list(self.ingresses)
        yield from list(self.certificates)
        yield from list(self.requests)
        yield from self.orders.keys()
        yield from self.challenges.keys()

    def held(self, key: Key) -> HasMeta | None:
        """The version that is known of an object of any kind."""
        match key.kind:
            case "Certificate":
                return self.certificates.get(key)
            case "CertificateRequest":
                record = self.requests.get(key)
                return record.object if record else None
            case "Ingress":
                return self.ingresses.get(key)
            case "Order":
                return self.orders.get(key)
            case "Challenge":
                return self.challenges.get(key)
            case _:
                return self.issuers.get(key)

    def not_newer(self, kind: str, version: int) -> set[Key]:
        """The objects of a kind that existed at ``version``, as far as is known."""
        keys = (key for key in self.all_keys() if key.kind == kind)
        return {key for key in keys if (item := self.held(key)) is not None and version_of(item.metadata) <= version}


def _password_secrets(certificate: Certificate) -> list[NamespacedName]:
    """The Secrets with the passwords of the keystores that are to be made."""
    namespace = certificate.metadata.namespace
    refs = [store.password_secret_ref for store in enabled_stores(certificate.spec).values()]
    return [NamespacedName(namespace, ref.name) for ref in refs if ref is not None]


def _tls_secrets(ingress: Ingress) -> list[NamespacedName]:
    return [NamespacedName(ingress.metadata.namespace, entry.secret_name) for entry in ingress.spec.tls]


def _owner_uids(meta: ObjectMeta) -> list[str]:
    return [owner.uid for owner in meta.owner_references if owner.controller]


def _lean_order(order: Order) -> Order:
    """Without its chain, of which the digest takes the place: an Order lives as long as its request."""
    digest = certificate_digest(order.status.certificate)
    return msgspec.structs.replace(order, status=msgspec.structs.replace(order.status, certificate=digest))
