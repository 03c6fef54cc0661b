"""A request that was approved, its ACME issuer, a CA and a solver: reconciled by hand, by a clock that is set."""

from __future__ import annotations

from collections import Counter
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import msgspec

from certwright.api import ACMEIssuer, CertificateRequest, Challenge, IssuerRef, Order
from certwright.kube import CHALLENGES, ORDERS
from certwright.reconcile.acme.challenges import reconcile_challenge
from certwright.reconcile.acme.memory import AcmeMemory
from certwright.reconcile.acme.orders import reconcile_order
from certwright.reconcile.acme.requests import order_body, order_outcome, order_spec
from certwright.reconcile.context import Context
from certwright.reconcile.outcome import Outcome
from certwright.settings import Settings
from certwright.solvers.contract import ChallengeSolver, Check
from certwright.solvers.registry import SolverRegistry
from certwright.store import Store
from certwright.workqueue import Key, WorkQueue
from certwright_issuers.acme import keys
from certwright_issuers.acme.authorization import Authorization, AuthorizationStatus
from certwright_issuers.acme.challenge import Challenge as CaChallenge
from certwright_issuers.acme.order import Identifier, OrderStatus
from certwright_issuers.acme.order import Order as CaOrder
from certwright_issuers.csr import parse_csr_facts
from tests.operator import builders as a
from tests.operator.fakekube import FakeKube

URL = "https://ca.test"
ACCOUNT_KEY = keys.generate()


class FakeCA:
    """The client, and behind it a CA that has one name to be proved for each order."""

    key = ACCOUNT_KEY
    account_url = f"{URL}/account/1"

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.orders = 0
        self.status = AuthorizationStatus.PENDING
        self.problem: Any = None

    async def new_order(self, names: tuple[Identifier, ...], **_: Any) -> CaOrder:
        self.asked["new-order"] += 1
        self.orders += 1
        assert names
        return self._order(self.orders)

    async def get_order(self, url: str) -> CaOrder:
        self.asked["order"] += 1
        return self._order(int(url.rpartition("/")[2]))

    async def get_authorization(self, url: str) -> Authorization:
        self.asked["authorization"] += 1
        status = "pending" if self.status is AuthorizationStatus.PENDING else str(self.status)
        offer = CaChallenge("http-01", f"{url}/http", "token-token-token-token", status, self.problem)
        return Authorization(url, "web.example.test", self.status, (offer,))

    async def answer_challenge(self, _: str) -> None:
        self.asked["answer"] += 1

    async def deactivate_authorization(self, _: str) -> None:
        self.asked["deactivate"] += 1

    def _order(self, number: int) -> CaOrder:
        return CaOrder(
            url=f"{URL}/order/{number}",
            status=OrderStatus.PENDING,
            authorizations=(f"{URL}/authz/{number}",),
            finalize=f"{URL}/finalize/{number}",
        )


class FakeSolver:
    """Says what it is told to say."""

    def __init__(self) -> None:
        self.says = Check(ready=False, message="nothing answers on port 80", retry_after=10.0)
        self.present_fails: Exception | None = None
        self.clean_up_fails: Exception | None = None
        self.presented: list[str] = []

    async def present(self, challenge: Challenge) -> None:
        if self.present_fails is not None:
            raise self.present_fails
        self.presented.append(challenge.metadata.name)

    async def check(self, _: Challenge) -> Check:
        return self.says

    async def clean_up(self, challenge: Challenge) -> None:
        if self.clean_up_fails is not None:
            raise self.clean_up_fails
        self.presented = [name for name in self.presented if name != challenge.metadata.name]


