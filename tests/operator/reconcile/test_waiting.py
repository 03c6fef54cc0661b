"""Who is named when others take their time."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from certwright.api import CertificateRequest
from certwright.reconcile.waiting import GRACE, waits_for_others
from tests.operator.builders import NOW, certificate, request

OUTSIDE = {"name": "x", "kind": "FooIssuer", "group": "foo.example"}
APPROVED = {"type": "Approved", "status": "True"}


def made(ref: dict[str, str], *conditions: dict[str, str]) -> CertificateRequest:
    """A request that was made just now."""
    found = request(certificate(issuerRef=ref), status={"conditions": list(conditions)})
    return msgspec.structs.replace(found, metadata=msgspec.structs.replace(found.metadata, creation_timestamp=NOW))


def ready(reason: str, message: str) -> dict[str, str]:
    """The issuer's word."""
    return {"type": "Ready", "status": "False", "reason": reason, "message": message}


@pytest.mark.parametrize(
    ("ref", "conditions", "words"),
    [
        ({"name": "ca"}, [], 'CertificateRequest "web-1" has been neither approved nor denied'),
        (OUTSIDE, [], 'CertificateRequest "web-1" has been neither approved nor denied'),
        ({"name": "ca"}, [APPROVED], ""),
        ({"name": "ca"}, [APPROVED, ready("Pending", "soon")], ""),
        (
            OUTSIDE,
            [APPROVED],
            'CertificateRequest "web-1" has not been answered by the controller of FooIssuer "x" of foo.example',
        ),
        (OUTSIDE, [APPROVED, ready("Pending", "asks its CA")], 'CertificateRequest "web-1": asks its CA'),
        (OUTSIDE, [{"type": "Denied", "status": "True"}], ""),
    ],
)
def test_who_is_named(ref: dict[str, str], conditions: list[dict[str, Any]], words: str) -> None:
    """Not before they have had a fair chance: each naming is a write."""
    asked = made(ref, *conditions)
    assert waits_for_others(asked, NOW + GRACE) == words
    assert waits_for_others(asked, NOW + GRACE - timedelta(microseconds=1)) == ""
