"""Annotations to fields of a Certificate's spec: each row of the contract's table, and what is wrong in words."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from certwright.shims.annotations import FIELDS, translate

GOOD: list[tuple[str, str, dict[str, Any]]] = [
    ("common-name", "a.example.test", {"commonName": "a.example.test"}),
    ("common-name", "ä" * 32, {"commonName": "ä" * 32}),
    ("common-name", "", {}),
    ("alt-names", "a.test,b.test", {"dnsNames": ("a.test", "b.test")}),
    ("alt-names", " a.test, ,b.test,a.test,", {"dnsNames": ("a.test", "b.test")}),
    ("ip-sans", "10.0.0.1, 2001:db8::1", {"ipAddresses": ("10.0.0.1", "2001:db8::1")}),
    ("ip-sans", "::ffff:10.0.0.1", {"ipAddresses": ("::ffff:10.0.0.1",)}),
    ("email-sans", "a@b.test, c@d.test", {"emailAddresses": ("a@b.test", "c@d.test")}),
    ("subject-organizations", '"Example, Inc.",Other', {"subject": {"organizations": ("Example, Inc.", "Other")}}),
    ("subject-organizations", "One, Two", {"subject": {"organizations": ("One", " Two")}}),
    ("subject-organizations", "", {}),
    ("subject-organizationalunits", "a", {"subject": {"organizationalUnits": ("a",)}}),
    ("subject-countries", "DE,AT", {"subject": {"countries": ("DE", "AT")}}),
    ("subject-provinces", "a", {"subject": {"provinces": ("a",)}}),
    ("subject-localities", "a", {"subject": {"localities": ("a",)}}),
    ("subject-postalcodes", "1,2", {"subject": {"postalCodes": ("1", "2")}}),
    ("subject-streetaddresses", '"1725 Slough Av., 1"', {"subject": {"streetAddresses": ("1725 Slough Av., 1",)}}),
    ("subject-serialnumber", "7,8", {"subject": {"serialNumber": "7,8"}}),
    ("duration", "2160h", {"duration": "2160h0m0s"}),
    ("duration", "60m", {"duration": "1h0m0s"}),
    ("renew-before", "5m", {"renewBefore": "5m0s"}),
    ("renew-before-percentage", "25", {"renewBeforePercentage": 25}),
    ("usages", "server auth, client auth,server auth", {"usages": ("server auth", "client auth")}),
    ("revision-history-limit", "3", {"revisionHistoryLimit": 3}),
    ("revision-history-limit", "2147483647", {"revisionHistoryLimit": 2147483647}),
    ("private-key-algorithm", "Ed25519", {"privateKey": {"algorithm": "Ed25519"}}),
    ("private-key-encoding", "PKCS8", {"privateKey": {"encoding": "PKCS8"}}),
    ("private-key-size", "3072", {"privateKey": {"size": 3072}}),
    ("private-key-rotation-policy", "Never", {"privateKey": {"rotationPolicy": "Never"}}),
    (
        "secret-template",
        '{"annotations": {"a": "1"}, "labels": {"b": "2"}}',
        {"secretTemplate": {"annotations": {"a": "1"}, "labels": {"b": "2"}}},
    ),
    ("secret-template", '{"labels": {"b": "2"}, "annotations": null}', {"secretTemplate": {"labels": {"b": "2"}}}),
    ("secret-template", "{}", {}),
    # Known to cert-manager, and read by no version of it.
    ("uri-sans", "spiffe://a/b", {}),
    ("unheard-of", "x", {}),
]
BAD = [
    ("common-name", "a" * 65, "more than 64 bytes"),
    ("common-name", "ä" * 33, "more than 64 bytes"),
    ("ip-sans", "10.0.0.1,10.0.0.256", "'10.0.0.256' is not an IP address"),
    ("ip-sans", "fe80::1%eth0", "is not an IP address"),
    ("email-sans", "Bob <bob@example.test>", "bare e-mail address"),
    ("email-sans", "bob", "bare e-mail address"),
    ("subject-organizations", 'a"b', "quotes around whole ones"),
    ("duration", "90d", "not a duration"),
    ("duration", "", "not a duration"),
    ("duration", "59m59s", "less than 1h"),
    ("duration", "-2h", "less than 1h"),
    ("duration", "9" * 400 + "h", "longer than"),
    ("renew-before", "4m", "less than 5m"),
    ("renew-before-percentage", "0", "from 1 to 99"),
    ("renew-before-percentage", "1e1", "whole number"),
    ("usages", "server auth, fly", "'fly' is not a key usage"),
    ("usages", "", "is not a key usage"),
    ("revision-history-limit", "0", "from 1 to"),
    ("revision-history-limit", "2147483648", "from 1 to"),
    ("revision-history-limit", "9" * 5000, "from 1 to"),
    ("revision-history-limit", "\u0661", "whole number"),
    ("private-key-algorithm", "rsa", "RSA, ECDSA, Ed25519"),
    ("private-key-encoding", "pkcs8", "PKCS1, PKCS8"),
    ("private-key-size", "1024", "2048 to 8192"),
    ("private-key-size", "many", "whole number"),
    ("private-key-rotation-policy", "Sometimes", "Never, Always"),
    ("secret-template", "{", "not a JSON object"),
    ("secret-template", "[]", "not a JSON object"),
    ("secret-template", '{"labels": {"a": 1}}', "not a JSON object"),
    ("secret-template", '{"data": {}}', "`data`"),
    ("secret-template", '{"labels": {"cert-manager.io/x": ""}}', "'cert-manager.io/x' can't be set"),
    ("secret-template", '{"annotations": {"cert-manager.io/issuer-name": "x"}}', "can't be set"),
]


def full(annotations: dict[str, str]) -> dict[str, str]:
    return {f"cert-manager.io/{name}": text for name, text in annotations.items()}


@pytest.mark.parametrize(("name", "text", "expected"), GOOD)
def test_a_good_annotation_fills_its_field(name: str, text: str, expected: dict[str, Any]) -> None:
    """And no other."""
    spec, problems = translate(full({name: text}))
    assert problems == ()
    fields = msgspec.to_builtins(spec)
    assert fields.pop("issuerRef", {}) == {}
    assert fields == expected


@pytest.mark.parametrize(("name", "text", "words"), BAD)
def test_a_bad_annotation_is_named_with_what_is_wrong(name: str, text: str, words: str) -> None:
    """One problem that begins with the annotation, short enough for an Event."""
    spec, (problem,) = translate(full({name: text}))
    assert problem.startswith(f"cert-manager.io/{name}: ")
    assert words in problem
    assert len(problem) <= 600
    assert spec.common_name == ""


@pytest.mark.parametrize(
    ("algorithm", "size", "good"),
    [
        ("RSA", "2048", True),
        ("RSA", "8192", True),
        ("RSA", "8193", False),
        ("RSA", "256", False),
        ("ECDSA", "256", True),
        ("ECDSA", "521", True),
        ("ECDSA", "512", False),
        ("Ed25519", "1", True),
    ],
)
def test_key_sizes_depend_on_the_algorithm(algorithm: str, size: str, *, good: bool) -> None:
    """As admission has it."""
    _, problems = translate(full({"private-key-algorithm": algorithm, "private-key-size": size}))
    assert (problems == ()) is good


def test_all_problems_are_told_at_once() -> None:
    """Nobody mends a list one error at a time."""
    _, problems = translate(full({"duration": "x", "usages": "y", "common-name": "fine"}))
    assert len(problems) == 2


def test_every_field_has_cases() -> None:
    """The tables above cover the parser's table."""
    tested = {f"cert-manager.io/{name}" for name, *_ in GOOD}
    assert {field.annotation for field in FIELDS} <= tested


@given(
    st.dictionaries(
        st.sampled_from([field.annotation for field in FIELDS]),
        st.one_of(
            st.text(max_size=40),
            st.text(alphabet='0123456789hms.,+-"{}:ab \\\n', max_size=20),
            st.sampled_from([text for _, text, _ in (*GOOD, *BAD)]),
        ),
    )
)
def test_the_parser_never_raises(annotations: dict[str, str]) -> None:
    """Any annotation is a field, nothing, or a problem."""
    spec, problems = translate(annotations)
    assert all(problem.partition(": ")[0] in annotations for problem in problems)
    assert msgspec.convert(msgspec.to_builtins(spec), type(spec)) == spec
