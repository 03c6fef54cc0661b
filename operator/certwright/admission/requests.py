"""What a CertificateRequest must be, who made it, and what never changes of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from certwright.api import CertificateRequest, CertificateRequestSpec, Condition
from certwright.api.groups import ACME_GROUP, GROUP
from certwright_issuers.csr import InvalidCSR, parse_csr
from certwright_issuers.matching import request_contradictions

#: ``userInfo`` of an AdmissionReview, and the fields of a request's spec, under the same names.
IDENTITY = ("username", "uid", "groups", "extra")
VERDICTS = ("Approved", "Denied")


def identity_of(user: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a request's spec that tell who made it; what the user has not is absent."""
    return {field: user[field] for field in IDENTITY if user.get(field)}


def identity_errors(spec: Mapping[str, Any], user: Mapping[str, Any]) -> list[str]:
    """Where a spec tells of somebody else than the user who makes the request."""
    identity = identity_of(user)
    return [
        f"spec.{field} must be that of the user who makes the request"
        for field in IDENTITY
        if (spec.get(field) or None) != identity.get(field)
    ]


def csr_errors(spec: CertificateRequestSpec) -> list[str]:
    """Whether the CSR can be signed by anybody, and agrees with the request around it."""
    try:
        facts = parse_csr(spec.request).facts
    except InvalidCSR as error:
        return [f"spec.request: {error}"]
    return [
        f"spec.request does not match the request: {contradiction}"
        for contradiction in request_contradictions(facts, spec.usages, is_ca=bool(spec.is_ca))
    ]


def annotation_errors(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """Annotations of ours that were added, changed or removed. Keys that begin with venafi. or experimental. are free."""
    changed = [
        key
        for key in (*before, *(key for key in after if key not in before))
        if key.startswith((GROUP, ACME_GROUP)) and before.get(key) != after.get(key)
    ]
    if not changed:
        return []
    return [
        f"metadata.annotations of {GROUP} and {ACME_GROUP} can neither be added, changed nor removed: {', '.join(changed)}"
    ]


def verdicts(request: CertificateRequest) -> tuple[Condition, ...]:
    """The Approved and Denied conditions."""
    return tuple(condition for condition in request.status.conditions if condition.type in VERDICTS)


def verdict_errors(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> list[str]:
    """Whether a verdict is one, and the first."""
    errors: list[str] = []
    if any(condition.status != "True" for condition in after):
        errors.append("status.conditions Approved and Denied can only be True")
    if len(after) > 1:
        errors.append("status.conditions cannot hold both Approved and Denied")
    if not set(before) <= set(after):
        errors.append("status.conditions Approved and Denied can neither be changed nor removed once set")
    return errors


def new_verdict(before: tuple[Condition, ...], after: tuple[Condition, ...]) -> bool:
    """Whether somebody gives a verdict, for which it takes a permission."""
    return not {condition.type for condition in after} <= {condition.type for condition in before}
