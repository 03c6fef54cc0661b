"""The demo's part about ACME: an annotated Ingress gets a certificate from Pebble, and Envoy serves with it."""

from __future__ import annotations

import base64
import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path

from devcluster import acmeca, ingress
from devcluster.acmeca import AcmeCA
from devcluster.cluster import Cluster
from devcluster.errors import DevclusterError
from devcluster.netns import ADDRESS, INGRESS_ADDRESS

EXAMPLE = Path(__file__).parent.parent / "examples" / "08-ingress-acme"
HOST = "shop.example.com"
PAGE = "Welcome to the shop."
BACKEND_PORT = 9000
SOLVER_PORT = 8089
READY_SECONDS = 60
#: The operator is a process beside the cluster here: no downward API tells its address, and DNS is Pebble's.
OPERATOR_FLAGS = (
    f"--acme-http01-solver-address={ADDRESS}:{SOLVER_PORT}",
    f"--acme-http01-solver-nameservers={ADDRESS}:{acmeca.DNS_PORT}",
    f"--max-concurrent-acme-requests={acmeca.CONCURRENCY}",
)


def issuer_for(cluster: Cluster, ca: AcmeCA) -> str:
    """The example's Issuer, with the server that runs here instead of Let's Encrypt; JSON."""
    bundle = base64.b64encode(ca.ca_bundle_file.read_bytes()).decode()
    change = json.dumps({"spec": {"acme": {"server": ca.directory, "caBundle": bundle}}})
    file = str(EXAMPLE / "issuer.yaml")
    return cluster.kubectl("patch", "--local", "--type=merge", "-f", file, "-p", change, "-o", "json").stdout


def show(cluster: Cluster, ca: AcmeCA) -> None:
    """Apply the example and visit the shop. Raises DevclusterError if anything is not as it should be."""
    with _backend(cluster):
        _say("kubectl apply -f examples/08-ingress-acme (server: Pebble)")
        print(cluster.kubectl("apply", "-f", "-", input=issuer_for(cluster, ca)).stdout, end="")
        print(cluster.kubectl("apply", "-f", str(EXAMPLE / "ingress.yaml")).stdout, end="")
        began = time.monotonic()
        cluster.kubectl("wait", "--for=create", "certificate/shop-tls", f"--timeout={READY_SECONDS}s")
        cluster.kubectl("wait", "--for=condition=Ready", "certificate/shop-tls", f"--timeout={READY_SECONDS}s")
        print(f"shop-tls is Ready after {time.monotonic() - began:.1f} s")
        for command in (("get", "ingress,orders", "-o", "wide"), ("describe", "ingress", "shop")):
            _say(f"kubectl {' '.join(command)}")
            print(cluster.kubectl(*command).stdout, end="")
        _say(f"A browser visits https://{HOST} (TLS handshake with Envoy, verified with Pebble's root)")
        print(visit(cluster, ca))


def visit(cluster: Cluster, ca: AcmeCA) -> str:
    """GET the page over TLS; what the certificate says, and the page. Raises DevclusterError.

    Envoy learns of the Secret a moment after its Certificate is Ready, so it is tried for some seconds.
    """
    root = cluster.files.root / "pebble-root.pem"
    root.write_bytes(ca.root())
    argv = [*cluster.exec_prefix, sys.executable, "-I", "-c", _VISIT, INGRESS_ADDRESS, HOST, str(root)]
    deadline = time.monotonic() + 10
    while True:
        result = subprocess.run(argv, capture_output=True, text=True, check=False)
        if result.returncode == 0 and PAGE in result.stdout:
            return result.stdout.strip()
        if time.monotonic() > deadline:
            raise DevclusterError(f"https://{HOST}: {result.stdout.strip()} {result.stderr.strip()[-300:]}")
        time.sleep(0.1)


_VISIT = """
import socket, ssl, sys
address, host, root = sys.argv[1:]
context = ssl.create_default_context(cafile=root)
with context.wrap_socket(socket.create_connection((address, 443), 5), server_hostname=host) as tls:
    certificate = tls.getpeercert()
    print("verified", tls.version() + ":", ", ".join(name for _, name in certificate["subjectAltName"]))
    print("issuer", dict(pair[0] for pair in certificate["issuer"])["commonName"] + ",", "until", certificate["notAfter"])
    tls.sendall(f"GET / HTTP/1.1\\r\\nHost: {host}\\r\\nConnection: close\\r\\n\\r\\n".encode())
    answer = b"".join(iter(lambda: tls.recv(4096), b"")).decode()
print(answer.splitlines()[0])
print(answer.partition("\\r\\n\\r\\n")[2])
"""


@contextlib.contextmanager
def _backend(cluster: Cluster) -> Generator[None]:
    """The shop itself: a process, and an EndpointSlice that says where it is. There is no kubelet to start a pod."""
    folder = cluster.files.root / "shop"
    folder.mkdir(exist_ok=True)
    (folder / "index.html").write_text(PAGE)
    serve = [sys.executable, "-m", "http.server", str(BACKEND_PORT), "--bind", ADDRESS, "--directory", str(folder)]
    process = cluster.popen(serve, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": "shop", "labels": {"kubernetes.io/service-name": "shop"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": BACKEND_PORT}],
        "endpoints": [{"addresses": [ADDRESS]}],
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(endpoints))
    try:
        yield
    finally:
        process.terminate()
        process.wait(5)


def start(cluster: Cluster) -> AcmeCA:
    """The CA and the ingress controller."""
    _say("Starting Contour, Envoy, Pebble and its DNS")
    ingress.start(cluster)
    return acmeca.start(cluster)


def _say(text: str) -> None:
    print(f"\n=== {text}", flush=True)
