"""A challenge's path in an Ingress that somebody else owns: put in first, taken out so that nothing is left of it.

Pure: rules in, rules out, as plain JSON, so that fields unknown here survive. A path goes into the first rule of its host
that has paths already; else a rule of its own is added. So a rule that is empty after our path has gone was ours, and
nothing has to be written down about how it was before.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

Rule = dict[str, Any]


def with_path(rules: list[Rule], host: str, path: dict[str, Any]) -> list[Rule]:
    """``rules`` with ``path`` as the first one of ``host`` (empty: any host); equal to ``rules`` if it is there."""
    rules = without_paths(rules, lambda other: other.get("path") == path["path"] and other != path)
    if any(rule.get("host", "") == host and path in _paths(rule) for rule in rules):
        return rules
    for number, rule in enumerate(rules):
        if rule.get("host", "") == host and _paths(rule):
            return [*rules[:number], _with(rule, [path, *_paths(rule)]), *rules[number + 1 :]]
    return [*rules, {**({"host": host} if host else {}), "http": {"paths": [path]}}]


def without_paths(rules: list[Rule], is_ours: Callable[[dict[str, Any]], bool]) -> list[Rule]:
    """``rules`` without the paths that are ours, and without the rules that held nothing else."""
    kept: list[Rule] = []
    for rule in rules:
        paths = _paths(rule)
        left = [path for path in paths if not is_ours(path)]
        if left or not paths:
            kept.append(rule if len(left) == len(paths) else _with(rule, left))
    return kept


def _paths(rule: Rule) -> list[dict[str, Any]]:
    http = cast("dict[str, list[dict[str, Any]] | None]", rule.get("http") or {})
    return http.get("paths") or []


def _with(rule: Rule, paths: list[dict[str, Any]]) -> Rule:
    return {**rule, "http": {**rule["http"], "paths": paths}}
