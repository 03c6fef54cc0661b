"""Who may do what: asked of the API server, which stores nothing of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from certwright.kube import KubeClient, Resource

SELF_REVIEWS = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews")
REVIEWS = Resource("authorization.k8s.io", "v1", "subjectaccessreviews")


class _Verdict(msgspec.Struct, gc=False):
    allowed: bool = False


class _Review(msgspec.Struct, gc=False):
    """An answered review."""

    status: _Verdict = msgspec.field(default_factory=_Verdict)


async def may_self(kube: KubeClient, attributes: Mapping[str, str]) -> bool:
    """Whether certwright itself may do what ``resourceAttributes`` say. Raises KubeError."""
    return await _ask(kube, SELF_REVIEWS, "SelfSubjectAccessReview", {"resourceAttributes": attributes})


async def may_user(kube: KubeClient, user: Mapping[str, Any], attributes: Mapping[str, str]) -> bool:
    """Whether somebody may; ``user`` has user, uid, groups and extra. Raises KubeError."""
    return await _ask(kube, REVIEWS, "SubjectAccessReview", {**user, "resourceAttributes": attributes})


async def _ask(kube: KubeClient, resource: Resource, kind: str, spec: Mapping[str, Any]) -> bool:
    body = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
    return (await kube.create(resource.path(), body, _Review)).status.allowed
