"""The CRDs against the tables of the API: names, and every field row, in both directions.

``data/crd-fields.tsv`` and ``data/crd-meta.tsv`` hold facts about the API's fields (types, enums, defaults, bounds, list
types). The rows below a ``podTemplate`` are excepted: it is an open object here.
"""

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from certwright.api.crdgen import crd, file_name, main, render
from certwright.api.groups import KINDS

DATA = Path(__file__).parent / "data"
CRDS = Path(__file__).parents[3] / "crds"
GENERATED = {name: crd(kind) for name, kind in KINDS.items()}

#: The keywords of the column format/min/max, in the order in which the table has them.
KEYWORDS = (
    ("format", "format"),
    ("minLength", "minLength"),
    ("minimum", "minimum"),
    ("maxLength", "maxLength"),
    ("maximum", "maximum"),
    ("pattern", "pattern"),
    ("x-kubernetes-list-type", "list-type"),
    ("x-kubernetes-list-map-keys", "list-map-keys"),
)

Row = tuple[str, str, str, str, str, str]


def table(name: str) -> list[dict[str, str]]:
    """A table as dicts."""
    with (DATA / name).open(encoding="utf-8") as lines:
        return list(csv.DictReader(lines, delimiter="\t", quoting=csv.QUOTE_NONE))


def schema_of(kind: str) -> dict[str, Any]:
    """The schema of a kind's only version."""
    (version,) = GENERATED[kind]["spec"]["versions"]
    schema: dict[str, Any] = version["schema"]["openAPIV3Schema"]
    return schema


def nodes(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, dict[str, Any], bool]]:
    """Path, schema and requiredness of each field below a schema."""
    for name, node in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        yield here, node, name in schema.get("required", [])
        yield from nodes(node, here)
        yield from nodes(node.get("items", {}), here + "[]")


def type_of(node: dict[str, Any]) -> str:
    """The table's word for a type."""
    if "type" not in node:
        return "any(preserve-unknown)" if node.get("x-kubernetes-preserve-unknown-fields") else "any"
    if node["type"] == "array":
        return f"array<{type_of(node['items'])}>"
    if "additionalProperties" in node:
        return f"map<string,{node['additionalProperties']['type']}>"
    return str(node["type"])


def row_of(path: str, node: dict[str, Any], *, required: bool) -> Row:
    """A field as a row of the table."""
    keywords = [
        f"{word}={json.dumps(node[key]) if isinstance(node[key], list) else node[key]}"
        for key, word in KEYWORDS
        if key in node
    ]
    if path == "spec.venafi":
        keywords += [f"CEL{[rule['rule'] for rule in node['x-kubernetes-validations']]}".replace("'", "")]
    enum = node.get("enum") or node.get("items", {}).get("enum", [])
    default = json.dumps(node["default"]) if "default" in node else ""
    return (path, type_of(node), "|".join(enum), default, ";".join(keywords), "yes" if required else "no")


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_as_in_the_table_and_no_other_exists(kind: str) -> None:
    """Types, enums, defaults, bounds, list types and requiredness agree, row by row."""
    wanted = {
        row["path"]: (row["path"], row["type"], row["enum"], row["default"], row["format/min/max"], row["required"])
        for row in table("crd-fields.tsv")
        if row["kind"] == kind and ".podTemplate." not in row["path"]
    }
    found = {path: row_of(path, node, required=required) for path, node, required in nodes(schema_of(kind))}
    problems = [f"missing: {path}" for path in wanted.keys() - found.keys()]
    problems += [f"not in the API: {path}" for path in found.keys() - wanted.keys()]
    problems += [
        f"{path}: {column} is {is_!r}, not {should!r}"
        for path in wanted.keys() & found.keys()
        for column, is_, should in zip(
            ("path", "type", "enum", "default", "format/min/max", "required"), found[path], wanted[path], strict=True
        )
        if is_ != should
    ]
    assert not problems, "\n".join(sorted(problems))


def test_the_field_table_is_whole() -> None:
    """A table cut short would let the comparison pass for nothing."""
    rows = table("crd-fields.tsv")
    assert {kind: sum(row["kind"] == kind for row in rows) for kind in KINDS} == {
        "Certificate": 99,
        "CertificateRequest": 23,
        "Issuer": 481,
        "ClusterIssuer": 481,
        "Order": 28,
        "Challenge": 392,
    }


