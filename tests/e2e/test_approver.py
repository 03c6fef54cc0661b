"""The built-in approver: what its flags and its permissions make of it."""

import time
from pathlib import Path

from devcluster import Cluster
from tests.e2e.harness import Kubectl, Operator, condition, in_place_of
from tests.e2e.test_certificates import SELF_SIGNED, certificate
from tests.e2e.test_requests import set_condition


def test_only_named_signers_are_approved(
    cluster: Cluster, operator: Operator, operator_kubeconfig: Path, kubectl: Kubectl, tmp_path: Path
) -> None:
    """--approve-signer-names narrows the built-in approver: what it does not name waits for somebody else."""
    flag = f"--approve-signer-names=issuers.cert-manager.io/{kubectl.namespace}.self-signed"
    other = {**SELF_SIGNED, "metadata": {"name": "other"}}
    with in_place_of(operator, cluster, operator_kubeconfig, tmp_path / "log", flag):
        kubectl.apply(SELF_SIGNED, other, certificate("yes"), certificate("no", issuer={"name": "other"}))
        kubectl.wait_ready("yes")
        told = kubectl.wait_event("no-1", "WaitingForApproval")["message"]
        assert told == "Not signing CertificateRequest until it is Approved"
        assert condition(kubectl.get("certificaterequest", "no-1") or {}, "Approved") is None
        waiting = kubectl.wait("certificate", "no", lambda c: "Waiting:" in str(condition(c, "Issuing")))
        words = '. Waiting: CertificateRequest "no-1" has been neither approved nor denied'
        assert condition(waiting, "Issuing")["message"].endswith(words)  # type: ignore[index]
        set_condition(kubectl, "no-1", "Approved")
        kubectl.wait_ready("no")


def test_a_permission_decides_what_is_approved(
    cluster: Cluster, operator: Operator, operator_kubeconfig: Path, kubectl: Kubectl, tmp_path: Path
) -> None:
    """RBAC alone narrows it, too: without the verb approve nothing is approved, nothing fails, and another may."""
    binding = ("clusterrolebinding", "certwright-approve")
    saved = cluster.kubectl("get", *binding, "-o", "yaml").stdout
    cluster.kubectl("delete", *binding)
    try:
        time.sleep(0.5)  # until the API server's own watch has seen it
        with in_place_of(operator, cluster, operator_kubeconfig, tmp_path / "log") as running:
            kubectl.apply(SELF_SIGNED, certificate())
            told = kubectl.wait_event("web-1", "WaitingForApproval")["message"]
            assert "issuers.cert-manager.io/*" in told
            set_condition(kubectl, "web-1", "Approved")
            kubectl.wait_ready("web")
            assert "not permitted" not in running.log.read_text()
    finally:
        cluster.kubectl("create", "-f", "-", input=saved)
