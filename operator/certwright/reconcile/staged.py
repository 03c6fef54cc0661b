"""An issuance by an in-process issuer between its steps: in memory only.

CA and self-signed issuers sign within this process, so a crash loses nothing but a key nobody has seen: no temporary
Secret is written. What a step has produced is kept here until the issuance ends, so that an answer lost on its way or a
conflict never leads to a second key or a second signing.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from certwright.api import CertificateRequest
from certwright_issuers.contract import Issued
from certwright_issuers.keys import PrivateKey


@dataclass(slots=True)
class Staged:
    """Key, request and certificate of one issuance, for the Certificate with this UID. Never printed."""

    uid: str
    revision: int
    key: PrivateKey = field(repr=False)
    csr_pem: bytes
    #: What the first Event says; None when that has been told already.
    why: str | None
    #: Whether the key is the one of the issuance before.
    reused: bool = False
    #: As created; None until the API server has it.
    request: CertificateRequest | None = None
    #: None until signed.
    issued: Issued | None = None
