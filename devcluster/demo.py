"""What ``make demo`` shows: a control plane, certwright under its own service account, Certificates that become Ready."""

from __future__ import annotations

import base64
import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

from devcluster import acmedemo
from devcluster.cluster import Cluster
from devcluster.errors import DevclusterError

ROOT = Path(__file__).parent.parent
EXAMPLES = ("01-self-signed", "02-ca", "03-short-lived")
READY_SECONDS = 60


def main() -> int:
    """Run the demo; 0 if everything shown is as it should be."""
    try:
        with Cluster.start("demo") as cluster:
            say(f"Kubernetes is up after {cluster.started_in:.1f} s")
            install(cluster)
            ca = acmedemo.start(cluster)
            with operator(cluster, *acmedemo.OPERATOR_FLAGS):
                status = show(cluster)
                acmedemo.show(cluster, ca)
                return status
    except DevclusterError as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1


def install(cluster: Cluster) -> None:
    """CRDs, admission policies, RBAC."""
    say("Installing CRDs, admission policies and RBAC")
    cluster.kubectl("apply", "--server-side", "-f", str(ROOT / "crds"))
    cluster.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    cluster.kubectl("apply", "-f", str(ROOT / "deploy"))


@contextlib.contextmanager
def operator(cluster: Cluster, *flags: str) -> Generator[None]:
    """certwright, with the rights of deploy/rbac.yaml and no others."""
    say("Starting certwright as the service account cert-manager/cert-manager")
    access = cluster.service_account_kubeconfig("cert-manager", "cert-manager")
    log = cluster.files.log("certwright")
    with log.open("ab") as out:
        process = cluster.popen(
            [sys.executable, "-m", "certwright", "run", "--kubeconfig", str(access.inner), *flags],
            stdout=out,
            stderr=out,
        )
    try:
        yield
    except DevclusterError:
        print(log.read_text()[-4000:], file=sys.stderr)
        raise
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)


def show(cluster: Cluster) -> int:
    """Apply the examples, wait, print what a user would look at, verify, and watch a renewal."""
    for example in EXAMPLES:
        say(f"kubectl apply -f examples/{example}/manifests.yaml")
        print(cluster.kubectl("apply", "-f", str(ROOT / "examples" / example / "manifests.yaml")).stdout, end="")
    began = time.monotonic()
    cluster.kubectl("wait", "--for=condition=Ready", "certificate", "--all", f"--timeout={READY_SECONDS}s")
    say(f"All Certificates are Ready after {time.monotonic() - began:.1f} s")
    for command in (
        ("get", "certificates,certificaterequests,issuers", "-o", "wide"),
        ("get", "secrets"),
        ("describe", "certificate", "api"),
    ):
        say(f"kubectl {' '.join(command)}")
        print(cluster.kubectl(*command).stdout, end="")
    verified = verify(cluster, "api-tls", "root-ca")
    return 0 if verified and renews(cluster, "short-lived") else 1


def verify(cluster: Cluster, secret: str, ca_secret: str) -> bool:
    """Whether openssl accepts the chain."""
    with tempfile.TemporaryDirectory() as folder:
        files = {"chain": (secret, "tls.crt"), "ca": (ca_secret, "tls.crt")}
        for name, (source, key) in files.items():
            data = cluster.kubectl("get", "secret", source, "-o", _jsonpath(key)).stdout
            Path(folder, f"{name}.pem").write_bytes(base64.b64decode(data))
        argv = [
            "openssl",
            "verify",
            "-CAfile",
            f"{folder}/ca.pem",
            "-untrusted",
            f"{folder}/chain.pem",
            f"{folder}/chain.pem",
        ]
        say("openssl verify -CAfile ca.pem -untrusted chain.pem chain.pem")
        result = subprocess.run(argv, capture_output=True, text=True, check=False)
    print(result.stdout.replace(f"{folder}/", ""), end="")
    return result.returncode == 0


def renews(cluster: Cluster, name: str) -> bool:
    """Wait for the third revision of a Certificate that renews every ten seconds."""
    say(f"Watching {name} renew every ten seconds")
    deadline = time.monotonic() + 40
    seen = ""
    while time.monotonic() < deadline:
        path = "jsonpath=revision {.status.revision}, valid from {.status.notBefore}, renewal at {.status.renewalTime}"
        now = cluster.kubectl("get", "certificate", name, "-o", path).stdout
        if now != seen:
            print(now, flush=True)
            seen = now
        if now.startswith("revision 3"):
            return True
        time.sleep(0.5)
    print("it did not renew", file=sys.stderr)
    return False


def say(text: str) -> None:
    """A headline."""
    print(f"\n=== {text}", flush=True)


def _jsonpath(key: str) -> str:
    escaped = key.replace(".", "\\.")
    return f"jsonpath={{.data.{escaped}}}"


if __name__ == "__main__":
    sys.exit(main())
