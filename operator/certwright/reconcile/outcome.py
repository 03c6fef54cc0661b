"""What became of an attempt to have a CertificateRequest signed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from certwright_issuers.contract import Issued


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an attempt to sign. ``state`` is the Ready reason: Pending, Failed or Issued."""

    state: str
    event_reason: str
    message: str
    issued: Issued | None = None
    #: The request contradicts itself: nobody can ever sign it.
    invalid: bool = False
    retry_after: timedelta | None = None
