"""The watch on CertificateSigningRequests of certificates.k8s.io, when they are signed at all.

Most of a cluster's are the kubelets'. Only those that name one of our signers and are not settled yet are kept.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from certwright.api.signingrequest import CertificateSigningRequest
from certwright.kube import SIGNING_REQUESTS, KubeClient
from certwright.reflector import Reflector
from certwright.signingrequests import SigningRequests, key_of
from certwright.workqueue import Key


class SigningRequestWatch(Reflector):
    """Keeps :class:`SigningRequests` true."""

    WHAT = "CertificateSigningRequests"

    def __init__(self, kube: KubeClient, held: SigningRequests, add: Callable[[Key], None]) -> None:
        super().__init__(kube)
        self._held = held
        self._add = add

    async def _list(self) -> None:
        listed: set[str] = set()
        version = ""
        async for page, page_version in self._kube.pages(SIGNING_REQUESTS.path(), CertificateSigningRequest):
            version = page_version
            for request in page:
                listed.add(request.metadata.name)
                self._take(request)
        for name in self._held.names() - listed:
            self._held.drop(name)
        self._version = version

    async def _watch(self) -> None:
        async for event in self._kube.watch(SIGNING_REQUESTS.path(), self._version):
            request = msgspec.json.decode(event.object, type=CertificateSigningRequest, strict=False)
            if event.type == "DELETED":
                self._held.drop(request.metadata.name)
            elif event.type != "BOOKMARK":
                self._take(request)
            self._version = request.metadata.resource_version

    def _take(self, request: CertificateSigningRequest) -> None:
        if self._held.put(request):
            self._add(key_of(request.metadata.name))
