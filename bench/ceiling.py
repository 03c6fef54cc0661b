"""The ceiling: how fast the cluster takes an issuance's writes from a client that does nothing else.

For each Certificate the four object writes and two Events of an issuance by an in-process CA, with bodies of the same
size and by the same user as the operator's: create the CertificateRequest, patch its status (approval, certificate,
readiness), apply the Secret, patch the Certificate's status, create two Events. As many clients create the Certificates
as in the workload, at the same time. The certificate is made once beforehand, so no time goes into keys or signatures.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from bench import objects
from bench.api import APPLY_PATCH, MERGE_PATCH, Api
from bench.driver import create_certificate, each

#: Issuances written at once. More gain nothing: two cores are busy with eight.
WRITERS = 32

Place = tuple[str, str]


async def measure_burst(
    creator: Api, writer: Api, authority: objects.Authority, places: Sequence[Place], creators: int
) -> float:
    """Certificates per second: from the first creation until the last write, Events included."""
    created: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def create(place: Place) -> None:
        created.put_nowait(await create_certificate(creator, *place, "ECDSA"))

    async def write(_: Place) -> None:
        await write_issuance(writer, authority, await created.get())

    began = time.monotonic()
    async with asyncio.TaskGroup() as group:
        group.create_task(each(places, creators, create))
        group.create_task(each(places, WRITERS, write))
    return len(places) / (time.monotonic() - began)


async def measure_singly(creator: Api, writer: Api, authority: objects.Authority, places: Sequence[Place]) -> float:
    """Certificates per second when each begins after the one before: one over the least possible latency.

    Until the Certificate is Ready, as in the workload: the Events follow outside the time.
    """
    spent = 0.0
    for place in places:
        began = time.monotonic()
        certificate = await create_certificate(creator, *place, "ECDSA")
        await _write_objects(writer, authority, certificate)
        spent += time.monotonic() - began
        await _write_events(writer, certificate)
    return len(places) / spent


async def write_issuance(api: Api, authority: objects.Authority, certificate: dict[str, Any]) -> None:
    """All writes of one issuance."""
    await _write_objects(api, authority, certificate)
    await _write_events(api, certificate)


async def _write_objects(api: Api, authority: objects.Authority, certificate: dict[str, Any]) -> None:
    namespace, name = certificate["metadata"]["namespace"], certificate["metadata"]["name"]
    now = datetime.now(UTC)
    requests = objects.namespaced(namespace, "certificaterequests")
    request = msgspec.json.decode(await api.send("POST", requests, objects.request(certificate, authority)))
    status = objects.request_status(request, authority, now)
    await api.send("PATCH", f"{requests}/{name}-1/status", status, MERGE_PATCH)
    apply = f"{objects.core(namespace, 'secrets')}/{name}-tls?fieldManager=bench&force=true"
    await api.send("PATCH", apply, objects.secret(certificate, authority), APPLY_PATCH)
    path = f"{objects.namespaced(namespace, 'certificates')}/{name}/status"
    await api.send("PATCH", path, objects.certificate_status(certificate, now), MERGE_PATCH)


async def _write_events(api: Api, certificate: dict[str, Any]) -> None:
    path = objects.core(certificate["metadata"]["namespace"], "events")
    for number, message in enumerate(("Issuing certificate as Secret does not exist", "Issued")):
        await api.send("POST", path, objects.event(certificate, number, message, datetime.now(UTC)))
