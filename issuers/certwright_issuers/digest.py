"""How stored PEM is compared without being kept, and choices that look random and are made again alike."""

from __future__ import annotations

import hashlib


def pem_digest(pem: bytes) -> bytes:
    """SHA-256 of the bytes without surrounding white space; empty for nothing."""
    stripped = pem.strip()
    return hashlib.sha256(stripped).digest() if stripped else b""


def share_of(text: str) -> float:
    """A number from 0 up to 1 that looks random and is the same for the same text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64
