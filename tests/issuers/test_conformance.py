"""The conformance suite over every issuer that signs in this process: each kind of CA key, each length of chain."""

from __future__ import annotations

from typing import Any

import pytest

from certwright_issuers.registry import ISSUER_TYPES
from certwright_issuers.testing import CHECKS, KEY_SPECS, Candidate, Check, leaf_key
from tests.issuers.authority import NOW, Authority, make_chain

URLS: dict[str, Any] = {
    "crlDistributionPoints": ["http://crl.example.com/a", "http://crl.example.com/b"],
    "ocspServers": ["http://ocsp.example.com"],
    "issuingCertificateURLs": ["http://ca.example.com/ca.crt"],
}


def self_signed(**config: list[str]) -> Candidate:
    """The self-signed issuer."""
    row = ISSUER_TYPES["selfSigned"]
    return Candidate(row.build(config, {}), row, now=NOW)


def authority(ca: Authority, *, with_root: bool = True, **config: list[str]) -> Candidate:
    """The CA issuer over a Secret with ``ca``."""
    row = ISSUER_TYPES["ca"]
    issuer = row.build({"secretName": "ca", **config}, {"ca": ca.secret(with_root=with_root)})
    return Candidate(issuer, row, anchors=(ca.chain[-1],), now=NOW)


CANDIDATES = {
    "selfSigned": self_signed(),
    "selfSigned with URLs": self_signed(crlDistributionPoints=URLS["crlDistributionPoints"]),
    **{f"ca {spec.algorithm} {spec.size} below a root": authority(make_chain(1, leaf_key(spec))) for spec in KEY_SPECS},
    "ca that is a root": authority(make_chain(0)),
    "ca below two, with URLs": authority(make_chain(2), **URLS),
    "ca below two, without its root": authority(make_chain(2), with_root=False),
}


@pytest.mark.parametrize("name", CANDIDATES)
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_conformance(name: str, check: Check) -> None:
    """Every issuer passes every check."""
    await check(CANDIDATES[name])


def test_registry() -> None:
    """Each row is found under its own key, and two of the issuers need nothing but arithmetic."""
    assert {key: row.key for key, row in ISSUER_TYPES.items()} == {key: key for key in ("selfSigned", "ca", "vault")}
    assert {key for key, row in ISSUER_TYPES.items() if row.in_process} == {"selfSigned", "ca"}
    assert ISSUER_TYPES["ca"].secret_names({"secretName": "x"}) == {"x"}
    assert ISSUER_TYPES["ca"].secret_names({}) == frozenset()
    assert ISSUER_TYPES["selfSigned"].secret_names({"secretName": "x"}) == frozenset()
