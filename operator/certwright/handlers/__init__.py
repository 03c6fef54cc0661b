"""The table of what Kopf calls. Only this package imports kopf for handlers; each watched kind is one module.

Every handler has the same two lines: take the object into the store, and let the queue know. Which version of an object
an event carries, whether it was created or changed, and whether it was missed, makes no difference to what follows.
"""

from __future__ import annotations

from certwright.handlers import acme, certificaterequests, certificates, issuers, lifecycle
from certwright.handlers.ingresses import watch_ingresses
from certwright.handlers.issuers import watch_cluster_issuers
from certwright.handlers.registry import REGISTRY

__all__ = [
    "REGISTRY",
    "acme",
    "certificaterequests",
    "certificates",
    "issuers",
    "lifecycle",
    "watch_cluster_issuers",
    "watch_ingresses",
]
