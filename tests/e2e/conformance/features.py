"""The features of a Certificate: what is asked for, and how one sees that it was given.

One row a feature. Names lie below the issuer's domain and begin with the feature's name, so that no two ask for the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID

from certwright.api.certificate import KEY_USAGES
from certwright_issuers.extensions import KEY_USAGE_OID, split_certificate
from certwright_issuers.usages import read_key_usage, usage_set
from tests.e2e.conformance.issued import Issued
from tests.e2e.conformance.programs import open_jks, open_pkcs12

PASSWORD = "changeit"
PASSWORD_SECRET = {"name": "keystore-password", "key": "password"}
UPN = "1.3.6.1.4.1.311.20.2.3"
#: RFC 1035 section 2.3.4.
LONG_LABEL = "a" * 63


@dataclass(frozen=True)
class Feature:
    """``spec`` is given the feature's DNS name and makes the fields to be set; None takes a field away."""

    name: str
    spec: Callable[[str], dict[str, Any]]
    check: Callable[[Issued], None]


def _no_fields(host: str) -> dict[str, Any]:
    del host
    return {}


def _key(**private_key: Any) -> Callable[[str], dict[str, Any]]:
    return lambda _: {"privateKey": private_key or None}


def _is_rsa(bits: int, marker: bytes) -> Callable[[Issued], None]:
    def check(issued: Issued) -> None:
        assert isinstance(issued.key, rsa.RSAPrivateKey)
        assert issued.key.key_size == bits
        assert marker in issued.data("tls.key")

    return check


def _is_ecdsa(bits: int, marker: bytes) -> Callable[[Issued], None]:
    def check(issued: Issued) -> None:
        assert isinstance(issued.key, ec.EllipticCurvePrivateKey)
        assert issued.key.key_size == bits
        assert marker in issued.data("tls.key")

    return check


def _is_ed25519(issued: Issued) -> None:
    assert isinstance(issued.key, ed25519.Ed25519PrivateKey)
    assert b"BEGIN PRIVATE KEY" in issued.data("tls.key")


def _names_are_exact(issued: Issued) -> None:
    fields = ("dnsNames", "ipAddresses", "uris", "emailAddresses")
    wanted = {name: set(issued.spec[name]) for name in fields if issued.spec.get(name)}
    if issued.spec.get("otherNames"):
        wanted["otherNames"] = {other["utf8Value"] for other in issued.spec["otherNames"]}
    assert issued.names() == wanted


def _has_common_name(issued: Issued) -> None:
    assert issued.common_name == issued.spec["commonName"]


def _has_common_name_and_names(issued: Issued) -> None:
    _has_common_name(issued)
    _names_are_exact(issued)


def _lasts_seven_hours(issued: Issued) -> None:
    assert issued.lifetime == timedelta(hours=7)


def _has_usages(issued: Issued) -> None:
    raw = split_certificate(issued.leaf).extensions
    wanted = usage_set(issued.spec["usages"], is_ca=False)
    assert read_key_usage(raw[KEY_USAGE_OID].value) == wanted.bits
    purposes = [oid.dotted_string for oid in issued.extension(x509.ExtendedKeyUsage).value]
    assert tuple(purposes) == wanted.purposes


def _csr_says_nothing_of_usages(issued: Issued) -> None:
    oids = {extension.oid for extension in issued.csr.extensions}
    assert oids == {x509.SubjectAlternativeName.oid}
    assert ExtendedKeyUsageOID.SERVER_AUTH in issued.extension(x509.ExtendedKeyUsage).value


def _csr_is_signed_with_sha384(issued: Issued) -> None:
    assert issued.csr.signature_hash_algorithm is not None
    assert issued.csr.signature_hash_algorithm.name == "sha384"
    assert issued.csr.is_signature_valid


FULL_SUBJECT = {
    "organizations": ["Example", "Another Ltd"],
    "organizationalUnits": ["Unit"],
    "countries": ["DE"],
    "provinces": ["Bavaria"],
    "localities": ["Munich"],
    "streetAddresses": ["Street 1"],
    "postalCodes": ["80331"],
    "serialNumber": "1234",
}


