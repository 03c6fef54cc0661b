"""Paths put into somebody's Ingress and taken out again leave it exactly as it was."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from certwright.solvers.inplace import Rule, with_path, without_paths

OURS = "cm-acme-http-solver"


def path(text: str, service: str = "app") -> dict[str, Any]:
    return {"path": text, "pathType": "Prefix", "backend": {"service": {"name": service, "port": {"number": 80}}}}


def rule(host: str | None, *paths: dict[str, Any]) -> Rule:
    made: Rule = {} if host is None else {"host": host}
    return {**made, "http": {"paths": list(paths)}} if paths else made


def is_ours(found: dict[str, Any]) -> bool:
    return bool(found["backend"]["service"]["name"] == OURS)


CHALLENGE = path("/.well-known/acme-challenge/t", OURS)
BEFORE: list[tuple[list[Rule], str]] = [
    ([], "a.example"),
    ([rule("a.example", path("/"))], "a.example"),
    ([rule("a.example", path("/x"), path("/y")), rule("b.example", path("/"))], "b.example"),
    ([rule("*.example", path("/"))], "a.example"),
    ([rule("a.example")], "a.example"),
    ([rule(None, path("/"))], ""),
    ([rule("a.example", path("/"))], ""),
    ([rule("a.example", path("/1")), rule("a.example", path("/2"))], "a.example"),
]


@pytest.mark.parametrize(("before", "host"), BEFORE)
def test_first_of_its_host_and_gone_without_a_trace(before: list[Rule], host: str) -> None:
    original = copy.deepcopy(before)
    during = with_path(before, host, CHALLENGE)
    assert before == original
    first = next(r for r in during if r.get("host", "") == host and r.get("http"))
    assert first["http"]["paths"][0] == CHALLENGE
    assert with_path(during, host, CHALLENGE) == during
    assert without_paths(during, is_ours) == original


def test_an_outdated_path_is_replaced() -> None:
    old = path(CHALLENGE["path"], "old")
    assert with_path([rule("a", old, path("/"))], "a", CHALLENGE) == [rule("a", CHALLENGE, path("/"))]


@pytest.mark.slow
@given(
    st.lists(
        st.builds(
            lambda host, paths: rule(host, *(path(f"/{p}") for p in paths)),
            st.sampled_from(["a.example", "b.example", "*.example", None]),
            st.lists(st.sampled_from("xyz"), max_size=3),
        ),
        max_size=4,
    ),
    st.lists(st.sampled_from(["a.example", "b.example", ""]), min_size=1, max_size=4),
    st.randoms(),
)
def test_any_order_of_several_challenges_restores(before: list[Rule], hosts: list[str], random: Any) -> None:
    tokens = [f"/.well-known/acme-challenge/{number}" for number in range(len(hosts))]
    rules = before
    for host, token in zip(hosts, tokens, strict=True):
        rules = with_path(rules, host, path(token, OURS))
    random.shuffle(tokens)
    for token in tokens:
        rules = without_paths(rules, lambda p, token=token: is_ours(p) and p["path"] == token)  # type: ignore[misc]
    assert rules == before
