"""What the target Secret says of its certificate, and what of it is noticed when it is lost."""

import dataclasses
from typing import Any

import pytest

from certwright.reconcile.target import details_of, drift
from certwright.secretfacts import SecretFacts
from certwright_issuers.certificate import parse_certificate_facts
from certwright_issuers.keys import encode_key
from certwright_issuers.keystores import key_der
from tests.operator.builders import KEY, certificate, chain, secret


def details(**spec: Any) -> dict[str, str]:
    found = details_of(parse_certificate_facts(chain(certificate(**spec))))
    return {name.removeprefix("cert-manager.io/"): value for name, value in found.items()}


def test_four_details_are_always_there_and_the_others_when_not_empty() -> None:
    """Contract row 8.28: values are lists in CSV, quoted where they hold a comma."""
    assert details() == {"common-name": "", "alt-names": "web.example.test", "ip-sans": "", "uri-sans": ""}
    full = details(
        commonName="web",
        dnsNames=["a.test", "b.test"],
        ipAddresses=["10.0.0.1", "::1"],
        uris=["spiffe://a/b,c"],
        emailAddresses=["me@a.test"],
        subject={"organizations": ["One, Two"], "serialNumber": "7"},
    )
    assert full == {
        "common-name": "web",
        "alt-names": "a.test,b.test",
        "ip-sans": "10.0.0.1,::1",
        "uri-sans": '"spiffe://a/b,c"',
        "email-sans": "me@a.test",
        "subject-organizations": '"One, Two"',
        "subject-serialnumber": "7",
    }


OUTPUTS: dict[str, Any] = {"additionalOutputFormats": [{"type": "DER"}]}
STORES: dict[str, Any] = {"keystores": {"jks": {"create": True, "password": "x"}}}
DETAILS = {f"cert-manager.io/{name}": value for name, value in details().items()}


def stored(data: dict[str, bytes] | None = None, applied: tuple[str, ...] = (), **metadata: Any) -> SecretFacts:
    """A Secret as certwright left it; ``applied`` names of ``data`` and all metadata are its own."""
    annotations = DETAILS | metadata.pop("annotations", {})
    facts = secret(data=data or {}, annotations=annotations, **metadata)
    return dataclasses.replace(
        facts,
        applied_keys=frozenset({"tls.key", "tls.crt", *applied}),
        applied_labels=frozenset(facts.labels),
        applied_annotations=frozenset(facts.annotations),
    )


FAO = {"controller.cert-manager.io/fao": "true"}
DER = key_der(encode_key(KEY, "PKCS1"))


@pytest.mark.parametrize(
    ("spec", "facts", "what"),
    [
        ({}, stored(), ""),
        ({}, stored({"key.der": b"foreign", "keystore.jks": b"foreign"}), ""),
        ({}, stored({"key.der": DER}, ("key.der",)), "derived data no longer in the spec"),
        ({}, stored({"keystore.jks": b"x"}, ("keystore.jks",)), "derived data no longer in the spec"),
        (OUTPUTS, stored(), "additional output formats"),
        (OUTPUTS, stored({"key.der": DER}, ("key.der",)), ""),
        (OUTPUTS, stored({"key.der": b"changed"}, ("key.der",)), "additional output formats"),
        (OUTPUTS, stored({"key.der": DER}), "additional output formats"),
        (STORES, stored(), "keystores"),
        (STORES, stored({"keystore.jks": b"x"}, ("keystore.jks",)), ""),
        (STORES, stored({"keystore.jks": b"x"}), "keystores"),
        (STORES, stored({"keystore.jks": b"x", "ca.crt": b"x"}, ("keystore.jks",)), "keystores"),
        ({}, stored(labels={}), "labels"),
        ({}, stored(annotations={"cert-manager.io/alt-names": "changed"}), "annotations"),
        ({}, stored(annotations={"cert-manager.io/certificate-name": None}), "annotations"),
        ({}, stored(labels=FAO | {"gone": "1"}), "labels no longer in the template"),
        ({"secretTemplate": {"labels": {"new": "1"}}}, stored(), "labels"),
    ],
    ids=range(17),
)
def test_what_has_drifted(spec: dict[str, Any], facts: SecretFacts, what: str) -> None:
    """What we applied is kept as it was; what others put there is theirs."""
    assert drift(certificate(**spec), facts, owner_ref=False) == what


def test_owner_references_follow_the_flag() -> None:
    """Set when it is switched on, taken away when it is switched off; one that others have set stays."""
    ours = dataclasses.replace(stored(), applied_owner=True, owner_uid=certificate().metadata.uid)
    assert drift(certificate(), stored(), owner_ref=True) == "owner reference"
    assert drift(certificate(), ours, owner_ref=True) == ""
    assert drift(certificate(), ours, owner_ref=False) == "owner reference that is no longer wanted"
    assert drift(certificate(), dataclasses.replace(ours, applied_owner=False), owner_ref=False) == ""


def test_a_secret_that_was_never_ours_is_left_alone() -> None:
    """A pair somebody brought, which happens to fit, is not written to."""
    brought = secret(annotations={"cert-manager.io/certificate-name": None}, labels={})
    assert drift(certificate(**OUTPUTS), brought, owner_ref=True) == ""
