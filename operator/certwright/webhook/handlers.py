"""The table of what Kopf calls for admission reviews. The id of a handler is the path under which its reviews arrive."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol, cast

import kopf
import msgspec

from certwright.access import Access
from certwright.admission.certificates import certificate_errors
from certwright.admission.issuers import acme_errors, acme_warnings
from certwright.admission.requests import (
    IDENTITY,
    annotation_errors,
    csr_errors,
    identity_errors,
    identity_of,
    new_verdict,
    verdict_errors,
    verdicts,
)
from certwright.api import Certificate, CertificateRequest, Issuer, IssuerRef
from certwright.approver import signer_names
from certwright.handlers.lifecycle import configure
from certwright.handlers.registry import GROUP, VERSION
from certwright.handlers.session import new_session
from certwright.webhook.permissions import Permissions

REGISTRY = kopf.OperatorRegistry()
#: HTTP statuses of refusals, by which kubectl says Forbidden or Invalid.
FORBIDDEN, INVALID = 403, 422

kopf.on.startup(registry=REGISTRY)(configure)


class Memo(Protocol):
    """What ``kopf.operator(memo=...)`` was given."""

    access: Access
    permissions: Permissions


@kopf.on.login(registry=REGISTRY)
async def login(memo: kopf.Memo, **_: Any) -> kopf.AiohttpSession:
    """The same user as all else in this process. Kopf asks for nothing but which kinds there are."""
    access = cast("Memo", memo).access
    session = new_session(access)
    return kopf.AiohttpSession(server=access.server, default_namespace="default", aiohttp_session=session)


def refuse(body: kopf.Body, errors: Iterable[str], code: int = INVALID) -> None:
    """Refuse the object if there are errors, in words that name it: a file given to kubectl holds many."""
    found = "; ".join(errors)
    if found:
        word = "is forbidden" if code == FORBIDDEN else "is invalid"
        name = body.metadata.get("name") or f"{body.metadata.get('generateName', '')}*"
        raise kopf.AdmissionError(f'{body.get("kind")} "{name}" {word}: {found}', code=code)


@kopf.on.mutate(GROUP, VERSION, "certificaterequests", id="identity", operations=["CREATE"], registry=REGISTRY)
async def identity(patch: kopf.Patch, body: kopf.Body, userinfo: Any, **_: Any) -> None:
    """Write down who makes a request, whatever the client says; without a spec, the schema refuses it."""
    if isinstance(body.get("spec"), dict):
        who = identity_of(userinfo)
        patch.fns.append(lambda obj: _identify(cast("dict[str, Any]", obj), who))


def _identify(obj: dict[str, Any], who: dict[str, Any]) -> None:
    kept = {field: value for field, value in obj["spec"].items() if field not in IDENTITY}
    obj["spec"] = {**kept, **who}


@kopf.on.validate(GROUP, VERSION, "certificates", id="certificates", operations=["CREATE", "UPDATE"], registry=REGISTRY)
async def certificate(body: kopf.Body, old: Any = None, **_: Any) -> None:
    """A Certificate is made, or its spec changes."""
    if _spec_changes(body, old):
        refuse(body, certificate_errors(_typed(body, Certificate).spec))


@kopf.on.validate(
    GROUP, VERSION, "certificaterequests", id="certificaterequests", operations=["CREATE", "UPDATE"], registry=REGISTRY
)
async def certificate_request(body: kopf.Body, userinfo: Any, old: Any = None, **_: Any) -> None:
    """A CertificateRequest is made, or something besides its status changes."""
    if old is not None:
        refuse(body, annotation_errors(old.metadata.annotations, body.metadata.annotations))
        return
    refuse(body, identity_errors(body.spec, userinfo), FORBIDDEN)
    refuse(body, csr_errors(_typed(body, CertificateRequest).spec))


@kopf.on.validate(
    GROUP,
    VERSION,
    "certificaterequests",
    id="approval",
    subresource="status",
    operations=["UPDATE"],
    registry=REGISTRY,
)
async def approval(body: kopf.Body, userinfo: Any, memo: kopf.Memo, old: Any = None, **_: Any) -> None:
    """The status of a CertificateRequest changes: verdicts are given once, by those who may."""
    request = _typed(body, CertificateRequest)
    before, after = verdicts(_typed(old, CertificateRequest)), verdicts(request)
    if before == after:
        return
    refuse(body, verdict_errors(before, after))
    if new_verdict(before, after):
        await _require_permission(body, request.spec.issuer_ref, userinfo, cast("Memo", memo).permissions)


async def _require_permission(body: kopf.Body, ref: IssuerRef, user: dict[str, Any], permissions: Permissions) -> None:
    names = signer_names(ref, body.metadata.get("namespace", ""))
    for name in names:
        if await permissions.may_approve(user, name):
            return
    why = (
        f"status.conditions: user {user.get('username')} may not approve or deny requests for this issuer; it takes the "
        f"verb approve on the resource signers of {GROUP}, with the name {' or '.join(names)}"
    )
    refuse(body, [why], FORBIDDEN)


@kopf.on.validate(GROUP, VERSION, "issuers", id="issuers", operations=["CREATE", "UPDATE"], registry=REGISTRY)
@kopf.on.validate(
    GROUP, VERSION, "clusterissuers", id="clusterissuers", operations=["CREATE", "UPDATE"], registry=REGISTRY
)
async def issuer(body: kopf.Body, warnings: list[str], old: Any = None, **_: Any) -> None:
    """An Issuer or ClusterIssuer is made, or its spec changes."""
    acme = _typed(body, Issuer).spec.acme
    if acme is not None and _spec_changes(body, old):
        warnings.extend(acme_warnings(acme))
        refuse(body, acme_errors(acme))


def _spec_changes(body: kopf.Body, old: kopf.Body | None) -> bool:
    """An object that was stored before a rule existed can still be labelled, reported on and deleted."""
    return old is None or body.get("spec") != old.get("spec")


def _typed(body: kopf.Body, type_: Any) -> Any:
    """The object as a value. Its schema has let it pass, so that it can't fail."""
    return msgspec.convert(dict(body), type=type_, strict=False)
