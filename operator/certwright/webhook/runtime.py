"""One webhook process: its certificates, its server, and Kopf between the two."""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any, cast

import kopf
import msgspec

from certwright.access import load_access
from certwright.errors import KubeError, NotFound
from certwright.fence import Fence
from certwright.handlers.registry import GROUP, VERSION
from certwright.health import Server
from certwright.kube import KubeClient, Resource
from certwright.leases import own_identity
from certwright.settings import KubeSettings
from certwright.webhook.authority import FIELD_MANAGER, Authority, trust_patch
from certwright.webhook.handlers import REGISTRY
from certwright.webhook.permissions import Permissions
from certwright.webhook.server import AdmissionServer
from certwright.webhook.settings import WebhookSettings

logger = logging.getLogger(__name__)

CONFIGURATIONS = {
    "MutatingWebhookConfiguration": Resource("admissionregistration.k8s.io", "v1", "mutatingwebhookconfigurations"),
    "ValidatingWebhookConfiguration": Resource("admissionregistration.k8s.io", "v1", "validatingwebhookconfigurations"),
}
#: Seconds between two looks at the CA and at who is told to trust it; the bundle keeps old CAs, so nothing is urgent.
REFRESH = 60.0
#: Seconds between two tries of what has to succeed before anything can be served.
RETRY = 2.0


class _ServedResource(msgspec.Struct):
    name: str


class _ResourceList(msgspec.Struct):
    """Discovery of one group and version."""

    resources: tuple[_ServedResource, ...] = ()


class _OnlyFaults(logging.Filter):
    """Kopf calls a refusal an error; what the user was told need not be in the log. Bugs come with a traceback."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to log it."""
        return record.exc_info is not None


async def serve_webhook(settings: WebhookSettings) -> None:
    """Serve until a signal. Raises NoAccess when there is no cluster to talk to."""
    logging.getLogger("kopf.objects").addFilter(_OnlyFaults())
    access = load_access(settings.kubeconfig, settings.context)
    fence = Fence()
    # Every replica serves, and what it writes is the same whoever does: there is no leader.
    fence.open_until(float("inf"))
    async with AsyncExitStack() as stack:
        kube = await stack.enter_async_context(KubeClient(access, KubeSettings(), fence))
        authority = Authority(kube, settings.namespace, settings.secret, settings.dns_names)
        server = AdmissionServer(settings.address, authority)
        pages = {"/livez": _ok, "/healthz": lambda: _ready(server)}
        await stack.enter_async_context(Server(settings.health_address, pages))
        await _until_known(kube)
        has_certificate = asyncio.Event()
        refreshing = asyncio.create_task(_refresh_for_ever(kube, authority, settings, has_certificate))
        stack.callback(refreshing.cancel)
        await has_certificate.wait()

        @kopf.on.startup(registry=REGISTRY, id="server")
        async def _(settings: kopf.OperatorSettings, **_: Any) -> None:
            settings.admission.server = cast("Any", server)

        await kopf.operator(
            registry=REGISTRY,
            # As in the operator: the user may have no name.
            identity=cast("Any", own_identity()),
            memo=kopf.Memo(access=access, permissions=Permissions(kube)),
            standalone=True,
            clusterwide=True,
        )


def _ok() -> tuple[int, str, str]:
    return 200, "text/plain", "ok"


def _ready(server: AdmissionServer) -> tuple[int, str, str]:
    return _ok() if server.serving.is_set() else (503, "text/plain", "does not serve yet")


async def _until_known(kube: KubeClient) -> None:
    """Wait for the CRDs: Kopf looks for the kinds it serves once."""
    wanted = {"certificates", "certificaterequests", "issuers", "clusterissuers"}
    while True:
        try:
            served = await kube.get(f"/apis/{GROUP}/{VERSION}", _ResourceList)
        except KubeError as error:
            logger.warning("the CRDs can't be found yet, next look in %.0f s: %s", RETRY, error)
        else:
            if wanted <= {resource.name for resource in served.resources}:
                return
        await asyncio.sleep(RETRY)


async def _refresh_for_ever(
    kube: KubeClient, authority: Authority, settings: WebhookSettings, done: asyncio.Event
) -> None:
    while True:
        if await _refresh(kube, authority, settings):
            done.set()
        await asyncio.sleep(REFRESH if done.is_set() else RETRY)


async def _refresh(kube: KubeClient, authority: Authority, settings: WebhookSettings) -> bool:
    """Whether there is a certificate, and the API server trusts it as far as it is told to come here."""
    try:
        bundle = await authority.refresh()
        for kind, resource in CONFIGURATIONS.items():
            path = resource.path("", settings.configuration)
            try:
                configuration = await kube.get(path, dict[str, Any])
            except NotFound:
                logger.warning("there is no %s %s: apply deploy/options/webhook.yaml", kind, settings.configuration)
                continue
            patch = trust_patch(kind, configuration, bundle)
            if patch is not None:
                await kube.apply(path, patch, dict[str, Any], field_manager=FIELD_MANAGER)
                logger.info("%s %s trusts the CA", kind, settings.configuration)
    except KubeError as error:
        logger.warning("certificates can't be kept fresh, next try follows: %s", error)
        return False
    return True
