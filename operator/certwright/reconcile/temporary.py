"""A temporary certificate in the target Secret while the real one is waited for (API contract section 5.10).

Asked for by an annotation, and only where the Secret holds nothing a server could start with. Its key is the one of the
issuance under way, so nothing but the certificate changes when the real one arrives.
"""

from __future__ import annotations

import logging

from certwright.api import Certificate, CertificateRequest
from certwright.api.groups import ANNOTATION_TEMPORARY_CERTIFICATE
from certwright.csrspec import encoding_of
from certwright.reconcile import status as statuses
from certwright.reconcile.context import Context, about_certificate
from certwright.reconcile.keystores import Passwords, make_keystores
from certwright.reconcile.nextkey import NextKey
from certwright.reconcile.signing import signing_request
from certwright.reconcile.target import apply_secret
from certwright.reconcile.view import View, gather
from certwright_issuers.contract import RequestRejected
from certwright_issuers.csr import InvalidCSR, parse_csr
from certwright_issuers.keys import encode_key
from certwright_issuers.keystores import Content
from certwright_issuers.temporary import sign_temporarily

logger = logging.getLogger(__name__)


def wants_temporary(certificate: Certificate) -> bool:
    """Whether the annotation asks for it."""
    return certificate.metadata.annotations.get(ANNOTATION_TEMPORARY_CERTIFICATE) == "true"


async def bridge(
    context: Context, view: View, request: CertificateRequest, next_key: NextKey, passwords: Passwords
) -> View:
    """Store a temporary certificate if one is wanted and needed; the view afterwards. Raises StoreFailed, KubeError."""
    certificate = view.certificate
    if view.unusable is None or not wants_temporary(certificate):
        return view
    try:
        signing = signing_request(context, request, parse_csr(request.spec.request), None)
        chain_pem = sign_temporarily(signing)
    except (InvalidCSR, RequestRejected) as error:
        logger.warning("no temporary certificate can be made: %s", error)
        return view
    content = Content(encode_key(next_key.key, encoding_of(certificate.spec)), chain_pem)
    keystores = await make_keystores(context, certificate, content, passwords, {})
    # Without issuer annotations: nobody's certificate.
    await apply_secret(context, certificate, {}, content, view.secret, keystores)
    context.reporter.normal(about_certificate(certificate), "Issuing", "Issued temporary certificate")
    after = await gather(context, view.key, certificate)
    await statuses.write(context, after.certificate, statuses.observed(after))
    return await gather(context, view.key, certificate)
