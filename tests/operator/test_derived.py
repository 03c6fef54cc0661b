"""Output formats and keystores of a Secret: what a spec asks for, and what of it is as it should be."""

from typing import Any

import pytest

from certwright.derived import output_files, sound_files, wanted_files
from certwright_issuers.keys import encode_key
from tests.operator.builders import KEY, certificate, chain

JKS = {"create": True, "password": "changeit"}
P12 = {"create": True, "passwordSecretRef": {"name": "p", "key": "k"}}
KEY_PEM = encode_key(KEY, "PKCS1")
CHAIN = chain(certificate())


@pytest.mark.parametrize(
    ("spec", "with_ca", "wanted"),
    [
        ({}, True, set()),
        ({"keystores": {"jks": JKS}}, True, {"keystore.jks", "truststore.jks"}),
        ({"keystores": {"jks": JKS}}, False, {"keystore.jks"}),
        ({"keystores": {"jks": JKS | {"create": False}, "pkcs12": P12}}, False, {"keystore.p12"}),
        ({"keystores": {"pkcs12": P12}}, True, {"keystore.p12", "truststore.p12"}),
        (
            {"additionalOutputFormats": [{"type": "DER"}, {"type": "CombinedPEM"}]},
            False,
            {"key.der", "tls-combined.pem"},
        ),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value)[:60],
)
def test_what_a_spec_asks_for(spec: dict[str, Any], *, with_ca: bool, wanted: set[str]) -> None:
    """Contract row 8.64: truststores only with a CA."""
    assert wanted_files(certificate(**spec).spec, with_ca=with_ca) == wanted


def test_output_formats_are_compared_and_keystores_only_looked_for() -> None:
    """A changed key.der is noticed; of a keystore nothing but emptiness is."""
    made = output_files(frozenset({"DER", "CombinedPEM"}), KEY_PEM, CHAIN)
    data = {**made, "keystore.jks": b"anything", "truststore.jks": b"", "keystore.p12": b"x", "foreign": b"y"}
    assert sound_files(data, KEY_PEM, CHAIN) == {"key.der", "tls-combined.pem", "keystore.jks", "keystore.p12"}
    assert sound_files({**data, "key.der": b"z"}, KEY_PEM, CHAIN) == {
        "tls-combined.pem",
        "keystore.jks",
        "keystore.p12",
    }
    assert sound_files(data, b"no key", CHAIN) == {"keystore.jks", "keystore.p12"}
