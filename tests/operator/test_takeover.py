"""Certificates that cert-manager has issued are not issued again: its requests ask for what their specs ask for.

``data/cert-manager-requests.jsonl`` has specs, and the CSRs that cert-manager 1.20 (built with Go 1.26) made for them.
"""

import base64
import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from certwright.policies import request_violations
from certwright_issuers.csr import parse_csr
from certwright_issuers.matching import request_contradictions
from certwright_issuers.usages import DEFAULT_USAGES
from tests.operator.builders import certificate, request

ROWS: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parent / "data" / "cert-manager-requests.jsonl").read_text().splitlines()
]


def pem(row: dict[str, Any]) -> bytes:
    """The CSR of a row."""
    lines = base64.encodebytes(base64.b64decode(row["csr"]))
    return b"-----BEGIN CERTIFICATE REQUEST-----\n" + lines + b"-----END CERTIFICATE REQUEST-----\n"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row["name"])
def test_a_request_of_cert_manager_is_up_to_date(row: dict[str, Any]) -> None:
    """Nothing of it differs from the spec; we would sign it, too; and another name is noticed."""
    wanted = certificate(**{"dnsNames": [], **row["spec"]})
    found = request(wanted)
    found = msgspec.structs.replace(found, spec=msgspec.structs.replace(found.spec, request=pem(row)))
    assert request_violations(found, wanted) == ()
    facts = parse_csr(pem(row)).facts
    usages = wanted.spec.usages or DEFAULT_USAGES
    assert not request_contradictions(facts, usages, is_ca=bool(wanted.spec.is_ca))
    other = certificate(**{**row["spec"], "dnsNames": ["other.example.test"]})
    assert "spec.dnsNames" in request_violations(found, other)
