"""Which key under ``spec`` of an issuer object is served by which issuer: one row each."""

from __future__ import annotations

from certwright_issuers import ca, selfsigned
from certwright_issuers.contract import IssuerType

ISSUER_TYPES: dict[str, IssuerType] = {type_.key: type_ for type_ in (selfsigned.TYPE, ca.TYPE)}
