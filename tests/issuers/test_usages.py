"""Usages: words to extensions and back."""

from __future__ import annotations

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers.usages import (
    EXTENDED_USAGES,
    KEY_USAGE_BITS,
    key_usage_der,
    read_key_usage,
    usage_set,
)


def test_every_word_of_the_api() -> None:
    """23 words: ten bits by nine positions, thirteen purposes by twelve numbers."""
    assert len(KEY_USAGE_BITS) + len(EXTENDED_USAGES) == 23
    everything = usage_set([*KEY_USAGE_BITS, *EXTENDED_USAGES], is_ca=False)
    assert everything.bits == frozenset(range(9))
    assert len(everything.purposes) == 12


def test_default_and_ca() -> None:
    """Nothing said: digital signature and key encipherment; a CA signs certificates, too."""
    assert usage_set((), is_ca=False).bits == {0, 2}
    assert usage_set((), is_ca=True).bits == {0, 2, 5}
    assert usage_set(("server auth",), is_ca=False).bits == frozenset()


def test_order_of_purposes() -> None:
    """As asked for, each once."""
    asked = usage_set(("server auth", "s/mime", "client auth", "email protection"), is_ca=False)
    assert asked.purposes == tuple(f"1.3.6.1.5.5.7.3.{last}" for last in (1, 4, 2))


def test_unknown_word() -> None:
    """The message names field and word."""
    with pytest.raises(ValueError, match=r"spec\.usages: 'Server Auth'"):
        usage_set(("Server Auth",), is_ca=False)


@given(st.frozensets(st.integers(0, 8), min_size=1))
def test_bits_survive(bits: frozenset[int]) -> None:
    """Every set of bits, encipherOnly without keyAgreement included."""
    assert read_key_usage(key_usage_der(bits)) == bits


@given(st.frozensets(st.integers(0, 6), min_size=1))
def test_bits_agree_with_the_library(bits: frozenset[int]) -> None:
    """Where the library can write them at all."""
    usage = x509.KeyUsage(*(bit in bits for bit in range(9)))
    assert usage.public_bytes() == key_usage_der(bits)


@pytest.mark.parametrize("encoded", ["", "0300", "030108", "040101", "0305000000ff00", "03020780ff", "0302"])
def test_malformed_bits(encoded: str) -> None:
    """Too long, too short, of another type."""
    with pytest.raises(ValueError, match=r"."):
        read_key_usage(bytes.fromhex(encoded))


def test_no_bits() -> None:
    """An empty BIT STRING has none."""
    assert read_key_usage(bytes.fromhex("030100")) == frozenset()
