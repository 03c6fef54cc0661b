"""Everything that can be set, in one frozen value: built once from the command line and passed down.

Durations are seconds unless the name says otherwise. Nothing reads a setting at import.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from certwright_issuers.egress import EgressPolicy


@dataclass(frozen=True, slots=True)
class LeaseSettings:
    """Who writes: one replica at a time, by a Lease."""

    #: False: this process always writes. For development only.
    enabled: bool = True
    #: The Lease's own name is cert-manager's, so that it and certwright never both write during a migration.
    name: str = "cert-manager-controller"
    namespace: str = "kube-system"
    #: How long others trust a silent holder. A crashed one is replaced well within 20 s.
    duration: float = 17.0
    #: A holder that could not renew for this long stops writing, before anybody else may begin.
    renew_deadline: float = 15.0
    #: Between two renewals: 300 writes an hour, all that an idle operator costs the API server.
    renew_interval: float = 12.0
    #: Between two tries while the API server does not answer.
    retry_period: float = 1.0


@dataclass(frozen=True, slots=True)
class KubeSettings:
    """How the API server is talked to."""

    #: Bound on one request. The API server itself gives up after 60 s; a write that takes 30 s is lost anyway.
    request_timeout: float = 30.0
    #: Requests in flight at once. More than this only lengthens the API server's own queues.
    max_in_flight: int = 48
    #: Objects in a page of a LIST: 500 is the page size of client-go's reflector.
    page_size: int = 500


@dataclass(frozen=True, slots=True)
class QueueSettings:
    """How work is paced."""

    #: Reconciles at once. Each one waits for the API server nearly all of its time.
    workers: int = 24
    #: Reconciles at once that may wait for one issuer's server, beside the challenges that are worked on; they have tasks
    #: of their own, so this bounds memory and not load.
    slow_workers: int = 64
    #: First and longest pause after an attempt that failed for a reason that may pass (doubling, with jitter).
    min_backoff: float = 0.25
    max_backoff: float = 60.0
    #: Every object is looked at once in this time even if nothing happened: a lost event costs latency, not more.
    resync_period: float = 36_000.0


@dataclass(frozen=True, slots=True)
class IssuanceSettings:
    """How Certificates are issued."""

    #: Pause after the first failed issuance and the longest one; it doubles between them (API contract: 1 h, 32 h).
    min_request_backoff: timedelta = timedelta(hours=1)
    max_request_backoff: timedelta = timedelta(hours=32)
    #: Delete the Secret with the Certificate, by an owner reference.
    certificate_owner_ref: bool = False
    #: Which annotations of a Certificate its requests inherit; order counts (see ``reconcile/requests.py``).
    copied_annotation_prefixes: tuple[str, ...] = (
        "*",
        "-kubectl.kubernetes.io/",
        "-fluxcd.io/",
        "-argocd.argoproj.io/",
    )
    #: Share of the time between the computed renewal and the expiry by which renewals are spread earlier (0 to 0.5).
    renewal_jitter: float = 0.0
    #: RSA keys generated at once: key generation releases the GIL, so two threads use two cores.
    key_threads: int = 2


@dataclass(frozen=True, slots=True)
class IssuerSettings:
    """What issuers may use beyond their configuration."""

    #: Credentials of the process itself (a cloud's): whoever may create a ClusterIssuer is trusted with them, whoever
    #: may create an Issuer in some namespace is not.
    cluster_ambient_credentials: bool = True
    ambient_credentials: bool = False


@dataclass(frozen=True, slots=True)
class ApprovalSettings:
    """Whether certwright itself approves requests, and for which signers."""

    enabled: bool = True
    #: ``<plural>.<group>/<name>`` patterns as in RBAC on ``signers``; a trailing ``*`` matches the rest.
    signer_names: tuple[str, ...] = ("*",)


@dataclass(frozen=True, slots=True)
class AcmeSettings:
    """How certificates are ordered from ACME servers."""

    #: Challenges worked on at once, of all issuers (API contract section 2.6).
    max_challenges: int = 60
    #: Requests in flight for one account. More gains nothing at public CAs, and small ones may need less.
    max_requests: int = 8
    #: Renew when the CA suggests it (RFC 9773), where the issuer does not say otherwise.
    renewal_info: bool = True


@dataclass(frozen=True, slots=True)
class ShimSettings:
    """Which Ingresses get Certificates, and what those inherit."""

    #: False: Ingresses are not even watched.
    enabled: bool = True
    #: Annotations that ask for a Certificate of the default issuer when they are true.
    auto_annotations: tuple[str, ...] = ("kubernetes.io/tls-acme",)
    #: Annotations copied from the Ingress to its Certificates.
    extra_annotations: tuple[str, ...] = ()
    #: The issuer where an Ingress names none. Without a name there is no default.
    default_issuer_name: str = ""
    default_issuer_kind: str = "Issuer"
    default_issuer_group: str = "cert-manager.io"


@dataclass(frozen=True, slots=True)
class ServingSettings:
    """What is served to Prometheus and to the kubelet; an empty address switches it off."""

    metrics_address: str = "0.0.0.0:9402"
    health_address: str = "0.0.0.0:9403"


@dataclass(frozen=True, slots=True)
class HTTP01Settings:
    """How HTTP-01 challenges are answered: by every replica itself, behind Ingresses made for the purpose."""

    #: Where this process answers challenges; empty: it does not. The port is that of cert-manager's solver pods.
    listen_address: str = "0.0.0.0:8089"
    #: IP address and port of each replica as ingress controllers reach them; for operators outside the cluster.
    addresses: tuple[tuple[str, int], ...] = ()
    #: ``namespace/name`` of a Service that selects the replicas: its ready endpoints are the addresses.
    service: str = ""
    #: This pod's IP, if neither of the above says more; without it the address towards the API server.
    pod_ip: str = ""
    #: ``address:port`` of the DNS servers that self-checks ask; empty: as the system resolves names.
    nameservers: tuple[tuple[str, int], ...] = ()
    #: On everything that is made for challenges.
    extra_labels: dict[str, str] = field(default_factory=dict[str, str])

    @property
    def listen_host(self) -> str:
        """The host of :attr:`listen_address`, without brackets."""
        return self.listen_address.rpartition(":")[0].strip("[]")

    @property
    def listen_port(self) -> int:
        """The port of :attr:`listen_address`."""
        return int(self.listen_address.rpartition(":")[2] or 0)


@dataclass(frozen=True, slots=True)
class Settings:
    """All of the above, and what does not belong to a group."""

    kubeconfig: str | None = None
    context: str | None = None
    #: URL of the API server in place of the kubeconfig's; empty: that one.
    master: str = ""
    #: Only this namespace is served; ClusterIssuers are then out of reach. Empty: the whole cluster.
    namespace: str = ""
    #: Where the Secrets of ClusterIssuers are read.
    cluster_resource_namespace: str = "kube-system"
    #: Sign CertificateSigningRequests of certificates.k8s.io whose signer is one of our issuers.
    signing_requests: bool = False
    #: After SIGTERM, reconciles in flight may take this long to finish; then they are abandoned where they stand.
    grace_period: float = 1.0
    lease: LeaseSettings = field(default_factory=LeaseSettings)
    kube: KubeSettings = field(default_factory=KubeSettings)
    queue: QueueSettings = field(default_factory=QueueSettings)
    issuance: IssuanceSettings = field(default_factory=IssuanceSettings)
    issuers: IssuerSettings = field(default_factory=IssuerSettings)
    approval: ApprovalSettings = field(default_factory=ApprovalSettings)
    acme: AcmeSettings = field(default_factory=AcmeSettings)
    #: Where issuers may connect to. Application teams write their URLs.
    egress: EgressPolicy = field(default_factory=EgressPolicy)
    shim: ShimSettings = field(default_factory=ShimSettings)
    serving: ServingSettings = field(default_factory=ServingSettings)
    http01: HTTP01Settings = field(default_factory=HTTP01Settings)
