"""The certificate that is signed here: what of the request goes into it, and what does not (contract section 3.0)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ExtensionOID, ObjectIdentifier

from certwright_issuers.contract import Note, RequestRejected, SigningRequest
from certwright_issuers.csr import signature_hash
from certwright_issuers.keys import PrivateKey
from certwright_issuers.usages import key_usage_extension, usage_set


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs: ``certificate`` is None when the request's own key does."""

    key: PrivateKey = field(repr=False)
    certificate: x509.Certificate | None = None
    crl_urls: tuple[str, ...] = ()
    ocsp_urls: tuple[str, ...] = ()
    issuer_urls: tuple[str, ...] = ()


def sign_leaf(request: SigningRequest, signer: Signer) -> tuple[x509.Certificate, tuple[Note, ...]]:
    """The signed certificate and what should be told about it. Raises RequestRejected.

    Usages come from the request, not from the CSR; the CSR's subject and alternative names are copied as they are, its
    name constraints too, everything else is left out. The lifetime begins now and ends with the CA's at the latest.
    """
    csr = request.csr
    not_after, notes = _end(request, signer)
    try:
        usages = usage_set(request.usages, is_ca=request.is_ca)
        builder = (
            x509.CertificateBuilder()
            .subject_name(csr.subject)
            .issuer_name(signer.certificate.subject if signer.certificate else csr.subject)
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(request.now)
            .not_valid_after(not_after)
            .add_extension(x509.BasicConstraints(ca=request.is_ca, path_length=None), critical=True)
        )
        if usages.bits:
            builder = builder.add_extension(key_usage_extension(usages.bits), critical=True)
        if usages.purposes:
            purposes = [ObjectIdentifier(oid) for oid in usages.purposes]
            builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        for extension, critical in (*_copied(csr), *_identifiers(request, signer), *_urls(signer)):
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(signer.key, signature_hash(signer.key)), notes
    except (ValueError, TypeError) as error:
        raise RequestRejected("SigningError", f"Error signing certificate: {error}") from error


def _end(request: SigningRequest, signer: Signer) -> tuple[datetime, tuple[Note, ...]]:
    wanted = request.now + request.duration
    ca = signer.certificate
    if ca is None or wanted <= ca.not_valid_after_utc:
        return wanted, ()
    end = ca.not_valid_after_utc
    if end <= request.now:
        raise RequestRejected(
            "SigningError", f"Error signing certificate: the CA has expired on {end:%Y-%m-%d %H:%M:%S} UTC"
        )
    message = f"The certificate ends with its CA on {end:%Y-%m-%d %H:%M:%S} UTC, earlier than the {request.duration} asked for"
    return end, (Note("LifetimeShortened", message),)


def _copied(csr: x509.CertificateSigningRequest) -> Iterable[tuple[x509.ExtensionType, bool]]:
    """Alternative names byte for byte, critical only where there is no subject; name constraints as they are."""
    for extension in csr.extensions:
        if extension.oid == ExtensionOID.SUBJECT_ALTERNATIVE_NAME:
            raw = x509.UnrecognizedExtension(extension.oid, extension.value.public_bytes())
            yield raw, not list(csr.subject)
        elif extension.oid == ExtensionOID.NAME_CONSTRAINTS:
            yield extension.value, extension.critical


def _identifiers(request: SigningRequest, signer: Signer) -> Iterable[tuple[x509.ExtensionType, bool]]:
    """Subject key identifier on CAs only; authority key identifier from the CA's own."""
    own = x509.SubjectKeyIdentifier.from_public_key(request.csr.public_key())
    if request.is_ca:
        yield own, False
    if signer.certificate is None:
        if request.is_ca:
            yield x509.AuthorityKeyIdentifier(own.digest, None, None), False
        return
    try:
        ski = signer.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        return
    yield x509.AuthorityKeyIdentifier(ski.digest, None, None), False


def _urls(signer: Signer) -> Iterable[tuple[x509.ExtensionType, bool]]:
    if signer.crl_urls:
        points = [
            x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None) for url in signer.crl_urls
        ]
        yield x509.CRLDistributionPoints(points), False
    access = [
        x509.AccessDescription(method, x509.UniformResourceIdentifier(url))
        for method, urls in (
            (AuthorityInformationAccessOID.OCSP, signer.ocsp_urls),
            (AuthorityInformationAccessOID.CA_ISSUERS, signer.issuer_urls),
        )
        for url in urls
    ]
    if access:
        yield x509.AuthorityInformationAccess(access), False
