"""The certificates that are signed here: what of a request goes into them, and what does not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from cryptography import x509
from cryptography.x509.oid import AuthorityInformationAccessOID, ObjectIdentifier

from certwright_issuers import extensions as ext
from certwright_issuers.algorithms import hash_for
from certwright_issuers.contract import ConfigInvalid, Note, RequestRejected, SigningRequest
from certwright_issuers.csr import EMPTY_NAME
from certwright_issuers.keys import PrivateKey
from certwright_issuers.names import library_name
from certwright_issuers.sans import SAN_OID
from certwright_issuers.usages import key_usage_der, usage_set

#: Reason of requests that can't be signed (cert-manager API contract).
SIGNING_ERROR = "SigningError"
#: Reason of a configuration that no certificate can be signed with.
INVALID_CONFIG: Final = "ErrInvalidConfig"

_Addition = tuple[x509.ExtensionType, bool]


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signs, and what goes into every certificate."""

    key: PrivateKey = field(repr=False)
    #: None: whoever is named in the request, as its own key signs.
    issuer: x509.Name | None = None
    #: What the issuer's key is called; None when the request's own key signs.
    key_id: bytes | None = None
    #: When the first certificate of the issuer's chain ends; nothing signed is valid longer. Aware; None: no limit.
    not_after: datetime | None = None
    crl_urls: tuple[str, ...] = ()
    ocsp_urls: tuple[str, ...] = ()
    issuer_urls: tuple[str, ...] = ()


def configured_urls(config: Mapping[str, Any], field: str) -> tuple[str, ...]:
    """URLs of an issuer's configuration that go into certificates. Raises ConfigInvalid: they are IA5Strings."""
    urls = tuple(config.get(field) or ())
    for url in urls:
        if not url.isascii():
            raise ConfigInvalid(
                INVALID_CONFIG,
                f"{field}: {url!r} has characters beyond ASCII; host names are written in their xn-- form",
            )
    return urls


def sign_leaf(request: SigningRequest, signer: Signer) -> tuple[x509.Certificate, tuple[Note, ...]]:
    """The signed certificate, and what the requester should be told about it. Raises RequestRejected.

    Subject and alternative names are copied from the CSR byte for byte, name constraints too if the certificate is to
    be a CA's (RFC 5280 section 4.2.1.10 allows them nowhere else). Usages and CA flag come from the request around the
    CSR. Nothing else of the CSR is used.
    """
    not_before = request.now.replace(microsecond=0)
    try:
        not_after, notes = _end(request, not_before, signer)
        raw = ext.split_request(request.csr)
        subject = library_name(raw.subject)
        builder = x509.CertificateBuilder(
            signer.issuer or subject,
            subject,
            request.csr.public_key(),
            x509.random_serial_number(),
            not_before,
            not_after,
        )
        for extension, critical in _extensions(request, raw, signer):
            builder = builder.add_extension(extension, critical)
        return builder.sign(signer.key, hash_for(signer.key)), notes
    except (ValueError, OverflowError) as error:
        raise RequestRejected(SIGNING_ERROR, f"Error signing certificate: {error}") from error


def _end(request: SigningRequest, start: datetime, signer: Signer) -> tuple[datetime, tuple[Note, ...]]:
    """When the certificate ends: after the duration, but not after the CA."""
    if request.duration < timedelta(seconds=1):
        raise ValueError(f"the duration of {request.duration} is not positive")
    end = (start + request.duration).replace(microsecond=0)
    last = signer.not_after
    if last is None or end <= last:
        return end, ()
    message = (
        f"The certificate ends with its CA on {last.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC, "
        f"earlier than the {request.duration.total_seconds() / 3600:g}h asked for"
    )
    return last, (Note("LifetimeShortened", message),)


def _extensions(request: SigningRequest, raw: ext.RawRequest, signer: Signer) -> Iterator[_Addition]:
    usages = usage_set(request.usages, is_ca=request.is_ca)
    if usages.bits:
        yield _raw(ext.KEY_USAGE_OID, key_usage_der(usages.bits)), True
    if usages.purposes:
        yield _raw(ext.EXTENDED_KEY_USAGE_OID, ext.purposes_der(usages.purposes)), False
    yield x509.BasicConstraints(request.is_ca, None), True
    yield from _key_ids(request, signer)
    yield from _urls(signer)
    if (names := raw.extensions.get(SAN_OID)) is not None:
        # RFC 5280 section 4.1.2.6: without a subject the certificate must not be used by who can't read these.
        yield _raw(SAN_OID, names.value), raw.subject == EMPTY_NAME
    if request.is_ca and (limits := raw.extensions.get(ext.NAME_CONSTRAINTS_OID)) is not None:
        yield _raw(ext.NAME_CONSTRAINTS_OID, limits.value), limits.critical


def _raw(oid: str, value: bytes) -> x509.UnrecognizedExtension:
    return x509.UnrecognizedExtension(ObjectIdentifier(oid), value)


def _key_ids(request: SigningRequest, signer: Signer) -> Iterator[_Addition]:
    """Subject key identifier on CAs only; authority key identifier wherever somebody else signs."""
    if request.is_ca:
        yield x509.SubjectKeyIdentifier.from_public_key(request.csr.public_key()), False
    if signer.key_id is not None:
        yield x509.AuthorityKeyIdentifier(signer.key_id, None, None), False


def _urls(signer: Signer) -> Iterator[_Addition]:
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
    if signer.crl_urls:
        points = [
            x509.DistributionPoint([x509.UniformResourceIdentifier(url)], None, None, None) for url in signer.crl_urls
        ]
        yield x509.CRLDistributionPoints(points), False
