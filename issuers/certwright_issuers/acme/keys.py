"""Account keys and what they sign: JWS (RFC 7515, RFC 8555 section 6.2), thumbprints, key authorizations.

A key is parsed once per process: loading a PEM of RSA-2048 costs 30 ms with the interpreter's lock held.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from acme import jws
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from josepy import jwa, jwk

from certwright_issuers.acme import base64url
from certwright_issuers.contract import ConfigInvalid

#: RFC 8555 section 11.1 and the CAs' own rules: Let's Encrypt accepts 2048 to 4096 bits for account keys.
RSA_BITS = range(2048, 4097)
#: Bytes of a PEM that is looked at: an RSA-4096 key has 3.3 KB (contract section 3.0 allows 13,000).
PEM_LIMIT = 13_000

_CURVES: Mapping[str, jwa.JWASignature] = {"secp256r1": jwa.ES256, "secp384r1": jwa.ES384}
_cache: OrderedDict[bytes, AccountKey] = OrderedDict()
#: Keys kept parsed: one for each issuer of a large cluster, at about 4 KB.
_CACHED = 256


class AccountKey:
    """A private key that signs ACME requests. Its repr shows nothing but the public thumbprint."""

    __slots__ = ("_algorithm", "_jwk", "_private", "thumbprint")

    def __init__(self, private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        """Raises :class:`ConfigInvalid` for a size or curve that no public CA accepts."""
        self._algorithm, self._jwk = _jose(private)
        self._private = private
        #: RFC 7638, base64url without padding: the second half of each key authorization.
        self.thumbprint = base64url.encode(self._jwk.thumbprint())

    def __repr__(self) -> str:
        return f"AccountKey({self.thumbprint})"

    def public_jwk(self) -> dict[str, Any]:
        """The public key as JSON (RFC 7517)."""
        return dict(self._jwk.public_key().to_json())

    def sign(self, url: str, payload: bytes, *, nonce: str | None, account_url: str | None = None) -> bytes:
        """A JWS in flattened JSON: with ``kid`` if ``account_url`` is given, else with the whole public key.

        ``nonce`` is the header's text; None only for the inner objects of RFC 8555 sections 7.3.4 and 7.3.5.
        """
        decoded = None if nonce is None else base64url.decode(nonce)
        signed = jws.JWS.sign(payload, self._jwk, self._algorithm, decoded, url, account_url)
        return json.dumps(signed.to_json()).encode()

    def key_authorization(self, token: str) -> str:
        """RFC 8555 section 8.1. The token has been checked by :mod:`.challenge`."""
        return f"{token}.{self.thumbprint}"

    def pem(self) -> bytes:
        """PKCS#1 for RSA and SEC 1 for EC: what cert-manager writes into account Secrets (contract section 3.1.1)."""
        return self._encoded(serialization.Encoding.PEM)

    def private_hash(self) -> str:
        """Base64 of the SHA-256 of the key in DER: tells keys apart without telling them (contract section 1.3)."""
        return base64.b64encode(hashlib.sha256(self._encoded(serialization.Encoding.DER)).digest()).decode()

    def _encoded(self, encoding: serialization.Encoding) -> bytes:
        form = serialization.PrivateFormat.TraditionalOpenSSL
        return self._private.private_bytes(encoding, form, serialization.NoEncryption())


def generate(*, elliptic: bool = True) -> AccountKey:
    """A new key: P-256, or RSA-2048 for Secrets that cert-manager must be able to read (about 100 ms of CPU)."""
    if elliptic:
        return AccountKey(ec.generate_private_key(ec.SECP256R1()))
    return AccountKey(rsa.generate_private_key(public_exponent=65537, key_size=2048))


def load(pem: bytes) -> AccountKey:
    """The key in a PEM text. The same text gives the same object. Raises :class:`ConfigInvalid`, without the text."""
    digest = hashlib.sha256(pem).digest()
    known = _cache.get(digest)
    if known is not None:
        _cache.move_to_end(digest)
        return known
    if len(pem) > PEM_LIMIT:
        raise ConfigInvalid("InvalidAccountKey", f"the ACME account key is longer than {PEM_LIMIT} bytes")
    try:
        private = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ConfigInvalid("InvalidAccountKey", "the ACME account key is not an unencrypted PEM key") from error
    if not isinstance(private, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ConfigInvalid("InvalidAccountKey", "the ACME account key must be RSA, or ECDSA on P-256 or P-384")
    key = AccountKey(private)
    _cache[digest] = key
    if len(_cache) > _CACHED:
        _cache.popitem(last=False)
    return key


def external_binding(key: AccountKey, url: str, key_id: str, mac_key: bytes) -> dict[str, Any]:
    """RFC 8555 section 7.3.4: the account's public key signed with the CA's MAC key by HS256. ``url``: newAccount."""
    payload = json.dumps(key.public_jwk()).encode()
    signed = jws.JWS.sign(payload, jwk.JWKOct(key=mac_key), jwa.HS256, None, url, key_id)
    return dict(signed.to_json())


def decode_mac_key(text: bytes) -> bytes:
    """The MAC key in a Secret: base64url without padding (contract section 3.1.1).

    Padding, the standard alphabet and a newline at the end are tolerated, because CAs print keys in all these forms.
    Raises :class:`ConfigInvalid`, without the text.
    """
    plain = text.strip().rstrip(b"=").replace(b"+", b"-").replace(b"/", b"_")
    try:
        key = base64url.decode(plain.decode("ascii"))
    except ValueError as error:
        raise ConfigInvalid("InvalidExternalAccountKey", "the MAC key is not base64url text") from error
    if not key:
        raise ConfigInvalid("InvalidExternalAccountKey", "the MAC key is empty")
    return key


def _jose(private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> tuple[jwa.JWASignature, jwk.JWK]:
    if isinstance(private, rsa.RSAPrivateKey):
        if private.key_size not in RSA_BITS:
            raise ConfigInvalid(
                "InvalidAccountKey", f"an RSA account key needs 2048 to 4096 bits, not {private.key_size}"
            )
        return jwa.RS256, jwk.JWKRSA(key=private)
    algorithm = _CURVES.get(private.curve.name)
    if algorithm is None:
        raise ConfigInvalid(
            "InvalidAccountKey", f"an ECDSA account key must be on P-256 or P-384: {private.curve.name}"
        )
    return algorithm, jwk.JWKEC(key=private)
