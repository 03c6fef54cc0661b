"""A heap of certificates to one chain."""

from __future__ import annotations

import time
from itertools import permutations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers.certificate import InvalidCertificate
from certwright_issuers.chain import BROKEN, build_chain, order_chain
from tests.issuers.authority import DAY, KEY, NOW, Authority, make_authority, make_chain, pem

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


def _reissued() -> tuple[Authority, Authority, x509.Certificate]:
    """A root, an intermediate CA below it, and the root issued again for the same name and key."""
    root = make_authority("root")
    again = make_authority("root", key=root.key, valid=(-DAY, 99 * DAY)).certificate
    return root, make_authority("middle", root), again


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_root_that_was_issued_again(order: tuple[int, ...]) -> None:
    """Both roots are one CA: the first given stands for it, and the walk upwards ends."""
    root, middle, again = _reissued()
    heap = [middle.certificate, root.certificate, again]
    given = [heap[index] for index in order]
    first = next(certificate for certificate in given if certificate != middle.certificate)
    assert build_chain(given) == (pem(middle.certificate), pem(first))


def test_roots_alone_that_are_one_ca() -> None:
    """As for a lone self-signed certificate."""
    root, _, again = _reissued()
    assert build_chain([again, root.certificate]) == (pem(again), pem(again))


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_a_root_that_another_ca_signed_too(order: tuple[int, ...]) -> None:
    """The chain goes on through the certificate that leads upwards; the self-signed one is left out."""
    other = make_authority("other")
    root, middle, _ = _reissued()
    cross = make_authority("root", other, key=root.key).certificate
    heap = [middle.certificate, root.certificate, cross, other.certificate]
    chain, authority = build_chain([heap[index] for index in order])
    assert (chain, authority) == (pem(middle.certificate, cross), pem(other.certificate))


def test_cas_above_the_leaf_that_certify_each_other() -> None:
    """There is no top, and the search for it ends."""
    first, second = make_authority("a"), make_authority("b")
    loop = [
        make_authority("leaf", first).certificate,
        make_authority("a", second, key=first.key).certificate,
        make_authority("b", first, key=second.key).certificate,
    ]
    for certificates in (loop, [*loop, first.certificate, second.certificate]):
        with pytest.raises(InvalidCertificate, match=BROKEN):
            order_chain(certificates)


def test_the_same_holder_twice() -> None:
    """Two certificates of one leaf, or of one intermediate CA, belong to two chains."""
    root = make_authority("root")
    middle = make_authority("middle", root)
    again = make_authority("middle", root, key=middle.key, valid=(-DAY, 99 * DAY)).certificate
    for certificates in ([middle.certificate, again], [middle.certificate, again, root.certificate]):
        with pytest.raises(InvalidCertificate, match=BROKEN):
            order_chain(certificates)


@pytest.mark.slow
def test_many_certificates_of_one_name() -> None:
    """The number of signatures that are verified grows with the number of certificates, not with its square."""
    crowd = [make_authority("same", key=KEY, valid=(-DAY, n * DAY)).certificate for n in range(1, 250)]
    strangers = [make_authority("same", make_authority("same")).certificate for _ in range(250)]
    begin = time.process_time()
    assert order_chain(crowd) == crowd[:1]
    with pytest.raises(InvalidCertificate, match=BROKEN):
        order_chain(strangers)
    assert time.process_time() - begin < 0.5


def test_keys_that_cost_much() -> None:
    """No signature is tried with an RSA key whose exponent makes that slow, however many there are."""
    signer = rsa.generate_private_key(65537, 2048)
    costly = rsa.RSAPublicNumbers(2**2046 + 1, signer.public_key().public_numbers().n).public_key()
    name = DEEP.certificate.subject
    crowd = [
        x509.CertificateBuilder(name, name, costly, number, NOW, NOW + DAY).sign(signer, hashes.SHA256())
        for number in range(1, 30)
    ]
    begin = time.process_time()
    with pytest.raises(InvalidCertificate, match=BROKEN):
        order_chain(crowd)
    assert time.process_time() - begin < 0.05


@pytest.mark.slow
def test_a_long_chain() -> None:
    """A hundred links in the worst order."""
    chain = make_chain(99).chain
    begin = time.process_time()
    assert order_chain(list(reversed(chain))) == list(chain)
    assert time.process_time() - begin < 0.1
