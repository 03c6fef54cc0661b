"""The models: whatever the API server may hold decodes, and goes back as it came."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from certwright.api import (
    Certificate,
    CertificateRequest,
    Challenge,
    ClusterIssuer,
    Issuer,
    IssuerRef,
    ObjectMeta,
    Order,
)
from certwright.api.groups import KINDS
from certwright.api.meta import EPOCH, Model

MODELS = (Certificate, CertificateRequest, Issuer, ClusterIssuer, Order, Challenge)

CERTIFICATE: dict[str, Any] = {
    "apiVersion": "cert-manager.io/v1",
    "kind": "Certificate",
    "metadata": {
        "name": "site",
        "namespace": "web",
        "uid": "u-1",
        "resourceVersion": "7",
        "generation": 3,
        "creationTimestamp": "2026-01-02T03:04:05Z",
        "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
        "ownerReferences": [
            {"apiVersion": "v1", "kind": "X", "name": "x", "uid": "u", "controller": True, "blockOwnerDeletion": True}
        ],
    },
    "spec": {
        "secretName": "site-tls",
        "dnsNames": ["a.example", "b.example"],
        "isCA": False,
        "issuerRef": {"name": "ca"},
        "keystores": {"pkcs12": {"create": True, "passwordSecretRef": {"name": "p", "key": "k"}}},
        "otherNames": [],
        "duration": "2160h0m0s",
        "unknownField": {"of": "a newer version"},
    },
    "status": {
        "conditions": [
            {"type": "Ready", "status": "True", "observedGeneration": 3, "lastTransitionTime": "2026-01-02T03:04:06Z"}
        ],
        "notAfter": "2026-04-02T03:04:05Z",
        "revision": 1,
        "acme": {"ari": {"explanationURL": "https://ca.example/why"}},
    },
}

SOLVER: dict[str, Any] = {
    "dns01": {
        "route53": {"accessKeyID": "AK", "accessKeyIDSecretRef": {"name": "s"}, "hostedZoneID": "Z"},
        "webhook": {"groupName": "g", "solverName": "s", "config": {"any": [1, {"thing": None}]}},
    },
    "http01": {
        "gatewayHTTPRoute": {"parentRefs": [{"name": "gw", "port": 80, "sectionName": "http"}]},
        "ingress": {"class": "nginx", "podTemplate": {"spec": {"nodeSelector": {"a": "b"}}}},
    },
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("body", [{}, {"spec": {}, "status": {}}, {"metadata": {"name": "x"}, "extra": 1}])
def test_a_sparse_object_decodes(model: type[Certificate], body: dict[str, Any]) -> None:
    """Nothing is required in Python; spec and status are always there."""
    found = msgspec.convert(body, type=model, strict=False)
    assert found.spec is not None
    assert found.status is not None
    assert found.metadata.creation_timestamp == EPOCH


@pytest.mark.parametrize("decode", [json.dumps, None], ids=["json", "dict"])
def test_a_certificate_decodes_from_json_and_from_dicts(decode: Any) -> None:
    """The two forms in which objects arrive give the same."""
    if decode:
        found = msgspec.json.Decoder(Certificate).decode(json.dumps(CERTIFICATE))
    else:
        found = msgspec.convert(CERTIFICATE, type=Certificate, strict=False)
    assert found.metadata.name == "site"
    assert found.metadata.creation_timestamp == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert found.metadata.owner_references[0].controller
    assert found.spec.dns_names == ("a.example", "b.example")
    assert found.spec.is_ca is False
    assert found.spec.common_name == ""
    assert found.spec.uris == ()
    assert found.spec.private_key is None
    assert found.spec.keystores
    assert found.spec.keystores.pkcs12
    assert found.spec.keystores.pkcs12.password_secret_ref
    assert found.spec.keystores.pkcs12.password_secret_ref.key == "k"
    assert found.status.not_after == datetime(2026, 4, 2, 3, 4, 5, tzinfo=UTC)
    assert found.status.conditions[0].observed_generation == 3
    assert found.status.acme
    assert found.status.acme.ari
    assert found.status.acme.ari.explanation_url == "https://ca.example/why"


def test_other_names_tell_absent_from_empty() -> None:
    """Only for this list the two mean different things."""
    assert msgspec.convert({"spec": {}}, type=Certificate).spec.other_names is None
    assert msgspec.convert({"spec": {"otherNames": []}}, type=Certificate).spec.other_names == ()


def test_bytes_are_base64() -> None:
    """In JSON and in JSON-decoded dicts."""
    body = {"spec": {"request": "cGVt", "extra": {"k": ["v"]}}, "status": {"certificate": "Y3J0", "ca": ""}}
    found = msgspec.convert(body, type=CertificateRequest, strict=False)
    assert (found.spec.request, found.status.certificate, found.status.ca) == (b"pem", b"crt", b"")
    assert found.spec.extra == {"k": ("v",)}
    assert json.loads(msgspec.json.encode(found.status)) == {"certificate": "Y3J0"}


REF = {"name": "n", "key": "k"}
SPECS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "certificate": (Certificate, {k: v for k, v in CERTIFICATE["spec"].items() if k != "unknownField"}),
    "acme": (
        Issuer,
        {"acme": {"server": "s", "privateKeySecretRef": REF, "solvers": [SOLVER], "skipTLSVerify": True}},
    ),
    "ca": (ClusterIssuer, {"ca": {"secretName": "s", "issuingCertificateURLs": ["u"], "crlDistributionPoints": ["c"]}}),
    "selfSigned": (Issuer, {"selfSigned": {}}),
    "vault": (
        Issuer,
        {
            "vault": {
                "path": "p",
                "server": "s",
                "caBundle": "cGVt",
                "auth": {"appRole": {"path": "p", "roleId": "r", "secretRef": REF}, "kubernetes": {"role": "r"}},
            }
        },
    ),
    "venafi": (Issuer, {"venafi": {"zone": "z", "ngts": {"tsgID": "t", "credentialsRef": {"name": "n"}}}}),
    "challenge": (
        Challenge,
        {"solver": SOLVER, "type": "DNS-01", "authorizationURL": "a", "wildcard": False, "issuerRef": {"name": "n"}},
    ),
    "order": (Order, {"request": "cGVt", "ipAddresses": ["10.0.0.1"], "profile": "p", "issuerRef": {"name": "n"}}),
}


@pytest.mark.parametrize(("model", "spec"), SPECS.values(), ids=SPECS)
def test_a_spec_goes_back_as_it_came(model: type[Certificate], spec: dict[str, Any]) -> None:
    """Every JSON name is spelled as in the API, and what was absent stays absent."""
    found = msgspec.convert({"spec": spec}, type=model, strict=False).spec
    assert json.loads(msgspec.json.encode(found)) == spec


def test_unknown_words_do_not_break_decoding() -> None:
    """An enum value of a newer version is for the code that meets it, not for the decoder."""
    body = {"spec": {"privateKey": {"algorithm": "ML-DSA"}, "usages": ["new usage"]}}
    found = msgspec.convert(body, type=Certificate, strict=False)
    assert found.spec.private_key
    assert found.spec.private_key.algorithm == "ML-DSA"


@pytest.mark.parametrize(
    ("ref", "kind", "group"),
    [
        (IssuerRef(name="x"), "Issuer", "cert-manager.io"),
        (IssuerRef(name="x", kind="ClusterIssuer"), "ClusterIssuer", "cert-manager.io"),
        (IssuerRef(name="x", kind="AWSPCAIssuer", group="awspca.example"), "AWSPCAIssuer", "awspca.example"),
    ],
)
def test_an_empty_kind_or_group_of_an_issuer_has_a_meaning(ref: IssuerRef, kind: str, group: str) -> None:
    """It is applied when it is read and never stored."""
    assert (ref.effective_kind, ref.effective_group) == (kind, group)


def test_models_are_values() -> None:
    """Immutable, compared by content, without a place in the garbage collector's lists."""
    assert ObjectMeta(name="a") == ObjectMeta(name="a")
    with pytest.raises(AttributeError):
        ObjectMeta(name="a").name = "b"  # type: ignore[misc]
    config = Model.__struct_config__
    assert not config.gc
    assert config.frozen


def test_the_table_of_kinds_is_whole() -> None:
    """One row per model, addressed as the API addresses it."""
    assert {model.__name__ for model in MODELS} == set(KINDS)
    assert KINDS["Order"].api_version == "acme.cert-manager.io/v1"
    assert [kind.name for kind in KINDS.values() if not kind.namespaced] == ["ClusterIssuer"]
