"""An ACME CA inside a cluster: Pebble, and pebble-challtestsrv as the DNS it believes.

Nothing is skipped but Pebble's random sleep before a validation: it resolves a name at challtestsrv, connects to port 80 of
what it is told (by default the ingress controller), and reads the proof there.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devcluster import binaries
from devcluster.certs import Authority
from devcluster.cluster import Cluster
from devcluster.netns import ADDRESS, INGRESS_ADDRESS

PORT = 14000
MANAGEMENT_PORT = 15000
DNS_PORT = 8053
DNS_MANAGEMENT_PORT = 8055
PROGRAMS = ("pebble", "pebble-challtestsrv")
#: Requests in flight that it can bear. Pebble 2.10.1 deadlocks; its goroutines say where (SIGQUIT while it hangs). Authz
#: holds the authorization's lock and asks the store for the account; NewOrder, in FindValidAuthorization, holds the store's
#: read lock and wants that of each authorization; another NewOrder waits to write to the store (AddChallenge), and so keeps
#: new readers out. That takes three requests: 8 in flight froze it after 2,000 orders, 4 after 3,600, 2 not in 15,000.
CONCURRENCY = 2


@dataclass(frozen=True)
class AcmeCA:
    """A running one."""

    cluster: Cluster

    @property
    def directory(self) -> str:
        """The URL for ``spec.acme.server``."""
        return f"https://{ADDRESS}:{PORT}/dir"

    @property
    def ca_bundle_file(self) -> Path:
        """PEM: what vouches for the directory's own certificate, for ``spec.acme.caBundle``."""
        return self.cluster.files.pki / "acme-server-ca.crt"

    @property
    def nameserver(self) -> str:
        """``address:port`` of the DNS server."""
        return f"{ADDRESS}:{DNS_PORT}"

    def root(self, number: int = 0) -> bytes:
        """PEM of the root that its certificates lead to; new at each start. Others: PEBBLE_ALTERNATE_ROOTS."""
        return self.cluster.request(f"https://{ADDRESS}:{MANAGEMENT_PORT}/roots/{number}", verify=False)

    def suggest(self, chain: bytes, answer: str) -> None:
        """Have renewal information (RFC 9773) of the first certificate of a PEM chain be this text, JSON or not."""
        leaf = chain.partition(b"-----END CERTIFICATE-----")
        body = {"Certificate": (leaf[0] + leaf[1] + b"\n").decode(), "ARIResponse": answer}
        url = f"https://{ADDRESS}:{MANAGEMENT_PORT}/set-renewal-info/"
        self.cluster.request(url, json.dumps(body).encode(), verify=False)

    def point(self, name: str, *addresses: str) -> None:
        """Have DNS answer with these IPv4 addresses for a name, instead of the ingress controller's."""
        self._dns("clear-a", host=name)
        if addresses:
            self._dns("add-a", host=name, addresses=list(addresses))

    def fail_dns(self, name: str) -> None:
        """Have DNS answer SERVFAIL for a name."""
        self._dns("set-servfail", host=name)

    def heal_dns(self, name: str) -> None:
        """Undo :meth:`fail_dns`."""
        self._dns("clear-servfail", host=name)

    def _dns(self, verb: str, **body: Any) -> None:
        self.cluster.request(f"http://{ADDRESS}:{DNS_MANAGEMENT_PORT}/{verb}", json.dumps(body).encode())


def start(
    cluster: Cluster, *, environment: Mapping[str, str] | None = None, config: Mapping[str, Any] | None = None
) -> AcmeCA:
    """Start it and wait until it answers; again after :meth:`Cluster.end`, with other settings.

    ``environment`` adds to Pebble's (PEBBLE_WFE_NONCEREJECT and its kin), ``config`` to its configuration file. Raises
    DevclusterError.
    """
    programs = binaries.ensure(PROGRAMS)
    files = cluster.files
    if not (files.pki / "pebble.crt").exists():
        Authority(files.pki, "acme-server-ca").issue("pebble", "pebble", sans=(ADDRESS, "127.0.0.1", "localhost"))
    settings = {
        "listenAddress": f"0.0.0.0:{PORT}",
        "managementListenAddress": f"0.0.0.0:{MANAGEMENT_PORT}",
        "certificate": str(files.pki / "pebble.crt"),
        "privateKey": str(files.pki / "pebble.key"),
        "httpPort": 80,
        "tlsPort": 443,
        "ocspResponderURL": "",
        "externalAccountBindingRequired": False,
        "domainBlocklist": ["blocked.example"],
        "retryAfter": {"authz": 1, "order": 1},
        "keyAlgorithm": "ecdsa",
        "profiles": {
            "default": {"description": "90 days", "validityPeriod": 7776000},
            "shortlived": {"description": "six days", "validityPeriod": 518400},
        },
        **(config or {}),
    }
    (files.root / "pebble.json").write_text(json.dumps({"pebble": settings}))
    ca = AcmeCA(cluster)
    cluster.run("pebble-challtestsrv", _challtestsrv(str(programs["pebble-challtestsrv"])))
    pebble = [str(programs["pebble"]), "-config", str(files.root / "pebble.json"), "-dnsserver", ca.nameserver]
    cluster.run("pebble", pebble, env={"PEBBLE_VA_NOSLEEP": "1", **(environment or {})})
    cluster.await_answer("pebble", ca.directory, verify=False)
    cluster.await_answer("pebble-challtestsrv", f"http://{ADDRESS}:{DNS_MANAGEMENT_PORT}/clear-a", b'{"host":"x"}')
    return ca


def _challtestsrv(program: str) -> list[str]:
    """DNS and its management alone; every name is at the ingress controller."""
    servers_off = ("-http01", "", "-https01", "", "-tlsalpn01", "", "-doh", "")
    listen = ("-management", f"{ADDRESS}:{DNS_MANAGEMENT_PORT}", "-dnsserver", f"{ADDRESS}:{DNS_PORT}")
    return [program, *servers_off, *listen, "-defaultIPv4", INGRESS_ADDRESS, "-defaultIPv6", ""]
