"""Each RFC object without I/O: which request is built, and what an answer given as a dictionary means."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers.acme import account, ari, authorization, base64url, challenge, directory, order, problem, reply
from certwright_issuers.acme.keys import AccountKey
from certwright_issuers.acme.order import Identifier, OrderStatus
from certwright_issuers.acme.problem import AcmeUnavailable, Kind, Problem
from certwright_issuers.acme.reply import Reply
from certwright_issuers.contract import ConfigInvalid, RateLimited, RequestRejected, Unavailable

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)


def got(body: object, status: int = 200, url: str = "https://ca.example/x", **headers: str) -> Reply:
    """An answer; header names with underscores."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply(url, status, named, body if isinstance(body, bytes) else json.dumps(body).encode(), NOW)


DIRECTORY = {
    "newNonce": "https://ca.example/n",
    "newAccount": "https://ca.example/a",
    "newOrder": "https://ca.example/o",
}
ORDER = {"status": "pending", "finalize": "https://ca.example/f", "authorizations": ["https://ca.example/z"]}


def test_unknown_directory_entries_are_ignored() -> None:
    """CAs add entries, with values of any type; optional resources may be missing or null."""
    found = directory.read(
        got({**DIRECTORY, "keyChange": None, "x7": {"deep": [1]}, "meta": {"x8": 1, "profiles": {}}})
    )
    assert (found.new_order, found.renewal_info, found.key_change, found.profiles) == (
        "https://ca.example/o",
        "",
        "",
        {},
    )


def test_terms_and_binding_are_read_from_the_directory() -> None:
    """Nothing of this is hard coded."""
    meta = {"termsOfService": "https://ca.example/t", "externalAccountRequired": True, "caaIdentities": ["ca.example"]}
    found = directory.read(got({**DIRECTORY, "meta": meta}))
    assert (found.terms_of_service, found.external_account_required) == ("https://ca.example/t", True)
    assert found.caa_identities == ("ca.example",)


def test_a_server_without_profiles_says_so() -> None:
    """The error differs from that of a wrong name."""
    with pytest.raises(ConfigInvalid, match="it has no profiles"):
        directory.read(got(DIRECTORY)).require_profile("short")


@pytest.mark.parametrize("body", [{}, {**DIRECTORY, "newOrder": 5}, [], "x", None, b"", b"<html>", b"\xff"])
def test_what_is_no_directory_is_temporary(body: object) -> None:
    """A wrong body is not the configuration's fault for sure: the server may be starting."""
    with pytest.raises(AcmeUnavailable, match="is not ACME"):
        directory.read(got(body))


def test_names_are_normalised() -> None:
    """Lower case, sorted, once each, canonical addresses, no final dot."""
    assert order.identifiers(["B.Example.com.", "a.example.com", "b.example.com"], ["2001:DB8:0::1", "192.0.2.1"]) == (
        Identifier("dns", "a.example.com"),
        Identifier("dns", "b.example.com"),
        Identifier("ip", "192.0.2.1"),
        Identifier("ip", "2001:db8::1"),
    )


@pytest.mark.parametrize("name", ["bücher.example", "", " ", "a b.example", "a\n.example"])
def test_names_that_are_none_are_rejected(name: str) -> None:
    """Only ASCII goes to the CA: the requester chooses the punycode."""
    with pytest.raises(RequestRejected, match="is not a DNS name"):
        order.identifiers([name])


def test_addresses_that_are_none_are_rejected() -> None:
    """Also leading zeros, which some read as octal."""
    with pytest.raises(RequestRejected, match="is not an IP address"):
        order.identifiers([], ["192.0.2.010"])


def test_ip_identifiers_have_their_own_type() -> None:
    """RFC 8738 section 3."""
    call = order.create(directory.read(got(DIRECTORY)), order.identifiers([], ["2001:db8::1"]))
    assert call.payload == {"identifiers": [{"type": "ip", "value": "2001:db8::1"}]}


def test_an_order_is_read_with_its_location_and_pace() -> None:
    """The URL comes from the header, relative to the request; the wait from Retry-After."""
    call = order.create(directory.read(got(DIRECTORY)), order.identifiers(["a.example"]))
    found = call.read(got(ORDER | {"identifiers": [{"type": "new-kind"}]}, 201, location="/order/7", retry_after="3"))
    assert found.url == "https://ca.example/order/7"
    assert found.retry_after == timedelta(seconds=3)


