"""Base64url without padding (RFC 7515 section 2), strictly: one text for each value."""

from __future__ import annotations

import base64
import binascii


def encode(data: bytes) -> str:
    """The text of ``data``."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def decode(text: str) -> bytes:
    """The value of ``text``. Raises ValueError for padding, other alphabets, and spare bits that are not zero."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if encode(data) != text:
        raise ValueError("not base64url in its canonical form")
    return data
