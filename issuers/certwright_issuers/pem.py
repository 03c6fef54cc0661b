"""PEM (RFC 7468) within limits, in time linear in the input.

The limits are the API's own, so what one controller stores another can read (cert-manager API contract, its
``pemSizeLimits``). They are checked before anything is decoded. CVE-2024-12401 is what happens otherwise: a decoder that
starts over at each false beginning takes quadratic time on a Secret of a megabyte.
"""

from __future__ import annotations

import base64
import binascii
from typing import Final

CERTIFICATE: Final = "CERTIFICATE"
CERTIFICATE_REQUEST: Final = "CERTIFICATE REQUEST"

#: Bytes of PEM that are looked at: one certificate or request; a private key; a chain; a bundle of roots.
CERTIFICATE_LIMIT: Final = 36_500
KEY_LIMIT: Final = 13_000
CHAIN_LIMIT: Final = 95_000
BUNDLE_LIMIT: Final = 330_000
#: Certificates in a chain or bundle.
COUNT_LIMIT: Final = 1_000

_BEGIN: Final = b"-----BEGIN "
_END: Final = b"-----END "
_DASHES: Final = b"-----"
_LINE = 64
#: Longest label that is read: the registered ones have at most 26 characters.
_LABEL_LIMIT = 64


class InvalidPEM(ValueError):
    """Bytes that are not the PEM expected. The message never repeats them."""


def split_pem(data: bytes, label: str, limit: int) -> list[bytes]:
    """The DER of each block; at least one, all with ``label``. Text around the blocks is ignored (RFC 7468 section 2).

    Raises InvalidPEM, also for a block with another label: a private key among certificates would be published.
    """
    if len(data) > limit:
        raise InvalidPEM(f"PEM of {len(data)} bytes is larger than the limit of {limit}")
    blocks: list[bytes] = []
    at = data.find(_BEGIN)
    while at >= 0:
        if len(blocks) == COUNT_LIMIT:
            raise InvalidPEM(f"PEM has more than {COUNT_LIMIT} blocks")
        found, start = _label_at(data, at + len(_BEGIN))
        if found != label:
            raise InvalidPEM(f"PEM has a block of type {found!r} where only {label!r} is expected")
        end = data.find(_END + label.encode() + _DASHES, start)
        if end < 0:
            raise InvalidPEM(f"a PEM block of type {label!r} has no end")
        blocks.append(_decoded(data[start:end], label))
        at = data.find(_BEGIN, end)
    if not blocks:
        raise InvalidPEM(f"there is no PEM block of type {label!r}")
    return blocks


def _label_at(data: bytes, start: int) -> tuple[str, int]:
    end = data.find(_DASHES, start, start + _LABEL_LIMIT)
    if end < 0:
        raise InvalidPEM("a PEM block has a malformed first line")
    return data[start:end].decode("ascii", "replace"), end + len(_DASHES)


def _decoded(body: bytes, label: str) -> bytes:
    # A body with a nested beginning or with headers has characters outside the alphabet and fails here.
    try:
        return base64.b64decode(b"".join(body.split()), validate=True)
    except binascii.Error as error:
        raise InvalidPEM(f"a PEM block of type {label!r} is not base64") from error


def join_pem(label: str, *blocks: bytes) -> bytes:
    """The blocks of DER as PEM, one after the other."""
    return b"".join(_encoded(label, block) for block in blocks)


def _encoded(label: str, der: bytes) -> bytes:
    text = base64.b64encode(der)
    lines = [text[at : at + _LINE] for at in range(0, len(text), _LINE)]
    name = label.encode()
    return b"\n".join((_BEGIN + name + _DASHES, *lines, _END + name + _DASHES, b""))
