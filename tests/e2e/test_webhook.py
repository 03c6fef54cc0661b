"""The optional admission webhook, on an API server without admission policies: it says what the policies say, and more."""

import base64
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from devcluster import Cluster
from devcluster.netns import ADDRESS
from tests.e2e import test_admission_acme, test_admission_certificates, test_admission_issuers
from tests.e2e import test_admission_requests as requests
from tests.e2e.admission import (
    Live,
    Row,
    accepted,
    acme,
    answers,
    certificate,
    csr,
    judge,
    named,
    pem,
    refused,
    request,
)
from tests.e2e.harness import ROOT
from tests.e2e.pod import in_a_pod

WITHOUT_POLICIES = ("--disable-admission-plugins=MutatingAdmissionPolicy,ValidatingAdmissionPolicy",)
WINDOW = {"cron": "61 25 * * *", "windowDuration": "1h"}


def broken_csr() -> str:
    """A request whose signature is another's."""
    der = bytearray(x509.load_pem_x509_csr(base64.b64decode(csr())).public_bytes(Encoding.DER))
    der[-1] ^= 1
    return pem(bytes(der))


#: What CEL can't do.
TABLE: dict[str, Row] = {
    "webhook-csr-signature": refused(request(request=broken_csr()), "spec.request", "signature"),
    "webhook-cron": refused(
        certificate(renewal={"policy": "RenewBefore", "windows": [WINDOW]}), "spec.renewal.windows[].cron", "61 25"
    ),
    "webhook-literal-escape": refused(certificate(literalSubject="CN=#zz"), "spec.literalSubject", "RFC 4514"),
}

ALL: dict[str, Row] = {
    **test_admission_certificates.TABLE,
    **test_admission_issuers.TABLE,
    **requests.TABLE,
    **test_admission_acme.TABLE,
    **TABLE,
}


class Webhook:
    """A ``certwright webhook`` process, confined as in its Deployment."""

    def __init__(self, cluster: Cluster, kubeconfig: Path, log: Path, *flags: str) -> None:
        self.log = log
        command = (sys.executable, "-m", "certwright", "webhook", *flags)
        argv = in_a_pod(kubeconfig, log.parent, *command, scratch=True)
        with log.open("ab") as out:
            self.process: subprocess.Popen[bytes] = cluster.popen(argv, stdout=out, stderr=out)
        deadline = time.monotonic() + 30
        while "takes reviews at" not in log.read_text():
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait(5)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A control plane without policies. The tests that this module borrows know it by the name of the usual one."""
    with Cluster.start(f"e2e-webhook-{os.getpid()}", apiserver_flags=WITHOUT_POLICIES) as running:
        running.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
        running.kubectl("wait", "--for=condition=Established", "--timeout=30s", "crd", "--all")
        running.kubectl("apply", "-f", str(ROOT / "deploy"))
        install(running)
        yield running


def install(cluster: Cluster) -> None:
    """deploy/options/webhook.yaml; there are no pods here, so that the Service's endpoint is the process itself."""
    documents = list(yaml.safe_load_all((ROOT / "deploy" / "options" / "webhook.yaml").read_text()))
    for document in documents:
        if document["kind"] == "Service":
            del document["spec"]["selector"]
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": "cert-manager-webhook-process",
            "namespace": "cert-manager",
            "labels": {"kubernetes.io/service-name": "cert-manager-webhook"},
        },
        "addressType": "IPv4",
        "endpoints": [{"addresses": [ADDRESS], "conditions": {"ready": True}}],
        "ports": [{"name": "https", "port": 10250, "protocol": "TCP"}],
    }
    cluster.kubectl("apply", "-f", "-", input=yaml.safe_dump_all([*documents, slice_]))


@pytest.fixture(scope="module")
def kubeconfig(cluster: Cluster) -> Path:
    """The webhook's own access."""
    return cluster.service_account_kubeconfig("cert-manager", "certwright-webhook").inner


@pytest.fixture(scope="module", autouse=True)
def webhook(cluster: Cluster, kubeconfig: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Webhook]:
    """The process."""
    running = Webhook(cluster, kubeconfig, tmp_path_factory.mktemp("webhook") / "log")
    yield running
    running.kill()


@pytest.fixture(scope="module")
def found(cluster: Cluster, webhook: Webhook) -> dict[str, str]:
    """What kubectl says of each row."""
    return answers(cluster, "default", ALL)


@pytest.mark.parametrize("name", ALL)
def test_the_webhook_says_what_the_policies_say(found: dict[str, str], name: str) -> None:
    """Each row of the policies' own tests by the same words, and what only a program can check."""
    judge(ALL[name], found[name])