def test_a_finalized_order_keeps_its_url() -> None:
    """The answer to finalize comes from another URL and need not name the order's."""
    call = order.finalize("https://ca.example/order/7", "https://ca.example/f", b"der")
    assert call.payload == {"csr": "ZGVy"}
    assert call.read(got(ORDER, url="https://ca.example/f")).url == "https://ca.example/order/7"


def test_a_valid_order_has_a_certificate() -> None:
    """Without its URL it is useless, so it counts as not answered."""
    with pytest.raises(AcmeUnavailable, match="without a certificate URL"):
        order.read(got(ORDER | {"status": "valid"}))


@given(st.sampled_from(OrderStatus), st.sampled_from(OrderStatus))
def test_an_order_never_moves_back(known: OrderStatus, seen: OrderStatus) -> None:
    """Of two answers in any order, the same one is believed; final states never change."""

    def at(status: OrderStatus) -> order.Order:
        return order.Order("u", status, (), "f", certificate="c")

    kept = order.newer(at(known), at(seen)).status
    assert kept is order.newer(at(seen), at(known)).status or not (order.MOVES[known] or order.MOVES[seen])
    assert kept is known or seen in order.MOVES[known]


def test_unknown_challenge_types_do_no_harm() -> None:
    """A type of the future, without URL, token or status, is kept by name and offered to nobody."""
    body = {
        "identifier": {"type": "dns", "value": "a.example"},
        "status": "pending",
        "wildcard": True,
        "challenges": [
            {"type": "dns-persist-01", "x": [1]},
            {"type": "dns-01", "url": "u", "token": "t", "status": "pending"},
        ],
    }
    found = authorization.read(got(body))
    assert [offer.type for offer in found.challenges] == ["dns-persist-01", "dns-01"]
    assert found.offered("http-01") is None
    assert (found.wildcard, found.problem) == (True, None)


def test_the_errors_of_challenges_are_read() -> None:
    """The cause of a failed authorization is the error of the challenge that was tried."""
    error = {"type": "urn:ietf:params:acme:error:dns", "detail": "NXDOMAIN looking up A for a.example"}
    body = {
        "identifier": {"type": "dns", "value": "a.example"},
        "status": "invalid",
        "challenges": [{"type": "dns-01"}, {"type": "http-01", "status": "invalid", "error": error}],
    }
    found = authorization.read(got(body)).problem
    assert str(found) == "dns: NXDOMAIN looking up A for a.example"


TOKEN = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"


def test_key_authorizations_are_those_of_the_acme_package(key: AccountKey) -> None:
    """A second implementation gives the same file content and TXT value."""
    from acme import challenges

    chall = challenges.DNS01(token=base64url.decode(TOKEN))
    assert challenge.key_authorization(TOKEN, key) == chall.key_authorization(key._jwk)
    assert challenge.dns01_value(TOKEN, key) == chall.validation(key._jwk)
    assert len(challenge.dns01_value(TOKEN, key)) == 43
    assert challenge.dns01_name("a.example") == chall.validation_domain_name("a.example")


@pytest.mark.parametrize("token", ["", "short", "../../../../../../etc/passwd", "a" * 22 + "\n", "a" * 300, "ä" * 30])
def test_tokens_that_are_none_are_refused(key: AccountKey, token: str) -> None:
    """A token becomes a URL path and a file name: RFC 8555 section 8.1 allows base64url of 128 bits and more."""
    with pytest.raises(RequestRejected, match="challenge token"):
        challenge.key_authorization(token, key)


# --- answers


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
    import time

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
    from acme import messages

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


#: ASCII with some of what breaks terminals; the whole of Unicode costs a second to set up.
TEXT = st.sampled_from("abc \x00\x1b\n\u202e\U0001f600")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(TEXT, max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["type", "detail", "subproblems", "identifier", "value", "status", "x"]), inner
        )
    ),
    max_leaves=12,
)


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


# --- renewal information


def window(start: timedelta, end: timedelta, **more: Any) -> Mapping[str, Any]:
    """A renewalInfo body with a window relative to now."""
    return {"suggestedWindow": {"start": (NOW + start).isoformat(), "end": (NOW + end).isoformat()}, **more}


DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("value", "hours"),
    [(None, 6), ("21600", 6), ("0", 1), ("-5", 6), ("99999999", 168), ("Tue, 24 Nov 2026 22:00:00 GMT", 10)],
)
def test_the_next_poll_is_between_an_hour_and_a_week(value: str | None, hours: int) -> None:
    """Retry-After is obeyed within these bounds; six hours without one."""
    info = ari.read(got(window(DAY, 2 * DAY), **({} if value is None else {"retry_after": value})))
    assert info.next_check - NOW == timedelta(hours=hours)


