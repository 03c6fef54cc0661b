"""Pebble and its mock DNS inside the cluster's network, for end-to-end tests of ACME."""

from __future__ import annotations

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any, Self

from devcluster import Cluster
from devcluster.binaries import ensure

ACME_PORT = 14000
#: Where validations look, on the address that the mock DNS gives every name.
HTTP_PORT = 5002
MANAGE_PORT = 15000
DNS_PORT = 8053
DNS_MANAGE_PORT = 8055
MAC_KEY = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


class Pebble:
    """Both processes; a context."""

    def __init__(self, cluster: Cluster, folder: Path, *, config: dict[str, Any] | None = None, **env: str) -> None:
        self._cluster = cluster
        self._folder = folder
        self._config = config or {}
        self._env = {"PEBBLE_VA_NOSLEEP": "1", "PEBBLE_AUTHZREUSE": "0", **env}
        self._running: list[subprocess.Popen[bytes]] = []
        self.log = folder / "pebble.log"

    def __enter__(self) -> Self:
        programs = ensure(["pebble", "pebble-challtestsrv"])
        dns = f"127.0.0.1:{DNS_PORT}"
        manage = ("-management", f"127.0.0.1:{DNS_MANAGE_PORT}", "-dnsserver", dns)
        off = ("-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
        self._start(programs["pebble-challtestsrv"], *off, *manage, "-defaultIPv4", "127.0.0.1", "-defaultIPv6", "")
        (self._folder / "pebble.json").write_text(json.dumps({"pebble": self._settings()}))
        self._start(programs["pebble"], "-config", str(self._folder / "pebble.json"), "-dnsserver", dns)
        deadline = time.monotonic() + 20
        while "Listening on: 127.0.0.1:14000" not in self.log.read_text():
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._running:
            process.kill()
            process.wait()

    def restart(self) -> None:
        """A CA that has forgotten everything."""
        self._running.pop().kill()
        self.log.write_text("")
        programs = ensure(["pebble"])
        self._start(
            programs["pebble"], "-config", str(self._folder / "pebble.json"), "-dnsserver", f"127.0.0.1:{DNS_PORT}"
        )

    def requests(self, since: int = 0) -> list[str]:
        """Lines of Pebble's log about requests, from a position of the file on."""
        return [line for line in self.log.read_text()[since:].splitlines() if " POST /" in line or " GET /" in line]

    def _settings(self) -> dict[str, Any]:
        self._cluster_certificate()
        return {
            "listenAddress": f"127.0.0.1:{ACME_PORT}",
            "managementListenAddress": f"127.0.0.1:{MANAGE_PORT}",
            "certificate": str(self._folder / "tls.pem"),
            "privateKey": str(self._folder / "tls.key"),
            "httpPort": HTTP_PORT,
            "tlsPort": 5001,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": False,
            "externalAccountMACKeys": {"kid-1": MAC_KEY},
            "domainBlocklist": ["blocked.example"],
            "retryAfter": {"authz": 1, "order": 1},
            "keyAlgorithm": "ecdsa",
            "profiles": {"default": {"description": "90 days", "validityPeriod": 7776000}},
            **self._config,
        }

    def _cluster_certificate(self) -> None:
        argv = [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
        ]
        files = ["-keyout", str(self._folder / "tls.key"), "-out", str(self._folder / "tls.pem")]
        names = ["-subj", "/CN=pebble", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]
        subprocess.run([*argv, *files, *names], check=True, capture_output=True)

    @property
    def root(self) -> bytes:
        """What Pebble's own TLS certificate is trusted by."""
        return (self._folder / "tls.pem").read_bytes()

    def _start(self, program: Path, *arguments: str) -> None:
        with self.log.open("ab") as log:
            self._running.append(
                self._cluster.popen([str(program), *arguments], env={**os.environ, **self._env}, stdout=log, stderr=log)
            )
