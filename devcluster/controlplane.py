"""The flags of each process, and nothing else. Ports are fixed: every cluster has a network of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from devcluster.certs import Authority, service_account_key
from devcluster.netns import ADDRESS

APISERVER_PORT = 6443
ETCD_PORT = 2379
SERVICE_CIDR = "10.0.0.0/16"
#: The first address of the service range is the API server's own Service.
KUBERNETES_SERVICE = "10.0.0.1"
#: No scheduler, no kubelet: nothing here needs a pod to run. These are what tests rely on.
CONTROLLERS = (
    "namespace-controller,garbage-collector-controller,serviceaccount-controller,serviceaccount-token-controller,"
    "root-ca-certificate-publisher-controller,resourcequota-controller,clusterrole-aggregation-controller,"
    "endpointslice-controller"
)
#: One line for each finished request: exact counts of writes, without their bodies.
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived"],
    "rules": [
        {"level": "None", "nonResourceURLs": ["/healthz*", "/livez*", "/readyz*", "/openapi*", "/version"]},
        {"level": "Metadata"},
    ],
}


@dataclass(frozen=True)
class Files:
    """Where a cluster keeps its keys, logs and data."""

    root: Path

    @property
    def pki(self) -> Path:
        """Keys and certificates, readable by the owner alone."""
        return self.root / "pki"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log, JSON lines."""
        return self.root / "audit.log"

    def log(self, process: str) -> Path:
        """What a process has printed."""
        return self.root / f"{process}.log"

    def last_lines(self, process: str) -> str:
        """The end of what a process has printed, for an error message."""
        try:
            return "\n".join(self.log(process).read_text(errors="replace").splitlines()[-15:])
        except OSError:
            return "(it has printed nothing)"


def make_keys(files: Files) -> None:
    """All keys and certificates, and the audit policy."""
    files.pki.mkdir(parents=True, mode=0o700)
    ca = Authority(files.pki, "ca")
    ca.issue(
        "apiserver",
        "kube-apiserver",
        sans=("127.0.0.1", ADDRESS, KUBERNETES_SERVICE, "localhost", "kubernetes", "kubernetes.default.svc"),
    )
    ca.issue("admin", "devcluster-admin", groups=("system:masters",))
    ca.issue("kube-controller-manager", "system:kube-controller-manager")
    front = Authority(files.pki, "front-proxy-ca")
    front.issue("front-proxy", "front-proxy")
    service_account_key(files.pki)
    (files.root / "audit-policy.json").write_text(json.dumps(AUDIT_POLICY))


def etcd(binary: Path, files: Files) -> list[str]:
    """etcd; without fsync, because a test's data may be lost with its machine."""
    url = f"http://127.0.0.1:{ETCD_PORT}"
    return [
        str(binary),
        f"--listen-client-urls={url}",
        f"--advertise-client-urls={url}",
        "--listen-peer-urls=http://127.0.0.1:2380",
        f"--data-dir={files.root / 'etcd'}",
        "--unsafe-no-fsync",
        "--quota-backend-bytes=8589934592",
        "--log-level=warn",
    ]


def kube_apiserver(binary: Path, files: Files) -> list[str]:
    """The API server, with RBAC, auditing and admission policies."""
    pki = files.pki
    return [
        str(binary),
        f"--etcd-servers=http://127.0.0.1:{ETCD_PORT}",
        "--bind-address=0.0.0.0",
        f"--secure-port={APISERVER_PORT}",
        f"--advertise-address={ADDRESS}",
        f"--service-cluster-ip-range={SERVICE_CIDR}",
        "--authorization-mode=RBAC",
        f"--client-ca-file={pki / 'ca.crt'}",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        "--service-account-issuer=https://kubernetes.default.svc.cluster.local",
        f"--service-account-key-file={pki / 'sa.key'}",
        f"--service-account-signing-key-file={pki / 'sa.key'}",
        f"--requestheader-client-ca-file={pki / 'front-proxy-ca.crt'}",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki / 'front-proxy.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy.key'}",
        "--enable-aggregator-routing=true",
        "--max-requests-inflight=800",
        "--max-mutating-requests-inflight=400",
        f"--audit-policy-file={files.root / 'audit-policy.json'}",
        f"--audit-log-path={files.audit_log}",
        "--audit-log-maxsize=0",
        "--allow-privileged=false",
    ]


def kube_controller_manager(binary: Path, files: Files) -> list[str]:
    """The controllers tests rely on, each with the rights of its own service account."""
    pki = files.pki
    return [
        str(binary),
        f"--kubeconfig={files.root / 'kube-controller-manager.kubeconfig'}",
        "--use-service-account-credentials=true",
        f"--controllers={CONTROLLERS}",
        f"--service-account-private-key-file={pki / 'sa.key'}",
        f"--root-ca-file={pki / 'ca.crt'}",
        "--leader-elect=false",
        "--bind-address=127.0.0.1",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
    ]
