"""HTTP requests made inside a cluster's network, for a process outside."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence

from devcluster.errors import DevclusterError

_CODE = """
import ssl, sys, urllib.request
url, verify, *headers = sys.argv[1:]
context = ssl.create_default_context() if verify == "1" else ssl._create_unverified_context()
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
body = sys.stdin.buffer.read()
with opener.open(urllib.request.Request(url, body or None, dict(h.split("=", 1) for h in headers)), timeout=5) as answer:
    sys.stdout.buffer.write(answer.read())
"""


def request(
    prefix: Sequence[str],
    url: str,
    body: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    verify: bool = True,
) -> bytes:
    """GET, or POST if there is a body; the answer's body. ``prefix`` runs a command inside.

    Raises DevclusterError for no answer and for one that is not success.
    """
    argv = [*prefix, sys.executable, "-I", "-c", _CODE, url, "1" if verify else "0"]
    argv += [f"{name}={value}" for name, value in (headers or {}).items()]
    result = subprocess.run(argv, input=body, capture_output=True, check=False)
    if result.returncode:
        reason = result.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise DevclusterError(f"{url}: {' '.join(reason)}")
    return result.stdout
