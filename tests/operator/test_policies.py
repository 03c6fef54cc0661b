"""Why a Certificate is issued and whether it is Ready: reasons, messages and their order."""

from datetime import timedelta
from typing import Any

import pytest

from certwright.policies import READINESS, TRIGGER, Situation, Violation, first_violation, request_violations
from certwright.secretfacts import SecretFacts
from certwright_issuers.keys import KeySpec, encode_key, generate_key
from certwright_issuers.temporary import sign_temporarily
from tests.operator.builders import KEY, NOW, OTHER_KEY, certificate, chain, request, secret, signing


def situation(facts: SecretFacts | None, **changes: Any) -> Situation:
    return Situation(**{"certificate": certificate(), "secret": facts, "current_request": None, "now": NOW, **changes})


P384 = generate_key(KeySpec("ECDSA", 384))
CASES = [
    ("no Secret", lambda: situation(None), "DoesNotExist", "Issuing certificate as Secret does not exist"),
    (
        "no data",
        lambda: situation(secret(drop=("tls.key", "tls.crt"))),
        "MissingData",
        "Issuing certificate as Secret does not contain any data",
    ),
    (
        "no key",
        lambda: situation(secret(drop=("tls.key",))),
        "MissingData",
        "Issuing certificate as Secret does not contain a private key",
    ),
    (
        "no certificate",
        lambda: situation(secret(drop=("tls.crt",))),
        "MissingData",
        "Issuing certificate as Secret does not contain a certificate",
    ),
    (
        "key is garbage",
        lambda: situation(secret(data={"tls.key": b"garbage"})),
        "InvalidKeyPair",
        "Issuing certificate as Secret contains invalid private key data: ",
    ),
    (
        "certificate is garbage",
        lambda: situation(secret(data={"tls.crt": b"garbage"})),
        "InvalidCertificate",
        "Issuing certificate as Secret contains an invalid certificate: ",
    ),
    (
        "another key",
        lambda: situation(secret(data={"tls.key": encode_key(OTHER_KEY, "PKCS1")})),
        "InvalidKeyPair",
        "Issuing certificate as Secret contains a private key that does not match the certificate",
    ),
    (
        "temporary certificate",
        lambda: situation(secret(data={"tls.crt": sign_temporarily(signing(certificate(), KEY))})),
        "TemporaryCertificate",
        "Issuing certificate as Secret contains a temporary certificate",
    ),
    (
        "another issuer",
        lambda: situation(secret(annotations={"cert-manager.io/issuer-name": "old"})),
        "IncorrectIssuer",
        'Issuing certificate as Secret was previously issued by "Issuer.cert-manager.io/old"',
    ),
    (
        "another kind of issuer",
        lambda: situation(secret(annotations={"cert-manager.io/issuer-kind": "ClusterIssuer"})),
        "IncorrectIssuer",
        'Issuing certificate as Secret was previously issued by "ClusterIssuer.cert-manager.io/ca"',
    ),
    (
        "another Certificate",
        lambda: situation(secret(annotations={"cert-manager.io/certificate-name": "other"})),
        "IncorrectCertificate",
        'Secret was issued for "other". If this message is not transient, you might have two conflicting Certificates '
        "pointing to the same secret.",
    ),
    (
        "key of another size",
        lambda: situation(secret(key=P384)),
        "SecretMismatch",
        "Existing private key is not up to date for spec: [spec.privateKey.size]",
    ),
    (
        "key of another algorithm",
        lambda: situation(secret(), certificate=certificate(privateKey={"algorithm": "Ed25519"})),
        "SecretMismatch",
        "Existing private key is not up to date for spec: [spec.privateKey.algorithm]",
    ),
    (
        "key of another request",
        lambda: situation(secret(), current_request=request(certificate(), OTHER_KEY)),
        "SecretMismatch",
        "Secret contains a private key that does not match the current CertificateRequest",
    ),
    (
        "request for other names",
        lambda: situation(
            secret(), certificate=certificate(dnsNames=["new.example.test"]), current_request=request(certificate())
        ),
        "RequestChanged",
        "Fields on existing CertificateRequest resource not up to date: [spec.dnsNames]",
    ),
    (
        "certificate for other names and no request",
        lambda: situation(secret(), certificate=certificate(dnsNames=["new.example.test"])),
        "SecretMismatch",
        "Issuing certificate as Existing issued Secret is not up to date for spec: [spec.dnsNames]",
    ),
]


