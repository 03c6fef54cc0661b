"""Annotations of an Ingress to fields of a Certificate's spec: one row of :data:`FIELDS` each (contract section 4.1).

The parser is total: whatever the annotations hold, it answers with fields or with what is wrong in words.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from certwright.api import CertificateSpec
from certwright.api import groups as names
from certwright.api.certificate import KEY_USAGES
from certwright.api.duration import format_go_duration, parse_go_duration
from certwright_issuers.keys import CURVES, RSA_SIZES
from certwright_issuers.names import read_csv_line
from certwright_issuers.sans import canonical_ip

INT32_MAX = 2**31 - 1
#: RFC 5280 appendix A, ub-common-name; in bytes, as in the CRD.
COMMON_NAME_LIMIT = 64
#: Longer problems are cut in the middle, in characters: at their ends stand the annotation and what is wrong.
PROBLEM_LIMIT = 600
#: What is wrong with an address beyond this, admission says.
_BARE_ADDRESS = re.compile(r"[^\s<>]+@[^\s<>@]+")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")

#: What became of annotations: fields of the spec, or what is wrong with them.
Translation = tuple[CertificateSpec, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Field:
    """An annotation and the field it fills. ``parse`` raises ValueError with what is wrong; empty values fill nothing."""

    annotation: str
    path: tuple[str, ...]
    parse: Callable[[str], Any]


class _Template(msgspec.Struct, forbid_unknown_fields=True):
    annotations: dict[str, str] | None = None
    labels: dict[str, str] | None = None


def translate(annotations: Mapping[str, str]) -> Translation:
    """The fields of a Certificate's spec that annotations decide, and what is wrong with those left out."""
    spec: dict[str, Any] = {}
    problems: list[str] = []
    for field in FIELDS:
        text = annotations.get(field.annotation)
        if text is None:
            continue
        try:
            value = field.parse(text)
        except ValueError as error:
            problems.append(_shortened(f"{field.annotation}: {error}"))
            continue
        if value:
            _set(spec, field.path, value)
    problems += _key_size_problems(spec.get("privateKey", {}))
    return msgspec.convert(spec, CertificateSpec), tuple(problems)


