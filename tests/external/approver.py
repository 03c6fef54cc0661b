"""A small policy approver in a process of its own: denies requests for a name under forbidden.test, approves all others.

Runs with certwright's own approver switched off (``--controllers=*,-certificaterequests-approver``).
"""

from __future__ import annotations

import base64
from typing import Any

from cryptography import x509

from tests.external.crs import Request, connect, is_true, report, serve


def handle(api: Any, request: Request) -> None:
    """Decide once; a request that does not parse is nobody's to approve."""
    if is_true(request, "Approved") or is_true(request, "Denied"):
        return
    try:
        csr = x509.load_pem_x509_csr(base64.b64decode(request["spec"]["request"]))
        sans = [e.value for e in csr.extensions if isinstance(e.value, x509.SubjectAlternativeName)]
    except ValueError:
        report(api, request, "Denied", "True", "SamplePolicy", "the request cannot be read")
        return
    names = [name for san in sans for name in san.get_values_for_type(x509.DNSName)]
    bad = [name for name in names if name.endswith(".forbidden.test")]
    if bad:
        report(api, request, "Denied", "True", "SamplePolicy", f"names under forbidden.test: {', '.join(bad)}")
    else:
        report(api, request, "Approved", "True", "SamplePolicy", "within the policy")


if __name__ == "__main__":
    made, _ = connect(__doc__ or "")
    serve(made, handle)
