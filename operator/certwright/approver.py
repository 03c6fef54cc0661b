"""The built-in approver: which requests certwright itself approves, by its settings and by its permissions.

Who approves needs the verb ``approve`` on the resource ``signers`` of cert-manager.io, certwright included. The API server
is asked (SelfSubjectAccessReview) instead of being tried out: a request that certwright may not approve then waits for
another approver like any other, and the rule holds on API servers without the admission policies, too.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from certwright.accessreview import may_self
from certwright.api import IssuerRef
from certwright.api.groups import DEFAULT_ISSUER_GROUP, GROUP
from certwright.kube import KubeClient
from certwright.settings import ApprovalSettings

#: Seconds for which an answer is believed. A permission that was taken away meanwhile is refused by the policies; one that
#: was given is found by the next look after the shorter time.
TRUST_GRANTED = 600.0
TRUST_REFUSED = 30.0
#: Answers kept: a permission by name is asked for once per issuer.
LIMIT = 4096
#: How often a request whose signer certwright may not approve for is looked at again, in seconds.
REFUSED_RECHECK = 300.0


@dataclass(frozen=True, slots=True)
class _Answer:
    allowed: bool
    #: On ``time.monotonic``.
    until: float


def signer_names(ref: IssuerRef, namespace: str) -> tuple[str, ...]:
    """Under which names RBAC may let somebody approve for an issuer: all of its kind first, then this one.

    The plural is guessed from the kind as Kubernetes itself guesses it. Kinds of cluster scope have Cluster in their name;
    one of another API that has not may be of either scope (deploy/admission-validation.yaml judges the same way).
    """
    kind = ref.effective_kind
    word = kind.lower()
    if word.endswith("s"):
        plural = f"{word}es"
    elif word.endswith("y"):
        plural = f"{word[:-1]}ies"
    else:
        plural = f"{word}s"
    signer = f"{plural}.{ref.effective_group}"
    is_cluster = "Cluster" in kind
    scoped = () if is_cluster else (f"{signer}/{namespace}.{ref.name}",)
    unscoped = (f"{signer}/{ref.name}",) if is_cluster or ref.effective_group != DEFAULT_ISSUER_GROUP else ()
    return (f"{signer}/*", *scoped, *unscoped)


class Approver:
    """Decides, and remembers what the API server said."""

    def __init__(self, kube: KubeClient, settings: ApprovalSettings) -> None:
        self._kube = kube
        self._settings = settings
        self._answers: dict[str, _Answer] = {}
        # A burst of requests for one signer asks once.
        self._asking = asyncio.Lock()

    def wants(self, ref: IssuerRef, namespace: str) -> bool:
        """Whether the settings tell certwright to approve for this issuer."""
        _, *names = signer_names(ref, namespace)
        return self._settings.enabled and any(
            name.startswith(pattern[:-1]) if pattern.endswith("*") else name == pattern
            for pattern in self._settings.signer_names
            for name in names
        )

    async def approves(self, ref: IssuerRef, namespace: str) -> bool:
        """Whether certwright is to approve for this issuer, and may. Raises KubeError."""
        if not self.wants(ref, namespace):
            return False
        for name in signer_names(ref, namespace):
            if await self._allowed(name):
                return True
        return False

    def recheck_after(self, ref: IssuerRef, namespace: str) -> float | None:
        """Seconds after which the permission that was refused last time is worth another question; None: it was not."""
        if not self.wants(ref, namespace):
            return None
        known = [self._answers.get(name) for name in signer_names(ref, namespace)]
        refused = all(answer is not None and not answer.allowed for answer in known)
        return REFUSED_RECHECK if refused else None

    def forget(self) -> None:
        """Ask anew: an approval was refused although it had been said to be allowed."""
        self._answers.clear()

    async def _allowed(self, name: str) -> bool:
        async with self._asking:
            answer = self._answers.get(name)
            if answer is None or answer.until < time.monotonic():
                if len(self._answers) >= LIMIT:
                    self._answers.clear()
                answer = await self._ask(name)
                self._answers[name] = answer
        return answer.allowed

    async def _ask(self, name: str) -> _Answer:
        attributes = {"group": GROUP, "resource": "signers", "verb": "approve", "name": name}
        allowed = await may_self(self._kube, attributes)
        return _Answer(allowed, time.monotonic() + (TRUST_GRANTED if allowed else TRUST_REFUSED))
