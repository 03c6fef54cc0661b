"""Anti-replay nonces (RFC 8555 section 6.5): collected from every answer, so that asking for one is rare."""

from __future__ import annotations

from collections import deque

from certwright_issuers.acme import base64url

#: Nonces kept. Boulder and Pebble forget old ones; more than the requests in flight are never needed.
SIZE = 64
#: Seconds that a nonce is trusted. No CA publishes a lifetime; a stale one costs a round trip, a new one costs as much.
MAX_AGE = 300.0


class NoncePool:
    """The newest nonce first: it is the one most likely to be still known to the CA. Never shows its content."""

    def __init__(self) -> None:
        self._held: deque[tuple[float, str]] = deque(maxlen=SIZE)

    def __len__(self) -> int:
        return len(self._held)

    def add(self, nonce: str | None, now: float) -> None:
        """Keep a nonce that an answer brought. ``now``: monotonic seconds."""
        if usable(nonce):
            self._held.append((now, str(nonce)))

    def take(self, now: float) -> str | None:
        """The newest nonce, which is then gone; None if there is none that is younger than :data:`MAX_AGE`."""
        if not self._held:
            return None
        born, nonce = self._held.pop()
        if now - born > MAX_AGE:
            # Those below it are older still.
            self._held.clear()
            return None
        return nonce


def usable(nonce: str | None) -> bool:
    """Whether it is base64url (section 6.5.1); others must be ignored. Signing decodes and encodes it once more."""
    if not nonce or len(nonce) > 512:
        return False
    try:
        base64url.decode(nonce)
    except ValueError:
        return False
    return True
