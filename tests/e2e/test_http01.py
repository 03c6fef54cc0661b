"""HTTP-01 the whole way: Pebble looks a name up in DNS, connects to Envoy, and Envoy leads to the operator's replicas.

Nothing is answered for the CA on its behalf: a challenge that is not routed stays pending.
"""

import base64
import os
import signal
import subprocess
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from devcluster import Cluster, acmeca, acmedemo, ingress
from devcluster.acmeca import AcmeCA
from devcluster.netns import ADDRESS
from tests.e2e.acme import log_end, requests_of
from tests.e2e.harness import NO_PORTS, Kubectl, Operator, condition, in_place_of
from tests.e2e.test_certificates import certificate
from tests.e2e.test_howto import run_page

#: The shared operator has the default one.
PORT = 8090
ANYWHERE = (
    f"--acme-http01-solver-nameservers={ADDRESS}:{acmeca.DNS_PORT}",
    "--acme-http01-solver-extra-labels=team=pki",
    f"--max-concurrent-acme-requests={acmeca.CONCURRENCY}",
)


def at(port: int) -> tuple[str, ...]:
    """Flags of an operator that answers on this port."""
    return f"--acme-http01-solver-listen-address=:{port}", f"--acme-http01-solver-address={ADDRESS}:{port}"


FLAGS = (*ANYWHERE, *at(PORT))
MADE = "ingress,service,endpointslice"
SOLVER = "acme.cert-manager.io/http01-solver=true"
PATH = "/.well-known/acme-challenge/"
CONTOUR = {"ingressClassName": "contour"}


@pytest.fixture(scope="module")
def ca(cluster: Cluster) -> Iterator[AcmeCA]:
    """The CA and the ingress controller in front of everything."""
    ingress.start(cluster)
    yield acmeca.start(cluster, environment={"PEBBLE_AUTHZREUSE": "0"})
    for process in ("pebble", "pebble-challtestsrv", "envoy", "contour"):
        cluster.end(process)


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("http01") / "certwright.log"


@pytest.fixture(scope="module")
def running(
    cluster: Cluster, operator: Operator, operator_kubeconfig: Path, log: Path, ca: AcmeCA
) -> Iterator[Operator]:
    """An operator that ingress controllers reach."""
    with in_place_of(operator, cluster, operator_kubeconfig, log, *FLAGS) as ours:
        yield ours


def issuer(ca: AcmeCA, solver: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    """An Issuer with one HTTP-01 solver."""
    bundle = base64.b64encode(ca.ca_bundle_file.read_bytes()).decode()
    acme = {
        "server": ca.directory,
        "caBundle": bundle,
        "privateKeySecretRef": {"name": "account"},
        "solvers": [{"http01": {"ingress": solver or CONTOUR}, **more}],
    }
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": "acme"},
        "spec": {"acme": acme},
    }


def ordered(*names: str, **spec: Any) -> dict[str, Any]:
    return certificate(issuer={"name": "acme"}, dnsNames=list(names), **spec)


def chain_of(kubectl: Kubectl, name: str = "web-tls") -> bytes:
    secret = kubectl.get("secret", name)
    assert secret is not None
    return base64.b64decode(secret["data"]["tls.crt"])


def verifies(chain: bytes, root: bytes) -> str:
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder, name) for name in ("chain", "root")}
        files["chain"].write_bytes(chain)
        files["root"].write_bytes(root)
        argv = ["openssl", "verify", "-CAfile", str(files["root"]), "-untrusted", str(files["chain"])]
        result = subprocess.run([*argv, str(files["chain"])], capture_output=True, text=True, check=False)
    return result.stdout.replace(str(files["chain"]), "chain").strip() or result.stderr