def _has_full_subject(issued: Issued) -> None:
    assert issued.subject == (
        f"SERIALNUMBER=1234,CN={issued.spec['commonName']},2.5.4.17=80331,STREET=Street 1,ST=Bavaria,L=Munich,OU=Unit,"
        "O=Example+O=Another Ltd,C=DE"
    )


def _has_literal_subject(issued: Issued) -> None:
    assert issued.subject == issued.spec["literalSubject"]


def _is_a_ca(issued: Issued) -> None:
    constraints = issued.extension(x509.BasicConstraints)
    assert constraints.critical
    assert constraints.value.ca
    assert issued.extension(x509.KeyUsage).value.key_cert_sign


def _is_constrained(issued: Issued) -> None:
    found = issued.extension(x509.NameConstraints)
    assert found.critical
    assert [str(name.value) for name in found.value.permitted_subtrees] == ["example.test", "10.0.0.0/8"]
    assert [str(name.value) for name in found.value.excluded_subtrees] == ["bad.example.test"]


def _has_output_formats(issued: Issued) -> None:
    assert load_der_private_key(issued.data("key.der"), None).public_key() == issued.leaf.public_key()
    assert issued.data("tls-combined.pem") == issued.data("tls.key") + b"\n" + issued.data("tls.crt")


def _has_template(issued: Issued) -> None:
    assert issued.metadata["labels"] == {"team": "a", "controller.cert-manager.io/fao": "true"}
    assert issued.metadata["annotations"]["example.test/note"] == "hello"


def _pkcs12(profile: str) -> Feature:
    """With a common name: Java opens no store with a certificate whose issuer is empty, which a self-signed one without
    a subject has."""
    named = {"profile": profile} if profile != "LegacyRC2" else {}
    store = {"create": True, "password": PASSWORD, **named}

    def check(issued: Issued) -> None:
        open_pkcs12(issued, PASSWORD, profile)

    return Feature(
        f"pkcs12-{profile.lower()}", lambda host: {"commonName": host, "keystores": {"pkcs12": store}}, check
    )


def _jks(name: str, **store: Any) -> Feature:
    def check(issued: Issued) -> None:
        open_jks(issued, PASSWORD, store.get("alias", "certificate"))

    return Feature(name, lambda host: {"commonName": host, "keystores": {"jks": {"create": True, **store}}}, check)


def _wildcard_name(host: str) -> dict[str, Any]:
    return {"dnsNames": [host, f"*.{host}"]}


def _mixed_names(host: str) -> dict[str, Any]:
    return {
        "commonName": host,
        "dnsNames": [host, f"www.{host}"],
        "ipAddresses": ["192.0.2.1"],
        "uris": [f"spiffe://{host}/ns/a"],
        "emailAddresses": [f"me@{host}"],
    }


def _constraints(host: str) -> dict[str, Any]:
    limits = {
        "critical": True,
        "permitted": {"dnsDomains": ["example.test"], "ipRanges": ["10.0.0.0/8"]},
        "excluded": {"dnsDomains": ["bad.example.test"]},
    }
    return {"isCA": True, "commonName": host, "usages": ["cert sign"], "nameConstraints": limits}


def _long_names(host: str) -> dict[str, Any]:
    """A common name at its limit of 64 bytes (RFC 5280 appendix A), and a DNS name with a label at its limit of 63."""
    common_name = f"{'c' * (63 - len(host))}.{host}"
    return {"commonName": common_name, "dnsNames": [common_name, f"{LONG_LABEL}.{LONG_LABEL}.{host}"]}