def test_inverted_windows_are_refused() -> None:
    """RFC 9773 section 4.2: an end that is not after the start makes the answer invalid; so do times without a zone."""
    naive = {"suggestedWindow": {"start": "2026-01-01T00:00:00", "end": "2026-01-02T00:00:00"}}
    for body in (window(2 * DAY, DAY), window(DAY, DAY), naive):
        with pytest.raises(AcmeUnavailable, match="renewal window"):
            ari.read(got(body))


def test_explanations_are_web_addresses() -> None:
    """Nothing else is shown to people."""
    assert ari.read(got(window(DAY, 2 * DAY, explanationURL="https://ca.example/i"))).explanation_url
    assert not ari.read(got(window(DAY, 2 * DAY, explanationURL="javascript:alert(1)"))).explanation_url


@given(st.integers(-400, 400), st.integers(1, 400_000), st.text(TEXT, max_size=10))
def test_the_renewal_time_is_stable_within_the_window(start: int, length: int, certid: str) -> None:
    """The same window gives the same time after any restart; it lies inside, and never after the backstop of a mad one."""
    info = ari.RenewalInfo(NOW + start * DAY, NOW + (start + length) * DAY, "", NOW)
    expiry = NOW + 90 * DAY
    point = ari.renewal_time(info, certid, not_before=NOW, not_after=expiry)
    assert point == ari.renewal_time(info, certid, not_before=NOW, not_after=expiry)
    assert point < expiry
    assert info.start <= point <= info.end or point == ari.backstop(NOW, expiry)


def test_renewal_times_spread_over_the_window() -> None:
    """A thousand certificates with one window are renewed evenly, not together."""
    info = ari.RenewalInfo(NOW, NOW + DAY, "", NOW)
    hours = [
        int((ari.renewal_time(info, str(n), not_before=NOW, not_after=NOW + 90 * DAY) - NOW).total_seconds() // 3600)
        for n in range(1000)
    ]
    assert all(20 < hours.count(hour) < 70 for hour in range(24))


def test_a_new_window_gives_a_new_time() -> None:
    """When the CA moves the window, the time is chosen again."""
    first = ari.RenewalInfo(NOW, NOW + DAY, "", NOW)
    second = ari.RenewalInfo(NOW, NOW + 2 * DAY, "", NOW)
    bounds = {"not_before": NOW, "not_after": NOW + 90 * DAY}
    assert ari.renewal_time(first, "x", **bounds) != ari.renewal_time(second, "x", **bounds)


@pytest.mark.parametrize(("days", "left"), [(90, 30.0), (45, 15.0), (6, 3.0), (9.9, 4.95), (10, 10 / 3)])
def test_the_backstop_depends_on_the_lifetime(days: float, left: float) -> None:
    """A third of the lifetime is left, a half for lifetimes under ten days; 90 days are never assumed."""
    expiry = NOW + days * DAY
    assert abs((expiry - ari.backstop(NOW, expiry)) / DAY - left) < 1e-6


def test_the_certificate_id_is_that_of_the_acme_package() -> None:
    """Key identifier and serial of RFC 9773's own example; the serial's top bit is set, so a zero byte comes first."""
    from acme import client

    key = ec.generate_private_key(ec.SECP256R1())
    aki = bytes.fromhex("69885b6b87464041e1b37b847bd0ae2cde01c8d4")
    builder = x509.CertificateBuilder(x509.Name([]), x509.Name([]), key.public_key(), 0x87654321, NOW, NOW + DAY)
    plain = builder.sign(key, hashes.SHA256())
    assert ari.certificate_id(plain) is None
    marked = builder.add_extension(x509.AuthorityKeyIdentifier(aki, None, None), critical=False)
    certificate = marked.sign(key, hashes.SHA256())
    assert ari.certificate_id(certificate) == "aYhba4dGQEHhs3uEe9CuLN4ByNQ.AIdlQyE"
    assert ari.certificate_id(certificate) == client._renewal_info_path_component(certificate)


@given(st.binary(max_size=80))
def test_base64url_is_strict(data: bytes) -> None:
    """Each value has one text; padding and spare bits are refused."""
    text = base64url.encode(data)
    assert base64url.decode(text) == data
    with pytest.raises(ValueError, match="not base64url"):
        base64url.decode(text + "=")
