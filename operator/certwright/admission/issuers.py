"""What the ACME part of an Issuer must be: its solvers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import timedelta
from urllib.parse import urlsplit

import msgspec

from certwright.admission.certificates import SUBDOMAIN
from certwright.api import ACMEIssuer, DNS01Solver, HTTP01Solver, SecretKeySelector, Solver
from certwright.api.duration import parse_go_duration
from certwright.api.solvers import AzureDNSProvider, CloudflareProvider, RFC2136Provider

SOLVERS = "spec.acme.solvers[]"
DNS01 = f"{SOLVERS}.dns01"
SERVICE_TYPES = ("", "ClusterIP", "NodePort")
#: Field of a DNS-01 solver in JSON -> attribute, in the order of the refusal.
PROVIDERS = {
    "acmeDNS": "acme_dns",
    "akamai": "akamai",
    "azureDNS": "azure_dns",
    "cloudDNS": "cloud_dns",
    "cloudflare": "cloudflare",
    "digitalocean": "digitalocean",
    "rfc2136": "rfc2136",
    "route53": "route53",
    "webhook": "webhook",
}
#: Strings that a provider needs, and that the schema lets be empty.
NEEDED = {
    "acmeDNS": ("host",),
    "akamai": ("serviceConsumerDomain",),
    "azureDNS": ("subscriptionID", "resourceGroupName"),
    "cloudDNS": ("project",),
    "rfc2136": ("nameserver",),
    "webhook": ("solverName",),
}
TSIG_ALGORITHMS = ("", "HMACMD5", "HMACSHA1", "HMACSHA256", "HMACSHA512")
#: host or host:port, with an IPv6 address in brackets.
_HOST = r"([^\s:/\[\]]%s|\[[0-9A-Fa-f:.]+\])"
_NAMESERVER = re.compile(_HOST % "+" + r":[0-9]{1,5}")
_RFC2136_NAMESERVER = re.compile(_HOST % "*" + r"(:[0-9]{1,5})?")


def acme_errors(acme: ACMEIssuer) -> list[str]:
    """Everything that is wrong with the solvers that their schema lets pass; each kind of error once."""
    found = (error for solver in acme.solvers for error in _solver(solver))
    return list(dict.fromkeys(found))


def acme_warnings(acme: ACMEIssuer) -> list[str]:
    """What is accepted and should not be relied on."""
    binding = acme.external_account_binding
    if binding is None or not binding.key_algorithm:
        return []
    return ["spec.acme.externalAccountBinding.keyAlgorithm is deprecated and ignored: HS256 is always used"]


def _solver(solver: Solver) -> Iterator[str]:
    if (solver.http01 is None) == (solver.dns01 is None):
        yield f"{SOLVERS} needs exactly one of http01 and dns01"
    wait = solver.wait_instead_of_self_check
    if wait and not _is_wait(wait):
        yield f"{SOLVERS}.waitInsteadOfSelfCheck must be written like 30s or 2m, and not be negative"
    if solver.http01 is not None:
        yield from _http01(solver.http01)
    if solver.dns01 is not None:
        yield from _dns01(solver.dns01)


def _is_wait(text: str) -> bool:
    try:
        return parse_go_duration(text) >= timedelta()
    except ValueError:
        return False


def _http01(solver: HTTP01Solver) -> Iterator[str]:
    ingress, route = solver.ingress, solver.gateway_http_route
    if (ingress is None) == (route is None):
        yield f"{SOLVERS}.http01 needs exactly one of ingress and gatewayHTTPRoute"
    if any(part is not None and part.service_type not in SERVICE_TYPES for part in (ingress, route)):
        yield f"{SOLVERS}.http01 serviceType must be ClusterIP or NodePort"
    if ingress is None:
        return
    if sum(map(bool, (ingress.class_, ingress.ingress_class_name, ingress.name))) > 1:
        yield f"{SOLVERS}.http01.ingress can have only one of class, ingressClassName and name"
    if ingress.ingress_class_name and not SUBDOMAIN.fullmatch(ingress.ingress_class_name):
        yield f"{SOLVERS}.http01.ingress.ingressClassName must be the name of an IngressClass"


def _dns01(solver: DNS01Solver) -> Iterator[str]:
    chosen = {name: getattr(solver, attribute) for name, attribute in PROVIDERS.items()}
    chosen = {name: provider for name, provider in chosen.items() if provider is not None}
    if len(chosen) != 1:
        *most, last = PROVIDERS
        yield f"{DNS01} needs exactly one provider: {', '.join(most)} or {last}"
    bad = [server for server in solver.nameservers if not _is_nameserver(server)]
    if bad:
        yield f"{DNS01}.nameservers must be host:port or an https:// URL, not {', '.join(bad)}"
    values = {name: msgspec.to_builtins(provider) for name, provider in chosen.items()}
    empty = [
        f"{name}.{key}" for name, keys in NEEDED.items() if name in values for key in keys if not values[name].get(key)
    ]
    if empty:
        yield f"{DNS01} needs a value that is not empty for {', '.join(empty)}"
    incomplete = [path for name, provider in chosen.items() for path in _incomplete_refs(name, provider)]
    if incomplete:
        yield f"{DNS01} needs a name and a key in {', '.join(incomplete)}"
    if solver.azure_dns is not None:
        yield from _azure(solver.azure_dns)
    if solver.cloudflare is not None:
        yield from _cloudflare(solver.cloudflare)
    if solver.rfc2136 is not None:
        yield from _rfc2136(solver.rfc2136)
    if (
        solver.route53 is not None
        and solver.route53.access_key_id
        and solver.route53.access_key_id_secret_ref is not None
    ):
        yield f"{DNS01}.route53 can have only one of accessKeyID and accessKeyIDSecretRef"


def _incomplete_refs(name: str, provider: msgspec.Struct) -> Iterable[str]:
    """References of a provider to a key of a Secret that lack the one or the other, by their paths."""
    for field in msgspec.structs.fields(provider):
        ref = getattr(provider, field.name)
        if isinstance(ref, SecretKeySelector) and not (ref.name and ref.key):
            yield f"{name}.{field.encode_name}"


def _is_nameserver(text: str) -> bool:
    if not text.startswith("https://"):
        return _NAMESERVER.fullmatch(text) is not None
    try:
        return bool(urlsplit(text).hostname)
    except ValueError:
        return False


def _azure(azure: AzureDNSProvider) -> Iterator[str]:
    principal = (bool(azure.client_id), azure.client_secret_secret_ref is not None, bool(azure.tenant_id))
    if any(principal) and not all(principal):
        yield f"{DNS01}.azureDNS needs all of clientID, clientSecretSecretRef and tenantID, or none of them"
    identity = azure.managed_identity
    if identity is None:
        return
    where = f"{DNS01}.azureDNS.managedIdentity"
    if any(principal):
        yield f"{where} cannot be used with clientID, clientSecretSecretRef or tenantID"
    if identity.client_id and identity.resource_id:
        yield f"{where} can have only one of clientID and resourceID"
    if identity.tenant_id and not identity.client_id:
        yield f"{where}.tenantID needs clientID"


def _cloudflare(cloudflare: CloudflareProvider) -> Iterator[str]:
    if (cloudflare.api_key_secret_ref is None) == (cloudflare.api_token_secret_ref is None):
        yield f"{DNS01}.cloudflare needs exactly one of apiKeySecretRef and apiTokenSecretRef"
    if cloudflare.api_key_secret_ref is not None and not cloudflare.email:
        yield f"{DNS01}.cloudflare.email is needed with apiKeySecretRef"


def _rfc2136(rfc2136: RFC2136Provider) -> Iterator[str]:
    if not _RFC2136_NAMESERVER.fullmatch(rfc2136.nameserver):
        yield f"{DNS01}.rfc2136.nameserver must be host or host:port, with an IPv6 address in brackets"
    if rfc2136.tsig_algorithm.upper() not in TSIG_ALGORITHMS:
        yield f"{DNS01}.rfc2136.tsigAlgorithm must be HMACMD5, HMACSHA1, HMACSHA256 or HMACSHA512"
    if bool(rfc2136.tsig_key_name) != (rfc2136.tsig_secret_secret_ref is not None):
        yield f"{DNS01}.rfc2136 needs both tsigKeyName and tsigSecretSecretRef, or neither"
