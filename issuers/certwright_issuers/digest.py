"""How stored PEM is compared without being kept."""

from __future__ import annotations

import hashlib


def pem_digest(pem: bytes) -> bytes:
    """SHA-256 of the bytes without surrounding white space; empty for nothing."""
    stripped = pem.strip()
    return hashlib.sha256(stripped).digest() if stripped else b""
