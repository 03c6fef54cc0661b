"""What every verb of this package works with, and how a reconcile says "again, later"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from certwright.api import Certificate, CertificateRequest, Challenge, Ingress, Issuer, Order
from certwright.api.groups import CERTIFICATE_API_VERSION
from certwright.api.signingrequest import CertificateSigningRequest
from certwright.approver import Approver
from certwright.errors import NotFound
from certwright.issuerpool import IssuerPool
from certwright.keyfactory import KeyFactory
from certwright.keystorefactory import KeystoreFactory
from certwright.kube import (
    CERTIFICATE_REQUESTS,
    CERTIFICATES,
    CHALLENGES,
    CLUSTER_ISSUERS,
    INGRESSES,
    ISSUERS,
    ORDERS,
    SECRETS,
    SIGNING_REQUESTS,
    KubeClient,
)
from certwright.reconcile.acme.memory import AcmeMemory
from certwright.reconcile.outside import Outside
from certwright.reconcile.renewalmemory import RenewalMemory
from certwright.reconcile.staged import Staged
from certwright.reporter import Reporter, Subject
from certwright.secretfacts import Secret, SecretFacts, facts_of
from certwright.settings import Settings
from certwright.shims.ingress import essence
from certwright.signingrequests import SigningRequests
from certwright.solvers.contract import Solvers
from certwright.store import NamespacedName, Store
from certwright.workqueue import Key, WorkQueue


class Retry(Exception):
    """Look at this key again: at once without ``after`` (seconds), and with growing pauses if that repeats."""

    def __init__(self, why: str, after: float | None = None) -> None:
        super().__init__(why)
        self.after = after


@dataclass(slots=True)
class Context:
    """The world as a reconcile sees and changes it."""

    settings: Settings
    kube: KubeClient
    store: Store
    queue: WorkQueue
    reporter: Reporter
    issuers: IssuerPool
    approver: Approver
    outside: Outside
    keys: KeyFactory
    keystores: KeystoreFactory
    acme: AcmeMemory
    solvers: Solvers
    signing_requests: SigningRequests
    #: Wall clock, UTC, aware.
    now: Callable[[], datetime]
    #: Issuances by in-process issuers that have begun, by Certificate.
    staged: dict[Key, Staged] = field(default_factory=dict[Key, Staged])
    renewals: RenewalMemory = field(default_factory=RenewalMemory)

    async def secret_facts(self, where: NamespacedName) -> SecretFacts | None:
        """What is known of a Secret, read if it has to be."""
        if where in self.store.secrets:
            return self.store.secrets[where]
        secret = await self.read_secret(where)
        facts = facts_of(secret) if secret else None
        self.store.put_secret(where, facts)
        return facts

    async def read_secret(self, where: NamespacedName) -> Secret | None:
        """The Secret itself, live; None if there is none. Not kept anywhere."""
        try:
            return await self.kube.get(SECRETS.path(where.namespace, where.name), Secret)
        except NotFound:
            return None

    async def refresh(self, key: Key) -> None:
        """Read a Certificate and all that belongs to it again: somebody else has changed something of it."""
        certificate = self.store.certificates.get(key)
        if certificate is None:
            return
        self.store.forget_secret(NamespacedName(key.namespace, certificate.spec.secret_name))
        for record in self.store.requests_owned_by(certificate.metadata.uid):
            await self.refresh_request(record.meta.namespace, record.meta.name)
        await self.refresh_certificate(key)

    async def refresh_certificate(self, key: Key) -> Certificate | None:
        """Read a Certificate again."""
        try:
            fresh = await self.kube.get(CERTIFICATES.path(key.namespace, key.name), Certificate)
        except NotFound:
            self.store.drop_certificate(key)
            return None
        self.store.put_certificate(fresh)
        return fresh

    async def refresh_request(self, namespace: str, name: str) -> CertificateRequest | None:
        """Read a CertificateRequest again."""
        try:
            fresh = await self.kube.get(CERTIFICATE_REQUESTS.path(namespace, name), CertificateRequest)
        except NotFound:
            self.store.drop_request(Key("CertificateRequest", namespace, name))
            return None
        self.store.put_request(fresh)
        return fresh

    async def refresh_ingress(self, key: Key) -> None:
        """Read an Ingress and its Certificates again."""
        ingress = self.store.ingresses.get(key)
        if ingress is None:
            return
        names = {entry.secret_name for entry in ingress.spec.tls if entry.secret_name}
        names |= {owned.metadata.name for owned in self.store.certificates_owned_by(ingress.metadata.uid)}
        for name in sorted(names):
            await self.refresh_certificate(Key("Certificate", key.namespace, name))
        try:
            fresh = await self.kube.get(INGRESSES.path(key.namespace, key.name), Ingress)
        except NotFound:
            self.store.drop_ingress(key)
            return
        lean = essence(fresh, self.settings.shim)
        if lean is None:
            self.store.drop_ingress(key)
        else:
            self.store.put_ingress(lean)

    async def refresh_signing_request(self, name: str) -> None:
        """Read a CertificateSigningRequest again."""
        try:
            fresh = await self.kube.get(SIGNING_REQUESTS.path("", name), CertificateSigningRequest)
        except NotFound:
            self.signing_requests.drop(name)
        else:
            self.signing_requests.put(fresh)

    async def refresh_order(self, key: Key) -> None:
        """Read an Order again."""
        try:
            self.store.orders.put(await self.kube.get(ORDERS.path(key.namespace, key.name), Order))
        except NotFound:
            self.store.orders.drop(key)

    async def refresh_challenge(self, key: Key) -> None:
        """Read a Challenge again."""
        try:
            self.store.challenges.put(await self.kube.get(CHALLENGES.path(key.namespace, key.name), Challenge))
        except NotFound:
            self.store.challenges.drop(key)

    async def refresh_issuer(self, key: Key) -> None:
        """Read an issuer again."""
        resource = ISSUERS if key.kind == "Issuer" else CLUSTER_ISSUERS
        try:
            fresh = await self.kube.get(resource.path(key.namespace, key.name), Issuer)
        except NotFound:
            self.store.drop_issuer(key)
        else:
            self.store.put_issuer(key.kind, fresh)


def about_certificate(certificate: Certificate) -> Subject:
    """Events on a Certificate."""
    return Subject(CERTIFICATE_API_VERSION, "Certificate", certificate.metadata)


def about_ingress(ingress: Ingress) -> Subject:
    """Events on an Ingress."""
    return Subject(f"{INGRESSES.group}/{INGRESSES.version}", "Ingress", ingress.metadata)


def about_request(request: CertificateRequest) -> Subject:
    """Events on a CertificateRequest."""
    return Subject(CERTIFICATE_API_VERSION, "CertificateRequest", request.metadata)
