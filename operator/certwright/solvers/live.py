"""HTTP-01 challenges that are not over, by token and by namespace: what every replica serves and the leader counts.

Fed by the watch of Challenges, in every replica.
"""

from __future__ import annotations

import base64
import binascii
import re

from certwright.api import Challenge

#: States after which the CA looks no more (contract section 1.5).
FINAL = frozenset({"valid", "invalid", "expired", "errored"})
#: RFC 8555 section 8.3: base64url without padding.
_TOKEN = re.compile(r"[A-Za-z0-9_-]{1,512}")
_Where = tuple[str, str]


class LiveChallenges:
    """One event loop; not thread safe."""

    def __init__(self) -> None:
        self._all: dict[_Where, Challenge] = {}
        self._by_token: dict[str, set[_Where]] = {}
        self._by_namespace: dict[str, set[_Where]] = {}

    def __len__(self) -> int:
        return len(self._all)

    def put(self, challenge: Challenge) -> None:
        """Take the newest version in; one that is over, or no HTTP-01 challenge, is forgotten."""
        meta = challenge.metadata
        self.drop(meta.namespace, meta.name)
        if is_live(challenge):
            where = (meta.namespace, meta.name)
            self._all[where] = challenge
            self._by_token.setdefault(challenge.spec.token, set()).add(where)
            self._by_namespace.setdefault(meta.namespace, set()).add(where)

    def drop(self, namespace: str, name: str) -> None:
        """Forget an object that was deleted."""
        where = (namespace, name)
        old = self._all.pop(where, None)
        if old is None:
            return
        for index, key in ((self._by_token, old.spec.token), (self._by_namespace, namespace)):
            index[key].discard(where)
            if not index[key]:
                del index[key]

    def with_token(self, token: str) -> list[Challenge]:
        """Challenges with this token: one, unless two CAs chose the same."""
        return [self._all[where] for where in self._by_token.get(token, ())]

    def in_namespace(self, namespace: str) -> list[Challenge]:
        """Challenges of this namespace."""
        return [self._all[where] for where in self._by_namespace.get(namespace, ())]

    def answer(self, host: str, token: str) -> str | None:
        """What a CA that asks ``host`` (a name or an address, without port) for ``token`` must find; None: nothing."""
        wanted = host.lower().rstrip(".")
        for challenge in self.with_token(token):
            if challenge.spec.dns_name.lower().rstrip(".") == wanted:
                return challenge.spec.key
        return None


def is_live(challenge: Challenge) -> bool:
    """Whether a CA may still look for it.

    A key that is none (RFC 8555 section 8.1: token, dot, thumbprint) is not served: whoever could write Challenges
    would else put text of his own under other people's names.
    """
    spec = challenge.spec
    token, _, thumbprint = spec.key.partition(".")
    return (
        spec.type == "HTTP-01"
        and challenge.status.state not in FINAL
        and token == spec.token
        and is_token(token)
        and _is_thumbprint(thumbprint)
    )


def is_token(text: str) -> bool:
    """Whether it has the form of a token."""
    return _TOKEN.fullmatch(text) is not None


def _is_thumbprint(text: str) -> bool:
    """Whether it is the base64url of a SHA-256 digest (RFC 7638)."""
    try:
        return is_token(text) and len(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))) == 32
    except binascii.Error:
        return False