class OneIssuer:
    """In place of the pool."""

    def __init__(self, acme: ACMEIssuer, account: FakeCA) -> None:
        self._acme = acme
        self._loaded = SimpleNamespace(account=account)

    def wait_for(self, ref: IssuerRef, namespace: str, waiter: Key) -> None:
        """It does not change."""

    def acme_spec(self, ref: IssuerRef, namespace: str) -> ACMEIssuer:
        assert (ref.name, namespace) == ("acme", "ns")
        return self._acme

    def find(self, ref: IssuerRef, namespace: str) -> Any:
        assert (ref.name, namespace) == ("acme", "ns")
        return self._loaded


class World:
    """What one process sees; :meth:`restart` makes another process of it."""

    def __init__(self, **ingress: Any) -> None:
        self.clock = a.NOW
        self.kube = FakeKube(self.now)
        self.ca, self.solver = FakeCA(), FakeSolver()
        self.events: list[tuple[str, str]] = []
        solvers = [{"http01": {"ingress": ingress or {"ingressClassName": "none"}}}]
        spec = {"server": URL, "privateKeySecretRef": {"name": "account"}, "solvers": solvers}
        self.acme = msgspec.convert(spec, ACMEIssuer, strict=False)
        self.request = self._approved()
        body = order_body(
            self.request, order_spec(self.request, parse_csr_facts(self.request.spec.request), self.acme), {}
        )
        self._first = body
        self.restart()

    async def begin(self) -> Key:
        """Make the Order."""
        order = await self.kube.create(ORDERS.path("ns"), self._first, Order)
        self.context.store.orders.put(order)
        return self.context.store.orders.key_of(order)

    def restart(self) -> None:
        """A new process: it knows what the API server knows."""
        store, queue = Store(), WorkQueue()
        store.put_request(self.request)
        for path, body in self.kube.objects.items():
            if "/orders/" in path:
                store.orders.put(msgspec.convert(body, Order, strict=False))
            elif "/challenges/" in path:
                store.challenges.put(msgspec.convert(body, Challenge, strict=False))
        self.memory = AcmeMemory(60, queue.add)
        issuers = OneIssuer(self.acme, self.ca)
        reporter = SimpleNamespace(normal=self._tell, warning=self._tell)
        parts = {"store": store, "queue": queue, "kube": self.kube, "issuers": issuers, "reporter": reporter}
        solvers = SolverRegistry({"HTTP-01": cast("ChallengeSolver", self.solver)})
        more = {"acme": self.memory, "solvers": solvers, "now": self.now, "settings": Settings()}
        context: Any = SimpleNamespace(**more, **parts)
        self.context = cast("Context", context)

    def now(self) -> datetime:
        return self.clock

    def wait(self, **more: float) -> None:
        """Time passes."""
        self.clock += timedelta(**more)

    async def look_at_request(self) -> Outcome:
        facts = parse_csr_facts(self.request.spec.request)
        return await order_outcome(self.context, self.request, facts, self.acme)

    async def look_at_order(self, key: Key) -> float | None:
        return await reconcile_order(self.context, key)

    async def look_at_challenge(self, key: Key) -> float | None:
        return await reconcile_challenge(self.context, key)

    def the_challenge(self) -> tuple[Key, Challenge]:
        """The only one."""
        (found,) = self.context.store.challenges.values()
        return self.context.store.challenges.key_of(found), found

    async def delete_challenge(self) -> Key:
        """As a user, or the garbage collector, would."""
        key, found = self.the_challenge()
        path = CHALLENGES.path("ns", key.name)
        await self.kube.delete(path, uid=found.metadata.uid)
        self.context.store.challenges.put(await self.kube.get(path, Challenge))
        return key

    def _tell(self, _: object, reason: str, message: str) -> None:
        self.events.append((reason, message))

    @staticmethod
    def _approved() -> CertificateRequest:
        conditions = [{"type": "Approved", "status": "True", "reason": "cert-manager.io", "message": "approved"}]
        issuer = {"name": "acme", "kind": "Issuer", "group": "cert-manager.io"}
        return a.request(a.certificate(issuerRef=issuer), status={"conditions": conditions})
