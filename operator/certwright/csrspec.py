"""From the words of the Certificate API to the plain values of :mod:`certwright_issuers`."""

from __future__ import annotations

from certwright.api import CertificateSpec
from certwright_issuers.csr import NameConstraints, RequestSpec, Subject
from certwright_issuers.keys import KeySpec

#: What an empty privateKey means (API contract section 5.1).
DEFAULT_ALGORITHM = "RSA"
DEFAULT_ENCODING = "PKCS1"
DEFAULT_ROTATION = "Always"
