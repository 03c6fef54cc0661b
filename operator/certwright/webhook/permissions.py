"""Whether a user may approve: asked of the API server (SubjectAccessReview), and believed for a moment."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import msgspec

from certwright.accessreview import may_user
from certwright.api.groups import GROUP
from certwright.kube import KubeClient

#: Seconds for which an answer is believed: an approver decides on many requests in a row.
TRUST = 1.0
#: Answers kept; each is a few hundred bytes.
LIMIT = 1024


class Permissions:
    """Asks, and remembers."""

    def __init__(self, kube: KubeClient) -> None:
        self._kube = kube
        self._answers: OrderedDict[bytes, tuple[bool, float]] = OrderedDict()

    async def may_approve(self, user: Mapping[str, Any], signer: str) -> bool:
        """Whether ``user`` (``userInfo`` of a review) has the verb approve on this signer. Raises KubeError."""
        asked: dict[str, Any] = {
            "user": user.get("username", ""),
            "uid": user.get("uid", ""),
            "groups": user.get("groups") or [],
            "extra": user.get("extra") or {},
        }
        key = msgspec.json.encode((asked, signer))
        known = self._answers.get(key)
        if known is not None and known[1] > time.monotonic():
            return known[0]
        attributes = {"group": GROUP, "resource": "signers", "verb": "approve", "name": signer}
        allowed = await may_user(self._kube, asked, attributes)
        self._answers[key] = (allowed, time.monotonic() + TRUST)
        self._answers.move_to_end(key)
        while len(self._answers) > LIMIT:
            self._answers.popitem(last=False)
        return allowed
