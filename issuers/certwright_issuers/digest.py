"""How keys, certificates and stored PEM are compared without being kept."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes, PublicKeyTypes


def pem_digest(pem: bytes) -> bytes:
    """SHA-256 of the bytes without surrounding white space; empty for nothing."""
    stripped = pem.strip()
    return hashlib.sha256(stripped).digest() if stripped else b""


def spki_digest(public_key: PublicKeyTypes | CertificatePublicKeyTypes) -> bytes:
    """SHA-256 of the SubjectPublicKeyInfo (RFC 5280 section 4.1.2.7)."""
    der = public_key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(der).digest()
