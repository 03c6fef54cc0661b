"""A heap of certificates to one chain."""

from __future__ import annotations

import time

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers.certificate import InvalidCertificate
from certwright_issuers.chain import BROKEN, build_chain, order_chain
from tests.issuers.authority import DAY, KEY, make_authority, make_chain, pem

DEEP = make_chain(5)
OTHER = make_authority("other")


@given(st.permutations(DEEP.chain), st.lists(st.sampled_from(DEEP.chain), max_size=4))
def test_order_is_rebuilt(certificates: list[x509.Certificate], again: list[x509.Certificate]) -> None:
    """From any order and with any repetitions."""
    assert order_chain([*certificates, *again]) == list(DEEP.chain)


@given(st.sets(st.integers(0, 5), min_size=1))
def test_gaps(kept: set[int]) -> None:
    """What is left of a chain is a chain if and only if it has no gap."""
    certificates = [DEEP.chain[index] for index in kept]
    if max(kept) - min(kept) == len(kept) - 1:
        assert order_chain(certificates) == [DEEP.chain[index] for index in sorted(kept)]
    else:
        with pytest.raises(InvalidCertificate, match=BROKEN):
            order_chain(certificates)


def test_chain_and_ca() -> None:
    """The root is the CA and not in the chain; without one the highest link is both; a lone certificate may have none."""
    low, *above = DEEP.chain
    assert build_chain([low, *above]) == (pem(low, *above[:-1]), pem(above[-1]))
    assert build_chain([low, *above[:-1]]) == (pem(low, *above[:-1]), pem(above[-2]))
    assert build_chain([low]) == (pem(low), b"")
    assert build_chain([above[-1]]) == (pem(above[-1]), pem(above[-1]))


@pytest.mark.parametrize(
    "certificates",
    [
        (*DEEP.chain, OTHER.certificate),
        (DEEP.certificate, OTHER.certificate),
        (OTHER.certificate, make_authority("other").certificate),
        (DEEP.certificate, make_authority("intermediate 4").certificate),
        (*DEEP.chain, make_authority("second leaf", DEEP).certificate, make_authority("third leaf", DEEP).certificate),
    ],
    ids=["stranger", "two", "same name", "issuer's name with another key", "two leaves"],
)
def test_broken(certificates: tuple[x509.Certificate, ...]) -> None:
    """More than one chain, or names that match where signatures don't."""
    with pytest.raises(InvalidCertificate, match=BROKEN):
        build_chain(certificates)


def test_nothing_and_too_much() -> None:
    """Neither is a chain."""
    with pytest.raises(InvalidCertificate, match="no certificate"):
        build_chain([])
    with pytest.raises(InvalidCertificate, match="more than 1000"):
        build_chain([OTHER.certificate] * 1001)


def test_a_loop() -> None:
    """Two CAs that certify each other have no leaf."""
    first, second = make_authority("a"), make_authority("b")
    loop = [
        make_authority("a", second, key=first.key).certificate,
        make_authority("b", first, key=second.key).certificate,
    ]
    with pytest.raises(InvalidCertificate, match=BROKEN):
        build_chain(loop)


def test_a_rolled_over_key() -> None:
    """An issuer and its predecessor of the same name are told apart by signature."""
    old = make_authority("root")
    new = make_authority("root", old)
    leaf = make_authority("leaf", new)
    assert order_chain([old.certificate, leaf.certificate, new.certificate]) == list(leaf.chain)


@pytest.mark.slow
def test_many_certificates_of_one_name() -> None:
    """The number of signatures that are verified grows with the number of certificates, not with its square."""
    crowd = [make_authority("same", key=KEY, valid=(-DAY, n * DAY)).certificate for n in range(1, 250)]
    strangers = [make_authority("same", make_authority("same")).certificate for _ in range(250)]
    for certificates in (crowd, strangers):
        begin = time.process_time()
        with pytest.raises(InvalidCertificate, match=BROKEN):
            order_chain(certificates)
        assert time.process_time() - begin < 0.25


@pytest.mark.slow
def test_a_long_chain() -> None:
    """A hundred links in the worst order."""
    chain = make_chain(99).chain
    begin = time.process_time()
    assert order_chain(list(reversed(chain))) == list(chain)
    assert time.process_time() - begin < 0.1
