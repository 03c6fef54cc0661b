"""Other encodings of a key and its chain (API contract sections 5.4 and 5.5)."""

from __future__ import annotations

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certwright_issuers.keys import load_key


def key_der(key_pem: bytes) -> bytes:
    """The DER inside the PEM: PKCS#1 or SEC 1 for traditional encodings, else PKCS#8."""
    key = load_key(key_pem, trusted=True)
    traditional = b"BEGIN PRIVATE KEY" not in key_pem
    form = PrivateFormat.TraditionalOpenSSL if traditional else PrivateFormat.PKCS8
    return key.private_bytes(Encoding.DER, form, NoEncryption())


def combined_pem(key_pem: bytes, chain_pem: bytes) -> bytes:
    """Key, an empty line, chain: what HAProxy and others read from one file."""
    return key_pem + b"\n" + chain_pem
