"""A small external issuer in a process of its own: SampleIssuer and SampleClusterIssuer of issuers.example.test.

Signs approved requests with a CA that it keeps in a folder; or answers as wrongly as the issuer object's spec says.
"""

from __future__ import annotations

import base64
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from kubernetes import client

from tests.external.crs import Request, condition, connect, is_true, report, serve, utc_now

GROUP = "issuers.example.test"
PLURALS = {"SampleIssuer": "sampleissuers", "SampleClusterIssuer": "sampleclusterissuers"}


class Authority:
    """The CA: the same one after a restart."""

    def __init__(self, folder: Path) -> None:
        key_file, certificate_file = folder / "ca.key", folder / "ca.crt"
        if not key_file.exists():
            key = ec.generate_private_key(ec.SECP256R1())
            name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Sample external CA")])
            builder = _builder(name, name, key.public_key(), timedelta(days=30))
            root = builder.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(
                key, hashes.SHA256()
            )
            certificate_file.write_bytes(root.public_bytes(Encoding.PEM))
            key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        self.key: Any = load_pem_private_key(key_file.read_bytes(), None)
        self.pem = certificate_file.read_bytes()
        self.certificate = x509.load_pem_x509_certificate(self.pem)

    def sign(self, csr: x509.CertificateSigningRequest, public_key: Any, begin: datetime, days: int) -> bytes:
        """A leaf with the names of the CSR."""
        builder = _builder(csr.subject, self.certificate.subject, public_key, timedelta(days=days), begin)
        names = csr.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        builder = builder.add_extension(names.value, names.critical)
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: Any, lifetime: timedelta, begin: datetime | None = None
) -> x509.CertificateBuilder:
    start = begin or datetime.now(UTC)
    return x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), start, start + lifetime)


class Issuer:
    """Answers requests."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority

    def handle(self, api: Any, request: Request) -> None:
        """One version of one request."""
        ref = request["spec"]["issuerRef"]
        ready = condition(request, "Ready")
        if ref.get("group") != GROUP or (ready and ready["reason"] in {"Issued", "Failed", "Denied"}):
            return
        if is_true(request, "Denied"):
            report(api, request, "Ready", "False", "Denied", "denied", failureTime=utc_now())
            return
        if not is_true(request, "Approved"):
            return
        spec = self._issuer(api, ref, request["metadata"]["namespace"])
        if spec is None or spec["answer"] == "Hold":
            if ready is None:
                report(api, request, "Ready", "False", "Pending", "the sample issuer has not decided yet")
            return
        if spec["delaySeconds"] and ready is None:
            report(api, request, "Ready", "False", "Pending", f"takes {spec['delaySeconds']} s")
            threading.Timer(spec["delaySeconds"], self._answer_later, (api, request, spec)).start()
        elif not spec["delaySeconds"]:
            self._answer(api, request, spec["answer"])

    def _issuer(self, api: Any, ref: dict[str, str], namespace: str) -> dict[str, Any] | None:
        try:
            if ref["kind"] == "SampleIssuer":
                found = api.get_namespaced_custom_object(GROUP, "v1", namespace, PLURALS[ref["kind"]], ref["name"])
            else:
                found = api.get_cluster_custom_object(GROUP, "v1", PLURALS[ref["kind"]], ref["name"])
        except client.ApiException:
            return None
        spec: dict[str, Any] = found["spec"]
        return spec

    def _answer_later(self, api: Any, request: Request, spec: dict[str, Any]) -> None:
        meta = request["metadata"]
        fresh = api.get_namespaced_custom_object(
            "cert-manager.io", "v1", meta["namespace"], "certificaterequests", meta["name"]
        )
        self._answer(api, fresh, spec["answer"])

    def _answer(self, api: Any, request: Request, answer: str) -> None:
        if answer == "Fail":
            report(api, request, "Ready", "False", "Failed", "the sample issuer says no", failureTime=utc_now())
        elif answer == "Invalid":
            report(api, request, "InvalidRequest", "True", "SampleRule", "the sample issuer wants another name")
        elif answer == "Empty":
            report(api, request, "Ready", "True", "Issued", "signed, it claims")
        else:
            certificate = base64.b64encode(self._certificate(request, answer)).decode()
            authority = base64.b64encode(self._authority.pem).decode()
            report(api, request, "Ready", "True", "Issued", "signed", certificate=certificate, ca=authority)

    def _certificate(self, request: Request, answer: str) -> bytes:
        csr = x509.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))
        now = datetime.now(UTC)
        match answer:
            case "Garbage":
                return b"-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"
            case "OtherKey":
                return self._authority.sign(csr, ec.generate_private_key(ec.SECP256R1()).public_key(), now, 5)
            case "Expired":
                return self._authority.sign(csr, csr.public_key(), now - timedelta(days=10), 5)
            case _:
                return self._authority.sign(csr, csr.public_key(), now, 5)


def main() -> None:
    """Serve until killed."""
    api, options = connect(__doc__ or "", "state")
    serve(api, Issuer(Authority(Path(options.state))).handle)


if __name__ == "__main__":
    main()
