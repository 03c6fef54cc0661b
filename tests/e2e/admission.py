"""What the admission tests share: objects that are accepted as they are, and many of them put to the API server at once.

A table is a dict from the name of a row to an object and the parts that the refusal must hold; no parts means that the
object is accepted. docs/admission.md names the rows.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, Protocol

from certwright_issuers.csr import RequestSpec, build_csr
from certwright_issuers.keys import KeySpec, generate_key
from certwright_issuers.pem import CERTIFICATE_REQUEST, join_pem

Object = dict[str, Any]
#: The object, and what the refusal must say.
Row = tuple[Object, tuple[str, ...]]

CSR = base64.b64encode(b"""-----BEGIN CERTIFICATE REQUEST-----
MIGmMFoCAQAwADAqMAUGAytlcAMhALGHr5LvH3nQcCwq7ETp6PxIBMklXTC1OqAy
RzxeicZ9oCcwJQYJKoZIhvcNAQkOMRgwFjAUBgNVHREEDTALgglhLmV4YW1wbGUw
BQYDK2VwA0EAvRWtRSwTs/H9xg0FiybxrJbxCvPoPucmwD+bU4hLxAlG7JOXmCit
iE1qs0WC5lQ3EAUe3rsAa55cAEr7JCJLAQ==
-----END CERTIFICATE REQUEST-----
""").decode()
PEM_CERTIFICATE = base64.b64encode(b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").decode()
REF = {"name": "secret", "key": "key"}
_KEY = generate_key(KeySpec("ECDSA", 256))


class Kubectl(Protocol):
    """How the tests call kubectl: devcluster's Cluster."""

    def kubectl(self, *args: str, input: str | None = None, check: bool = True) -> Any:  # noqa: A002 - its name there
        """Run it."""


def refused(obj: Object, *parts: str) -> Row:
    """A row that must be refused."""
    return obj, parts


def accepted(obj: Object) -> Row:
    """A row that must be accepted."""
    return obj, ()


def _object(api_version: str, kind: str, base: Object, spec: Mapping[str, Any]) -> Object:
    merged = {key: value for key, value in {**base, **spec}.items() if value is not None}
    return {"apiVersion": api_version, "kind": kind, "metadata": {}, "spec": merged}


def certificate(**spec: Any) -> Object:
    """A Certificate that is accepted, with these fields of its spec instead; None leaves one out."""
    base = {"secretName": "tls", "issuerRef": {"name": "ca"}, "dnsNames": ["a.example"]}
    return _object("cert-manager.io/v1", "Certificate", base, spec)


def request(**spec: Any) -> Object:
    """A CertificateRequest that is accepted, likewise."""
    return _object("cert-manager.io/v1", "CertificateRequest", {"request": CSR, "issuerRef": {"name": "ca"}}, spec)


def csr(**spec: Any) -> str:
    """A CSR for spec.request of a request, with these fields of a RequestSpec."""
    return base64.b64encode(build_csr(RequestSpec(dns_names=("a.test",), **spec), _KEY)).decode()


def pem(der: bytes) -> str:
    """Octets as if they were a CSR, for spec.request."""
    return base64.b64encode(join_pem(CERTIFICATE_REQUEST, der)).decode()


def issuer(kind: str = "Issuer", **spec: Any) -> Object:
    """An Issuer of nothing but the given fields."""
    return _object("cert-manager.io/v1", kind, {}, spec)


def acme(**fields: Any) -> Object:
    """An ACME Issuer that is accepted, likewise."""
    base = {"server": "https://ca.example/dir", "privateKeySecretRef": {"name": "account"}}
    return issuer(acme={key: value for key, value in {**base, **fields}.items() if value is not None})


def solver(**fields: Any) -> Object:
    """An ACME Issuer with one solver of these fields."""
    return acme(solvers=[fields])


def dns01(**fields: Any) -> Object:
    """An ACME Issuer with one DNS-01 solver of these fields."""
    return solver(dns01=fields)


def vault(**fields: Any) -> Object:
    """A Vault Issuer that is accepted, likewise."""
    base = {"server": "https://vault.example", "path": "pki/sign/role", "auth": {"tokenSecretRef": {"name": "token"}}}
    return issuer(vault={key: value for key, value in {**base, **fields}.items() if value is not None})


def named(name: str, obj: Object) -> Object:
    """A copy of the object with this name."""
    return {**obj, "metadata": {**obj["metadata"], "name": name}}


def answers(cluster: Kubectl, namespace: str, table: Mapping[str, Row]) -> dict[str, str]:
    """What ``kubectl apply`` says of each row, in one call that stores nothing: empty for what would be accepted."""
    manifests = "\n---\n".join(json.dumps(named(name, obj)) for name, (obj, _) in table.items())
    result = cluster.kubectl("-n", namespace, "apply", "--dry-run=server", "-f", "-", input=manifests, check=False)
    found = dict.fromkeys(table, "(no answer at all)")
    for name in re.findall(r"^\S+/(\S+) created", result.stdout, re.MULTILINE):
        found[name] = ""
    current = ""
    for line in result.stderr.splitlines():
        quoted = [name for name in re.findall(r'"([^" ]+)"', line) if name in table]
        if quoted and line.startswith(("The ", "Error ")):
            current = quoted[0]
            found[current] = ""
        if current:
            found[current] += line + "\n"
    return found


def judge(row: Row, answer: str) -> None:
    """Fail unless the answer is what the row wants."""
    _, parts = row
    if not parts:
        assert answer == ""
    for part in parts:
        assert part in answer, answer or "it was accepted"


class Live:
    """One stored object, changed by kubectl as some user."""

    def __init__(self, cluster: Kubectl, namespace: str, obj: Object) -> None:
        self._cluster, self._namespace = cluster, namespace
        self._what = (obj["kind"].lower(), obj["metadata"]["name"])
        cluster.kubectl("-n", namespace, "apply", "-f", "-", input=json.dumps(obj))

    def patch(self, change: Mapping[str, Any], *flags: str) -> str:
        """Merge a change; the refusal, or nothing."""
        return self._patch("merge", change, *flags)

    def status(self, change: Mapping[str, Any], *flags: str) -> str:
        """Merge a change into the status; the refusal, or nothing."""
        return self._patch("merge", {"status": change}, "--subresource=status", *flags)

    def remove(self, path: str, *flags: str) -> str:
        """Remove a field by its JSON pointer; the refusal, or nothing."""
        return self._patch("json", [{"op": "remove", "path": path}], *flags)

    def get(self) -> Object:
        """The object as it is stored."""
        result = self._cluster.kubectl("-n", self._namespace, "get", *self._what, "-o", "json")
        found: Object = json.loads(result.stdout)
        return found

    def _patch(self, type_: str, change: Any, *flags: str) -> str:
        result = self._cluster.kubectl(
            "-n",
            self._namespace,
            "patch",
            *self._what,
            f"--type={type_}",
            "-p",
            json.dumps(change),
            *flags,
            check=False,
        )
        return "" if result.returncode == 0 else str(result.stderr)
