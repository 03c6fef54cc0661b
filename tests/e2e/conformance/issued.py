"""What an issuance has left in the cluster, and the questions features ask about it."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import NameOID

from certwright_issuers.certificate import facts_of
from certwright_issuers.names import display_name
from tests.e2e.harness import is_true


@dataclass(frozen=True)
class Issued:
    """A Certificate that is Ready, its Secret and its request."""

    certificate: dict[str, Any]
    secret: dict[str, Any]
    request: dict[str, Any]
    #: Whether this issuer says who its CA is.
    has_ca: bool
    #: A folder for files that programs are to open.
    folder: Path

    def data(self, name: str) -> bytes:
        """A value of the Secret; the test fails if there is none."""
        assert name in self.secret["data"], f"the Secret has no {name}, only {sorted(self.secret['data'])}"
        return base64.b64decode(self.secret["data"][name])

    @property
    def spec(self) -> dict[str, Any]:
        """What was asked for."""
        spec: dict[str, Any] = self.certificate["spec"]
        return spec

    @property
    def metadata(self) -> dict[str, Any]:
        """The Secret's."""
        metadata: dict[str, Any] = self.secret["metadata"]
        return metadata

    @property
    def leaf(self) -> x509.Certificate:
        """The first certificate in tls.crt."""
        return x509.load_pem_x509_certificate(self.data("tls.crt"))

    @property
    def key(self) -> PrivateKeyTypes:
        """The private key."""
        return load_pem_private_key(self.data("tls.key"), None)

    @property
    def csr(self) -> x509.CertificateSigningRequest:
        """The CSR that was signed."""
        return x509.load_pem_x509_csr(base64.b64decode(self.request["spec"]["request"]))

    @property
    def lifetime(self) -> timedelta:
        """Of the leaf."""
        return self.leaf.not_valid_after_utc - self.leaf.not_valid_before_utc

    @property
    def common_name(self) -> str:
        """Of the leaf; empty if it has none."""
        found = self.leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        return str(found[0].value) if found else ""

    @property
    def subject(self) -> str:
        """The leaf's subject in RFC 4514's order."""
        return display_name(self.leaf.subject.public_bytes())

    def names(self) -> dict[str, set[str]]:
        """Alternative names of the leaf by the field of the spec that asks for them, empty kinds left out."""
        found = facts_of(self.leaf).names
        kinds = {
            "dnsNames": set(found.dns_names),
            "ipAddresses": set(found.ip_addresses),
            "uris": set(found.uris),
            "emailAddresses": set(found.email_addresses),
            "otherNames": {value for _, value in found.other_names},
        }
        return {kind: values for kind, values in kinds.items() if values}

    def extension(self, type_: type[x509.ExtensionType]) -> Any:
        """An extension of the leaf; the test fails if there is none."""
        try:
            return self.leaf.extensions.get_extension_for_class(type_)
        except x509.ExtensionNotFound as error:
            raise AssertionError(f"the certificate has no {type_.__name__}") from error


def assert_sound(issued: Issued, names_kept: frozenset[str]) -> None:
    """What holds for every issuance by every issuer. ``names_kept``: fields of the spec that this issuer honours."""
    assert is_true(issued.certificate, "Ready")
    assert issued.certificate["status"]["revision"] == 1
    assert is_true(issued.request, "Approved")
    assert is_true(issued.request, "Ready")
    assert issued.secret["type"] == "kubernetes.io/tls"
    assert issued.leaf.public_key() == issued.key.public_key()
    assert base64.b64decode(issued.request["status"]["certificate"]) == issued.data("tls.crt")
    assert ("ca.crt" in issued.secret["data"]) == issued.has_ca
    annotations = issued.metadata["annotations"]
    assert annotations["cert-manager.io/certificate-name"] == issued.certificate["metadata"]["name"]
    assert annotations["cert-manager.io/issuer-name"] == issued.spec["issuerRef"]["name"]
    have = issued.names()
    for field in names_kept:
        wanted = set(issued.spec.get(field, []))
        assert have.get(field, set()) >= wanted, f"{field}: {have.get(field)} instead of {wanted}"
