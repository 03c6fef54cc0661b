"""Temporary certificates: something to start a server with while the real certificate is being issued.

Signed by a CA whose key is thrown away at once, so nobody can come to trust it.
"""

from __future__ import annotations

import dataclasses
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from certwright_issuers.contract import SigningRequest
from certwright_issuers.keys import KeySpec, generate_key
from certwright_issuers.leaf import Signer, sign_leaf

_CA_NAME: Final = "cert-manager.local"
#: How ``CertificateFacts.issuer`` shows it (API contract section 5.10).
TEMPORARY_ISSUER: Final = f"CN={_CA_NAME}"


def sign_temporarily(request: SigningRequest) -> bytes:
    """The temporary certificate for ``request`` in PEM, without a chain. Raises RequestRejected."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, _CA_NAME)])
    signer = Signer(generate_key(KeySpec("ECDSA", 521)), issuer=name)
    certificate, _ = sign_leaf(dataclasses.replace(request, private_key=None), signer)
    return certificate.public_bytes(Encoding.PEM)