FEATURES = (
    # Keys
    Feature("rsa", _key(), _is_rsa(2048, b"BEGIN RSA PRIVATE KEY")),
    Feature("rsa-3072-pkcs8", _key(algorithm="RSA", size=3072, encoding="PKCS8"), _is_rsa(3072, b"BEGIN PRIVATE KEY")),
    Feature("rsa-4096", _key(algorithm="RSA", size=4096), _is_rsa(4096, b"BEGIN RSA PRIVATE KEY")),
    Feature("ecdsa", _key(algorithm="ECDSA"), _is_ecdsa(256, b"BEGIN EC PRIVATE KEY")),
    Feature("ecdsa-384", _key(algorithm="ECDSA", size=384), _is_ecdsa(384, b"BEGIN EC PRIVATE KEY")),
    Feature(
        "ecdsa-521-pkcs8",
        _key(algorithm="ECDSA", size=521, encoding="PKCS8"),
        _is_ecdsa(521, b"BEGIN PRIVATE KEY"),
    ),
    Feature("ed25519", _key(algorithm="Ed25519"), _is_ed25519),
    Feature("signature-algorithm", lambda _: {"signatureAlgorithm": "ECDSAWithSHA384"}, _csr_is_signed_with_sha384),
    # Names
    Feature("dns-name", _no_fields, _names_are_exact),
    Feature("dns-names", lambda host: {"dnsNames": [f"{label}.{host}" for label in "abcde"]}, _names_are_exact),
    Feature("wildcard", _wildcard_name, _names_are_exact),
    Feature("common-name", lambda host: {"commonName": host, "dnsNames": [host]}, _has_common_name_and_names),
    Feature("common-name-only", lambda host: {"commonName": host, "dnsNames": None}, _has_common_name),
    Feature("common-name-beside-names", lambda host: {"commonName": f"cn.{host}"}, _has_common_name),
    Feature("ip-address", lambda _: {"ipAddresses": ["192.0.2.7"], "dnsNames": None}, _names_are_exact),
    Feature("ipv6-address", lambda _: {"ipAddresses": ["2001:db8::7"]}, _names_are_exact),
    Feature("uri", lambda host: {"uris": [f"spiffe://{host}/ns/a/sa/b"], "dnsNames": None}, _names_are_exact),
    Feature("email-address", lambda host: {"emailAddresses": [f"me@{host}"], "dnsNames": None}, _names_are_exact),
    Feature("mixed-names", _mixed_names, _has_common_name_and_names),
    Feature("other-name", lambda host: {"otherNames": [{"oid": UPN, "utf8Value": f"upn@{host}"}]}, _names_are_exact),
    Feature("long-names", _long_names, _has_common_name_and_names),
    # Subject
    Feature("subject", lambda host: {"commonName": host, "subject": FULL_SUBJECT}, _has_full_subject),
    Feature(
        "literal-subject",
        lambda host: {"literalSubject": rf"CN={host},OU=a\, b+UID=u1,DC=corp,DC=example"},
        _has_literal_subject,
    ),
    # Lifetime and use
    Feature("duration", lambda _: {"duration": "7h"}, _lasts_seven_hours),
    Feature(
        "usages",
        lambda _: {"usages": ["client auth", "digital signature", "code signing", "server auth"]},
        _has_usages,
    ),
    Feature("every-usage", lambda _: {"usages": list(KEY_USAGES)}, _has_usages),
    Feature(
        "usages-not-in-csr",
        lambda _: {"encodeUsagesInRequest": False, "usages": ["digital signature", "server auth"]},
        _csr_says_nothing_of_usages,
    ),
    Feature("is-ca", lambda host: {"isCA": True, "commonName": host, "usages": ["cert sign", "crl sign"]}, _is_a_ca),
    Feature("name-constraints", _constraints, _is_constrained),
    # The Secret
    Feature(
        "secret-template",
        lambda _: {"secretTemplate": {"labels": {"team": "a"}, "annotations": {"example.test/note": "hello"}}},
        _has_template,
    ),
    Feature(
        "output-formats",
        lambda _: {"additionalOutputFormats": [{"type": "DER"}, {"type": "CombinedPEM"}]},
        _has_output_formats,
    ),
    _jks("jks", password=PASSWORD),
    _jks("jks-alias-and-secret", alias="MyAlias", passwordSecretRef=PASSWORD_SECRET),
    _pkcs12("LegacyRC2"),
    _pkcs12("LegacyDES"),
    _pkcs12("Modern2023"),
    _pkcs12("Modern2026"),
)
