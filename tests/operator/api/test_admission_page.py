"""docs/admission.md and the policies in deploy/: complete, and in step with the tests against a real API server."""

import importlib
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "admission.md").read_text(encoding="utf-8")
MODULES: list[ModuleType] = [
    importlib.import_module(f"tests.e2e.test_{name}")
    for name in ("admission_certificates", "admission_issuers", "admission_requests", "admission_acme", "webhook")
]
#: Functions that the page may name besides.
OTHERS: list[ModuleType] = [importlib.import_module(f"tests.e2e.test_{name}") for name in ("requests", "hostile")]
POLICIES: list[dict[str, Any]] = [
    document
    for path in sorted((ROOT / "deploy").glob("admission-*.yaml"))
    for document in yaml.load_all(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
]
VALIDATING = [policy for policy in POLICIES if policy["kind"] == "ValidatingAdmissionPolicy"]


def proofs() -> set[str]:
    """What the last columns of the page's tables name."""
    cells = [line.rsplit("|", 2)[1] for line in PAGE.splitlines() if line.startswith("| ") and line.endswith("|")]
    return {word for cell in cells for word in re.findall(r"`([a-z0-9_-]+)`", cell)}


def test_every_proof_that_the_page_names_exists() -> None:
    """A row of a table, or a test function."""
    known = {name for module in MODULES for name in module.TABLE}
    known |= {name for module in (*MODULES, *OTHERS) for name in vars(module)}
    assert proofs() - known == set()


def test_every_refusal_that_is_tested_is_on_the_page() -> None:
    """A rule that is tested but not told would be a surprise to users."""
    refusals = {name for module in MODULES for name, (_, parts) in module.TABLE.items() if parts}
    assert refusals - proofs() == set()


def test_names_of_rows_are_unique() -> None:
    """So that the page can name a row alone."""
    names = [name for module in MODULES for name in module.TABLE]
    assert len(names) == len(set(names))


def test_each_policy_is_bound_and_denies() -> None:
    """A policy without a binding does nothing."""
    bindings = {
        policy["spec"]["policyName"]: policy["spec"].get("validationActions", ["Deny"])
        for policy in POLICIES
        if policy["kind"].endswith("Binding")
    }
    assert bindings == {
        policy["metadata"]["name"]: ["Deny"] for policy in POLICIES if not policy["kind"].endswith("Binding")
    }


@pytest.mark.parametrize("policy", VALIDATING, ids=lambda policy: policy["metadata"]["name"])
def test_each_validation_names_a_field_and_fails_closed(policy: dict[str, Any]) -> None:
    """Every refusal has words that begin with the field; an error refuses; exempt namespaces are left alone."""
    spec = policy["spec"]
    assert spec["failurePolicy"] == "Fail"
    selector = spec["matchConstraints"]["namespaceSelector"]["matchExpressions"]
    assert selector == [{"key": "cert-manager.io/disable-validation", "operator": "NotIn", "values": ["true"]}]
    for validation in spec["validations"]:
        assert re.match(r"(CN in )?(spec|status|metadata)\.", validation["message"])


def test_no_expression_asks_the_authorizer_twice() -> None:
    """Each check costs 350 thousand of the million that an expression may cost; two fit, three are an error."""
    for policy in VALIDATING:
        expressions = [
            item["expression"] for key in ("variables", "validations") for item in policy["spec"].get(key, [])
        ]
        assert max(expression.count(".check(") for expression in expressions) <= 1


def test_identity_is_written_in_every_namespace() -> None:
    """The label exempts from validation only."""
    (mutating,) = (policy for policy in POLICIES if policy["kind"] == "MutatingAdmissionPolicy")
    assert "namespaceSelector" not in mutating["spec"]["matchConstraints"]
    assert mutating["spec"]["failurePolicy"] == "Fail"
