"""The conformance matrix with a real Vault: one row for each way to log in.

What the role of the PKI engine decides is declared; everything else of a Certificate is given.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from tests.e2e.conformance.suite import ConformanceSuite, Ground, Ignored, IssuerRow, Refused
from tests.e2e.vault.setup import METHODS, VaultSetup

BY_ROLE: Final[Mapping[str, Refused | Ignored]] = {
    "subject": Refused("the role sets the subject", "serial_number 1234 not allowed by this role"),
    "literal-subject": Refused("the role sets the subject", "user_id u1 is not allowed by this role"),
    "duration": Ignored("Vault adds the 30 s by which it back-dates"),
    "usages": Ignored("the role sets the usages"),
    "every-usage": Ignored("the role sets the usages"),
    "is-ca": Ignored("sign makes no CAs; root/sign-intermediate does"),
    "name-constraints": Ignored("sign makes no CAs"),
}


def _set_up(method: str) -> Callable[[Ground], dict[str, str]]:
    def set_up(ground: Ground) -> dict[str, str]:
        vault: VaultSetup = ground.request.getfixturevalue("vault")
        ground.kubectl.apply(METHODS[method](vault, ground.kubectl))
        ground.kubectl.wait_ready("vault", kind="issuer")
        return {"name": "vault"}

    return set_up


def _row(method: str) -> IssuerRow:
    return IssuerRow(f"vault {method}", _set_up(method), unsupported=BY_ROLE)


class TestAppRole(ConformanceSuite):
    """A role ID and a secret ID."""

    row = _row("appRole")


class TestToken(ConformanceSuite):
    """A token that somebody has made."""

    row = _row("tokenSecretRef")


class TestServiceAccount(ConformanceSuite):
    """A ServiceAccount's token, made for each login."""

    row = _row("kubernetes serviceAccountRef")


class TestServiceAccountSecret(ConformanceSuite):
    """A ServiceAccount's token in a Secret."""

    row = _row("kubernetes secretRef")


class TestClientCertificate(ConformanceSuite):
    """A client certificate for the login."""

    row = _row("clientCertificate")


class TestMutualTLS(ConformanceSuite):
    """A client certificate for every connection."""

    row = _row("clientCertificate over mutual TLS")
