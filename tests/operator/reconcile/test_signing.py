"""Requests are signed once: by their Certificate's reconcile where they have one, and with what is there already."""

from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from certwright.reconcile.context import Retry
from certwright.reconcile.inprocess import _as_issued
from certwright.reconcile.signing import reconcile_request
from certwright.reconcile.staged import Staged
from certwright.store import Store
from certwright.workqueue import Key, WorkQueue
from certwright_issuers.contract import Issued
from tests.operator import builders as a

REQUEST = Key("CertificateRequest", "ns", "web-1")


async def test_a_request_of_a_certificate_is_its_certificates_affair() -> None:
    """Whatever brought the request's own key into the queue: nothing is done, the Certificate is looked at."""
    store, queue = Store(), WorkQueue()
    store.put_certificate(a.certificate())
    store.put_request(a.request(a.certificate()))
    context: Any = SimpleNamespace(store=store, queue=queue)
    assert await reconcile_request(context, REQUEST) is None
    assert await queue.get() == Key("Certificate", "ns", "web")
    assert len(queue) == 0


class Kube:
    """Answers with one request; remembers what was deleted."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.deleted: list[str] = []

    async def get(self, _: str, __: Any) -> Any:
        return self.request

    async def delete(self, _: str, *, uid: str) -> None:
        self.deleted.append(uid)


def signed(key: Any) -> tuple[Store, Any]:
    """A request that was signed for ``key``."""
    chain = a.chain(a.certificate(), key)
    made = a.request(a.certificate())
    status = msgspec.structs.replace(made.status, certificate=chain, ca=chain)
    request = msgspec.structs.replace(made, status=status)
    store = Store()
    store.put_request(request)
    return store, request


async def test_what_somebody_else_has_signed_is_taken() -> None:
    """A second signature of our own for the same request is thrown away, so that Secret and request agree."""
    store, request = signed(a.KEY)
    context: Any = SimpleNamespace(store=store, kube=Kube(request))
    ours = Issued(a.chain(a.certificate(), a.KEY))
    staged = Staged(a.UID, 1, a.KEY, request.spec.request, None, issued=ours)
    taken = await _as_issued(context, store.requests[REQUEST], staged)
    assert taken == Issued(request.status.certificate, request.status.ca)


async def test_what_was_signed_for_another_key_is_not() -> None:
    """The request goes, and the issuance begins anew."""
    store, request = signed(a.OTHER_KEY)
    kube = Kube(request)
    context: Any = SimpleNamespace(store=store, kube=kube)
    with pytest.raises(Retry, match="another key"):
        await _as_issued(context, store.requests[REQUEST], Staged(a.UID, 1, a.KEY, request.spec.request, None))
    assert kube.deleted == [request.metadata.uid]
