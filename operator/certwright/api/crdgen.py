"""The CRDs in ``crds/``, made from the models: ``python -m certwright.api.crdgen [--check] DIR``.

A field's Python type gives its schema type, its :class:`~certwright.api.meta.Doc` the rest. Only needed to develop: PyYAML
is not among the run-time dependencies.
"""

from __future__ import annotations

import argparse
import difflib
import functools
import sys
import types
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml

from certwright import __version__
from certwright.api import Certificate, CertificateRequest, Challenge, ClusterIssuer, Issuer, Order
from certwright.api.groups import (
    CERTIFICATE,
    CERTIFICATE_REQUEST,
    CHALLENGE,
    CLUSTER_ISSUER,
    ISSUER,
    ORDER,
    VERSION,
    Kind,
)
from certwright.api.meta import Doc, Model, Rule

HEADER = "# Made by `make generate` from the models in operator/certwright/api. Change those instead.\n"

Schema = dict[str, Any]

_SCALARS: dict[Any, Schema] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    bytes: {"type": "string", "format": "byte"},
    datetime: {"type": "string", "format": "date-time"},
    Any: {"x-kubernetes-preserve-unknown-fields": True},
}


def _condition(type_: str, field: str) -> str:
    return f'.status.conditions[?(@.type == "{type_}")].{field}'


_READY = ("Ready", _condition("Ready", "status"), 0)
_STATUS = ("Status", _condition("Ready", "message"), 1)
_STATE = ("State", ".status.state", 0)
_REASON = ("Reason", ".status.reason", 1)
_AGE = ("Age", ".metadata.creationTimestamp", 0)

#: What ``kubectl get`` shows: name, path, priority (1: only with ``-o wide``).
_COLUMNS: dict[Kind, tuple[tuple[str, str, int], ...]] = {
    CERTIFICATE: (
        _READY,
        ("Secret", ".spec.secretName", 0),
        ("Issuer", ".spec.issuerRef.name", 1),
        _STATUS,
        ("Expiration", ".status.notAfter", 1),
        _AGE,
    ),
    CERTIFICATE_REQUEST: (
        ("Approved", _condition("Approved", "status"), 0),
        ("Denied", _condition("Denied", "status"), 0),
        _READY,
        ("Issuer", ".spec.issuerRef.name", 0),
        ("Requester", ".spec.username", 0),
        _STATUS,
        _AGE,
    ),
    ISSUER: (_READY, _STATUS, _AGE),
    CLUSTER_ISSUER: (_READY, _STATUS, _AGE),
    ORDER: (_STATE, ("Issuer", ".spec.issuerRef.name", 1), _REASON, _AGE),
    CHALLENGE: (_STATE, ("Domain", ".spec.dnsName", 0), _REASON, _AGE),
}

_MODELS: dict[Kind, type[Model]] = {
    CERTIFICATE: Certificate,
    CERTIFICATE_REQUEST: CertificateRequest,
    ISSUER: Issuer,
    CLUSTER_ISSUER: ClusterIssuer,
    ORDER: Order,
    CHALLENGE: Challenge,
}

#: Kinds whose schema requires metadata; nothing is gained by it, but it is what the API has.
_METADATA_REQUIRED = (ORDER, CHALLENGE)


def crd(kind: Kind) -> Schema:
    """The CustomResourceDefinition of a kind."""
    version: Schema = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": _root(kind)},
        "subresources": {"status": {}},
        "additionalPrinterColumns": [
            _without_zero(
                {"name": name, "type": "date" if name == "Age" else "string", "jsonPath": path, "priority": priority}
            )
            for name, path, priority in _COLUMNS[kind]
        ],
    }
    if "issuerRef" in version["schema"]["openAPIV3Schema"]["properties"]["spec"]["properties"]:
        version["selectableFields"] = [{"jsonPath": f".spec.issuerRef.{field}"} for field in ("group", "kind", "name")]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "labels": {
                "app.kubernetes.io/name": "cert-manager",
                "app.kubernetes.io/part-of": "cert-manager",
                "app.kubernetes.io/component": "crds",
                "app.kubernetes.io/version": f"v{__version__}",
            },
        },
        "spec": {
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": _names(kind),
            "versions": [version],
        },
    }


@functools.cache
def render(kind: Kind) -> str:
    """The file of a kind."""
    return HEADER + yaml.safe_dump(crd(kind), sort_keys=False, allow_unicode=True, width=120)


def file_name(kind: Kind) -> str:
    """The name of that file."""
    return f"{kind.group}_{kind.plural}.yaml"


def _names(kind: Kind) -> Schema:
    names: Schema = {
        "kind": kind.name,
        "listKind": f"{kind.name}List",
        "plural": kind.plural,
        "singular": kind.singular,
    }
    if kind.short_names:
        names["shortNames"] = list(kind.short_names)
    names["categories"] = list(kind.categories)
    return names