# The same functions that hold the policies, with this module's cluster.
space = requests.space
users = requests.users
exempt = requests.exempt
test_the_spec_of_a_request_never_changes = requests.test_the_spec_of_a_request_never_changes
test_our_annotations_of_a_request_never_change = requests.test_our_annotations_of_a_request_never_change
test_a_verdict_is_given_once = requests.test_a_verdict_is_given_once
test_the_status_of_an_approved_request = requests.test_the_status_of_an_approved_request_cannot_be_removed
test_only_those_who_may_approve_for_an_issuer_do = requests.test_only_those_who_may_approve_for_an_issuer_do
test_who_may_not_approve_may_still_report = requests.test_who_may_not_approve_may_still_report
test_a_request_tells_who_made_it = requests.test_a_request_tells_who_made_it
test_what_the_user_has_not_is_removed = requests.test_what_the_user_has_not_is_removed
test_an_exempt_namespace_is_not_validated = requests.test_an_exempt_namespace_is_not_validated
test_only_a_changed_spec_is_judged_again = requests.test_only_a_changed_spec_is_judged_again


@pytest.mark.usefixtures("found")
def test_refusals_are_not_in_the_log(webhook: Webhook) -> None:
    """They were told to whom they concern; a log full of users' mistakes hides our own."""
    assert "ERROR" not in webhook.log.read_text()


def test_a_deprecated_field_is_warned_of(cluster: Cluster) -> None:
    """CEL policies can't warn of what they accept."""
    binding = {"keyID": "i", "keySecretRef": {"name": "n", "key": "k"}, "keyAlgorithm": "HS384"}
    result = cluster.kubectl(
        "apply", "--dry-run=server", "-f", "-", input=json.dumps(named("warned", acme(externalAccountBinding=binding)))
    )
    assert "Warning: spec.acme.externalAccountBinding.keyAlgorithm is deprecated" in result.stderr


def test_nothing_passes_while_it_is_down(cluster: Cluster, kubeconfig: Path, webhook: Webhook, tmp_path: Path) -> None:
    """Fails closed; a new process goes on with the same CA, so that nobody has to be told anything."""
    secret = ("-n", "cert-manager", "get", "secret", "cert-manager-webhook-ca", "-o", "jsonpath={.data}")
    before = cluster.kubectl(*secret).stdout
    webhook.kill()
    down = cluster.kubectl("apply", "-f", "-", input=json.dumps(named("closed", certificate())), check=False)
    assert "failed calling webhook" in down.stderr
    again = Webhook(cluster, kubeconfig, tmp_path / "log")
    webhook.process = again.process
    assert cluster.kubectl(*secret).stdout == before
    assert Live(cluster, "default", named("open", certificate())).get()["spec"]["secretName"] == "tls"


def test_it_ends_when_told_to(cluster: Cluster, kubeconfig: Path, webhook: Webhook, tmp_path: Path) -> None:
    """Within the grace period of a pod."""
    webhook.process.terminate()
    assert webhook.process.wait(10) == 0
    webhook.process = Webhook(cluster, kubeconfig, tmp_path / "log").process


def test_a_lost_ca_is_made_anew(cluster: Cluster, kubeconfig: Path, webhook: Webhook, tmp_path: Path) -> None:
    """And the API server is told to trust it."""
    cluster.kubectl("-n", "cert-manager", "delete", "secret", "cert-manager-webhook-ca")
    webhook.kill()
    webhook.process = Webhook(cluster, kubeconfig, tmp_path / "log").process
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        result = cluster.kubectl("apply", "-f", "-", input=json.dumps(named("lost", certificate())), check=False)
        if result.returncode == 0:
            break
        time.sleep(0.2)
    assert result.returncode == 0, result.stderr


def test_a_hostile_body_ends_nothing(cluster: Cluster, webhook: Webhook) -> None:
    """No JSON, no review, a review of something else: an answer, and the next review is served."""
    script = (
        "import http.client, ssl, sys; c = http.client.HTTPSConnection(sys.argv[1], 10250, timeout=5,"
        " context=ssl._create_unverified_context()); c.request('POST', sys.argv[2], sys.argv[3].encode());"
        " print(c.getresponse().status)"
    )
    secrets = {"resource": {"group": "", "version": "v1", "resource": "secrets"}, "userInfo": {}, "object": {}}
    for text, expected in {
        "nonsense": "400",
        "[]": "400",
        "null": "400",
        '{"request": {"resource": []}}': "400",
        json.dumps({"request": secrets}): "500",
    }.items():
        argv = [*cluster.exec_prefix, sys.executable, "-c", script, ADDRESS, "/certificates", text]
        status = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
        assert status == expected, text
    assert webhook.process.poll() is None
    assert answers(cluster, "default", {"plain": accepted(certificate())}) == {"plain": ""}


def test_only_tls_is_spoken(cluster: Cluster) -> None:
    """Of a version that is not broken, with the names of the Service."""
    pem = cluster.kubectl(
        "-n", "cert-manager", "get", "secret", "cert-manager-webhook-ca", "-o", "jsonpath={.data.ca\\.crt}"
    ).stdout
    bundle = base64.b64decode(pem).decode()
    script = (
        "import socket, ssl, sys; c = ssl.create_default_context(cadata=sys.argv[2]);"
        " s = c.wrap_socket(socket.create_connection((sys.argv[1], 10250), 5),"
        " server_hostname='cert-manager-webhook.cert-manager.svc'); print(s.version())"
    )
    argv = [*cluster.exec_prefix, sys.executable, "-c", script, ADDRESS, bundle]
    spoken = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=10).stdout.strip()
    assert spoken == "TLSv1.3"
