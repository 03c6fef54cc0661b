"""Ingress of networking.k8s.io/v1: the part that is read."""

from __future__ import annotations

import msgspec

from certwright.api.meta import Model, ObjectMeta


class IngressTLS(Model, frozen=True, kw_only=True):
    """spec.tls[]: hosts, and the Secret with their certificate."""

    hosts: tuple[str, ...] = ()
    secret_name: str = ""


class IngressSpec(Model, frozen=True, kw_only=True):
    """spec, without what routes traffic."""

    tls: tuple[IngressTLS, ...] = ()


class Ingress(Model, frozen=True, kw_only=True):
    """An Ingress, whose kind belongs to Kubernetes: no CRD is made of it."""

    metadata: ObjectMeta = msgspec.field(default_factory=ObjectMeta)
    spec: IngressSpec = msgspec.field(default_factory=IngressSpec)
