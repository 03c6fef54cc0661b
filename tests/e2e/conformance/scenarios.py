"""Features that take more than one step: what a change of the spec, of the Secret or of time leads to."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from certwright_issuers.csr import RequestSpec, build_csr
from certwright_issuers.keys import KeySpec, encode_key, generate_key
from tests.e2e.conformance.issued import Issued
from tests.e2e.harness import Kubectl, is_true


@dataclass(frozen=True)
class Scene:
    """Where a scenario plays: a Certificate of its own by the issuer, Ready at the start."""

    kubectl: Kubectl
    ref: dict[str, str]
    #: Below the issuer's domain.
    host: str
    name: str
    has_ca: bool
    seconds: float
    folder: Path

    def manifest(self, **spec: Any) -> dict[str, Any]:
        """The Certificate with changes; None takes a field away."""
        return certificate(self.name, self.ref, self.host, **spec)

    def apply(self, **spec: Any) -> None:
        """Change the Certificate."""
        self.kubectl.apply(self.manifest(**spec))

    def issued(self, revision: int) -> Issued:
        """Wait until it is Ready in this revision."""

        def ready(obj: dict[str, Any]) -> bool:
            return is_true(obj, "Ready") and int(obj["status"].get("revision", 0)) >= revision

        found = self.kubectl.wait("certificate", self.name, ready, self.seconds)
        secret = self.kubectl.get("secret", f"{self.name}-tls")
        request = self.kubectl.get("certificaterequest", f"{self.name}-{found['status']['revision']}")
        assert secret is not None
        return Issued(found, secret, request or {}, self.has_ca, self.folder)


def certificate(name: str, ref: dict[str, str], host: str, **spec: Any) -> dict[str, Any]:
    """A Certificate for one DNS name with a P-256 key; a field that is None is left out."""
    fields = {
        "secretName": f"{name}-tls",
        "dnsNames": [host],
        "privateKey": {"algorithm": "ECDSA"},
        "issuerRef": ref,
        **spec,
    }
    return {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": name},
        "spec": {field: value for field, value in fields.items() if value is not None},
    }


def changed_names_are_issued(scene: Scene) -> None:
    """Another DNS name makes revision 2 with another key, for that name."""
    before = scene.issued(1)
    scene.apply(dnsNames=[f"new.{scene.host}"])
    after = scene.issued(2)
    assert after.names() == {"dnsNames": {f"new.{scene.host}"}}
    assert after.leaf.public_key() != before.leaf.public_key()


def a_key_that_must_not_rotate_stays(scene: Scene) -> None:
    """rotationPolicy Never: another certificate for the same key."""
    before = scene.issued(1)
    key = {"algorithm": "ECDSA", "rotationPolicy": "Never"}
    scene.apply(privateKey=key, dnsNames=[f"new.{scene.host}"])
    after = scene.issued(2)
    assert after.data("tls.key") == before.data("tls.key")
    assert after.leaf.serial_number != before.leaf.serial_number


def a_lost_secret_is_issued_again(scene: Scene) -> None:
    """Deleting the Secret makes another one."""
    before = scene.issued(1)
    scene.kubectl("delete", "secret", f"{scene.name}-tls")
    after = scene.issued(2)
    assert after.leaf.serial_number != before.leaf.serial_number


def a_due_certificate_is_renewed(scene: Scene) -> None:
    """renewBefore of nearly the whole lifetime renews within seconds; Ready stays True."""
    before = scene.issued(1)
    age = datetime.now(UTC) - before.leaf.not_valid_before_utc
    seconds = int((before.lifetime - age - timedelta(seconds=2)).total_seconds())
    # A duration longer than any issuer gives, because renewBefore has to be less than it.
    scene.apply(renewBefore=f"{seconds}s", duration="175200h" if before.spec.get("duration") else None)
    after = scene.issued(2)
    assert after.leaf.serial_number != before.leaf.serial_number
    scene.apply()


def the_template_is_followed(scene: Scene) -> None:
    """Labels come and go with the template, and nothing is issued for it."""
    before = scene.issued(1)
    scene.apply(secretTemplate={"labels": {"one": "1", "two": "2"}})
    scene.kubectl.wait("secret", f"{scene.name}-tls", lambda s: s["metadata"]["labels"].get("two") == "2")
    scene.apply(secretTemplate={"labels": {"one": "1"}})
    scene.kubectl.wait("secret", f"{scene.name}-tls", lambda s: "two" not in s["metadata"]["labels"])
    after = scene.issued(1)
    assert after.data("tls.crt") == before.data("tls.crt")


def a_request_made_by_hand_is_signed(scene: Scene) -> None:
    """A CertificateRequest that no Certificate owns, with the private key in a Secret of the requester's."""
    key = generate_key(KeySpec("ECDSA", 256))
    csr = build_csr(RequestSpec(common_name=scene.host, dns_names=(scene.host,), encode_usages=False), key)
    name = f"{scene.name}-by-hand"
    secret = {"tls.key": base64.b64encode(encode_key(key, "PKCS8")).decode()}
    request = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "CertificateRequest",
        "metadata": {"name": name, "annotations": {"cert-manager.io/private-key-secret-name": name}},
        "spec": {"request": base64.b64encode(csr).decode(), "issuerRef": scene.ref},
    }
    scene.kubectl.apply({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": secret}, request)
    done = scene.kubectl.wait("certificaterequest", name, lambda r: is_true(r, "Ready"), scene.seconds)
    assert is_true(done, "Approved")
    leaf = x509.load_pem_x509_certificate(base64.b64decode(done["status"]["certificate"]))
    assert leaf.public_key() == load_pem_private_key(encode_key(key, "PKCS8"), None).public_key()
    assert ("ca" in done["status"]) == scene.has_ca


Scenario = Callable[[Scene], None]
SCENARIOS: dict[str, Scenario] = {
    "reissue": changed_names_are_issued,
    "rotation-never": a_key_that_must_not_rotate_stays,
    "secret-lost": a_lost_secret_is_issued_again,
    "renewal": a_due_certificate_is_renewed,
    "template-changed": the_template_is_followed,
    "request-by-hand": a_request_made_by_hand_is_signed,
}
