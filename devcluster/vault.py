"""HashiCorp Vault inside a cluster's network: a development server, unsealed, in memory, with two listeners.

Its data ends with the process. What is mounted and allowed is for whoever uses it, through :meth:`Vault.call`.
"""

from __future__ import annotations

import http.client
import json
import re
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from devcluster import binaries
from devcluster.certs import Authority
from devcluster.cluster import Cluster
from devcluster.errors import DevclusterError
from devcluster.netns import ADDRESS

#: The development listener: plain HTTP on the namespace's loopback, for this module.
PORT = 8200
#: From one listener's port to the next. More than one, because Vault takes the port after each for its cluster.
_STEP = 10
#: A name in the server's certificate beside its address.
SERVER_NAME = "vault.devcluster.test"


@dataclass(frozen=True)
class VaultFiles:
    """Its keys, configuration and logs."""

    root: Path
    name: str

    @property
    def folder(self) -> Path:
        """Of everything but what it prints."""
        return self.root / f"{self.name}-files"

    @property
    def ca(self) -> Path:
        """Root of both listeners' certificates and of client certificates."""
        return self.folder / "vault-ca.crt"

    @property
    def client(self) -> tuple[Path, Path]:
        """A client's certificate and key, as clients of the mutual listener need them."""
        return self.folder / "vault-client.crt", self.folder / "vault-client.key"

    @property
    def log(self) -> Path:
        """What the server has printed."""
        return self.root / f"{self.name}.log"

    @property
    def audit(self) -> Path:
        """Vault's audit device: JSON lines, one for each request and one for each response; secrets are hashed in it."""
        return self.folder / "vault-audit.log"


@dataclass
class Vault:
    """A running server. Use :meth:`start`; as a context manager it is stopped at the end."""

    cluster: Cluster
    files: VaultFiles
    root_token: str = field(repr=False)
    #: host:port on this machine that leads to the development listener, and what forwards.
    outer: str
    forwarder: subprocess.Popen[bytes]
    port: int = PORT

    @classmethod
    def start(cls, cluster: Cluster, port: int = PORT) -> Self:
        """Start a server in the network of ``cluster`` and wait until it answers. Raises DevclusterError.

        It takes ``port`` and the 29 after it.
        """
        program = binaries.ensure(["vault"])["vault"]
        files = VaultFiles(cluster.files.root, _name(port))
        files.folder.mkdir(mode=0o700, exist_ok=True)
        _make_keys(files)
        config = files.folder / "vault.json"
        config.write_text(json.dumps(_listeners(files, port)))
        token = f"devcluster-{secrets.token_urlsafe(16)}"
        argv = [
            str(program),
            "server",
            "-dev",
            "-dev-no-store-token",
            f"-dev-root-token-id={token}",
            f"-dev-listen-address=127.0.0.1:{port}",
            f"-config={config}",
        ]
        cluster.run(_name(port), argv, env={"HOME": str(files.folder), "SKIP_SETCAP": "1", "VAULT_LOG_LEVEL": "warn"})
        cluster.await_answer(_name(port), f"http://127.0.0.1:{port}/v1/sys/health")
        vault = cls(cluster, files, token, *cluster.forward(port), port)
        vault.call("PUT", "sys/audit/file", {"type": "file", "options": {"file_path": str(files.audit)}})
        return vault

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """End it; what it knew is gone."""
        self.cluster.end(_name(self.port))
        self.forwarder.kill()
        self.forwarder.wait()

    @property
    def pid(self) -> int:
        """Of the server."""
        return self.cluster.pid(_name(self.port))

    @property
    def url(self) -> str:
        """Of the TLS listener, inside."""
        return f"https://{ADDRESS}:{self.port + _STEP}"

    @property
    def mutual_url(self) -> str:
        """Of the listener that wants a client certificate, inside."""
        return f"https://{ADDRESS}:{self.port + 2 * _STEP}"

    def seal(self) -> None:
        """Forget the keys: every request is answered 503 until :meth:`unseal`."""
        self.call("PUT", "sys/seal")

    def unseal(self) -> None:
        """With the one key that a development server prints when it starts."""
        found = re.search(r"Unseal Key: (\S+)", self.files.log.read_text())
        if found is None:
            raise DevclusterError("Vault has printed no unseal key")
        self.call("PUT", "sys/unseal", {"key": found[1]})

    def call(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, *, good: tuple[int, ...] = (200, 204)
    ) -> dict[str, Any]:
        """One request as root, ``path`` below /v1/; the decoded answer. Raises DevclusterError for another status."""
        connection = http.client.HTTPConnection(self.outer, timeout=30)
        try:
            connection.request(
                method,
                f"/v1/{path}",
                json.dumps(body) if body is not None else None,
                {"X-Vault-Token": self.root_token},
            )
            answer = connection.getresponse()
            status, text = answer.status, answer.read().decode()
        except OSError as error:
            raise DevclusterError(f"Vault did not answer {method} {path}: {error}") from error
        finally:
            connection.close()
        if status not in good:
            raise DevclusterError(f"Vault answered {method} {path}: {status} {text[:500]}")
        decoded: dict[str, Any] = json.loads(text) if text.startswith("{") else {}
        return decoded


def _name(port: int) -> str:
    return "vault" if port == PORT else f"vault-{port}"


def _make_keys(files: VaultFiles) -> None:
    ca = Authority(files.folder, "vault-ca")
    ca.issue("vault", "vault", sans=(ADDRESS, "127.0.0.1", SERVER_NAME))
    ca.issue("vault-client", "certwright-client", sans=("certwright-client.devcluster.test",))


def _listeners(files: VaultFiles, port: int) -> dict[str, Any]:
    tls = {"tls_cert_file": str(files.folder / "vault.crt"), "tls_key_file": str(files.folder / "vault.key")}
    mutual = {"tls_require_and_verify_client_cert": True, "tls_client_ca_file": str(files.ca)}
    return {
        "listener": [
            {"tcp": {"address": f"{ADDRESS}:{port + _STEP}", "tls_client_ca_file": str(files.ca), **tls}},
            {"tcp": {"address": f"{ADDRESS}:{port + 2 * _STEP}", **tls, **mutual}},
        ],
        "log_level": "warn",
    }
