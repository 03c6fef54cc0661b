"""A policy approver in a process of its own, with certwright's own approver off."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from certwright_issuers.csr import RequestSpec, build_csr
from devcluster import Cluster
from tests.e2e.harness import Kubectl, Operator, condition, in_place_of, is_true
from tests.e2e.test_certificates import SELF_SIGNED, certificate
from tests.e2e.test_requests import KEY, ready_reason, request
from tests.e2e.thirdparty import IMPATIENT, REF, failed_once, sample, third_party

NO_APPROVER = "--controllers=*,-certificaterequests-approver"
FORBIDDEN = build_csr(RequestSpec(dns_names=("a.forbidden.test",)), KEY)


@pytest.fixture(scope="module", autouse=True)
def policed(
    cluster: Cluster, operator: Operator, operator_kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """An operator whose approver is off, and the external one."""
    folder = tmp_path_factory.mktemp("policed")
    with (
        in_place_of(operator, cluster, operator_kubeconfig, folder / "operator.log", IMPATIENT, NO_APPROVER),
        third_party(cluster, "approver", folder),
    ):
        yield


def test_an_external_approver_decides_without_a_race(kubectl: Kubectl) -> None:
    """Forty requests at once, half of them forbidden: not one of these is ever approved or signed."""
    kubectl.apply(SELF_SIGNED)
    kubectl.wait_ready("self-signed", kind="issuer")
    good = [certificate(f"good-{n}", dnsNames=[f"w{n}.example.test"]) for n in range(20)]
    bad = [certificate(f"bad-{n}", dnsNames=[f"w{n}.forbidden.test"]) for n in range(20)]
    kubectl.apply(*(obj for pair in zip(good, bad, strict=True) for obj in pair))
    for obj in good:
        kubectl.wait_ready(obj["metadata"]["name"], seconds=40)
    for obj in bad:
        kubectl.wait("certificate", obj["metadata"]["name"], failed_once, seconds=40)
    for found in kubectl.all("certificaterequest"):
        is_good = found["metadata"]["name"].startswith("good-")
        assert is_true(found, "Approved") is is_good
        assert ("certificate" in (found.get("status") or {})) is is_good
        if is_good:
            assert condition(found, "Approved")["reason"] == "SamplePolicy"  # type: ignore[index]
    secrets = {
        secret["metadata"]["name"] for secret in kubectl.all("secret", "--field-selector=type=kubernetes.io/tls")
    }
    assert secrets == {f"good-{n}-tls" for n in range(20)}


def test_a_denial_says_why(kubectl: Kubectl) -> None:
    """On the request, with failureTime, and on the Certificate."""
    kubectl.apply(SELF_SIGNED, certificate(dnsNames=["web.forbidden.test"]))
    failed = kubectl.wait("certificate", "web", failed_once)
    issuing = condition(failed, "Issuing")
    assert issuing is not None
    assert issuing["reason"] == "SamplePolicy"
    assert "names under forbidden.test: web.forbidden.test" in issuing["message"]
    kubectl.apply(certificate(dnsNames=["web.example.test"]))
    kubectl.wait_ready("web")


def test_approver_and_issuer_together(cluster: Cluster, kubectl: Kubectl, tmp_path: Path) -> None:
    """certwright only asks: one third party approves, the other signs."""
    with third_party(cluster, "issuer", tmp_path):
        kubectl.apply(sample(), certificate(issuer=REF), request("bad", issuer=REF, csr=FORBIDDEN))
        kubectl.wait_ready("web")
        denied = kubectl.wait("certificaterequest", "bad", lambda r: ready_reason(r) == "Denied")
    assert denied["status"]["failureTime"]
    assert "certificate" not in denied["status"]