def _without_zero(column: Schema) -> Schema:
    return {key: value for key, value in column.items() if value != 0}


def _root(kind: Kind) -> Schema:
    """The schema of the whole object. The API server adds apiVersion, kind and metadata by itself."""
    model = _MODELS[kind]
    schema: Schema = {"description": (model.__doc__ or "").strip()} | _object(model, leave_out=("metadata",))
    if kind in _METADATA_REQUIRED:
        schema["required"] = ["metadata", *schema.get("required", [])]
    return schema


def _object(model: type[Model], leave_out: Iterable[str] = ()) -> Schema:
    hints = get_type_hints(model, include_extras=True)
    schema: Schema = {"type": "object", "properties": {}}
    required: list[str] = []
    for field in msgspec.structs.fields(model):
        if field.encode_name in leave_out:
            continue
        type_, doc = _noted(model, field.name, hints[field.name])
        schema["properties"][field.encode_name] = _property(type_, doc)
        if doc.required:
            required.append(field.encode_name)
    if required:
        schema["required"] = required
    if model.RULES:
        schema["x-kubernetes-validations"] = _rules(model.RULES)
    return schema


def _noted(model: type[Model], name: str, hint: Any) -> tuple[Any, Doc]:
    """A field's type, without None, and its Doc."""
    if get_origin(hint) is Annotated:
        type_, *notes = get_args(hint)
        for note in notes:
            if isinstance(note, Doc):
                return _not_none(type_), note
    raise TypeError(f"{model.__name__}.{name} has no Doc")


def _not_none(type_: Any) -> Any:
    if get_origin(type_) in {types.UnionType, Union}:
        (inner,) = (arg for arg in get_args(type_) if arg is not types.NoneType)
        return inner
    return type_


def _property(type_: Any, doc: Doc) -> Schema:
    schema: Schema = {"description": doc.text} | _type_schema(type_, doc.without)
    for key, value in doc.schema.items():
        schema[key] = schema["items"] | value if key == "items" else value
    if doc.rules:
        schema["x-kubernetes-validations"] = [*schema.get("x-kubernetes-validations", []), *_rules(doc.rules)]
    return schema


def _type_schema(type_: Any, leave_out: Iterable[str] = ()) -> Schema:
    if type_ in _SCALARS:
        return dict(_SCALARS[type_])
    origin, args = get_origin(type_), get_args(type_)
    if origin is tuple:
        return {"type": "array", "items": _type_schema(args[0], leave_out), "x-kubernetes-list-type": "atomic"}
    if origin is dict:
        if args[1] is Any:
            return {"type": "object"}
        return {"type": "object", "additionalProperties": _type_schema(args[1])}
    if isinstance(type_, type) and issubclass(type_, Model):
        return _object(type_, leave_out)
    raise TypeError(f"{type_} has no schema")


def _rules(rules: Iterable[Rule]) -> list[Schema]:
    found: list[Schema] = []
    for rule in rules:
        entry: Schema = {"rule": rule.cel, "message": rule.message}
        if rule.field:
            entry["fieldPath"] = rule.field
        entry["reason"] = rule.reason
        found.append(entry)
    return found


def _drift(folder: Path, wanted: dict[str, str]) -> list[str]:
    """What differs between the folder and what belongs there, as lines to print."""
    lines: list[str] = []
    for name, text in wanted.items():
        path = folder / name
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        diff = list(difflib.unified_diff(old.splitlines(), text.splitlines(), str(path), "models", lineterm="", n=1))
        if diff:
            changed = sum(line.startswith(("+", "-")) for line in diff[2:])
            lines += [f"{path}: {changed} lines differ", *diff[:40]]
    lines += [f"{path}: not made from any model" for path in sorted(folder.glob("*.yaml")) if path.name not in wanted]
    return lines


def main(argv: list[str] | None = None) -> int:
    """Write the CRDs, or with ``--check`` compare them and return 1 when they differ."""
    parser = argparse.ArgumentParser(prog="python -m certwright.api.crdgen", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the CRDs are, one file per kind")
    parser.add_argument("--check", action="store_true", help="write nothing; fail when a file is not up to date")
    options = parser.parse_args(argv)
    wanted = {file_name(kind): render(kind) for kind in _MODELS}
    if options.check:
        lines = _drift(options.folder, wanted)
        if lines:
            sys.stdout.write("\n".join([*lines, "`make generate` writes them anew.", ""]))
        return 1 if lines else 0
    options.folder.mkdir(parents=True, exist_ok=True)
    for name, text in wanted.items():
        (options.folder / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
