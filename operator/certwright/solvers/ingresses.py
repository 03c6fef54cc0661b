"""The way from an ingress controller to the solver Service: an Ingress of the challenge's own, or a path in somebody's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec

from certwright.api import Challenge, HTTP01Ingress, ObjectMeta
from certwright.api.groups import LABEL_HTTP01_SOLVER
from certwright.errors import AlreadyExists, Conflict, NotFound
from certwright.kube import INGRESSES, KubeClient
from certwright.solvers.contract import SolverRefused
from certwright.solvers.inplace import Rule, with_path, without_paths
from certwright.solvers.live import LiveChallenges
from certwright.solvers.manifests import (
    SERVICES,
    challenge_host,
    ingress_name,
    ingress_path,
    service_name,
    solver_ingress,
)
from certwright.solvers.server import PREFIX

#: Tries to change an Ingress that others change as well.
EDIT_TRIES = 5


class _Spec(msgspec.Struct):
    #: Plain JSON: what is not known here must survive an edit.
    rules: list[Rule] | None = None


class _Ingress(msgspec.Struct):
    metadata: ObjectMeta
    spec: _Spec


class Ingresses:
    """Written to by the leader alone."""

    def __init__(self, kube: KubeClient, extra_labels: Mapping[str, str]) -> None:
        self._kube = kube
        self._extra_labels = extra_labels

    async def ensure(self, challenge: Challenge, ingress: HTTP01Ingress, *, again: bool) -> None:
        """Have the challenge's path routed as ``ingress`` says. Raises SolverRefused, KubeError.

        ``again``: it was so once, so it is looked for before anything is written.
        """
        if ingress.name:
            await self._edit(challenge, ingress)
        elif again:
            await self._repair(challenge, solver_ingress(challenge, ingress, self._extra_labels))
        else:
            await self._create(challenge, solver_ingress(challenge, ingress, self._extra_labels))

    async def remove(self, challenge: Challenge, ingress: HTTP01Ingress) -> None:
        """Undo :meth:`ensure`; an edited Ingress is as it was. Raises KubeError."""
        namespace = challenge.metadata.namespace
        if ingress.name:
            path = PREFIX + challenge.spec.token
            await self._change(
                namespace,
                ingress.name,
                lambda rules: without_paths(rules, lambda other: other.get("path") == path and _is_to_solver(other)),
            )
            return
        url = INGRESSES.path(namespace, ingress_name(challenge))
        try:
            found = await self._kube.get(url, _Ingress)
        except NotFound:
            return
        if _is_owned(found, challenge):
            await self._kube.delete(url, uid=found.metadata.uid)

    async def sweep(self, namespace: str, live: LiveChallenges) -> None:
        """Take paths for challenges that are not live out of Ingresses. Those made here go with their Challenges."""

        def is_stale(path: dict[str, Any]) -> bool:
            text = str(path.get("path") or "")
            return _is_to_solver(path) and text.startswith(PREFIX) and not live.with_token(text.removeprefix(PREFIX))

        left: list[ObjectMeta] = []
        async for page, _ in self._kube.pages(INGRESSES.path(namespace), _Ingress):
            for item in page:
                rules = item.spec.rules or []
                if LABEL_HTTP01_SOLVER not in item.metadata.labels and without_paths(rules, is_stale) != rules:
                    left.append(item.metadata)
        for meta in left:
            await self._change(meta.namespace, meta.name, lambda rules: without_paths(rules, is_stale))

    async def _create(self, challenge: Challenge, body: dict[str, Any]) -> None:
        try:
            await self._kube.create(INGRESSES.path(challenge.metadata.namespace), body, _Ingress)
        except AlreadyExists:
            await self._repair(challenge, body)

    async def _repair(self, challenge: Challenge, body: dict[str, Any]) -> None:
        path = INGRESSES.path(challenge.metadata.namespace, ingress_name(challenge))
        try:
            found = await self._kube.get(path, _Ingress)
        except NotFound:
            await self._kube.create(INGRESSES.path(challenge.metadata.namespace), body, _Ingress)
            return
        if not _is_owned(found, challenge):
            name = ingress_name(challenge)
            raise SolverRefused("IngressExists", f"the Ingress {name} exists and is not certwright's; rename it")
        if found.spec.rules != body["spec"]["rules"]:
            version = {"resourceVersion": found.metadata.resource_version}
            await self._kube.merge_patch(path, {"metadata": version, "spec": body["spec"]}, _Ingress)

    async def _edit(self, challenge: Challenge, ingress: HTTP01Ingress) -> None:
        path, host = ingress_path(challenge, service_name(ingress)), challenge_host(challenge)
        namespace = challenge.metadata.namespace
        if not await self._change(namespace, ingress.name, lambda rules: with_path(rules, host, path)):
            raise SolverRefused(
                "IngressNotFound", f"the Ingress {ingress.name}, named by http01.ingress.name, does not exist"
            )

    async def _change(self, namespace: str, name: str, change: Callable[[list[Rule]], list[Rule]]) -> bool:
        """Replace the rules of an Ingress; False if there is no such Ingress. Raises KubeError."""
        url = INGRESSES.path(namespace, name)
        for tried in range(1, EDIT_TRIES + 1):
            try:
                found = await self._kube.get(url, _Ingress)
                rules = found.spec.rules or []
                wanted = change(rules)
                if wanted != rules:
                    version = {"resourceVersion": found.metadata.resource_version}
                    body = {"metadata": version, "spec": {"rules": wanted or None}}
                    await self._kube.merge_patch(url, body, _Ingress)
            except NotFound:
                return False
            except Conflict:
                if tried == EDIT_TRIES:
                    raise
            else:
                return True
        return True


def _is_owned(ingress: _Ingress, challenge: Challenge) -> bool:
    return any(owner.uid == challenge.metadata.uid for owner in ingress.metadata.owner_references)


def _is_to_solver(path: dict[str, Any]) -> bool:
    backend = cast("dict[str, Any]", path.get("backend") or {})
    service = cast("dict[str, Any]", backend.get("service") or {})
    return service.get("name") in SERVICES.values()
