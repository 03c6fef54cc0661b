"""CertificateSigningRequests of certificates.k8s.io, signed by a real Vault."""

import pytest
from cryptography import x509

from tests.e2e.harness import Kubectl
from tests.e2e.test_signing_requests import KEY, Asked, gated
from tests.e2e.vault.setup import VaultSetup, app_role

__all__ = ["gated"]

pytestmark = pytest.mark.usefixtures("gated")


def test_an_approved_request_is_signed(kubectl: Kubectl, vault: VaultSetup) -> None:
    """The leaf and the intermediate, once."""
    issuer = app_role(vault, kubectl)
    issuer["spec"]["vault"]["path"] = "pki_int/sign/picky"
    kubectl.apply(issuer)
    kubectl.wait_ready("vault", kind="issuer")
    signer = f"issuers.cert-manager.io/{kubectl.namespace}.vault"
    chain = x509.load_pem_x509_certificates(Asked(kubectl, signer, expirationSeconds=3600).approve().chain())
    assert len(chain) == 2
    assert chain[0].public_key() == KEY.public_key()
    chain[0].verify_directly_issued_by(chain[1])
