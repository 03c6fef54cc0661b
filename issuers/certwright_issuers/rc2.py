"""RC2 with 40 effective bits in CBC mode (RFC 2268): encryption only.

Nobody should want it, but it is what the oldest and still the default PKCS#12 profile of this API encrypts certificates
with, and no maintained library writes it any more.
"""

from __future__ import annotations

import struct
from typing import Final

_PI_TABLE: Final = bytes.fromhex(
    "d978f9c419ddb5ed28e9fd794aa0d89dc67e37832b76538e624c6488448bfba2"
    "179a59f587b34f1361456d8d09817d32bd8f40eb86b77b0bf09521225c6b4e82"
    "54d66593ce60b21c7356c014a78cf1dc1275ca1f3bbee4d1423dd430a33cb626"
    "6fbf0eda4669075727f21d9bbc944303f811c7f690ef3ee706c3d52fc8661ed7"
    "08e8eade8052eef784aa72ac354d6a2a961ad2715a1549744b9fd05e0418a4ec"
    "c2e0416e0f51cbcc2491af50a1f47039997c3a8523b8b47afc02365b25559731"
    "2d5dfa98e38a92ae05df2910676cbac9d300e6cfe19ea82c6316013f58e289a9"
    "0d38341bab33ffb0bb480c5fb9b1cd2ec5f3db47e5a59c770aa62068fe7fc1ad"
)
#: Bytes of key: also the effective key length (RFC 2268 section 2: T1 = 40).
KEY_SIZE: Final = 5
BLOCK_SIZE: Final = 8
#: Left rotation after each quarter of a mixing round (section 3.1).
_ROTATIONS: Final = (1, 2, 3, 5)
#: Mixing rounds, and between them one mashing round (section 3.3).
_MIXING: Final = (5, 6, 5)


def _expand(key: bytes) -> tuple[int, ...]:
    """The 64 words of the expanded key (section 2)."""
    octets = list(key)
    for at in range(len(key), 128):
        octets.append(_PI_TABLE[(octets[at - 1] + octets[at - len(key)]) & 0xFF])
    # T8 = 5 bytes, and no bits of them are cut off: TM = 255.
    octets[128 - KEY_SIZE] = _PI_TABLE[octets[128 - KEY_SIZE]]
    for at in range(127 - KEY_SIZE, -1, -1):
        octets[at] = _PI_TABLE[octets[at + 1] ^ octets[at + KEY_SIZE]]
    return struct.unpack("<64H", bytes(octets))


def _encrypt_block(block: list[int], words: tuple[int, ...]) -> None:
    """Four 16-bit words, in place."""
    at = 0
    for index, rounds in enumerate(_MIXING):
        for _ in range(rounds):
            for i, rotation in enumerate(_ROTATIONS):
                before, earlier, next_ = block[i - 1], block[i - 2], block[i - 3]
                mixed = block[i] + words[at] + (before & earlier) + (~before & next_) & 0xFFFF
                block[i] = (mixed << rotation | mixed >> 16 - rotation) & 0xFFFF
                at += 1
        if index < 2:
            for i in range(4):
                block[i] = block[i] + words[block[i - 1] & 63] & 0xFFFF


def encrypt_cbc(key: bytes, iv: bytes, plaintext: bytes) -> bytes:
    """CBC over padded plaintext. ``key``: 5 bytes, ``iv``: 8, ``plaintext``: a multiple of 8. Raises ValueError."""
    if (len(key), len(iv), len(plaintext) % BLOCK_SIZE) != (KEY_SIZE, BLOCK_SIZE, 0):
        raise ValueError("RC2 wants a key of 5 bytes, an IV of 8, and whole blocks")
    words = _expand(key)
    block = list(struct.unpack("<4H", iv))
    ciphertext = bytearray()
    for plain in struct.iter_unpack("<4H", plaintext):
        block = [a ^ b for a, b in zip(block, plain, strict=True)]
        _encrypt_block(block, words)
        ciphertext += struct.pack("<4H", *block)
    return bytes(ciphertext)
