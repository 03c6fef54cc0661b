"""Configurations that can't work are refused when the issuer is built, with the field or the Secret in the message."""

from __future__ import annotations

from typing import Any

import pytest

from certwright_issuers.contract import ConfigInvalid
from certwright_issuers.registry import ISSUER_TYPES
from certwright_issuers.vault.methods import METHODS
from tests.issuers.vault.conftest import APP_ROLE, SECRETS, config, issuer_for

URL = "https://vault.example.com:8200"
LOGIN = {"name": "login", "key": "secretId"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"server": ""}, "spec.vault.server is empty"),
        ({"server": "vault.example.com:8200"}, "must be a URL"),
        ({"server": "file:///etc/passwd"}, "must be a URL"),
        ({"server": "https://user:canary@vault"}, "must not hold a user"),
        ({"server": "https://vault/v1/../x"}, "plain path"),
        ({"server": "https://vault?x"}, "plain path"),
        ({"server": "https://vault:99999"}, "not a URL"),
        ({"server": "https://vault\nX-A: b"}, "is not a URL"),
        ({"path": ""}, "spec.vault.path is empty"),
        ({"path": "pki/../sys/seal"}, "is not a path"),
        ({"path": "https://elsewhere/v1/x"}, "is not a path"),
        ({"path": "pki//sign/web"}, "is not a path"),
        ({"path": "pki\\sign"}, "is not a path"),
        ({"namespace": "a\nb"}, "spec.vault.namespace"),
        ({"caBundle": "Zm9v"}, "holds no PEM certificates"),
        ({"caBundle": "%"}, "not base64"),
        ({"caBundleSecretRef": {"name": "absent"}}, 'secret "absent" not found'),
        ({"caBundleSecretRef": {"name": "login"}}, 'no data for "ca.crt" in secret "login"'),
        ({"caBundle": "Zm9v", "caBundleSecretRef": {"name": "login"}}, "exclude each other"),
        ({"clientCertSecretRef": {"name": "login"}}, "together or not at all"),
        ({"auth": {}}, "spec.vault.auth needs one of tokenSecretRef, appRole"),
        ({"auth": {**APP_ROLE, "tokenSecretRef": {"name": "login"}}}, "Multiple auth methods cannot be set"),
        ({"auth": {"tokenSecretRef": {"name": "absent"}}}, 'secret "absent" not found'),
        ({"auth": {"tokenSecretRef": {"name": "login", "key": "other"}}}, 'no data for "other" in secret "login"'),
        ({"auth": {"appRole": {"path": "a/../b", "roleId": "r", "secretRef": LOGIN}}}, "appRole.path"),
        ({"auth": {"appRole": {"path": "a", "secretRef": LOGIN}}}, "appRole.roleId is empty"),
        ({"auth": {"appRole": {"roleId": "r", "secretRef": {"name": "login"}}}}, "lacks its name or its key"),
        ({"auth": {"kubernetes": {"role": "r"}}}, "exactly one of secretRef and serviceAccountRef"),
        ({"auth": {"kubernetes": {"secretRef": {"name": "login"}}}}, "kubernetes.role is empty"),
        (
            {"auth": {"kubernetes": {"role": "r", "mountPath": "/v1/../x", "secretRef": {"name": "login"}}}},
            "kubernetes.mountPath",
        ),
        ({"auth": {"clientCertificate": {}}}, "clientCertificate needs secretName"),
        ({"auth": {"clientCertificate": {"secretName": "login"}}}, 'no data for "tls.crt" in secret "login"'),
        ({"auth": {"aws": {"role": "r"}}}, "aws needs serviceAccountRef"),
        ({"auth": {"aws": {"role": "r", "serviceAccountRef": {"name": "a"}}}}, "iamRoleArn is needed"),
        ({"auth": {"aws": {"role": "r", "region": "x.evil.com/"}}}, "no AWS region"),
    ],
)
def test_refused(change: dict[str, Any], words: str) -> None:
    """One reason, one sentence."""
    with pytest.raises(ConfigInvalid) as caught:
        ISSUER_TYPES["vault"].build({**config(URL), **change}, SECRETS)
    assert caught.value.reason == "VaultError"
    assert words in caught.value.message
    assert "canary" not in caught.value.message


@pytest.mark.parametrize("value", [b"", b" \n", b"tok\nen", b"t\xc3\xb6ken"])
def test_malformed_tokens(value: bytes) -> None:
    """What can't be a header's value is refused, and not shown."""
    with pytest.raises(ConfigInvalid) as caught:
        issuer_for(URL, {"tokenSecretRef": {"name": "t"}}, {"t": {"token": value}})
    assert "t" in caught.value.message
    assert "öken" not in caught.value.message


def test_secret_names() -> None:
    """All that can be named, whatever else is in the configuration."""
    row = ISSUER_TYPES["vault"]
    assert not row.in_process
    assert set(METHODS) == {"tokenSecretRef", "appRole", "clientCertificate", "kubernetes", "aws"}
    everything = {
        "caBundleSecretRef": {"name": "a"},
        "clientCertSecretRef": {"name": "b"},
        "clientKeySecretRef": {"name": "c"},
        "auth": {
            "tokenSecretRef": {"name": "d"},
            "appRole": {"secretRef": {"name": "e"}},
            "kubernetes": {"secretRef": {"name": "f"}},
            "clientCertificate": {"secretName": "g"},
        },
    }
    assert row.secret_names(everything) == set("abcdefg")
    for broken in ({}, {"auth": None}, {"auth": {"appRole": 5}}, {"caBundleSecretRef": "x"}):
        assert row.secret_names(broken) == frozenset()


def test_nothing_secret_is_printed() -> None:
    """Not in the repr of anything that keeps a credential (S6)."""
    auth = {"kubernetes": {"role": "r", "secretRef": {"name": "login", "key": "secretId"}}}
    for each in (APP_ROLE, {"tokenSecretRef": {"name": "login", "key": "secretId"}}, auth):
        issuer = issuer_for(URL, each)
        parts = (issuer, issuer._login, issuer._login._request, issuer._client.server)
        assert "canary" not in "".join(map(repr, parts))
