"""CertificateSigningRequests of certificates.k8s.io: signed by our issuers once somebody has approved them.

certwright never approves them: that is for whoever has the verb ``approve`` on signers of certificates.k8s.io. A request
for a namespaced issuer also needs its maker to have the verb ``reference`` on that issuer's signer (API contract 2.8).
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from certwright.accessreview import may_user
from certwright.api import IssuerRef
from certwright.api.duration import parse_go_duration
from certwright.api.groups import (
    ANNOTATION_CSR_DURATION,
    ANNOTATION_CSR_IS_CA,
    ANNOTATION_CSR_PRIVATE_KEY_SECRET_NAME,
    GROUP,
)
from certwright.api.signingrequest import API_VERSION, CertificateSigningRequest, SigningRequestCondition
from certwright.issuerpool import Loaded
from certwright.kube import SIGNING_REQUESTS
from certwright.reconcile.asking import Question, ask
from certwright.reconcile.context import Context, Retry
from certwright.reconcile.keys import awaited_key
from certwright.reporter import Subject
from certwright.signingrequests import KIND, issuer_of, key_of
from certwright.store import NamespacedName
from certwright.workqueue import Key
from certwright_issuers.certificate import InvalidCertificate, parse_certificate_facts
from certwright_issuers.contract import (
    DEFAULT_DURATION,
    Issued,
    IssuerError,
    Pending,
    RequestRejected,
    SigningRequest,
    Unavailable,
)
from certwright_issuers.csr import InvalidCSR, parse_csr
from certwright_issuers.keys import InvalidKey, PrivateKey
from certwright_issuers.matching import request_contradictions
from certwright_issuers.usages import DEFAULT_USAGES

#: Types of issuers that sign them.
SERVED: Final = frozenset({"ca", "selfSigned", "vault"})
#: Kubernetes itself allows no shorter expirationSeconds.
SHORTEST = timedelta(seconds=600)
#: Seconds after which something that is waited for is looked at again by itself.
RECHECK = 10.0
ISSUED_MESSAGE = "Certificate fetched from issuer successfully"


class _Waits(Exception):
    """Nothing is wrong with the request, but it can't be signed yet; whatever it waits for wakes it."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


async def reconcile_signing_request(context: Context, key: Key) -> float | None:
    """Returns after how many seconds to look again."""
    request = context.signing_requests.find(key.name)
    named = issuer_of(request.spec.signer_name) if request is not None else None
    if request is None or named is None:
        context.store.set_secrets_read(key, frozenset())
        return None
    if not request.has("Approved"):
        context.reporter.normal(_about(request), "WaitingApproval", "Waiting for the Approved condition before signing")
        return None
    try:
        ref, namespace = named
        await _require_reference(context, request, ref, namespace)
        context.issuers.wait_for(ref, namespace, key)
        loaded = _ready_issuer(context, ref, namespace)
        question = Question(ref, namespace, request.metadata.uid, key)
        await _issue(context, request, await _sign(context, request, loaded, question))
    except _Waits as waits:
        context.reporter.warning(_about(request), waits.reason, str(waits))
    except RequestRejected as error:
        await _fail(context, request, error)
    except IssuerError as error:
        context.reporter.warning(_about(request), error.reason, error.message)
        raise Retry(error.message, RECHECK) from error
    return None


def _ready_issuer(context: Context, ref: IssuerRef, namespace: str) -> Loaded:
    """The issuer. Raises _Waits and RequestRejected."""
    if not context.issuers.exists(ref, namespace):
        where = f"{namespace}/{ref.name}" if namespace else ref.name
        raise _Waits("IssuerNotFound", f"Referenced {ref.kind} {where} not found")
    loaded = context.issuers.find(ref, namespace)
    if loaded is None or loaded.issuer is None or loaded.type is None or not loaded.health.ready:
        raise _Waits("IssuerNotReady", "Referenced issuer does not have a Ready status condition")
    if loaded.type.key not in SERVED:
        served = ", ".join(sorted(SERVED))
        message = f"Issuers of type {loaded.type.key} sign no CertificateSigningRequests; those of type {served} do"
        raise RequestRejected("IssuerTypeNotSupported", message)
    return loaded


async def _require_reference(
    context: Context, request: CertificateSigningRequest, ref: IssuerRef, namespace: str
) -> None:
    """Raises RequestRejected unless the maker of the request may use this issuer: by its name, or all of the namespace."""
    if not namespace or await _may_reference(context, request, namespace, ref.name):
        return
    raise RequestRejected(
        "DeniedReference",
        f"Requester may not reference Namespaced {ref.kind} {namespace}/{ref.name}: it takes the verb reference on the "
        f"resource signers of {GROUP} in namespace {namespace}, with the name {ref.name} or *",
    )


async def _may_reference(context: Context, request: CertificateSigningRequest, namespace: str, name: str) -> bool:
    """Ask the API server about the maker of the request, as it has recorded them."""
    spec = request.spec
    user = {"user": spec.username, "groups": spec.groups, "uid": spec.uid, "extra": spec.extra}
    for what in (name, "*"):
        attributes = {"group": GROUP, "resource": "signers", "verb": "reference", "namespace": namespace, "name": what}
        if await may_user(context.kube, user, attributes):
            return True
    return False