def eventually(check: Callable[[], Any], seconds: float = 10) -> Any:
    """The first true result."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < deadline, f"not so after {seconds} s; last: {found!r}"
        time.sleep(0.1)
    return found


def nothing_left(kubectl: Kubectl) -> bool:
    return not kubectl.all(MADE, "-l", SOLVER) and not kubectl.all("challenges")


def pending(kubectl: Kubectl) -> dict[str, Any]:
    """The one Challenge, set up and not yet seen by the self-check."""
    return dict(
        eventually(lambda: next((c for c in kubectl.all("challenges") if c.get("status", {}).get("presented")), None))
    )


def waits_for(kubectl: Kubectl, words: str) -> dict[str, Any]:
    """The one Challenge, once its reason has these words."""

    def look() -> dict[str, Any] | None:
        found = kubectl.all("challenges")
        return next((c for c in found if words in c.get("status", {}).get("reason", "")), None)

    return dict(eventually(look, 30))


@pytest.fixture
def name(namespace: str) -> str:
    """A name that no other test asks for."""
    return f"{namespace}.example.com"


@pytest.fixture
def hidden(ca: AcmeCA, name: str) -> Iterator[str]:
    """The same, but DNS leads to an address where nobody serves port 80, until :meth:`AcmeCA.point` without one."""
    ca.point(name, ADDRESS)
    yield name
    ca.point(name)


@pytest.mark.usefixtures("running")
def test_a_certificate_comes_through_the_ingress_and_nothing_stays(kubectl: Kubectl, ca: AcmeCA, name: str) -> None:
    kubectl.apply(issuer(ca), ordered(name, f"two.{name}"))
    kubectl.wait_ready("web")
    assert verifies(chain_of(kubectl), ca.root()) == "chain: OK"
    eventually(lambda: nothing_left(kubectl))


@pytest.mark.usefixtures("running")
def test_an_address_is_proved_by_a_rule_without_host(kubectl: Kubectl, ca: AcmeCA) -> None:
    spec: dict[str, Any] = {"dnsNames": [], "ipAddresses": [ingress.Ingress.address]}
    kubectl.apply(issuer(ca), certificate(issuer={"name": "acme"}, **spec))
    kubectl.wait_ready("web")
    eventually(lambda: nothing_left(kubectl))


@pytest.mark.usefixtures("running")
def test_what_is_made_for_a_challenge(kubectl: Kubectl, ca: AcmeCA, hidden: str) -> None:
    template = {
        "metadata": {"labels": {"a": "b"}, "annotations": {"projectcontour.io/response-timeout": "15s"}},
    }
    kubectl.apply(issuer(ca, {**CONTOUR, "serviceType": "ClusterIP", "ingressTemplate": template}), ordered(hidden))
    challenge = pending(kubectl)
    (made,) = kubectl.all("ingress")
    meta = made["metadata"]
    assert meta["labels"] == {
        "a": "b",
        "team": "pki",
        "app.kubernetes.io/managed-by": "certwright",
        "acme.cert-manager.io/http-domain": str(zlib.adler32(hidden.encode())),
        "acme.cert-manager.io/http-token": str(zlib.adler32(challenge["spec"]["token"].encode())),
        "acme.cert-manager.io/http01-solver": "true",
    }
    assert meta["annotations"]["projectcontour.io/response-timeout"] == "15s"
    assert meta["annotations"]["nginx.ingress.kubernetes.io/whitelist-source-range"] == "0.0.0.0/0,::/0"
    (owner,) = meta["ownerReferences"]
    assert (owner["kind"], owner["uid"], owner["controller"]) == ("Challenge", challenge["metadata"]["uid"], True)
    (rule,) = made["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert (rule["host"], path["path"], path["pathType"]) == (hidden, PATH + challenge["spec"]["token"], "Exact")
    service = kubectl.get("service", path["backend"]["service"]["name"])
    assert service is not None
    assert service["spec"]["type"] == "ClusterIP"
    assert "selector" not in service["spec"]
    assert service["metadata"]["labels"]["team"] == "pki"
    (slice_,) = kubectl.all("endpointslice", "-l", f"kubernetes.io/service-name={service['metadata']['name']}")
    assert [endpoint["addresses"] for endpoint in slice_["endpoints"]] == [[ADDRESS]]
    assert [port["port"] for port in slice_["ports"]] == [PORT]
    ca.point(hidden)
    kubectl.wait_ready("web", 40)
    eventually(lambda: nothing_left(kubectl))


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("solver", [{"class": "contour"}, {}, {**CONTOUR, "serviceType": "NodePort"}])
def test_classes_and_service_types(kubectl: Kubectl, ca: AcmeCA, name: str, solver: dict[str, Any]) -> None:
    kubectl.apply(issuer(ca, solver or {"podTemplate": {"spec": {"nodeSelector": {"x": "y"}}}}), ordered(name))
    kubectl.wait_ready("web")
    eventually(lambda: nothing_left(kubectl))


def own_ingress(name: str, host: str, **spec: Any) -> dict[str, Any]:
    """An Ingress as a user has one."""
    backend = {"service": {"name": "app", "port": {"number": 80}}}
    rule = {"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": {"name": name, "labels": {"app": "web"}},
        "spec": {**CONTOUR, "rules": [rule], **spec},
    }


@pytest.mark.usefixtures("running")
def test_an_ingress_that_is_edited_in_place_is_as_it_was(kubectl: Kubectl, ca: AcmeCA, hidden: str) -> None:
    kubectl.apply(own_ingress("web", hidden))
    before = kubectl.get("ingress", "web")
    assert before is not None
    kubectl.apply(issuer(ca, {"name": "web"}), ordered(hidden, f"other.{hidden}"))
    tokens = eventually(lambda: [c["spec"]["token"] for c in kubectl.all("challenges") if "status" in c])
    during = kubectl.wait("ingress", "web", lambda i: len(i["spec"]["rules"][0]["http"]["paths"]) == 2)
    assert during["spec"]["rules"][0]["http"]["paths"][0]["path"].startswith(PATH)
    assert any(during["spec"]["rules"][0]["http"]["paths"][0]["path"] == PATH + token for token in tokens)
    assert during["spec"]["rules"][0]["http"]["paths"][1] == before["spec"]["rules"][0]["http"]["paths"][0]
    ca.point(hidden)
    kubectl.wait_ready("web", 40)
    after = eventually(lambda: kubectl.get("ingress", "web"))
    assert after["spec"] == before["spec"]
    for field in ("labels", "annotations", "ownerReferences", "finalizers"):
        assert after["metadata"].get(field) == before["metadata"].get(field)
    eventually(lambda: nothing_left(kubectl))


@pytest.mark.usefixtures("running")
def test_the_certificates_annotation_names_the_ingress(kubectl: Kubectl, ca: AcmeCA, hidden: str) -> None:
    kubectl.apply(own_ingress("mine", hidden), issuer(ca))
    wanted = ordered(hidden)
    wanted["metadata"]["annotations"] = {"acme.cert-manager.io/http01-override-ingress-name": "mine"}
    kubectl.apply(wanted)
    kubectl.wait("ingress", "mine", lambda i: len(i["spec"]["rules"][0]["http"]["paths"]) == 2)
    assert len(kubectl.all("ingress")) == 1
    ca.point(hidden)
    kubectl.wait_ready("web", 40)


@pytest.mark.usefixtures("running")
def test_an_ingress_to_edit_that_is_missing_is_told_and_waited_for(kubectl: Kubectl, ca: AcmeCA, name: str) -> None:
    kubectl.apply(issuer(ca, {"name": "later"}), ordered(name))
    waits_for(kubectl, "the Ingress later, named by http01.ingress.name, does not exist")
    kubectl.apply(own_ingress("later", name))
    kubectl.wait_ready("web", 60)


@pytest.mark.usefixtures("running")
def test_a_closed_port_is_told_on_the_certificate_and_heals(kubectl: Kubectl, ca: AcmeCA, hidden: str) -> None:
    kubectl.apply(issuer(ca), ordered(hidden))
    challenge = waits_for(kubectl, "Connection refused")
    assert challenge["status"]["reason"].startswith(f"Waiting for HTTP-01 challenge propagation: http://{hidden}{PATH}")
    kubectl.wait("certificate", "web", lambda c: "Connection refused" in str(condition(c, "Issuing")))
    ca.point(hidden)
    kubectl.wait_ready("web", 60)


@pytest.mark.usefixtures("running")
def test_a_class_that_nobody_serves_is_told(kubectl: Kubectl, ca: AcmeCA, name: str) -> None:
    """Envoy has routes of others, so port 80 is open and says 404."""
    kubectl.apply(
        bare_service("app"),
        own_ingress("other", f"other.{name}"),
        issuer(ca, {"ingressClassName": "nobody"}),
        ordered(name),
    )
    waits_for(kubectl, "HTTP status 404")


@pytest.mark.usefixtures("running")
def test_dns_that_fails_is_told_and_heals(kubectl: Kubectl, ca: AcmeCA, name: str) -> None:
    ca.fail_dns(name)
    kubectl.apply(issuer(ca), ordered(name))
    waits_for(kubectl, "the name does not resolve to an address")
    ca.heal_dns(name)
    kubectl.wait_ready("web", 60)


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254"])
def test_names_that_lead_inward_are_not_asked(kubectl: Kubectl, ca: AcmeCA, name: str, address: str) -> None:
    ca.point(name, address)
    kubectl.apply(issuer(ca), ordered(name))
    challenge = waits_for(kubectl, "is not asked")
    assert address not in challenge["status"]["reason"]


@pytest.mark.usefixtures("running")
def test_waiting_instead_of_checking(kubectl: Kubectl, ca: AcmeCA, name: str) -> None:
    """The operator's own view of the name does not count: the CA is told after the time."""
    kubectl.apply(issuer(ca, waitInsteadOfSelfCheck="3s"), ordered(name))
    began = time.monotonic()
    kubectl.wait_ready("web")
    assert time.monotonic() - began > 2.5


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("solver", "words"),
    [
        (
            {"gatewayHTTPRoute": {"parentRefs": [{"name": "gw", "kind": "Gateway"}]}},
            "gatewayHTTPRoute is not supported",
        ),
        (
            {
                "ingress": {
                    "ingressTemplate": {
                        "metadata": {"annotations": {"nginx.ingress.kubernetes.io/server-snippet": "x"}}
                    }
                }
            },
            "the annotation nginx.ingress.kubernetes.io/server-snippet is not allowed",
        ),
    ],
)
def test_solvers_that_are_refused_say_so(
    kubectl: Kubectl, ca: AcmeCA, name: str, solver: dict[str, Any], words: str
) -> None:
    wanted = issuer(ca)
    wanted["spec"]["acme"]["solvers"] = [{"http01": solver}]
    kubectl.apply(wanted, ordered(name))
    waits_for(kubectl, words)
    assert kubectl.all("ingress") == []
    since = log_end(ca)
    time.sleep(1)
    assert len(requests_of(ca, since)) < 10, "a challenge that waits must not be looked at all the time"


