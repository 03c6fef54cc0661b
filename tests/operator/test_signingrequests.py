"""Which CertificateSigningRequests are ours, and which wait."""

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from certwright.api import IssuerRef
from certwright.api.signingrequest import CertificateSigningRequest
from certwright.reconcile.signingrequests import duration_of
from certwright.signingrequests import SigningRequests, issuer_of
from certwright_issuers.contract import RequestRejected

CA = "issuers.cert-manager.io/ns.ca"


def request(version: int = 1, signer: str = CA, status: dict[str, Any] | None = None, **spec: Any) -> Any:
    """A request."""
    annotations = spec.pop("annotations", {})
    body = {
        "metadata": {"name": "x", "uid": "1", "resourceVersion": str(version), "annotations": annotations},
        "spec": {"signerName": signer, **spec},
        "status": status or {},
    }
    return msgspec.convert(body, type=CertificateSigningRequest, strict=False)


@pytest.mark.parametrize(
    ("name", "found"),
    [
        (CA, (IssuerRef(name="ca", kind="Issuer"), "ns")),
        ("issuers.cert-manager.io/ns.ca.with.dots", (IssuerRef(name="ca.with.dots", kind="Issuer"), "ns")),
        ("clusterissuers.cert-manager.io/ca.x", (IssuerRef(name="ca.x", kind="ClusterIssuer"), "")),
        ("issuers.cert-manager.io/ca", None),
        ("issuers.cert-manager.io/.ca", None),
        ("issuers.cert-manager.io/ns.", None),
        ("clusterissuers.cert-manager.io/", None),
        ("fooissuers.cert-manager.io/ns.ca", None),
        ("kubernetes.io/kubelet-serving", None),
        ("issuers.cert-manager.io", None),
    ],
)
def test_names_of_signers(name: str, found: tuple[IssuerRef, str] | None) -> None:
    """The namespace ends at the first dot: it can't have one."""
    assert issuer_of(name) == found


def test_only_what_waits_is_kept() -> None:
    """Settled requests, older versions and other signers' are not."""
    held = SigningRequests("")
    assert held.put(request(2))
    assert not held.put(request(1))
    assert not held.put(request(3, status={"certificate": "eA=="}))
    assert held.names() == set()
    for status in ({"conditions": [{"type": "Failed"}]}, {"conditions": [{"type": "Denied"}]}):
        assert not held.put(request(4, status=status))
    assert not held.put(request(5, signer="kubernetes.io/kubelet-serving"))
    assert held.put(request(6, status={"conditions": [{"type": "Approved"}]}))


def test_one_namespace_means_its_issuers_alone() -> None:
    """With --namespace."""
    held = SigningRequests("ns")
    assert held.put(request())
    assert not held.put(request(2, signer="issuers.cert-manager.io/other.ca"))
    assert not held.put(request(3, signer="clusterissuers.cert-manager.io/ca"))


@pytest.mark.parametrize(
    ("annotation", "seconds", "found"),
    [
        ("", None, timedelta(days=90)),
        ("", 3600, timedelta(hours=1)),
        ("10m", 3600, timedelta(minutes=10)),
        ("9m59s", None, "InvalidDuration"),
        ("-1h", None, "InvalidDuration"),
        ("ten", None, "ErrorParseDuration"),
    ],
)
def test_durations(annotation: str, seconds: int | None, found: timedelta | str) -> None:
    """By annotation, else by expirationSeconds; at least 600 s."""
    annotations = {"experimental.cert-manager.io/request-duration": annotation} if annotation else {}
    asked = request(annotations=annotations, expirationSeconds=seconds)
    if isinstance(found, timedelta):
        assert duration_of(asked) == found
        return
    with pytest.raises(RequestRejected) as refused:
        duration_of(asked)
    assert refused.value.reason == found