async def _sign(context: Context, request: CertificateSigningRequest, loaded: Loaded, question: Question) -> Issued:
    """Raises IssuerError, KubeError, and Waiting."""
    if loaded.issuer is None or loaded.type is None:
        raise AssertionError("only an issuer that is ready is asked")
    needs_key = loaded.type.needs_private_key
    signing = _signing(context, request, await _key(context, request, question.namespace) if needs_key else None)
    in_process = loaded.type.in_process
    result = await (loaded.issuer.sign(signing) if in_process else ask(context, loaded.issuer, question, signing))
    if isinstance(result, Pending):
        raise Unavailable(result.reason, result.message)
    try:
        parse_certificate_facts(result.chain_pem)
    except InvalidCertificate as error:
        raise RequestRejected("SigningError", f"Failed to decode returned certificate: {error}") from error
    return result


def _signing(context: Context, request: CertificateSigningRequest, key: PrivateKey | None) -> SigningRequest:
    """The issuer's view of a request. Raises RequestRejected."""
    duration = duration_of(request)
    is_ca = request.metadata.annotations.get(ANNOTATION_CSR_IS_CA) == "true"
    usages = request.spec.usages or DEFAULT_USAGES
    try:
        parsed = parse_csr(request.spec.request)
    except InvalidCSR as error:
        raise RequestRejected("SigningError", f"Failed to decode CSR in spec.request: {error}") from error
    contradictions = request_contradictions(parsed.facts, usages, is_ca=is_ca)
    if contradictions:
        raise RequestRejected(
            "SigningError", f"The CSR in spec.request does not match the request: {'; '.join(contradictions)}"
        )
    now = context.now().replace(microsecond=0)
    return SigningRequest(parsed.csr, duration, is_ca=is_ca, usages=usages, now=now, private_key=key)


def duration_of(request: CertificateSigningRequest) -> timedelta:
    """Lifetime asked for: by annotation, else by expirationSeconds, else 90 days. Raises RequestRejected."""
    text = request.metadata.annotations.get(ANNOTATION_CSR_DURATION, "")
    seconds = request.spec.expiration_seconds
    try:
        if text:
            duration = parse_go_duration(text)
        else:
            duration = timedelta(seconds=seconds) if seconds is not None else DEFAULT_DURATION
    except ValueError as error:
        raise RequestRejected(
            "ErrorParseDuration", f"Failed to parse requested duration in annotation {ANNOTATION_CSR_DURATION}: {error}"
        ) from error
    if duration < SHORTEST:
        raise RequestRejected("InvalidDuration", f"Requested duration {text} is shorter than the minimum of 600s")
    return duration


async def _key(context: Context, request: CertificateSigningRequest, namespace: str) -> PrivateKey:
    """The private key in the Secret that an annotation names, where the issuer's own Secrets are."""
    name = request.metadata.annotations.get(ANNOTATION_CSR_PRIVATE_KEY_SECRET_NAME, "")
    if not name:
        raise RequestRejected(
            "MissingAnnotation",
            f"Missing private key reference annotation: {ANNOTATION_CSR_PRIVATE_KEY_SECRET_NAME} names the Secret with the "
            "request's private key, which a self-signed certificate is signed with",
        )
    where = NamespacedName(namespace or context.settings.cluster_resource_namespace, name)
    try:
        key = await awaited_key(context, key_of(request.metadata.name), where)
    except InvalidKey as error:
        raise Unavailable(
            "ErrorParsingKey", f"Failed to parse the private key in Secret {where.namespace}/{name}: {error}"
        ) from error
    if key is None:
        raise Unavailable("SecretNotFound", f"Referenced Secret {where.namespace}/{name} not found")
    return key


async def _issue(context: Context, request: CertificateSigningRequest, issued: Issued) -> None:
    await _write(context, request, {"certificate": issued.chain_pem})
    context.reporter.normal(_about(request), "CertificateIssued", ISSUED_MESSAGE)
    for note in issued.notes:
        context.reporter.warning(_about(request), note.reason, note.message)


async def _fail(context: Context, request: CertificateSigningRequest, error: IssuerError) -> None:
    """Final: the Failed condition can't be taken back."""
    stamp = context.now().strftime("%Y-%m-%dT%H:%M:%SZ")
    failed = SigningRequestCondition(
        type="Failed",
        status="True",
        reason=error.reason,
        message=error.message,
        last_update_time=stamp,
        last_transition_time=stamp,
    )
    await _write(context, request, {"conditions": (*request.status.conditions, failed)})
    context.reporter.warning(_about(request), error.reason, error.message)


async def _write(context: Context, request: CertificateSigningRequest, status: dict[str, Any]) -> None:
    """Patch the status and take the answer in. Raises Conflict if the request changed meanwhile."""
    meta = request.metadata
    patch = {"metadata": {"resourceVersion": meta.resource_version, "uid": meta.uid}, "status": status}
    path = SIGNING_REQUESTS.path("", meta.name, "status")
    context.signing_requests.put(await context.kube.merge_patch(path, patch, CertificateSigningRequest))


def _about(request: CertificateSigningRequest) -> Subject:
    return Subject(API_VERSION, KIND, request.metadata)
