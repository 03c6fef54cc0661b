"""What can be set of the webhook."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """How the webhook is reached, and where its certificates are kept."""

    kubeconfig: str | None = None
    context: str | None = None
    #: Where the API server sends reviews. 10250 is a port that firewalls of managed clusters let through.
    address: str = "0.0.0.0:10250"
    health_address: str = "0.0.0.0:6080"
    #: Where the Service and the Secret are.
    namespace: str = "cert-manager"
    service: str = "cert-manager-webhook"
    secret: str = "cert-manager-webhook-ca"  # noqa: S105 (its name, not a secret)
    #: Name of both webhook configurations, whose caBundle is kept.
    configuration: str = "certwright-webhook"

    @property
    def dns_names(self) -> tuple[str, ...]:
        """By which names the API server knows the Service."""
        return (
            f"{self.service}.{self.namespace}.svc",
            f"{self.service}.{self.namespace}",
            f"{self.service}.{self.namespace}.svc.cluster.local",
        )