def bare_service(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}}


@pytest.mark.usefixtures("running")
def test_somebody_elses_service_is_left_alone(kubectl: Kubectl, ca: AcmeCA, name: str) -> None:
    kubectl.apply(bare_service("cm-acme-http-solver"))
    kubectl.apply(issuer(ca), ordered(name))
    waits_for(kubectl, "the Service cm-acme-http-solver exists and is not certwright's; rename it")
    kept = kubectl.get("service", "cm-acme-http-solver")
    assert kept is not None
    assert kept["spec"]["ports"][0]["port"] == 80
    kubectl("delete", "service", "cm-acme-http-solver")
    kubectl.wait_ready("web", 60)


@pytest.mark.usefixtures("running")
def test_a_quota_that_forbids_the_service_is_told(kubectl: Kubectl, ca: AcmeCA, name: str) -> None:
    """Pods may be forbidden: none is made."""
    hard = {"services.nodeports": "0", "pods": "0"}
    kubectl.apply({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "q"}, "spec": {"hard": hard}})
    kubectl.wait("resourcequota", "q", lambda q: q.get("status", {}).get("hard"))
    kubectl.apply(issuer(ca), ordered(name))
    waits_for(kubectl, "exceeded quota: q")
    kubectl("delete", "certificate", "web")
    kubectl.apply(issuer(ca, {**CONTOUR, "serviceType": "ClusterIP"}), ordered(name, secretName="second-tls"))
    kubectl.wait_ready("web", 60)


