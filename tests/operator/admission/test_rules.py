"""The webhook's rules, against the tables that hold the policies on a real API server."""

import re
from typing import Any

import msgspec
import pytest

from certwright.admission.certificates import certificate_errors
from certwright.admission.issuers import acme_errors, acme_warnings
from certwright.admission.requests import annotation_errors, csr_errors, identity_errors, identity_of, verdict_errors
from certwright.api import Certificate, CertificateRequest, Condition, Issuer
from tests.e2e import test_admission_certificates, test_admission_issuers, test_webhook
from tests.e2e.admission import Object, Row, acme, certificate, request
from tests.operator.api.test_admission_page import PAGE

#: Rows that a policy refuses, by the page that says so; the schema and the CRD's rules refuse the others before.
BY_POLICY = {
    name
    for line in PAGE.splitlines()
    if line.startswith("| ") and "policy" in line.split("|")[2]
    for name in re.findall(r"`([a-z0-9_-]+)`", line.rsplit("|", 2)[1])
}
#: ... although their line on the page names both.
BY_SCHEMA = {"common-name-65", "common-name-bytes", "dns01-strategy", "azure-environment"}


def errors_of(obj: Object) -> list[str]:
    """What the webhook would say."""
    match obj["kind"]:
        case "Certificate":
            return certificate_errors(msgspec.convert(obj, type=Certificate, strict=False).spec)
        case "CertificateRequest":
            return csr_errors(msgspec.convert(obj, type=CertificateRequest, strict=False).spec)
        case _:
            parsed = msgspec.convert(obj, type=Issuer, strict=False).spec.acme
            return acme_errors(parsed) if parsed else []


TABLE: dict[str, Row] = {
    name: row
    for name, row in {**test_admission_certificates.TABLE, **test_admission_issuers.TABLE, **test_webhook.TABLE}.items()
    if not row[1] or (name in BY_POLICY and name not in BY_SCHEMA) or name in test_webhook.TABLE
}


def test_there_is_something_to_test() -> None:
    """The page and the tables fit each other."""
    assert sum(bool(parts) for _, parts in TABLE.values()) > 60


@pytest.mark.parametrize("name", TABLE)
def test_the_rules_say_what_the_policies_say(name: str) -> None:
    """By the same words."""
    obj, parts = TABLE[name]
    errors = errors_of(obj)
    assert bool(errors) == bool(parts), errors
    for part in parts:
        assert part in "; ".join(errors)


def test_every_error_names_its_field_once() -> None:
    """However many elements are wrong."""
    solvers: list[dict[str, Any]] = [{"dns01": {}}, {"dns01": {}}, {}]
    for error in errors_of(acme(solvers=solvers)):
        assert error.startswith("spec.acme.solvers[]")
    assert len(errors_of(acme(solvers=solvers))) == 2
    many = errors_of(certificate(ipAddresses=["x", "y"], uris=["z"], emailAddresses=["q"]))
    assert [error.split(" ")[0] for error in many] == ["spec.ipAddresses", "spec.emailAddresses", "spec.uris"]


@pytest.mark.parametrize("cron", ["0 2 * * 6", "@daily", "*/5 1-3 * JAN MON-FRI", "0 0 1,15 * *", "? ? ? ? ?"])
def test_good_schedules(cron: str) -> None:
    """Five fields in cron's own ways."""
    window = {"cron": cron, "windowDuration": "1h"}
    assert errors_of(certificate(renewal={"policy": "RenewBefore", "windows": [window]})) == []


@pytest.mark.parametrize(
    "cron", ["60 * * * *", "R R * * *", "0 3 L * *", "* * * *", "0 0 0 1 1 *", "@reboot", "0 2 * * 6; ls", ""]
)
def test_bad_schedules(cron: str) -> None:
    """Out of range, too few, too many."""
    window = {"cron": cron, "windowDuration": "1h"}
    assert len(errors_of(certificate(renewal={"policy": "RenewBefore", "windows": [window]}))) == 1


def test_a_deprecated_field_is_warned_of() -> None:
    """And nothing else is."""
    binding = {"keyID": "i", "keySecretRef": {"name": "n", "key": "k"}}
    plain, warned = (
        msgspec.convert(acme(externalAccountBinding={**binding, **more}), type=Issuer, strict=False).spec.acme
        for more in ({}, {"keyAlgorithm": "HS256"})
    )
    assert plain is not None
    assert warned is not None
    assert acme_warnings(plain) == []
    (text,) = acme_warnings(warned)
    assert text.startswith("spec.acme.externalAccountBinding.keyAlgorithm")


USER = {"username": "u", "uid": "1", "groups": ["a", "b"], "extra": {"k": ["v"]}}


def test_identity() -> None:
    """What the user has not is absent, not empty."""
    assert identity_of(USER) == USER
    assert identity_of({"username": "u", "groups": []}) == {"username": "u"}
    assert identity_errors({**request()["spec"], **USER}, USER) == []
    for field in USER:
        (error,) = identity_errors({**USER, field: "x"}, USER)
        assert error.startswith(f"spec.{field} ")
    assert len(identity_errors(USER, {"username": "u"})) == 3
    assert len(identity_errors({}, USER)) == 4


@pytest.mark.parametrize(
    ("before", "after", "changed"),
    [
        ({}, {"venafi.cert-manager.io/x": "1", "a.example/cert-manager.io": "2"}, ""),
        ({}, {"cert-manager.io/x": "1"}, "cert-manager.io/x"),
        ({"acme.cert-manager.io/x": "1"}, {}, "acme.cert-manager.io/x"),
        ({"cert-manager.io/x": "1", "b": "1"}, {"cert-manager.io/x": "2"}, "cert-manager.io/x"),
        ({"cert-manager.io/x": "1"}, {"cert-manager.io/x": "1", "b": "1"}, ""),
    ],
)
def test_annotations(before: dict[str, str], after: dict[str, str], changed: str) -> None:
    """Ours never change, others are free."""
    errors = annotation_errors(before, after)
    assert [error.rsplit(": ", 1)[1] for error in errors] == ([changed] if changed else [])


def verdict(type_: str, status: str = "True", **fields: Any) -> Condition:
    """A condition."""
    return Condition(type=type_, status=status, **fields)


@pytest.mark.parametrize(
    ("before", "after", "count"),
    [
        ((), (verdict("Approved"),), 0),
        ((), (verdict("Denied"),), 0),
        ((), (verdict("Approved", "False"),), 1),
        ((), (verdict("Approved"), verdict("Denied")), 1),
        ((verdict("Approved"),), (), 1),
        ((verdict("Approved"),), (verdict("Approved", message="other"),), 1),
        ((verdict("Approved"),), (verdict("Denied", "Unknown"),), 2),
    ],
)
def test_verdicts(before: tuple[Condition, ...], after: tuple[Condition, ...], count: int) -> None:
    """Given once, as True."""
    assert len(verdict_errors(before, after)) == count
