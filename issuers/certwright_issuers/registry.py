"""Which key under ``spec`` of an issuer object is served by which issuer: one row each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from certwright_issuers import ca, selfsigned
from certwright_issuers.contract import IssuerType
from certwright_issuers.vault import issuer as vault

ISSUER_TYPES: Final[Mapping[str, IssuerType]] = {row.key: row for row in (selfsigned.TYPE, ca.TYPE, vault.TYPE)}
