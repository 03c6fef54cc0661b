"""ACME challenge solvers: a list in ``spec.acme.solvers`` of an issuer, and the one chosen in each Challenge."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec

from certwright.api.meta import Doc, Model, SecretKeySelector, ServiceAccountRef

SERVICE_TYPE = Doc(
    "Kind of the Service in front of the solver: ClusterIP or NodePort (the default). Accepted for compatibility: the "
    "operator answers challenges itself and needs no such Service."
)
POD_TEMPLATE = Doc(
    "Overlay for a solver pod (metadata labels and annotations, and scheduling and security fields of the spec). "
    "Accepted for compatibility: no solver pod is started.",
    schema={"x-kubernetes-preserve-unknown-fields": True},
)
DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS_SUBDOMAIN = rf"{DNS_LABEL}(\.{DNS_LABEL})*"


class ParentReference(Model, frozen=True, kw_only=True):
    """gatewayHTTPRoute.parentRefs[]: a ParentReference of the Gateway API."""

    group: Annotated[
        str,
        Doc(
            "API group of the parent.",
            schema={
                "default": "gateway.networking.k8s.io",
                "maxLength": 253,
                "pattern": rf"^$|^{DNS_SUBDOMAIN}$",
            },
        ),
    ] = ""
    kind: Annotated[
        str,
        Doc(
            "Kind of the parent.",
            schema={
                "default": "Gateway",
                "minLength": 1,
                "maxLength": 63,
                "pattern": "^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$",
            },
        ),
    ] = ""
    name: Annotated[str, Doc("Name of the parent.", required=True, schema={"minLength": 1, "maxLength": 253})] = ""
    namespace: Annotated[
        str,
        Doc(
            "Namespace of the parent; the challenge's own when empty.",
            schema={"minLength": 1, "maxLength": 63, "pattern": f"^{DNS_LABEL}$"},
        ),
    ] = ""
    port: Annotated[
        int | None,
        Doc(
            "Listener port of the parent, 1 to 65535; any port when absent.",
            schema={"format": "int32", "minimum": 1, "maximum": 65535},
        ),
    ] = None
    section_name: Annotated[
        str,
        Doc(
            "Name of one listener of the parent; all listeners when empty.",
            schema={"minLength": 1, "maxLength": 253, "pattern": f"^{DNS_SUBDOMAIN}$"},
        ),
    ] = ""


class GatewayHTTPRoute(Model, frozen=True, kw_only=True):
    """http01.gatewayHTTPRoute."""

    labels: Annotated[dict[str, str], Doc("Labels for the HTTPRoute.")] = msgspec.field(default={})
    parent_refs: Annotated[
        tuple[ParentReference, ...],
        Doc("Gateways that the HTTPRoute attaches to. Certificates made for an annotated Gateway add that one."),
    ] = ()
    pod_template: Annotated[dict[str, Any] | None, POD_TEMPLATE] = None
    service_type: Annotated[str, SERVICE_TYPE] = ""


class MetadataTemplate(Model, frozen=True, kw_only=True):
    """Labels and annotations for an object to be made."""

    annotations: Annotated[dict[str, str], Doc("Its annotations.")] = msgspec.field(default={})
    labels: Annotated[dict[str, str], Doc("Its labels.")] = msgspec.field(default={})


class IngressTemplate(Model, frozen=True, kw_only=True):
    """http01.ingress.ingressTemplate."""

    metadata: Annotated[MetadataTemplate | None, Doc("Labels and annotations for the Ingress.")] = None


class HTTP01Ingress(Model, frozen=True, kw_only=True):
    """http01.ingress."""

    class_: Annotated[
        str,
        Doc(
            "Ingress class by the old annotation kubernetes.io/ingress.class. At most one of class, ingressClassName and "
            "name is set."
        ),
    ] = msgspec.field(default="", name="class")
    ingress_class_name: Annotated[
        str, Doc("Ingress class by the field ingressClassName of the Ingress. Preferred over class.")
    ] = ""
    ingress_template: Annotated[IngressTemplate | None, Doc("Metadata for the Ingress made for a challenge.")] = None
    name: Annotated[
        str,
        Doc(
            "An existing Ingress in the challenge's namespace that gets the challenge's path for as long as it lasts, "
            "instead of a new Ingress. For controllers that give each Ingress an address of its own."
        ),
    ] = ""
    pod_template: Annotated[dict[str, Any] | None, POD_TEMPLATE] = None
    service_type: Annotated[str, SERVICE_TYPE] = ""


class HTTP01Solver(Model, frozen=True, kw_only=True):
    """solver.http01."""

    gateway_http_route: Annotated[
        GatewayHTTPRoute | None, Doc("Route challenges with an HTTPRoute of the Gateway API.")
    ] = msgspec.field(default=None, name="gatewayHTTPRoute")
    ingress: Annotated[HTTP01Ingress | None, Doc("Route challenges with an Ingress.")] = None


class AcmeDNSProvider(Model, frozen=True, kw_only=True):
    """dns01.acmeDNS."""

    account_secret_ref: Annotated[
        SecretKeySelector,
        Doc("Secret with a JSON object that maps each domain to its acme-dns account.", required=True),
    ] = msgspec.field(default_factory=SecretKeySelector)
    host: Annotated[str, Doc("Base URL of the acme-dns server.", required=True)] = ""


class AkamaiProvider(Model, frozen=True, kw_only=True):
    """dns01.akamai."""

    access_token_secret_ref: Annotated[
        SecretKeySelector, Doc("Secret with the access token of the API client.", required=True)
    ] = msgspec.field(default_factory=SecretKeySelector)
    client_secret_secret_ref: Annotated[
        SecretKeySelector, Doc("Secret with the client secret of the API client.", required=True)
    ] = msgspec.field(default_factory=SecretKeySelector)
    client_token_secret_ref: Annotated[
        SecretKeySelector, Doc("Secret with the client token of the API client.", required=True)
    ] = msgspec.field(default_factory=SecretKeySelector)
    service_consumer_domain: Annotated[str, Doc("Host name of the Edge DNS API for this client.", required=True)] = ""


class AzureManagedIdentity(Model, frozen=True, kw_only=True):
    """dns01.azureDNS.managedIdentity."""

    client_id: Annotated[str, Doc("Client ID of the managed identity. Excludes resourceID.")] = msgspec.field(
        default="", name="clientID"
    )
    resource_id: Annotated[str, Doc("Resource ID of the managed identity. Excludes clientID and tenantID.")] = (
        msgspec.field(default="", name="resourceID")
    )
    tenant_id: Annotated[str, Doc("Tenant of the managed identity; only together with clientID.")] = msgspec.field(
        default="", name="tenantID"
    )


class AzureDNSProvider(Model, frozen=True, kw_only=True):
    """dns01.azureDNS."""

    client_id: Annotated[
        str,
        Doc("Client ID of a service principal. Set together with clientSecretSecretRef and tenantID, or not at all."),
    ] = msgspec.field(default="", name="clientID")
    client_secret_secret_ref: Annotated[
        SecretKeySelector | None, Doc("Secret with the password of the service principal.")
    ] = None
    environment: Annotated[
        str,
        Doc(
            "Azure cloud; AzurePublicCloud when empty.",
            schema={
                "enum": ["AzurePublicCloud", "AzureChinaCloud", "AzureGermanCloud", "AzureUSGovernmentCloud"],
            },
        ),
    ] = ""
    hosted_zone_name: Annotated[str, Doc("DNS zone to write to; found by its SOA record when empty.")] = ""
    managed_identity: Annotated[
        AzureManagedIdentity | None,
        Doc("A managed or workload identity, instead of a service principal."),
    ] = None
    resource_group_name: Annotated[str, Doc("Resource group of the DNS zone.", required=True)] = ""
    subscription_id: Annotated[str, Doc("Subscription of the DNS zone.", required=True)] = msgspec.field(
        default="", name="subscriptionID"
    )
    tenant_id: Annotated[str, Doc("Tenant of the service principal.")] = msgspec.field(default="", name="tenantID")
    zone_type: Annotated[
        str,
        Doc(
            "Whether the zone is public (AzurePublicZone, the default) or private.",
            schema={"enum": ["AzurePublicZone", "AzurePrivateZone"]},
        ),
    ] = ""


class CloudDNSProvider(Model, frozen=True, kw_only=True):
    """dns01.cloudDNS."""

    hosted_zone_name: Annotated[str, Doc("Name of the managed zone; searched by domain when empty.")] = ""
    project: Annotated[str, Doc("Google Cloud project of the zone.", required=True)] = ""
    service_account_secret_ref: Annotated[
        SecretKeySelector | None,
        Doc("Secret with a service account key in JSON; the operator's own credentials, where allowed, when absent."),
    ] = None


class CloudflareProvider(Model, frozen=True, kw_only=True):
    """dns01.cloudflare."""

    api_key_secret_ref: Annotated[
        SecretKeySelector | None,
        Doc("Secret with the account's global API key; needs email. Prefer apiTokenSecretRef."),
    ] = None
    api_token_secret_ref: Annotated[
        SecretKeySelector | None, Doc("Secret with an API token that may edit the zone. Excludes apiKeySecretRef.")
    ] = None
    email: Annotated[str, Doc("E-mail address of the account; only needed with apiKeySecretRef.")] = ""


class DigitalOceanProvider(Model, frozen=True, kw_only=True):
    """dns01.digitalocean."""

    token_secret_ref: Annotated[SecretKeySelector, Doc("Secret with an API token.", required=True)] = msgspec.field(
        default_factory=SecretKeySelector
    )


class RFC2136Provider(Model, frozen=True, kw_only=True):
    """dns01.rfc2136."""

    nameserver: Annotated[
        str,
        Doc("Server to send dynamic updates to: host or host:port (default 53), IPv6 in brackets.", required=True),
    ] = ""
    protocol: Annotated[
        str, Doc("Transport of the update: UDP (the default) or TCP.", schema={"enum": ["TCP", "UDP"]})
    ] = ""
    tsig_algorithm: Annotated[
        str, Doc("Algorithm of the TSIG key: HMACMD5 (the default), HMACSHA1, HMACSHA256 or HMACSHA512.")
    ] = ""
    tsig_key_name: Annotated[
        str, Doc("Name of the TSIG key. Set together with tsigSecretSecretRef, or neither for unsigned updates.")
    ] = ""
    tsig_secret_secret_ref: Annotated[SecretKeySelector | None, Doc("Secret with the TSIG key in base64.")] = None


class Route53KubernetesAuth(Model, frozen=True, kw_only=True):
    """dns01.route53.auth.kubernetes."""

    service_account_ref: Annotated[
        ServiceAccountRef,
        Doc(
            "ServiceAccount whose short-lived token is exchanged for AWS credentials. It is in the Issuer's namespace, or "
            "in the cluster resource namespace for a ClusterIssuer. Its audience is sts.amazonaws.com unless given.",
            required=True,
        ),
    ] = msgspec.field(default_factory=ServiceAccountRef)


class Route53Auth(Model, frozen=True, kw_only=True):
    """dns01.route53.auth."""

    kubernetes: Annotated[
        Route53KubernetesAuth, Doc("Log in to AWS with a Kubernetes ServiceAccount.", required=True)
    ] = msgspec.field(default_factory=Route53KubernetesAuth)


class Route53Provider(Model, frozen=True, kw_only=True):
    """dns01.route53."""

    access_key_id: Annotated[str, Doc("Access key ID. Excludes accessKeyIDSecretRef.")] = msgspec.field(
        default="", name="accessKeyID"
    )
    access_key_id_secret_ref: Annotated[
        SecretKeySelector | None, Doc("Secret with the access key ID. Excludes accessKeyID.")
    ] = msgspec.field(default=None, name="accessKeyIDSecretRef")
    auth: Annotated[
        Route53Auth | None, Doc("How to log in without an access key; the operator's own credentials when absent.")
    ] = None
    hosted_zone_id: Annotated[str, Doc("ID of the hosted zone; searched by domain when empty.")] = msgspec.field(
        default="", name="hostedZoneID"
    )
    region: Annotated[str, Doc("AWS region; taken from the operator's environment when empty.")] = ""
    role: Annotated[str, Doc("ARN of a role to assume before the zone is changed.")] = ""
    secret_access_key_secret_ref: Annotated[
        SecretKeySelector | None, Doc("Secret with the secret access key that belongs to the access key ID.")
    ] = None


class WebhookProvider(Model, frozen=True, kw_only=True):
    """dns01.webhook."""

    config: Annotated[Any, Doc("Settings for the solver, passed on as they are. Not for secrets: refer to them.")] = (
        None
    )
    group_name: Annotated[str, Doc("API group under which the solver serves requests.", required=True)] = ""
    solver_name: Annotated[str, Doc("Name of the solver within its API group.", required=True)] = ""


class DNS01Solver(Model, frozen=True, kw_only=True):
    """solver.dns01."""

    acme_dns: Annotated[AcmeDNSProvider | None, Doc("An acme-dns server (github.com/joohoi/acme-dns).")] = (
        msgspec.field(default=None, name="acmeDNS")
    )
    akamai: Annotated[AkamaiProvider | None, Doc("Akamai Edge DNS.")] = None
    azure_dns: Annotated[AzureDNSProvider | None, Doc("Azure DNS.")] = msgspec.field(default=None, name="azureDNS")
    cloud_dns: Annotated[CloudDNSProvider | None, Doc("Google Cloud DNS.")] = msgspec.field(
        default=None, name="cloudDNS"
    )
    cloudflare: Annotated[CloudflareProvider | None, Doc("Cloudflare DNS.")] = None
    cname_strategy: Annotated[
        str,
        Doc(
            "Where to write when the challenge name is a CNAME: at the name itself (None, the default) or at the end of "
            "the chain (Follow).",
            schema={"enum": ["None", "Follow"]},
        ),
    ] = ""
    digitalocean: Annotated[DigitalOceanProvider | None, Doc("DigitalOcean DNS.")] = None
    nameservers: Annotated[
        tuple[str, ...],
        Doc(
            "Recursive servers that are asked whether the record can be seen, as host:port or an https:// URL (DNS over "
            "HTTPS); the authoritative servers when empty."
        ),
    ] = ()
    rfc2136: Annotated[RFC2136Provider | None, Doc("Any server that takes dynamic updates (RFC 2136).")] = None
    route53: Annotated[Route53Provider | None, Doc("Amazon Route 53.")] = None
    webhook: Annotated[WebhookProvider | None, Doc("A solver that runs as an extension API server.")] = None


class SolverSelector(Model, frozen=True, kw_only=True):
    """solvers[].selector."""

    dns_names: Annotated[
        tuple[str, ...], Doc("Exact names, wildcards written with `*.`; a match outranks dnsZones and matchLabels.")
    ] = ()
    dns_zones: Annotated[
        tuple[str, ...], Doc("Zones with all names below them; the zone with the most labels wins.")
    ] = ()
    match_labels: Annotated[dict[str, str], Doc("Labels that the Certificate, and so its Order, must all carry.")] = (
        msgspec.field(default={})
    )


class Solver(Model, frozen=True, kw_only=True):
    """How a challenge is met: exactly one of ``http01`` and ``dns01``."""

    dns01: Annotated[
        DNS01Solver | None, Doc("Meet DNS-01 challenges with a TXT record. Names exactly one provider.")
    ] = None
    http01: Annotated[
        HTTP01Solver | None, Doc("Meet HTTP-01 challenges. Names exactly one of ingress and gatewayHTTPRoute.")
    ] = None
    selector: Annotated[
        SolverSelector | None, Doc("Which names this solver serves; all, with the lowest rank, when absent.")
    ] = None
    wait_instead_of_self_check: Annotated[
        str,
        Doc(
            "Instead of checking that the challenge can be seen, wait this long (e.g. 30s) after it was set up and tell "
            "the CA then; not negative."
        ),
    ] = ""
