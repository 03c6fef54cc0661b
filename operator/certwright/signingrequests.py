"""CertificateSigningRequests of certificates.k8s.io that wait for one of our issuers, and how they name it."""

from __future__ import annotations

from certwright.api import IssuerRef
from certwright.api.groups import CLUSTER_ISSUER, ISSUER
from certwright.api.signingrequest import CertificateSigningRequest
from certwright.versions import version_of
from certwright.workqueue import Key

KIND = "CertificateSigningRequest"


def issuer_of(signer_name: str) -> tuple[IssuerRef, str] | None:
    """The issuer that a signer name means and the namespace it is in (empty: a ClusterIssuer); None: another signer.

    ``issuers.cert-manager.io/<namespace>.<name>`` or ``clusterissuers.cert-manager.io/<name>``.
    """
    domain, _, path = signer_name.partition("/")
    if domain == f"{ISSUER.plural}.{ISSUER.group}":
        namespace, _, name = path.partition(".")
        return (IssuerRef(name=name, kind=ISSUER.name), namespace) if namespace and name else None
    if domain == f"{CLUSTER_ISSUER.plural}.{CLUSTER_ISSUER.group}" and path:
        return IssuerRef(name=path, kind=CLUSTER_ISSUER.name), ""
    return None


def key_of(name: str) -> Key:
    """The queue's key of a request."""
    return Key(KIND, "", name)


class SigningRequests:
    """The requests that wait for us, newest version known."""

    def __init__(self, namespace: str) -> None:
        #: Only issuers of this namespace are served; empty: all.
        self._namespace = namespace
        self._held: dict[str, CertificateSigningRequest] = {}

    def find(self, name: str) -> CertificateSigningRequest | None:
        """A request by name."""
        return self._held.get(name)

    def names(self) -> set[str]:
        """All that wait."""
        return set(self._held)

    def put(self, request: CertificateSigningRequest) -> bool:
        """Take a version in; whether it tells of work."""
        name = request.metadata.name
        old = self._held.get(name)
        is_same = old is not None and old.metadata.uid == request.metadata.uid
        if old is not None and is_same and version_of(request.metadata) <= version_of(old.metadata):
            return False
        if not self._is_ours(request):
            self._held.pop(name, None)
            return False
        self._held[name] = request
        return True

    def drop(self, name: str) -> None:
        """It is gone."""
        self._held.pop(name, None)

    def _is_ours(self, request: CertificateSigningRequest) -> bool:
        if request.status.certificate or request.has("Failed") or request.has("Denied"):
            return False
        issuer = issuer_of(request.spec.signer_name)
        return issuer is not None and self._namespace in {"", issuer[1]}
