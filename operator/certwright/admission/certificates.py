"""What a Certificate's spec must be, element by element."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from certwright.api import CertificateSpec
from certwright.api.groups import ANNOTATION_ALLOW_DIRECT_INJECTION, GROUP
from certwright.schedules import is_schedule
from certwright_issuers.names import literal_der, subject_of

#: RFC 5322 section 3.4.1: a dot-atom or quoted string, @, a dot-atom or domain literal. No display name, no brackets.
_ATOM = r"[^\x00- \x7f<>()\[\],;:\\\"@.]+"
_EMAIL = re.compile(rf'({_ATOM}(\.{_ATOM})*|"([^"\\]|\\.)*")@({_ATOM}(\.{_ATOM})*|\[[^\[\]\\\x00- \x7f]+\])')
#: RFC 5280 section 4.2.1.6: not relative, so it begins with a scheme.
_URI = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[!-~]+")
_OID = re.compile(r"[0-2](\.[0-9]+)+")
_ZONE = re.compile(r"[A-Za-z0-9_+/-]+")
#: Names of labels and their values, and the prefixes of the former (Kubernetes' own syntax).
_WORD = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LONGEST_COMMON_NAME = 64


def certificate_errors(spec: CertificateSpec) -> list[str]:
    """Everything that is wrong with a spec that its schema lets pass."""
    return [
        *_names(spec),
        *_literal_subject(spec.literal_subject),
        *_constraints(spec),
        *_template(spec),
        *_renewal(spec),
    ]


def _names(spec: CertificateSpec) -> Iterator[str]:
    rows: tuple[tuple[str, str, Iterable[str], Callable[[str], bool]], ...] = (
        ("spec.ipAddresses", "an IP address", spec.ip_addresses, _is_ip),
        ("spec.emailAddresses", "a bare e-mail address", spec.email_addresses, lambda m: bool(_EMAIL.fullmatch(m))),
        ("spec.uris", "an absolute URI", spec.uris, _is_uri),
    )
    for field, what, values, is_good in rows:
        bad = [value for value in values if not is_good(value)]
        if bad:
            yield f"{field} holds something that is not {what}: {', '.join(bad)}"
    others = spec.other_names or ()
    oids = [other.oid for other in others if not _OID.fullmatch(other.oid)]
    if oids:
        quoted = '", "'.join(oids)
        yield f'spec.otherNames[].oid must be a dotted object identifier such as 1.3.6.1.4.1.311.20.2.3, not "{quoted}"'
    if not all(other.utf8_value for other in others):
        yield "spec.otherNames[].utf8Value must not be empty"


def _is_ip(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _is_uri(text: str) -> bool:
    try:
        urlsplit(text)
    except ValueError:
        return False
    return bool(_URI.fullmatch(text))


def _literal_subject(literal: str) -> Iterator[str]:
    if not literal:
        return
    try:
        common_name = subject_of(literal_der(literal))[1]
    except ValueError as error:
        yield f"spec.literalSubject must be an RFC 4514 name such as CN=site,O=Example: {error}"
        return
    if len(common_name.encode()) > LONGEST_COMMON_NAME:
        yield f"CN in spec.literalSubject must be at most {LONGEST_COMMON_NAME} bytes"


def _constraints(spec: CertificateSpec) -> Iterator[str]:
    limits = spec.name_constraints
    items = [item for item in (limits.permitted, limits.excluded) if item is not None] if limits else []
    bad = [cidr for item in items for cidr in item.ip_ranges if not _is_cidr(cidr)]
    if bad:
        yield f"spec.nameConstraints ipRanges hold something that is not a range in CIDR notation: {', '.join(bad)}"


def _is_cidr(text: str) -> bool:
    try:
        ipaddress.ip_network(text, strict=False)
    except ValueError:
        return False
    return re.search(r"/[0-9]+$", text) is not None


def _template(spec: CertificateSpec) -> Iterator[str]:
    if spec.secret_template is None:
        return
    bad = [
        f"{key}={value}"
        for key, value in spec.secret_template.labels.items()
        if not _is_label(key) or not (value == "" or _is_word(value))
    ]
    if bad:
        yield f"spec.secretTemplate.labels holds what is no valid label: {', '.join(bad)}"
    # In keys of annotations, unlike in those of labels, letter case does not count.
    strange = [f'"{key}"' for key in spec.secret_template.annotations if not _is_label(key.lower())]
    if strange:
        yield f"spec.secretTemplate.annotations holds what is no valid key of an annotation: {', '.join(strange)}"
    ours = [
        key
        for key in spec.secret_template.annotations
        if key.startswith(f"{GROUP}/") and key != ANNOTATION_ALLOW_DIRECT_INJECTION
    ]
    if ours:
        yield (
            f"spec.secretTemplate.annotations must not use keys of {GROUP}/ (except allow-direct-injection): "
            + ", ".join(ours)
        )


def _is_label(key: str) -> bool:
    prefix, slash, name = key.rpartition("/")
    return _is_word(name) and (not slash or (len(prefix) <= 253 and SUBDOMAIN.fullmatch(prefix) is not None))


def _is_word(text: str) -> bool:
    return len(text) <= 63 and _WORD.fullmatch(text) is not None


def _renewal(spec: CertificateSpec) -> Iterator[str]:
    windows = spec.renewal.windows if spec.renewal else ()
    bad = [window.cron for window in windows if not is_schedule(window.cron)]
    if bad:
        quoted = '", "'.join(bad)
        yield (
            "spec.renewal.windows[].cron must be five fields such as 0 2 * * 6, or a word such as @daily, "
            f'not "{quoted}"'
        )
    for window in windows:
        if window.timezone and not _is_zone(window.timezone):
            yield (
                "spec.renewal.windows[].timezone must be an IANA time zone such as Europe/Berlin: "
                f"unknown time zone {window.timezone}"
            )


def _is_zone(text: str) -> bool:
    if not _ZONE.fullmatch(text):
        return False
    try:
        ZoneInfo(text)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