def _set(spec: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    *parents, last = path
    for name in parents:
        spec = spec.setdefault(name, {})
    spec[last] = value


def _shortened(problem: str) -> str:
    half = PROBLEM_LIMIT // 2
    return problem if len(problem) <= PROBLEM_LIMIT else f"{problem[: half - 5]} ... {problem[5 - half :]}"


def _key_size_problems(key: Mapping[str, Any]) -> list[str]:
    """Which sizes there are depends on the algorithm; Ed25519 has one and ignores the field."""
    size, algorithm = key.get("size"), key.get("algorithm", "RSA")
    if size is None or algorithm == "Ed25519":
        return []
    if algorithm == "ECDSA":
        fits, allowed = size in CURVES, "256, 384 or 521"
    else:
        fits, allowed = size in RSA_SIZES, f"{RSA_SIZES[0]} to {RSA_SIZES[-1]}"
    return [] if fits else [f"{names.ANNOTATION_PRIVATE_KEY_SIZE}: {size} is not a size of {algorithm} keys: {allowed}"]


def unique(values: tuple[str, ...]) -> tuple[str, ...]:
    """Without repetitions, in order."""
    return tuple(dict.fromkeys(values))


def _plain(text: str) -> str:
    return text


def _words(text: str) -> tuple[str, ...]:
    """A list by commas; spaces around its members and empty ones are nothing."""
    return unique(tuple(word for part in text.split(",") if (word := part.strip())))


def _common_name(text: str) -> str:
    if len(text.encode()) > COMMON_NAME_LIMIT:
        raise ValueError(f"{text!r} has more than {COMMON_NAME_LIMIT} bytes")
    return text


def _ip_addresses(text: str) -> tuple[str, ...]:
    for word in (words := _words(text)):
        try:
            canonical_ip(word)
        except ValueError as error:
            raise ValueError(f"{word!r} is not an IP address") from error
    return words


def _email_addresses(text: str) -> tuple[str, ...]:
    for word in (words := _words(text)):
        if not _BARE_ADDRESS.fullmatch(word):
            raise ValueError(f"{word!r} is not a bare e-mail address such as ops@example.com")
    return words


def _subject_values(text: str) -> tuple[str, ...]:
    """Spaces are part of a value, as in the records of RFC 4180."""
    return tuple(value for value in read_csv_line(text) if value)


def _usages(text: str) -> tuple[str, ...]:
    words = unique(tuple(part.strip() for part in text.split(",")))
    for word in words:
        if word not in KEY_USAGES:
            raise ValueError(f"{word!r} is not a key usage: {', '.join(KEY_USAGES)}")
    return words


def _duration(least: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        value = parse_go_duration(text)
        if value < parse_go_duration(least):
            raise ValueError(f"{text!r} is less than {least}")
        # As Go writes it, so that a Certificate that cert-manager made reads the same.
        return format_go_duration(value)

    return parse


def _integer(least: int, most: int = INT32_MAX) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not _INTEGER.fullmatch(text) or not least <= int(text) <= most:
            raise ValueError(f"{text!r} is not a whole number from {least} to {most}")
        return int(text)

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is not one of {', '.join(words)}")
        return text

    return parse


def _secret_template(text: str) -> dict[str, Any]:
    try:
        template = msgspec.json.decode(text, type=_Template)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise ValueError(f"not a JSON object with annotations and labels, of text each: {error}") from error
    for key in (*(template.annotations or ()), *(template.labels or ())):
        if key.startswith(f"{names.GROUP}/"):
            raise ValueError(f"{key!r} can't be set: keys that begin with {names.GROUP}/ are certwright's own")
    return {name: value for name, value in msgspec.structs.asdict(template).items() if value}


_SUBJECT_LISTS = (
    "organizations",
    "organizationalUnits",
    "countries",
    "provinces",
    "localities",
    "postalCodes",
    "streetAddresses",
)

FIELDS: tuple[Field, ...] = (
    Field(names.ANNOTATION_COMMON_NAME, ("commonName",), _common_name),
    Field(names.ANNOTATION_ALT_NAMES, ("dnsNames",), _words),
    Field(names.ANNOTATION_IP_SANS, ("ipAddresses",), _ip_addresses),
    Field(names.ANNOTATION_EMAIL_SANS, ("emailAddresses",), _email_addresses),
    *(
        Field(f"{names.ANNOTATION_SUBJECT_PREFIX}{name.lower()}", ("subject", name), _subject_values)
        for name in _SUBJECT_LISTS
    ),
    Field(f"{names.ANNOTATION_SUBJECT_PREFIX}serialnumber", ("subject", "serialNumber"), _plain),
    Field(names.ANNOTATION_DURATION, ("duration",), _duration("1h")),
    Field(names.ANNOTATION_RENEW_BEFORE, ("renewBefore",), _duration("5m")),
    Field(names.ANNOTATION_RENEW_BEFORE_PERCENTAGE, ("renewBeforePercentage",), _integer(1, 99)),
    Field(names.ANNOTATION_USAGES, ("usages",), _usages),
    Field(names.ANNOTATION_REVISION_HISTORY_LIMIT, ("revisionHistoryLimit",), _integer(1)),
    Field(names.ANNOTATION_PRIVATE_KEY_ALGORITHM, ("privateKey", "algorithm"), _one_of("RSA", "ECDSA", "Ed25519")),
    Field(names.ANNOTATION_PRIVATE_KEY_ENCODING, ("privateKey", "encoding"), _one_of("PKCS1", "PKCS8")),
    Field(names.ANNOTATION_PRIVATE_KEY_SIZE, ("privateKey", "size"), _integer(1)),
    Field(names.ANNOTATION_PRIVATE_KEY_ROTATION_POLICY, ("privateKey", "rotationPolicy"), _one_of("Never", "Always")),
    Field(names.ANNOTATION_SECRET_TEMPLATE, ("secretTemplate",), _secret_template),
)
