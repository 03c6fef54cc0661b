"""What a target Secret holds besides key and certificate: names in ``data``, and which of them a spec asks for.

Everything here is made from ``tls.key``, ``tls.crt`` and ``ca.crt``, so it can be made again without issuing again
(API contract sections 5.4 and 5.5).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from certwright.api import CertificateSpec
from certwright.api.keystores import JKSKeystore, PKCS12Keystore
from certwright_issuers.keys import InvalidKey
from certwright_issuers.keystores import combined_pem, key_der

#: spec.additionalOutputFormats[].type -> name in ``data``.
OUTPUT_KEYS: Final[Mapping[str, str]] = {"DER": "key.der", "CombinedPEM": "tls-combined.pem"}
#: Field of spec.keystores -> its keystore and its truststore, of which the latter needs a CA.
STORE_KEYS: Final[Mapping[str, tuple[str, str]]] = {
    "jks": ("keystore.jks", "truststore.jks"),
    "pkcs12": ("keystore.p12", "truststore.p12"),
}
STORE_NAMES: Final = frozenset(name for names in STORE_KEYS.values() for name in names)
DERIVED: Final = frozenset(OUTPUT_KEYS.values()) | STORE_NAMES


def output_files(types: frozenset[str], key_pem: bytes, chain_pem: bytes) -> dict[str, bytes]:
    """The files of these output formats; unknown types are left out. Raises InvalidKey."""
    files: dict[str, bytes] = {}
    if "DER" in types:
        files[OUTPUT_KEYS["DER"]] = key_der(key_pem)
    if "CombinedPEM" in types:
        files[OUTPUT_KEYS["CombinedPEM"]] = combined_pem(key_pem, chain_pem)
    return files


def output_types(spec: CertificateSpec) -> frozenset[str]:
    """The output formats a spec asks for."""
    return frozenset(output.type for output in spec.additional_output_formats)


def enabled_stores(spec: CertificateSpec) -> dict[str, JKSKeystore | PKCS12Keystore]:
    """The keystores a spec asks for, by their field."""
    if spec.keystores is None:
        return {}
    stores = {"jks": spec.keystores.jks, "pkcs12": spec.keystores.pkcs12}
    return {field: store for field, store in stores.items() if store is not None and store.create}


def store_files(field: str, *, with_ca: bool) -> tuple[str, ...]:
    """The files of one kind of keystore."""
    keystore, truststore = STORE_KEYS[field]
    return (keystore, truststore) if with_ca else (keystore,)


def wanted_files(spec: CertificateSpec, *, with_ca: bool) -> frozenset[str]:
    """All derived names that a spec asks for."""
    outputs = {OUTPUT_KEYS[type_] for type_ in output_types(spec) if type_ in OUTPUT_KEYS}
    return frozenset(outputs.union(*(store_files(field, with_ca=with_ca) for field in enabled_stores(spec))))


def sound_files(data: Mapping[str, bytes], key_pem: bytes, chain_pem: bytes) -> frozenset[str]:
    """The derived names in ``data`` that hold what they should. Of keystores only presence is looked at: they need a
    password to be opened, and a changed password is for the next issuance (API contract section 5.4)."""
    sound = {name for name in STORE_NAMES if data.get(name)}
    present = frozenset(type_ for type_, name in OUTPUT_KEYS.items() if name in data)
    try:
        made = output_files(present, key_pem, chain_pem)
    except InvalidKey:
        made = {}
    return frozenset(sound | {name for name, content in made.items() if data[name] == content})
