"""kubeconfig files, as JSON (which is YAML)."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any


def write_kubeconfig(
    path: Path,
    server: str,
    ca: Path,
    *,
    certificate: tuple[Path, Path] | None = None,
    token: str = "",
) -> Path:
    """One cluster, one user, one context; everything inline, readable by the owner alone."""
    user: dict[str, Any] = {"token": token} if token else {}
    if certificate is not None:
        user = {
            "client-certificate-data": base64.b64encode(certificate[0].read_bytes()).decode(),
            "client-key-data": base64.b64encode(certificate[1].read_bytes()).decode(),
        }
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(ca.read_bytes()).decode()}
    path.touch(mode=0o600)
    path.write_text(
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "devcluster", "cluster": cluster}],
                "users": [{"name": "user", "user": user}],
                "contexts": [{"name": "devcluster", "context": {"cluster": "devcluster", "user": "user"}}],
                "current-context": "devcluster",
            },
            indent=1,
        )
    )
    return path
