"""What an answer means: waits, links, and the classes of problem documents."""

from __future__ import annotations

import json
import time
from datetime import timedelta

import pytest
from acme import messages
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers.acme import account, ari, authorization, challenge, directory, order, problem, reply
from certwright_issuers.acme.problem import AcmeUnavailable, Kind, Problem
from certwright_issuers.contract import ConfigInvalid, RateLimited, RequestRejected, Unavailable
from tests.issuers.acme.answers import JSON, NOW, got


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        (" 30 ", 30.0),
        ("Tue, 24 Nov 2026 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2026 14:00:30 +0200", 30.0),
        ("Tue, 24 Nov 2026 12:00:30 -0000", 30.0),
        ("Tuesday, 24-Nov-26 12:00:30 GMT", 30.0),
        ("Tue, 24 Nov 2020 12:00:30 GMT", 0.0),
        ("31536000", 129600.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 129600.0),
        ("-1", None),
        ("1.5", None),
        ("1e9", None),
        ("", None),
        ("9" * 400, None),
        (None, None),
    ],
)
def test_retry_after_in_all_its_forms(value: str | None, seconds: float | None) -> None:
    """Seconds or a date in any zone, from now to 36 hours; nonsense counts as not said."""
    found = reply.parse_retry_after(value, NOW)
    assert (None if found is None else found.total_seconds()) == seconds


@given(st.text(st.characters(codec="ascii"), max_size=60))
def test_no_retry_after_raises(value: str) -> None:
    """Whatever a server sends, the result is nothing or a wait within the bounds."""
    found = reply.parse_retry_after(value, NOW)
    assert found is None or timedelta(0) <= found <= reply.LONGEST_WAIT


def test_retry_after_does_not_depend_on_the_zone_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An HTTP date is UTC, also where TZ says Tokyo."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert reply.parse_retry_after("Tue, 24 Nov 2026 12:00:30 GMT", NOW) == timedelta(seconds=30)
    finally:
        monkeypatch.undo()
        time.tzset()


def test_links_are_found_by_relation() -> None:
    """Several relations, with and without quotes, relative URLs, and parameters in any order."""
    link = '<https://ca.example/1>;rel="alternate", </2>; title="a, b"; rel=alternate, </3>;rel="index up", <4>'
    assert got({}, link=link).links("alternate") == ("https://ca.example/1", "https://ca.example/2")
    assert got({}, link=link).links("up") == ("https://ca.example/3",)
    assert got({}).links("up") == ()


CLASSES: list[tuple[int, str, type[Exception]]] = [
    (429, "rateLimited", RateLimited),
    (503, "rateLimited", RateLimited),
    (429, "somethingNew", RateLimited),
    (500, "serverInternal", Unavailable),
    (500, "somethingNew", Unavailable),
    (403, "orderNotReady", Unavailable),
    (409, "conflict", Unavailable),
    (400, "dns", problem.ValidationFailed),
    (403, "caa", problem.ValidationFailed),
    (403, "unauthorized", problem.ValidationFailed),
    (401, "unauthorized", ConfigInvalid),
    (400, "badCSR", RequestRejected),
    (400, "rejectedIdentifier", RequestRejected),
    (400, "somethingNew", RequestRejected),
    (400, "invalidProfile", ConfigInvalid),
    (400, "accountDoesNotExist", ConfigInvalid),
    (400, "badPublicKey", ConfigInvalid),
]


@pytest.mark.parametrize(("status", "kind", "leaf"), CLASSES)
def test_problems_are_classed_by_type(status: int, kind: str, leaf: type[Exception]) -> None:
    """Each type leads to the leaf of the error tree that says who can mend it; unknown ones by their status."""
    body = {"type": problem.ERROR_PREFIX + kind, "detail": "as it is"}
    error = reply.failure(got(body, status), "get-certificate")
    assert isinstance(error, leaf)
    assert (error.http_status, error.reason) == (status, kind[0].upper() + kind[1:])
    assert f"{status} {kind}: as it is" in error.message


def test_every_problem_type_of_the_acme_package_is_classed() -> None:
    """The second implementation's list holds nothing that the table has forgotten."""
    assert set(messages.ERROR_CODES) - set(problem.KINDS) == {"compound"}


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ((), Kind.PERMANENT),
        (("dns", "dns"), Kind.VALIDATION),
        (("dns", "rejectedIdentifier"), Kind.PERMANENT),
        (("rateLimited", "dns"), Kind.RATE_LIMITED),
        (("serverInternal",), Kind.TRANSIENT),
        (("unheardOf",), Kind.PERMANENT),
    ],
)
def test_compound_problems_are_classed_by_their_worst_part(parts: tuple[str, ...], kind: Kind) -> None:
    """What can never succeed outweighs what only has to wait."""
    found = Problem("compound", "", tuple(problem.Subproblem(part, "") for part in parts))
    assert found.kind is kind


def test_subproblems_are_shown_with_their_names() -> None:
    """The name that is at fault among a hundred is the one thing a person looks for."""
    body = {
        "type": problem.ERROR_PREFIX + "malformed",
        "detail": "some were wrong",
        "subproblems": [
            {
                "type": problem.ERROR_PREFIX + "rejectedIdentifier",
                "detail": "blocked",
                "identifier": {"value": "b.example"},
            },
            {"type": problem.ERROR_PREFIX + "dns", "detail": "gone"},
            "nonsense",
        ],
    }
    text = str(problem.parse(body))
    assert text == "malformed: some were wrong; b.example: rejectedIdentifier: blocked; also: dns: gone"


def test_a_paused_names_self_service_address_is_shown() -> None:
    """Let's Encrypt puts it into the detail of a rate limit, which is short enough to be kept whole."""
    url = "https://portal.ca.example/sfe/v1/unpause?jwt=" + "x" * 300
    body = {
        "type": problem.ERROR_PREFIX + "rateLimited",
        "detail": f"Your account is paused for a.example: visit {url}",
    }
    assert url in reply.failure(got(body, 429), "new-order").message


@given(JSON, st.integers(300, 599))
def test_no_problem_document_raises(body: object, status: int) -> None:
    """Whatever JSON an error has, the result is one bounded line."""
    error = reply.failure(got(json.dumps(body).encode(), status), "new-order")
    assert len(error.message) <= problem.MESSAGE_LIMIT + 100
    assert error.message.isprintable()


@given(JSON)
def test_no_object_reader_raises_anything_but_unavailable(body: object) -> None:
    """Whatever JSON comes in place of an object, the answer is a temporary error or the object."""
    answer = got(json.dumps(body).encode(), location="/x")
    for read in (directory.read, order.read, authorization.read, challenge.read, account.read, ari.read):
        try:
            read(answer)
        except AcmeUnavailable as error:
            assert "is not ACME" in error.message  # noqa: PT017 - either outcome is right
