"""What is known of CAs' renewal information beyond ``status.acme``. All of it may be lost: it costs one more question."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from certwright.workqueue import Key

#: A CA that has none is asked again after this time, which costs one look at its directory for all Certificates.
SILENCE = timedelta(hours=6)
#: A CA that wants even the successor of a hurried renewal renewed at once is followed at this pace only.
HURRY_PAUSE = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class _At:
    certid: str
    when: datetime


class RenewalMemory:
    """By Certificate, and by the RFC 9773 identifier of what its Secret holds."""

    def __init__(self) -> None:
        self._heard: dict[Key, str] = {}
        self._silent: dict[Key, _At] = {}
        self._hurried: dict[Key, _At] = {}

    def hear(self, key: Key, certid: str) -> None:
        """The CA has answered: what the status says from now on is about this certificate."""
        self._heard[key] = certid

    def has_heard(self, key: Key, certid: str) -> bool:
        """Whether what the status says was said about this certificate, as far as this process knows."""
        return self._heard.get(key) == certid

    def silence(self, key: Key, certid: str, now: datetime) -> None:
        """The CA has no renewal information."""
        self._silent[key] = _At(certid, now + SILENCE)

    def is_silent(self, key: Key, certid: str, now: datetime) -> bool:
        """Whether the CA had none when it was asked a short time ago."""
        found = self._silent.get(key)
        return found is not None and found.certid == certid and now < found.when

    def hurry(self, key: Key, certid: str, now: datetime) -> None:
        """The CA wants a certificate replaced that it has only just issued: once is fine, a loop is not."""
        last = self._hurried.get(key)
        if last is None:
            self._hurried[key] = _At(certid, now)
        elif last.certid != certid:
            self._hurried[key] = _At(certid, max(now, last.when + HURRY_PAUSE))

    def not_before(self, key: Key, certid: str) -> datetime | None:
        """The earliest renewal of a hurried certificate."""
        found = self._hurried.get(key)
        return found.when if found is not None and found.certid == certid else None

    def forget(self, key: Key) -> None:
        """The Certificate is gone."""
        for memory in (self._heard, self._silent, self._hurried):
            memory.pop(key, None)

    def clear(self) -> None:
        """Another replica works now."""
        for memory in (self._heard, self._silent, self._hurried):
            memory.clear()
