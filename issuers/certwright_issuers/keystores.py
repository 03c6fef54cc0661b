"""What else a Secret can hold of a key and its chain: Java and PKCS#12 keystores, DER, one PEM for all.

Everything here but :func:`key_der` and :func:`combined_pem` takes milliseconds, so callers on an event loop use a
thread. Names of files are those of the API.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from certwright_issuers.certificate import facts_of, load_chain
from certwright_issuers.jks import KeyEntry, TrustedEntry, write_jks
from certwright_issuers.keys import key_pem_der, load_key
from certwright_issuers.pem import BUNDLE_LIMIT
from certwright_issuers.pkcs12 import DEFAULT_PROFILE, PROFILES, TrustAnchor, write_keystore, write_truststore

DEFAULT_ALIAS: Final = "certificate"


@dataclass(frozen=True, slots=True)
class Content:
    """What goes into keystores: PEM of key, chain with the leaf first, and CA; the last may be empty."""

    key_pem: bytes = field(repr=False)
    chain_pem: bytes
    ca_pem: bytes = b""


def key_der(key_pem: bytes) -> bytes:
    """``key.der``: the DER inside the PEM: PKCS#1, SEC 1 or PKCS#8, as the PEM is. Raises InvalidKey."""
    return key_pem_der(key_pem)


def combined_pem(key_pem: bytes, chain_pem: bytes) -> bytes:
    """``tls-combined.pem``: key, an empty line, chain."""
    return key_pem + b"\n" + chain_pem


def jks_files(content: Content, password: str, alias: str, created: datetime) -> dict[str, bytes]:
    """``keystore.jks``, and ``truststore.jks`` if there is a CA. An empty alias means the default.

    Raises InvalidKey, InvalidCertificate, and ValueError for an empty password.
    """
    if not password:
        raise ValueError("a keystore needs a password")
    alias = alias or DEFAULT_ALIAS
    chain, authorities = _certificates(content.chain_pem), _certificates(content.ca_pem)
    trusted = [
        TrustedEntry(name, certificate) for name, certificate in zip(_authority_names(alias), authorities, strict=False)
    ]
    files = {"keystore.jks": write_jks([KeyEntry(alias, _pkcs8(content), chain), *trusted], password, created)}
    if trusted:
        files["truststore.jks"] = write_jks(trusted, password, created)
    return files


def _authority_names(taken: str) -> Iterator[str]:
    """``ca``, ``ca-1``, ``ca-2`` ... without the one that is taken; Java tells no letter case apart."""
    number = 0
    while True:
        name = f"ca-{number}" if number else "ca"
        if name != taken.lower():
            yield name
        number += 1


def pkcs12_files(content: Content, password: str, profile: str) -> dict[str, bytes]:
    """``keystore.p12``, and ``truststore.p12`` if there is a CA. An empty profile means the default.

    Raises InvalidKey, InvalidCertificate, and ValueError for an empty password or an unknown profile.
    """
    chosen = PROFILES.get(profile or DEFAULT_PROFILE)
    if chosen is None:
        raise ValueError(f"{profile!r} is not one of the PKCS#12 profiles {', '.join(PROFILES)}")
    leaf, *others = _certificates(content.chain_pem)
    authorities = _certificates(content.ca_pem)
    # A chain without a root ends with the very certificate that is called its CA.
    others = list(dict.fromkeys([*others, *authorities]))
    files = {"keystore.p12": write_keystore(chosen, password, _pkcs8(content), leaf, others)}
    if authorities:
        files["truststore.p12"] = write_truststore(chosen, password, _anchors(content.ca_pem))
    return files


def _anchors(ca_pem: bytes) -> list[TrustAnchor]:
    """Shown by their subjects, numbered where two have the same: of equal names Java keeps one."""
    anchors: dict[str, TrustAnchor] = {}
    for certificate in load_chain(ca_pem, BUNDLE_LIMIT):
        subject = facts_of(certificate).subject_name
        name, number = subject, 1
        while name.lower() in anchors:
            number += 1
            name = f"{subject} ({number})"
        anchors[name.lower()] = TrustAnchor(certificate.public_bytes(Encoding.DER), name)
    return list(anchors.values())


def _certificates(pem: bytes) -> list[bytes]:
    return [certificate.public_bytes(Encoding.DER) for certificate in load_chain(pem, BUNDLE_LIMIT)] if pem else []


def _pkcs8(content: Content) -> bytes:
    key = load_key(content.key_pem, trusted=True)
    return key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