@pytest.mark.usefixtures("running")
def test_a_wildcard_is_refused_on_the_certificate(kubectl: Kubectl, ca: AcmeCA, name: str) -> None:
    kubectl.apply(issuer(ca), ordered(f"*.{name}"))
    kubectl.wait("certificate", "web", lambda c: "wildcard names need DNS-01" in str(condition(c, "Issuing")))


@pytest.mark.usefixtures("running")
def test_what_others_delete_is_made_again(kubectl: Kubectl, ca: AcmeCA, hidden: str) -> None:
    kubectl.apply(issuer(ca), ordered(hidden))
    pending(kubectl)
    kubectl("delete", MADE, "-l", SOLVER)
    eventually(lambda: len(kubectl.all(MADE, "-l", SOLVER)) == 3, 30)
    ca.point(hidden)
    kubectl.wait_ready("web", 60)


@pytest.mark.usefixtures("running")
def test_a_deleted_certificate_leaves_nothing(kubectl: Kubectl, ca: AcmeCA, hidden: str) -> None:
    kubectl.apply(own_ingress("web", hidden), issuer(ca, {"name": "web"}), ordered(hidden))
    before = own_ingress("web", hidden)["spec"]["rules"]
    kubectl.wait("ingress", "web", lambda i: i["spec"]["rules"] != before)
    kubectl("delete", "certificate", "web")
    kubectl.wait("ingress", "web", lambda i: i["spec"]["rules"] == before)
    eventually(lambda: nothing_left(kubectl))


