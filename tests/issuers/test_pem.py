"""PEM: identity, limits, and linear time."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers.pem import CERTIFICATE, COUNT_LIMIT, InvalidPEM, join_pem, split_pem

LIMIT = 330_000


@given(st.lists(st.binary(max_size=300), min_size=1, max_size=5), st.text("abc \r\n\t=:", max_size=30))
def test_split_undoes_join(blocks: list[bytes], text: str) -> None:
    """With any text around the blocks, and with either kind of line ends."""
    pem = text.encode().join([b"", *(join_pem(CERTIFICATE, block) + b"\n" for block in blocks), b""])
    assert split_pem(pem, CERTIFICATE, LIMIT) == blocks
    assert split_pem(pem.replace(b"\n", b"\r\n"), CERTIFICATE, LIMIT) == blocks


@pytest.mark.parametrize(
    ("pem", "says"),
    [
        (b"", "no PEM block"),
        (b"hello", "no PEM block"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n", "has no end"),
        (b"-----BEGIN CERTIFICATE", "malformed first line"),
        (b"-----BEGIN " + b"A" * 200 + b"-----", "malformed first line"),
        (b"-----BEGIN CERTIFICATE-----\nA\n-----END CERTIFICATE-----", "not base64"),
        (b"-----BEGIN CERTIFICATE-----\nAA\xc3\xa4A\n-----END CERTIFICATE-----", "not base64"),
        (b"-----BEGIN CERTIFICATE-----\nKey: v\n\nAAAA\n-----END CERTIFICATE-----", "not base64"),
        (b"-----BEGIN CERTIFICATE-----\n-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----", "not base64"),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END PRIVATE KEY-----", "has no end"),
    ],
)
def test_malformed(pem: bytes, says: str) -> None:
    """The error names the fault and repeats nothing of the content."""
    with pytest.raises(InvalidPEM, match=says):
        split_pem(pem, CERTIFICATE, LIMIT)


def test_foreign_blocks() -> None:
    """A private key among certificates is refused, not skipped: what is skipped might be passed on."""
    mixed = join_pem(CERTIFICATE, b"a") + join_pem("PRIVATE KEY", b"secret")
    with pytest.raises(InvalidPEM, match="'PRIVATE KEY' where only 'CERTIFICATE'"):
        split_pem(mixed, CERTIFICATE, LIMIT)


def test_limits() -> None:
    """One byte, or one block, too many."""
    pem = join_pem(CERTIFICATE, b"a")
    assert split_pem(pem, CERTIFICATE, len(pem)) == [b"a"]
    with pytest.raises(InvalidPEM, match="larger than the limit"):
        split_pem(pem, CERTIFICATE, len(pem) - 1)
    with pytest.raises(InvalidPEM, match="more than 1000 blocks"):
        split_pem(pem * (COUNT_LIMIT + 1), CERTIFICATE, LIMIT)


@pytest.mark.parametrize(
    "piece",
    [
        b"-----BEGIN CERTIFICATE-----\n",
        b"-----BEGIN ",
        b"-----BEGIN CERTIFICATE-----\n-----END ",
        b"-----",
        b"-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n",
    ],
)
def test_bombs(piece: bytes) -> None:
    """CVE-2024-12401: a bundle full of beginnings costs milliseconds."""
    begin = time.process_time()
    with pytest.raises(InvalidPEM):
        split_pem((piece * (LIMIT // len(piece) + 1))[:LIMIT], CERTIFICATE, LIMIT)
    assert time.process_time() - begin < 0.05
