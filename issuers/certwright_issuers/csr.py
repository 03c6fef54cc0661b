"""Certificate signing requests (PKCS#10, RFC 2986): make one of a spec, read one of anybody, compare both."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtensionOID, ObjectIdentifier

from certwright_issuers.certificate import CertificateFacts
from certwright_issuers.digest import spki_digest
from certwright_issuers.keys import PrivateKey
from certwright_issuers.names import InvalidName, Subject, common_name_of, literal_name, subject_fields, subject_name
from certwright_issuers.sans import AlternativeNames, alternative_names_of, general_names
from certwright_issuers.usages import KEY_USAGE_OID, key_usage_bits, key_usage_extension, usage_set

#: Bytes of a PEM request that are looked at; room for about 1,000 names of usual length.
CSR_LIMIT = 36_500
#: Largest RSA key whose signature is verified: the cost grows with the square of the size.
RSA_LIMIT = 8192


class InvalidCSR(ValueError):
    """Bytes that are no acceptable request; the message says why in one sentence."""


class InvalidSpec(ValueError):
    """A request that can't be made of this spec; the message begins with the field's path."""


@dataclass(frozen=True, slots=True)
class NameConstraints:
    """RFC 5280 section 4.2.1.10."""

    critical: bool = False
    permitted_dns: tuple[str, ...] = ()
    permitted_ips: tuple[str, ...] = ()
    permitted_emails: tuple[str, ...] = ()
    permitted_uris: tuple[str, ...] = ()
    excluded_dns: tuple[str, ...] = ()
    excluded_ips: tuple[str, ...] = ()
    excluded_emails: tuple[str, ...] = ()
    excluded_uris: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RequestSpec:
    """Everything a Certificate can ask of its request. ``other_names``: pairs of dotted OID and text, None if not said."""

    common_name: str = ""
    subject: Subject = Subject()
    literal_subject: str = ""
    dns_names: tuple[str, ...] = ()
    email_addresses: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    other_names: tuple[tuple[str, str], ...] | None = None
    usages: tuple[str, ...] = ()
    encode_usages: bool = True
    is_ca: bool = False
    encode_basic_constraints: bool = False
    name_constraints: NameConstraints | None = None
    signature_algorithm: str = ""


@dataclass(frozen=True, slots=True)
class CSRFacts:
    """A request as it is compared. ``is_ca``, ``usage_bits``, ``purposes`` are None where it has no such extension."""

    subject_der: bytes
    common_name: str
    subject: Subject
    names: AlternativeNames
    is_ca: bool | None
    usage_bits: frozenset[int] | None
    purposes: tuple[str, ...] | None
    spki_sha256: bytes


@dataclass(frozen=True, slots=True)
class ParsedCSR:
    """A request whose own signature is good, and its facts."""

    csr: x509.CertificateSigningRequest
    facts: CSRFacts


_HASHES: dict[str, hashes.HashAlgorithm | None] = {
    "SHA256WithRSA": hashes.SHA256(),
    "SHA384WithRSA": hashes.SHA384(),
    "SHA512WithRSA": hashes.SHA512(),
    "ECDSAWithSHA256": hashes.SHA256(),
    "ECDSAWithSHA384": hashes.SHA384(),
    "ECDSAWithSHA512": hashes.SHA512(),
    "PureEd25519": None,
}


def signature_hash(key: PrivateKey) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """The hash that suits a signing key (API contract section 3.0); None for Ed25519, which has its own."""
    if isinstance(key, rsa.RSAPrivateKey):
        return hashes.SHA512() if key.key_size >= 4096 else hashes.SHA384() if key.key_size >= 3072 else hashes.SHA256()
    if isinstance(key, ec.EllipticCurvePrivateKey):
        return hashes.SHA512() if key.key_size > 384 else hashes.SHA384() if key.key_size > 256 else hashes.SHA256()
    return None


def build_csr(spec: RequestSpec, key: PrivateKey) -> bytes:
    """A PEM request for ``spec`` signed with ``key``. Raises InvalidSpec."""
    try:
        return _build(spec, key)
    except InvalidName as error:
        raise InvalidSpec(str(error)) from error


def _build(spec: RequestSpec, key: PrivateKey) -> bytes:
    name = literal_name(spec.literal_subject) if spec.literal_subject else subject_name(spec.subject, spec.common_name)
    sans = general_names(spec.dns_names, spec.email_addresses, spec.ip_addresses, spec.uris, spec.other_names or ())
    if not sans and not common_name_of(name):
        raise InvalidSpec(
            "spec: at least one of commonName, dnsNames, ipAddresses, uris, emailAddresses, otherNames is needed"
        )
    builder = x509.CertificateSigningRequestBuilder().subject_name(name)
    if sans:
        builder = builder.add_extension(x509.SubjectAlternativeName(sans), critical=not list(name))
    for extension, critical in _usage_extensions(spec):
        builder = builder.add_extension(extension, critical=critical)
    if spec.name_constraints is not None:
        builder = builder.add_extension(
            _name_constraints(spec.name_constraints), critical=spec.name_constraints.critical
        )
    algorithm = _HASHES[spec.signature_algorithm] if spec.signature_algorithm in _HASHES else signature_hash(key)
    try:
        csr = builder.sign(key, algorithm)  # type: ignore[arg-type]
    except (ValueError, TypeError) as error:
        raise InvalidSpec(f"spec: the request can't be encoded: {error}") from error
    from cryptography.hazmat.primitives.serialization import Encoding  # noqa: PLC0415

    return csr.public_bytes(Encoding.PEM)


def _usage_extensions(spec: RequestSpec) -> list[tuple[x509.ExtensionType, bool]]:
    extensions: list[tuple[x509.ExtensionType, bool]] = []
    if spec.encode_basic_constraints:
        extensions.append((x509.BasicConstraints(ca=spec.is_ca, path_length=None), True))
    if not spec.encode_usages:
        return extensions
    try:
        usages = usage_set(spec.usages, is_ca=spec.is_ca)
    except ValueError as error:
        raise InvalidSpec(str(error)) from error
    if usages.bits:
        extensions.append((key_usage_extension(usages.bits), True))
    if usages.purposes:
        extensions.append((x509.ExtendedKeyUsage([ObjectIdentifier(oid) for oid in usages.purposes]), False))
    return extensions


def _name_constraints(constraints: NameConstraints) -> x509.NameConstraints:
    def subtrees(
        dns: Iterable[str], ips: Iterable[str], emails: Iterable[str], uris: Iterable[str]
    ) -> list[x509.GeneralName] | None:
        made: list[x509.GeneralName] = [x509.DNSName(name) for name in dns]
        try:
            made += [x509.IPAddress(ipaddress.ip_network(ip, strict=False)) for ip in ips]
        except ValueError as error:
            raise InvalidSpec(f"spec.nameConstraints: {error}") from error
        made += [x509.RFC822Name(email) for email in emails]
        made += [x509.UniformResourceIdentifier(uri) for uri in uris]
        return made or None

    c = constraints
    try:
        return x509.NameConstraints(
            subtrees(c.permitted_dns, c.permitted_ips, c.permitted_emails, c.permitted_uris),
            subtrees(c.excluded_dns, c.excluded_ips, c.excluded_emails, c.excluded_uris),
        )
    except ValueError as error:
        raise InvalidSpec(f"spec.nameConstraints: {error}") from error


def parse_csr(pem: bytes) -> ParsedCSR:
    """Read a request of anybody and verify its own signature. Raises InvalidCSR; bounded in time and memory."""
    csr = _load(pem)
    public_key = csr.public_key()
    if isinstance(public_key, rsa.RSAPublicKey) and public_key.key_size > RSA_LIMIT:
        raise InvalidCSR(f"RSA key of {public_key.key_size} bits is larger than {RSA_LIMIT}")
    try:
        good = csr.is_signature_valid
    except (InvalidSignature, UnsupportedAlgorithm, ValueError) as error:
        raise InvalidCSR("the request's signature can't be verified") from error
    if not good:
        raise InvalidCSR("the request's signature is wrong")
    return ParsedCSR(csr, _facts(csr))


@lru_cache(maxsize=256)
def parse_csr_facts(pem: bytes) -> CSRFacts:
    """What a request asks for, its signature not verified. Raises InvalidCSR."""
    return _facts(_load(pem))


def _load(pem: bytes) -> x509.CertificateSigningRequest:
    if len(pem) > CSR_LIMIT:
        raise InvalidCSR(f"request of {len(pem)} bytes is larger than the limit of {CSR_LIMIT}")
    try:
        csr = x509.load_pem_x509_csr(pem) if b"-----BEGIN" in pem else x509.load_der_x509_csr(pem)
        csr.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InvalidCSR(f"not a certificate request: {str(error)[:200]}") from error
    return csr


def _facts(csr: x509.CertificateSigningRequest) -> CSRFacts:
    try:
        extensions = {extension.oid: extension for extension in csr.extensions}
        sans = extensions.get(ExtensionOID.SUBJECT_ALTERNATIVE_NAME)
        basic = extensions.get(ExtensionOID.BASIC_CONSTRAINTS)
        extended = extensions.get(ExtensionOID.EXTENDED_KEY_USAGE)
        usage = extensions.get(KEY_USAGE_OID)
        return CSRFacts(
            subject_der=csr.subject.public_bytes(),
            common_name=common_name_of(csr.subject),
            subject=subject_fields(csr.subject),
            names=alternative_names_of(sans.value if sans else None),
            is_ca=basic.value.ca if basic else None,
            usage_bits=key_usage_bits(usage.value.public_bytes()) if usage else None,
            purposes=tuple(oid.dotted_string for oid in extended.value) if extended else None,
            spki_sha256=spki_digest(csr.public_key()),
        )
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise InvalidCSR(f"the request's extensions can't be read: {str(error)[:200]}") from error


def request_contradictions(facts: CSRFacts, usages: tuple[str, ...], *, is_ca: bool) -> tuple[str, ...]:
    """Where the CSR and the request around it contradict each other, as sentences (API contract sections 1.6 and 8.33).

    Usages are compared if the CSR has any; extended ones in their order.
    """
    found: list[str] = []
    if facts.is_ca is not None and facts.is_ca != is_ca:
        found.append(
            f"spec.isCA is {is_ca} but the CSR's basic constraints say {facts.is_ca}".replace("True", "true").replace(
                "False", "false"
            )
        )
    if facts.usage_bits is None and facts.purposes is None:
        return tuple(found)
    try:
        wanted = usage_set(usages, is_ca=is_ca)
    except ValueError as error:
        return (*found, str(error))
    if wanted.bits != (facts.usage_bits or frozenset()):
        found.append("spec.usages and the CSR's key usages differ")
    if wanted.purposes != (facts.purposes or ()):
        found.append("spec.usages and the CSR's extended key usages differ")
    return tuple(found)


def _unordered(a: Iterable[str], b: Iterable[str]) -> bool:
    return sorted(a) == sorted(b)


#: Field path -> whether facts and spec agree. Order as in the API contract's RequestMatchesSpec.
_SUBJECT_CHECKS: tuple[tuple[str, Callable[[CSRFacts, RequestSpec], bool]], ...] = (
    ("spec.commonName", lambda f, s: f.common_name == s.common_name),
    ("spec.subject.serialNumber", lambda f, s: f.subject.serial_number == s.subject.serial_number),
    ("spec.subject.organizations", lambda f, s: _unordered(f.subject.organizations, s.subject.organizations)),
    ("spec.subject.countries", lambda f, s: _unordered(f.subject.countries, s.subject.countries)),
    ("spec.subject.localities", lambda f, s: _unordered(f.subject.localities, s.subject.localities)),
    (
        "spec.subject.organizationalUnits",
        lambda f, s: _unordered(f.subject.organizational_units, s.subject.organizational_units),
    ),
    # The name is spelled so in the API's messages.
    ("spec.subject.postCodes", lambda f, s: _unordered(f.subject.postal_codes, s.subject.postal_codes)),
    ("spec.subject.provinces", lambda f, s: _unordered(f.subject.provinces, s.subject.provinces)),
    ("spec.subject.streetAddresses", lambda f, s: _unordered(f.subject.street_addresses, s.subject.street_addresses)),
)
_NAME_CHECKS: tuple[tuple[str, Callable[[AlternativeNames, RequestSpec], bool]], ...] = (
    ("spec.ipAddresses", lambda n, s: _unordered(n.ip_addresses, map(canonical_ip, s.ip_addresses))),
    ("spec.uris", lambda n, s: _unordered(n.uris, s.uris)),
    ("spec.emailAddresses", lambda n, s: _unordered(n.email_addresses, s.email_addresses)),
    ("spec.dnsNames", lambda n, s: _unordered(n.dns_names, s.dns_names)),
    ("spec.otherNames", lambda n, s: s.other_names is None or sorted(n.other_names) == sorted(s.other_names)),
)


def request_matches_spec(facts: CSRFacts, spec: RequestSpec) -> tuple[str, ...]:
    """Field paths in which the request does not ask for what the spec asks for."""
    fields = [field for field, agrees in _NAME_CHECKS if not agrees(facts.names, spec)]
    if spec.literal_subject:
        try:
            same = literal_name(spec.literal_subject).public_bytes() == facts.subject_der
        except InvalidName:
            same = False
        return (*fields, *(() if same else ("spec.literalSubject",)))
    return (*fields, *(field for field, agrees in _SUBJECT_CHECKS if not agrees(facts, spec)))


def certificate_matches_spec(certificate: CertificateFacts, spec: RequestSpec) -> tuple[str, ...]:
    """The weaker comparison for when the request is gone: names only, common name and DNS names as one set."""
    names = certificate.names
    fields = [
        field
        for field, agrees in _NAME_CHECKS
        if field not in {"spec.dnsNames", "spec.otherNames"} and not agrees(names, spec)
    ]
    common_name = spec.common_name
    if spec.literal_subject:
        try:
            common_name = common_name_of(literal_name(spec.literal_subject))
        except InvalidName:
            fields.append("spec.literalSubject")
    if common_name and common_name not in {certificate.common_name, *names.dns_names}:
        fields.append("spec.commonName")
    stored = {certificate.common_name, *names.dns_names} - {""}
    wanted = {common_name, *spec.dns_names} - {""}
    if "spec.commonName" not in fields and stored != wanted:
        fields.append("spec.dnsNames")
    return tuple(fields)


def canonical_ip(text: str) -> str:
    """An IP address as it is compared; anything else as it is."""
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        return text