@pytest.mark.usefixtures("running")
def test_a_deleted_namespace_goes(cluster: Cluster, kubectl: Kubectl, ca: AcmeCA, hidden: str) -> None:
    kubectl.apply(issuer(ca), ordered(hidden))
    pending(kubectl)
    cluster.kubectl("delete", "namespace", kubectl.namespace, "--wait=false")

    def gone() -> bool:
        return "NotFound" in cluster.kubectl("get", "namespace", kubectl.namespace, check=False).stderr

    eventually(gone, 30)
    cluster.kubectl("create", "namespace", kubectl.namespace)


@pytest.mark.usefixtures("running")
def test_the_example_serves_with_its_certificate(
    cluster: Cluster, ca: AcmeCA, capsys: pytest.CaptureFixture[str]
) -> None:
    """An annotated Ingress, a TLS handshake with Envoy: what ``make demo`` shows."""
    try:
        acmedemo.show(cluster, ca)
    finally:
        cluster.kubectl("delete", "-f", str(acmedemo.EXAMPLE), "--ignore-not-found")
    shown = capsys.readouterr().out
    assert "verified TLSv1.3: shop.example.com" in shown
    assert acmedemo.PAGE in shown


@pytest.mark.usefixtures("running")
def test_the_commands_of_the_page_work(kubectl: Kubectl, ca: AcmeCA, tmp_path: Path) -> None:
    variables = {"ACME_DIRECTORY": ca.directory, "ACME_CA_FILE": str(ca.ca_bundle_file)}
    told = run_page("acme-http01.md", kubectl, tmp_path, **variables)
    assert "DNS:shop.example.com" in told
    assert "order.acme.cert-manager.io/shop-tls-1-" in told


