"""Each RFC object without I/O: which request is built, and what an answer given as a dictionary means."""

from __future__ import annotations

from datetime import timedelta

import pytest
from acme import challenges
from hypothesis import given
from hypothesis import strategies as st

from certwright_issuers.acme import authorization, base64url, challenge, directory, order
from certwright_issuers.acme.keys import AccountKey
from certwright_issuers.acme.order import Identifier, OrderStatus
from certwright_issuers.acme.problem import AcmeUnavailable
from certwright_issuers.contract import ConfigInvalid, RequestRejected
from tests.issuers.acme.answers import got

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


@given(st.binary(max_size=80))
def test_base64url_is_strict(data: bytes) -> None:
    """Each value has one text; padding and spare bits are refused."""
    text = base64url.encode(data)
    assert base64url.decode(text) == data
    with pytest.raises(ValueError, match="not base64url"):
        base64url.decode(text + "=")
