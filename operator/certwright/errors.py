"""What can go wrong between certwright and the API server, as one tree.

``kube.py`` is the only place where HTTP statuses become these exceptions. Errors of issuers have a tree of their own
in :mod:`certwright_issuers.contract`::

    KubeError
    ├── Transient           worth the same request again, later
    │   ├── Unreachable     no answer, a cut connection, or 5xx
    │   └── Throttled       429, with the pause the server asked for
    ├── Conflict            409: the object changed since it was read
    ├── AlreadyExists       409 on create
    ├── NotFound            404
    ├── Gone                410: the resourceVersion is too old
    ├── Forbidden           401, 403: a permission is missing
    └── Refused             any other 4xx: the object is not acceptable
    Fenced                  this replica may not write any more
"""

from __future__ import annotations


class KubeError(Exception):
    """An answer of the API server that is not success, or no answer. The message names verb, resource and object."""


class Transient(KubeError):
    """Worth a retry after a pause."""


class Unreachable(Transient):
    """No answer, or a 5xx one. A write may have been carried out all the same."""


class Throttled(Transient):
    """The server asked for a pause of ``retry_after`` seconds (RFC 9110 section 10.2.3)."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Conflict(KubeError):
    """The object has changed: read it again and decide again."""


class AlreadyExists(KubeError):
    """An object of this name exists."""


class NotFound(KubeError):
    """No such object, or no such namespace."""


class Gone(KubeError):
    """The resourceVersion of a watch or of a paged list is no longer known; list again."""


class Forbidden(KubeError):
    """The server refuses for lack of permission, or because the namespace is being deleted."""


class Refused(KubeError):
    """The server finds the object unacceptable; the same request will not succeed."""


class Fenced(Exception):
    """The Lease is lost: nothing may be written until it is held again."""
