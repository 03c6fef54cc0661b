"""The self-signed issuer."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509

from certwright_issuers.certificate import ca_facts_of, load_chain
from certwright_issuers.contract import ConfigInvalid, RequestRejected
from certwright_issuers.csr import RequestSpec
from certwright_issuers.keys import KeySpec, PrivateKey
from certwright_issuers.selfsigned import build
from certwright_issuers.testing import KEY_SPECS, leaf_key
from tests.issuers.authority import NOW, ask, openssl, sign

ISSUER = build({}, {})


def test_always_ready() -> None:
    """Nothing can be wrong with it."""
    health = asyncio.run(ISSUER.check(NOW))
    assert (health.ready, health.reason, health.recheck_after) == (True, "IsReady", None)


@pytest.mark.parametrize("key", [None, leaf_key(KEY_SPECS[2])], ids=["no key", "another key"])
def test_the_key_must_be_the_one_of_the_request(key: PrivateKey | None) -> None:
    """Otherwise the request is refused for good, with the reason people know."""
    with pytest.raises(RequestRejected) as caught:
        sign(ISSUER, replace(ask(), private_key=key))
    assert caught.value.reason == "ErrorKeyMatch"


def test_urls_that_are_none() -> None:
    """One that can't be encoded is the issuer's fault; null is as good as none."""
    with pytest.raises(ConfigInvalid, match="crlDistributionPoints"):
        build({"crlDistributionPoints": ["http://ö"]}, {})
    build({"crlDistributionPoints": None}, {})


def test_what_can_not_be_signed() -> None:
    """Has its own reason."""
    with pytest.raises(RequestRejected) as caught:
        sign(ISSUER, ask(duration=timedelta()))
    assert caught.value.reason == "ErrorSigning"


def test_an_empty_subject_is_told() -> None:
    """It is signed all the same, as it always was."""
    issued = sign(ISSUER, ask(RequestSpec(dns_names=("a.example.com",))))
    assert [note.reason for note in issued.notes] == ["BadConfig"]
    assert not list(load_chain(issued.chain_pem)[0].issuer)
    assert sign(ISSUER, ask()).notes == ()


def test_key_identifiers() -> None:
    """Only a CA has one, and nobody an authority's: there is no other authority (RFC 5280 section 4.2.1.1)."""
    leaf = load_chain(sign(ISSUER, ask()).chain_pem)[0]
    ca = load_chain(sign(ISSUER, ask(RequestSpec(common_name="ca", is_ca=True))).chain_pem)[0]
    assert ca_facts_of(leaf).key_id is None
    assert ca_facts_of(ca).key_id is not None
    for certificate in (leaf, ca):
        assert x509.AuthorityKeyIdentifier.oid not in {extension.oid for extension in certificate.extensions}


def test_revocation_lists() -> None:
    """The only thing that can be configured."""
    issuer = build({"crlDistributionPoints": ["http://crl/"]}, {})
    extensions = load_chain(sign(issuer, ask()).chain_pem)[0].extensions
    (point,) = extensions.get_extension_for_class(x509.CRLDistributionPoints).value
    assert point.full_name == [x509.UniformResourceIdentifier("http://crl/")]


@pytest.mark.parametrize("key", KEY_SPECS, ids=str)
def test_openssl_verifies_it(tmp_path: Path, key: KeySpec) -> None:
    """A self-signed CA of every kind of key is its own trust anchor."""
    spec = RequestSpec(common_name="ca", is_ca=True, usages=("cert sign", "crl sign"))
    issued = sign(ISSUER, ask(spec, key=leaf_key(key)))
    assert issued.ca_pem == issued.chain_pem
    (tmp_path / "ca").write_bytes(issued.chain_pem)
    at = str(int(NOW.timestamp()))
    assert "ca: OK" in openssl(
        tmp_path, "verify", "-x509_strict", "-check_ss_sig", "-attime", at, "-CAfile", "ca", "ca"
    )