def meta_rows(kind: str) -> list[tuple[str, str, str]]:
    """A generated CRD as rows of the table of names."""
    found = GENERATED[kind]
    spec = found["spec"]
    names = spec["names"]
    (version,) = spec["versions"]
    rows = [
        ("crd", found["metadata"]["name"], ""),
        ("group", spec["group"], ""),
        ("scope", spec["scope"], ""),
        ("plural", names["plural"], ""),
        ("singular", names["singular"], ""),
        ("listKind", names["listKind"], ""),
        ("shortNames", ",".join(names.get("shortNames", [])), ""),
        ("categories", ",".join(names["categories"]), ""),
        ("conversion", spec.get("conversion", '"none(default None strategy)"'), ""),
        ("version", version["name"], f"served={version['served']} storage={version['storage']} deprecated=False"),
        ("subresources", ",".join(version["subresources"]), ""),
        ("required-toplevel", ",".join(schema_of(kind).get("required", [])), ""),
    ]
    rows += [("selectableField", field["jsonPath"], "") for field in version.get("selectableFields", [])]
    rows += [
        (
            "printerColumn",
            column["name"],
            f"{column['jsonPath']} type={column['type']} priority={column.get('priority', 0)}",
        )
        for column in version["additionalPrinterColumns"]
    ]
    return rows


@pytest.mark.parametrize("kind", KINDS)
def test_names_columns_and_selectable_fields_are_as_in_the_table(kind: str) -> None:
    """What kubectl and other tools address the kinds by; the order of columns counts, that of other rows does not."""
    wanted = [(row["item"], row["value"], row["detail"] or "") for row in table("crd-meta.tsv") if row["kind"] == kind]
    found = meta_rows(kind)
    assert sorted(found) == sorted(wanted)
    columns = [row for row in wanted if row[0] == "printerColumn"]
    assert [row for row in found if row[0] == "printerColumn"] == columns


@pytest.mark.parametrize("kind", KINDS)
def test_every_field_is_described(kind: str) -> None:
    """`kubectl explain` has a sentence for each field, and for the kind."""
    schema = schema_of(kind)
    bare = [path for path, node, _ in nodes(schema) if not node.get("description", "").endswith((".", "."))]
    assert bare == []
    assert schema["description"].endswith(".")


@pytest.mark.parametrize("kind", KINDS)
def test_rules_say_what_is_wrong_and_point_at_fields_that_exist(kind: str) -> None:
    """Each rule has a message; the API server refuses a CRD whose rule names a path that is not there."""
    schema = schema_of(kind)
    for path, node in [("", schema), *((path, node) for path, node, _ in nodes(schema))]:
        for rule in node.get("x-kubernetes-validations", []):
            assert len(rule["message"]) > 10, path
            assert rule["reason"].startswith("FieldValue"), path
            inner = node
            for name in rule.get("fieldPath", "").split(".")[1:]:
                inner = inner["properties"][name]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_the_files_are_up_to_date(kind: Any) -> None:
    """What is committed is what the models give, byte for byte."""
    assert (CRDS / file_name(kind)).read_text(encoding="utf-8") == render(kind)


def test_labels_tell_the_version() -> None:
    """cmctl version reads it from the CRDs."""
    for generated in GENERATED.values():
        labels = generated["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "cert-manager"
        assert labels["app.kubernetes.io/version"].startswith("v")


def test_check_names_the_files_that_drifted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An edited, a missing and a foreign file are each named; a fresh folder passes."""
    assert main([str(tmp_path)]) == 0
    assert main(["--check", str(tmp_path)]) == 0
    orders, issuers = tmp_path / "acme.cert-manager.io_orders.yaml", tmp_path / "cert-manager.io_issuers.yaml"
    orders.write_text(orders.read_text().replace("Cluster", "Namespaced").replace("orders", "other", 1))
    issuers.unlink()
    (tmp_path / "foreign.yaml").write_text(yaml.safe_dump({}))
    assert main(["--check", str(tmp_path)]) == 1
    out = capsys.readouterr().out
    for name in (orders.name, issuers.name, "foreign.yaml", "make generate"):
        assert name in out
