"""Following CertificateRequests and writing their conditions, with the ``kubernetes`` package alone.

Nothing in this folder imports certwright: it plays third parties, who know nothing but the API.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from kubernetes import client
from kubernetes import config as _config
from kubernetes import watch as _watch

#: The package has no types.
config: Any = _config
watch: Any = _watch

GROUP, VERSION, PLURAL = "cert-manager.io", "v1", "certificaterequests"

Request = dict[str, Any]


def connect(description: str, *arguments: str) -> tuple[Any, argparse.Namespace]:
    """The API for custom objects, and the command line; ``arguments`` are further required options."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--kubeconfig", required=True)
    for argument in arguments:
        parser.add_argument(f"--{argument}", required=True)
    options = parser.parse_args()
    config.load_kube_config(options.kubeconfig)
    return client.CustomObjectsApi(), options


def follow(api: Any) -> Iterator[Request]:
    """Every version of every request, for ever; after a fault the list anew."""
    while True:
        try:
            listed = api.list_cluster_custom_object(GROUP, VERSION, PLURAL)
            print("listed", flush=True)
            yield from listed["items"]
            since = listed["metadata"]["resourceVersion"]
            stream = watch.Watch().stream(
                api.list_cluster_custom_object, GROUP, VERSION, PLURAL, resource_version=since, timeout_seconds=300
            )
            for event in stream:
                if event["type"] in {"ADDED", "MODIFIED"}:
                    yield event["object"]
        except (client.ApiException, OSError) as error:
            print(f"starting over: {error}", file=sys.stderr, flush=True)
            time.sleep(0.5)


def condition(request: Request, type_: str) -> dict[str, Any] | None:
    """A condition by its type."""
    return next((c for c in request.get("status", {}).get("conditions", []) if c["type"] == type_), None)


def is_true(request: Request, type_: str) -> bool:
    """Whether a condition is True."""
    found = condition(request, type_)
    return found is not None and found["status"] == "True"


def utc_now() -> str:
    """Now, as the API writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def report(api: Any, request: Request, type_: str, status: str, reason: str, message: str, **fields: str) -> None:
    """Set one condition and other fields of the status, unless the request has changed meanwhile."""
    new = {"type": type_, "status": status, "reason": reason, "message": message, "lastTransitionTime": utc_now()}
    others = [c for c in request.get("status", {}).get("conditions", []) if c["type"] != type_]
    meta = request["metadata"]
    body = {
        "metadata": {"resourceVersion": meta["resourceVersion"]},
        "status": {"conditions": [*others, new], **fields},
    }
    api.patch_namespaced_custom_object_status(GROUP, VERSION, meta["namespace"], PLURAL, meta["name"], body)


def serve(api: Any, handle: Callable[[Any, Request], None]) -> None:
    """Hand every request to ``handle``; what it raises is told, and the request is seen again when it changes."""
    for request in follow(api):
        try:
            handle(api, request)
        except client.ApiException as error:
            print(f"{request['metadata']['name']}: {error.status} {error.reason} {error.body}", flush=True)