@pytest.mark.parametrize(("make", "reason", "message"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
@pytest.mark.parametrize("chain_of_checks", [TRIGGER, READINESS], ids=["trigger", "readiness"])
def test_each_violation_has_its_literal_reason_and_message(
    chain_of_checks: Any, make: Any, reason: str, message: str
) -> None:
    """Tools match on these words; both chains share them."""
    found = first_violation(chain_of_checks, make())
    assert found is not None
    assert found.reason == reason
    assert found.message.startswith(message)


def test_nothing_is_violated_when_all_fits() -> None:
    """A Secret as issued, with its request, is Ready and not to be issued again."""
    fits = situation(secret(), current_request=request(certificate()))
    assert first_violation(TRIGGER, fits) is None
    assert first_violation(READINESS, fits) is None


def test_a_due_renewal_triggers_and_leaves_the_certificate_ready() -> None:
    """Contract row 8.2: Ready stays True during a plain renewal."""
    due = situation(secret(), renewal_time=NOW - timedelta(seconds=1))
    assert first_violation(TRIGGER, due) == Violation(
        "Renewing", "Renewing certificate as renewal was scheduled at 2026-11-24 11:59:59 +0000 UTC"
    )
    assert first_violation(READINESS, due) is None


def test_an_expired_certificate_is_not_ready() -> None:
    """The message has the time as RFC 1123 writes it."""
    expired = situation(secret(), now=NOW + timedelta(days=90))
    assert first_violation(READINESS, expired) == Violation(
        "Expired", "Certificate expired on Mon, 22 Feb 2027 12:00:00 UTC"
    )


@pytest.mark.parametrize(
    "annotations",
    [
        {
            "cert-manager.io/issuer-name": None,
            "cert-manager.io/issuer-kind": None,
            "cert-manager.io/issuer-group": None,
        },
        {"cert-manager.io/issuer-kind": "Issuer", "cert-manager.io/issuer-group": "cert-manager.io"},
    ],
    ids=["no annotations", "explicit defaults"],
)
def test_absent_and_default_issuer_annotations_fit_the_default_kind(annotations: dict[str, str | None]) -> None:
    """Contract rows 8.4 and 8.5: making the defaults explicit, on either side, issues nothing."""
    facts = secret(annotations=annotations)
    for ref in ({"name": "ca"}, {"name": "ca", "kind": "Issuer", "group": "cert-manager.io"}):
        assert first_violation(TRIGGER, situation(facts, certificate=certificate(issuerRef=ref))) is None


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"dnsNames": ["b.example.test", "web.example.test"]}, ("spec.dnsNames",)),
        ({"commonName": "web.example.test"}, ("spec.commonName",)),
        ({"ipAddresses": ["10.0.0.1"]}, ("spec.ipAddresses",)),
        ({"uris": ["spiffe://a/b"]}, ("spec.uris",)),
        ({"emailAddresses": ["a@example.test"]}, ("spec.emailAddresses",)),
        ({"isCA": True}, ("spec.isCA",)),
        ({"usages": ["server auth"]}, ("spec.usages",)),
        ({"issuerRef": {"name": "other"}}, ("spec.issuerRef",)),
        ({"subject": {"organizations": ["x"]}}, ("spec.subject.organizations",)),
        ({"subject": {"postalCodes": ["x"]}}, ("spec.subject.postCodes",)),
        ({"duration": "100h"}, ()),
        ({"renewBefore": "1h"}, ()),
        ({"privateKey": {"algorithm": "ECDSA", "encoding": "PKCS8"}}, ()),
        ({"secretTemplate": {"labels": {"a": "b"}}}, ()),
        ({"revisionHistoryLimit": 5}, ()),
        ({"encodeUsagesInRequest": False}, ()),
        ({"nameConstraints": {"permitted": {"dnsDomains": ["x"]}}}, ()),
        ({"otherNames": None}, ()),
    ],
    ids=lambda value: str(value)[:40],
)
def test_which_changes_of_the_spec_need_a_new_request(change: dict[str, Any], fields: tuple[str, ...]) -> None:
    """Contract rows 8.6 and 8.7: names, subject, usages, CA and issuer do; keys' encoding, renewal, templates and the like
    don't."""
    before = request(certificate())
    assert request_violations(before, certificate(**change)) == fields


