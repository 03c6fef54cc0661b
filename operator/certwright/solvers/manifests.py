"""What is made in the cluster for HTTP-01 challenges, as pure functions: Ingress, Service, EndpointSlice.

Per challenge one Ingress (contract section 3.1.3). Per namespace and Service type one Service without a selector, whose
EndpointSlices name the operator's own replicas.
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from certwright.api import Challenge, HTTP01Ingress
from certwright.api.groups import (
    ACME_API_VERSION,
    LABEL_HTTP01_SOLVER,
    LABEL_HTTP_DOMAIN,
    LABEL_HTTP_TOKEN,
)
from certwright.solvers.contract import SolverRefused
from certwright.solvers.live import is_token
from certwright.solvers.server import PREFIX

NAME = "cm-acme-http-solver"
#: Of the Services, and of their ports in EndpointSlices.
SERVICE_PORT = 8089
PORT_NAME = "http"
LABEL_MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "certwright"
#: Name of the Service for each type that a solver may ask for; NodePort is the contract's default.
SERVICES = {"NodePort": NAME, "ClusterIP": f"{NAME}-clusterip"}
#: Selects what this module makes.
SELECTOR = f"{LABEL_HTTP01_SOLVER}=true,{LABEL_MANAGED_BY}={MANAGER}"
#: Challenges must be reachable for everyone, also where the controller's default is a short list (contract 3.1.3).
OPEN_TO_ALL = {"nginx.ingress.kubernetes.io/whitelist-source-range": "0.0.0.0/0,::/0"}
_CLASS_ANNOTATION = "kubernetes.io/ingress.class"

_DNS_NAME = re.compile(r"([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)*[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
#: Annotation values that mean themselves in every configuration language an ingress controller may paste them into.
_PLAIN = re.compile(r"[A-Za-z0-9 ._:/,=@*+%?&()~^$!#|<>\[\]-]*")
#: Controllers that take JSON in annotations and never paste one into a configuration text.
_STRUCTURED = ("alb.ingress.kubernetes.io/", "networking.gke.io/", "ingress.gcp.kubernetes.io/", "konghq.com/")


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """Where a replica's solver server is reached: an IP address and a port."""

    address: str
    port: int

    @property
    def family(self) -> int:
        """4 or 6."""
        return ipaddress.ip_address(self.address).version


def challenge_path(challenge: Challenge) -> str:
    """The path that the CA asks for. Raises :class:`SolverRefused` for a token that is none."""
    if not is_token(challenge.spec.token):
        raise SolverRefused("InvalidToken", "the CA's token is not base64url, as RFC 8555 section 8.3 wants it")
    return PREFIX + challenge.spec.token


def challenge_host(challenge: Challenge) -> str:
    """The host of Ingress rules: the name; empty, which is any host, for an IP address."""
    name = challenge.spec.dns_name
    try:
        ipaddress.ip_address(name)
    except ValueError:
        if len(name) > 253 or not _DNS_NAME.fullmatch(name):
            raise SolverRefused("InvalidName", f"{name[:253]!r} is no name that HTTP-01 can prove") from None
        return name
    return ""


def service_name(ingress: HTTP01Ingress) -> str:
    """The Service for the type that the solver asks for."""
    return SERVICES.get(ingress.service_type, NAME)


def ingress_path(challenge: Challenge, service: str) -> dict[str, Any]:
    """``spec.rules[].http.paths[]`` for the challenge."""
    backend = {"service": {"name": service, "port": {"number": SERVICE_PORT}}}
    return {"path": challenge_path(challenge), "pathType": "Exact", "backend": backend}


def ingress_name(challenge: Challenge) -> str:
    """Deterministic, so that a second attempt finds the first one's Ingress."""
    return f"{NAME}-{hashlib.sha256(challenge.metadata.uid.encode()).hexdigest()[:12]}"


def challenge_labels(challenge: Challenge, extra: Mapping[str, str]) -> dict[str, str]:
    """Labels of what is made for one challenge; ``extra`` can't replace the API's own (contract section 3.1.3)."""
    return {
        **extra,
        LABEL_MANAGED_BY: MANAGER,
        LABEL_HTTP_DOMAIN: str(zlib.adler32(challenge.spec.dns_name.encode())),
        LABEL_HTTP_TOKEN: str(zlib.adler32(challenge.spec.token.encode())),
        LABEL_HTTP01_SOLVER: "true",
    }