class TestOwnOperator:
    """Tests that kill operators have them for themselves."""

    @pytest.fixture
    def start(
        self, cluster: Cluster, running: Operator, operator_kubeconfig: Path, tmp_path: Path
    ) -> Iterator[Callable[..., Operator]]:
        """Starts operators while the module's own one rests."""
        os.kill(running.process.pid, signal.SIGSTOP)
        cluster.kubectl("-n", "kube-system", "delete", "lease", "cert-manager-controller", "--ignore-not-found")
        started: list[Operator] = []

        def begin(*flags: str, leads: bool = True) -> Operator:
            log = tmp_path / f"{len(started)}.log"
            started.append(Operator(cluster, operator_kubeconfig, log, *NO_PORTS, *ANYWHERE, *flags))
            started[-1].wait_for_log("is held by this process" if leads else "issued Secrets after")
            return started[-1]

        yield begin
        for operator in started:
            if operator.process.poll() is None:
                operator.stop()
        os.kill(running.process.pid, signal.SIGCONT)

    PORTS = at(PORT + 1)

    def test_a_killed_operators_successor_goes_on(
        self, kubectl: Kubectl, ca: AcmeCA, hidden: str, start: Callable[..., Operator]
    ) -> None:
        first = start(*self.PORTS)
        kubectl.apply(issuer(ca), ordered(hidden))
        pending(kubectl)
        first.kill()
        kubectl.cluster.kubectl("-n", "kube-system", "delete", "lease", "cert-manager-controller")
        start(*self.PORTS)
        ca.point(hidden)
        kubectl.wait_ready("web", 60)
        eventually(lambda: nothing_left(kubectl))

    def test_a_successor_removes_what_was_left(
        self, kubectl: Kubectl, ca: AcmeCA, hidden: str, start: Callable[..., Operator]
    ) -> None:
        """Also when somebody has taken the finalizer of the Challenge away in between."""
        before = own_ingress("web", hidden)["spec"]["rules"]
        first = start(*self.PORTS)
        kubectl.apply(own_ingress("web", hidden), issuer(ca, {"name": "web"}), ordered(hidden))
        kubectl.wait("ingress", "web", lambda i: i["spec"]["rules"] != before)
        challenge = pending(kubectl)["metadata"]["name"]
        first.kill()
        kubectl("delete", "certificate,certificaterequest,order", "--all", "--wait=false")
        kubectl("patch", "challenge", challenge, "--type=merge", "-p", '{"metadata":{"finalizers":null}}')
        eventually(lambda: not kubectl.all("challenges"), 40)  # a young cluster collects garbage late
        assert kubectl.all("service", "-l", SOLVER)
        kubectl.cluster.kubectl("-n", "kube-system", "delete", "lease", "cert-manager-controller")
        start(*self.PORTS)
        kubectl.wait("ingress", "web", lambda i: i["spec"]["rules"] == before)
        eventually(lambda: nothing_left(kubectl))

    def test_every_replica_answers(
        self, kubectl: Kubectl, ca: AcmeCA, name: str, start: Callable[..., Operator]
    ) -> None:
        """The replicas' own Service says where they are; the one that does not lead answers by itself."""
        # Ready is only the one that is going to be second.
        second = {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {"name": "replicas", "labels": {"kubernetes.io/service-name": "replicas"}},
            "addressType": "IPv4",
            "ports": [{"port": PORT + 2}],
            "endpoints": [
                {"addresses": [ADDRESS], "conditions": {"ready": True}},
                {"addresses": ["10.0.0.99"], "conditions": {"ready": False}},
            ],
        }
        kubectl.apply(bare_service("replicas"), second)
        service = (f"--acme-http01-solver-service={kubectl.namespace}/replicas",)
        start("--acme-http01-solver-listen-address=", *service)
        start(f"--acme-http01-solver-listen-address=:{PORT + 2}", *service, leads=False)
        kubectl.apply(issuer(ca), ordered(name))
        kubectl.wait_ready("web")


def test_without_an_address_its_own_is_found(
    cluster: Cluster, running: Operator, operator_kubeconfig: Path, tmp_path: Path, kubectl: Kubectl, ca: AcmeCA
) -> None:
    """An operator beside the cluster needs no setting: the ingress controller reaches it where the API server does."""
    name = f"{kubectl.namespace}.example.com"
    flags = (*ANYWHERE, f"--acme-http01-solver-listen-address=:{PORT + 1}")
    with in_place_of(running, cluster, operator_kubeconfig, tmp_path / "log", *flags):
        kubectl.apply(issuer(ca), ordered(name))
        kubectl.wait_ready("web")