def test_a_duration_counts_only_when_both_sides_have_one() -> None:
    """Contract row 8.7: adding a duration issues nothing, changing one does, writing it otherwise doesn't."""
    before = request(certificate(duration="100h"))
    assert request_violations(before, certificate(duration="101h")) == ("spec.duration",)
    assert request_violations(before, certificate(duration="6000m")) == ()
    assert request_violations(before, certificate()) == ()


def test_order_of_names_does_not_matter() -> None:
    """Lists are compared as sets."""
    before = request(certificate(dnsNames=["a.test", "b.test"], usages=["server auth", "client auth"]))
    assert (
        request_violations(before, certificate(dnsNames=["b.test", "a.test"], usages=["client auth", "server auth"]))
        == ()
    )


def test_a_certificate_older_than_its_key_pair_check_is_still_compared_by_key() -> None:
    """The pair check compares keys, not dates."""
    facts = secret(data={"tls.crt": chain(certificate(), KEY, NOW - timedelta(days=1))})
    assert first_violation(TRIGGER, situation(facts)) is None


def test_the_first_violation_is_the_one_told() -> None:
    """Contract row 8.3: of everything that is wrong the earliest in the chain is named."""
    wrong = {
        "certificate": certificate(
            dnsNames=["new.example.test"], issuerRef={"name": "other"}, privateKey={"algorithm": "Ed25519"}
        ),
        "current_request": request(certificate()),
        "renewal_time": NOW,
    }
    right = {"issuerRef": {"name": "ca"}, "privateKey": {"algorithm": "ECDSA"}}
    issuer = first_violation(TRIGGER, situation(secret(), **wrong))
    wrong["certificate"] = certificate(dnsNames=["new.example.test"], **(right | {"privateKey": {"algorithm": "RSA"}}))
    key = first_violation(TRIGGER, situation(secret(), **wrong))
    wrong["certificate"] = certificate(dnsNames=["new.example.test"], **right)
    names = first_violation(TRIGGER, situation(secret(), **wrong))
    wrong["certificate"] = certificate(**right)
    due = first_violation(TRIGGER, situation(secret(), **wrong))
    assert [violation.reason if violation else None for violation in (issuer, key, names, due)] == [
        "IncorrectIssuer",
        "SecretMismatch",
        "RequestChanged",
        "Renewing",
    ]


def test_one_issuer_annotation_is_enough_to_ask_for_the_name() -> None:
    """Contract row 8.4: without any the default kind fits; with one, the name has to be there as well."""
    none = dict.fromkeys(
        ("cert-manager.io/issuer-name", "cert-manager.io/issuer-kind", "cert-manager.io/issuer-group"), None
    )
    assert first_violation(TRIGGER, situation(secret(annotations=none))) is None
    other = certificate(issuerRef={"name": "ca", "kind": "ClusterIssuer"})
    for annotations, cert in ((none | {"cert-manager.io/issuer-kind": "Issuer"}, certificate()), (none, other)):
        found = first_violation(TRIGGER, situation(secret(annotations=annotations), certificate=cert))
        assert found is not None
        assert found.reason == "IncorrectIssuer"


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"usages": ["server auth"]}, None),
        ({"subject": {"organizations": ["x"]}}, None),
        ({"duration": "100h"}, None),
        ({"isCA": True}, None),
        ({"otherNames": [{"oid": "1.2.3", "utf8Value": "x"}]}, None),
        ({"commonName": "web.example.test"}, None),
        ({"commonName": "other.example.test"}, "spec.commonName"),
        ({"dnsNames": ["WEB.example.test"]}, None),
        ({"dnsNames": ["other.example.test"]}, "spec.dnsNames"),
        ({"ipAddresses": ["10.0.0.1"]}, "spec.ipAddresses"),
        ({"uris": ["spiffe://a/b"]}, "spec.uris"),
        ({"emailAddresses": ["a@example.test"]}, "spec.emailAddresses"),
    ],
    ids=lambda value: str(value)[:50],
)
def test_without_its_request_only_names_of_a_certificate_are_compared(
    change: dict[str, Any], fields: str | None
) -> None:
    """Contract row 8.8: usages, subject, duration and the like go unnoticed; CN and DNS names are one set."""
    found = first_violation(TRIGGER, situation(secret(), certificate=certificate(**change)))
    assert (found.reason if found else None) == ("SecretMismatch" if fields else None)
    assert found is None or f"[{fields}" in found.message
