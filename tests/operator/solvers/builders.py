"""Challenges for the tests of solvers."""

from typing import Any

import msgspec

from certwright.api import Challenge

THUMBPRINT = "LPJNul-wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ"


def challenge(
    name: str = "www.example.com",
    token: str = "token-1",  # noqa: S107 (no secret)
    *,
    uid: str = "5b1e6d3c-uid",
    namespace: str = "ns",
    object_name: str = "c-1",
    ingress: dict[str, Any] | None = None,
    status: dict[str, Any] | None = None,
    **spec: Any,
) -> Challenge:
    """An HTTP-01 challenge as the operator makes them."""
    body: dict[str, Any] = {
        "metadata": {"name": object_name, "namespace": namespace, "uid": uid},
        "spec": {
            "dnsName": name,
            "token": token,
            "key": f"{token}.{THUMBPRINT}",
            "type": "HTTP-01",
            "solver": {"http01": {"ingress": ingress or {}}},
            **spec,
        },
        "status": status or {},
    }
    return msgspec.convert(body, Challenge)