def solver_ingress(challenge: Challenge, ingress: HTTP01Ingress, extra_labels: Mapping[str, str]) -> dict[str, Any]:
    """The Ingress for one challenge. Raises :class:`SolverRefused` for a name or template that can't go into one."""
    template = ingress.ingress_template.metadata if ingress.ingress_template else None
    annotations = {**OPEN_TO_ALL, **(checked_annotations(template.annotations) if template else {})}
    if ingress.class_:
        annotations[_CLASS_ANNOTATION] = _plain("class", ingress.class_)
    rule: dict[str, Any] = {"http": {"paths": [ingress_path(challenge, service_name(ingress))]}}
    host = challenge_host(challenge)
    if host:
        rule["host"] = host
    spec: dict[str, Any] = {"rules": [rule]}
    if ingress.ingress_class_name:
        spec["ingressClassName"] = ingress.ingress_class_name
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {
            "name": ingress_name(challenge),
            "namespace": challenge.metadata.namespace,
            "labels": {**(template.labels if template else {}), **challenge_labels(challenge, extra_labels)},
            "annotations": annotations,
            "ownerReferences": [owner_of(challenge)],
        },
        "spec": spec,
    }


def owner_of(challenge: Challenge) -> dict[str, Any]:
    """The controller reference by which garbage collection removes an object with its Challenge."""
    meta = challenge.metadata
    return {
        "apiVersion": ACME_API_VERSION,
        "kind": "Challenge",
        "name": meta.name,
        "uid": meta.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def checked_annotations(annotations: Mapping[str, str]) -> dict[str, str]:
    """The template's annotations, if none of them can smuggle configuration into the ingress controller.

    Who may write Issuers need not be allowed to write Ingresses, and the controller reads them with rights of its own
    (CVE-2025-1974 and its kin): snippets are refused, and so is what could end a directive in nginx's language.
    """
    for key, value in annotations.items():
        if "snippet" in key.lower():
            raise SolverRefused("InvalidTemplate", f"ingressTemplate: the annotation {key} is not allowed")
        if not key.startswith(_STRUCTURED):
            _plain(f"ingressTemplate: the annotation {key}", value)
        elif not value.isprintable():
            raise SolverRefused("InvalidTemplate", f"ingressTemplate: the annotation {key} has control characters")
    return dict(annotations)


def _plain(what: str, value: str) -> str:
    if not _PLAIN.fullmatch(value):
        raise SolverRefused(
            "InvalidTemplate", f"{what} has characters that could change the ingress controller's configuration"
        )
    return value


def solver_service(namespace: str, type_: str, extra_labels: Mapping[str, str]) -> dict[str, Any]:
    """The Service in front of the replicas, without a selector: its EndpointSlices are made here."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": SERVICES[type_],
            "namespace": namespace,
            "labels": {**extra_labels, LABEL_MANAGED_BY: MANAGER, LABEL_HTTP01_SOLVER: "true"},
            # CAs speak plain HTTP without a mesh's identity (contract section 3.1.3).
            "annotations": {f"auth.istio.io/{SERVICE_PORT}": "NONE"},
        },
        "spec": {
            "type": type_,
            "ports": [{"name": PORT_NAME, "port": SERVICE_PORT, "targetPort": SERVICE_PORT, "protocol": "TCP"}],
        },
    }


def endpoint_slices(namespace: str, service: str, uid: str, endpoints: Iterable[Endpoint]) -> list[dict[str, Any]]:
    """One EndpointSlice for each address family and port, owned by the Service (``uid`` is its UID).

    The UID is in their names: slices of a deleted Service that garbage collection is about to remove are never taken
    for those of its successor.
    """
    groups: dict[tuple[int, int], list[str]] = {}
    for endpoint in sorted(set(endpoints)):
        groups.setdefault((endpoint.family, endpoint.port), []).append(endpoint.address)
    return [
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{service}-{uid[:8]}-ipv{family}-{port}",
                "namespace": namespace,
                "labels": {
                    "kubernetes.io/service-name": service,
                    "endpointslice.kubernetes.io/managed-by": MANAGER,
                    LABEL_HTTP01_SOLVER: "true",
                },
                "ownerReferences": [
                    {"apiVersion": "v1", "kind": "Service", "name": service, "uid": uid, "controller": True}
                ],
            },
            "addressType": f"IPv{family}",
            "ports": [{"name": PORT_NAME, "port": port, "protocol": "TCP"}],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in addresses],
        }
        for (family, port), addresses in sorted(groups.items())
    ]
