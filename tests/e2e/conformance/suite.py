"""The conformance matrix: every feature of Certificates with every issuer, against a real control plane.

An issuer joins with one row and a class that carries it::

    class TestVault(ConformanceSuite):
        row = IssuerRow("vault", set_up_vault, unsupported={
            "email-address": Ignored("the signing endpoint takes no e-mail names"),
        })

``setup`` creates the issuer in the namespace it is given and returns the issuerRef; what it needs from fixtures it gets
with ``getfixturevalue``. A feature that an issuer can't do is declared with its reason, and the declaration is tested:
:class:`Refused` must fail and :class:`Waits` wait, with the cause on the Certificate, :class:`Ignored` must be issued
without the feature.

All Certificates of a row are applied at once and checked afterwards, so a row takes little longer than its slowest key.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import pytest
import yaml

from devcluster import Cluster
from tests.e2e.conformance.features import FEATURES, PASSWORD, PASSWORD_SECRET, Feature
from tests.e2e.conformance.issued import Issued, assert_sound
from tests.e2e.conformance.scenarios import SCENARIOS, Scene, certificate
from tests.e2e.harness import Kubectl, condition, is_true

#: Seconds a row may take (owner's target, two cores).
ROW_LIMIT = 60.0


@dataclass(frozen=True)
class Refused:
    """The issuance fails; ``says`` is part of what the Certificate's Issuing condition then says."""

    reason: str
    says: str = ""


@dataclass(frozen=True)
class Waits:
    """Nothing fails and nothing is issued; ``says`` is part of what the Certificate's Issuing condition then says."""

    reason: str
    says: str


@dataclass(frozen=True)
class Ignored:
    """A certificate is issued that visibly lacks the feature."""

    reason: str


@dataclass(frozen=True)
class Ground:
    """Where an issuer is set up."""

    cluster: Cluster
    kubectl: Kubectl
    #: pytest's, for ``getfixturevalue``.
    request: pytest.FixtureRequest
    #: Called when the row is done.
    later: list[Callable[[], object]]


@dataclass(frozen=True)
class IssuerRow:
    """One issuer: ``setup`` creates it and returns the issuerRef."""

    name: str
    setup: Callable[[Ground], dict[str, str]]
    unsupported: Mapping[str, Refused | Waits | Ignored] = field(default_factory=dict[str, "Refused | Waits | Ignored"])
    #: Names are asked for below it.
    domain: str = "conformance.example.test"
    #: Whether ca.crt is given (API contract section 3.0).
    has_ca: bool = True
    #: Fields of names that come back in every certificate.
    names_kept: frozenset[str] = frozenset({"dnsNames", "ipAddresses", "uris", "emailAddresses"})
    #: How long one issuance may take, in seconds.
    patience: float = 45.0


class Batch:
    """All Certificates of a row: applied together, looked at together."""

    def __init__(self, row: IssuerRow, ground: Ground, folder: Path) -> None:
        self.row = row
        self.kubectl = ground.kubectl
        self._folder = folder
        self.began = time.monotonic()
        self.ref = row.setup(ground)
        secret = {PASSWORD_SECRET["key"]: base64.b64encode(PASSWORD.encode()).decode()}
        self.kubectl.apply(
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": PASSWORD_SECRET["name"]}, "data": secret}
        )
        manifests = [certificate(f.name, self.ref, self.host(f.name), **f.spec(self.host(f.name))) for f in FEATURES]
        manifests += [certificate(name, self.ref, self.host(name)) for name in SCENARIOS]
        self.kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(manifests))
        self._settle()

    def host(self, name: str) -> str:
        """The DNS name of a feature."""
        return f"{name}.{self.row.domain}"

    def _settle(self) -> None:
        """Wait until each Certificate is issued or has failed, then read everything once."""
        deadline = time.monotonic() + self.row.patience
        while True:
            self.certificates = {c["metadata"]["name"]: c for c in self.kubectl.all("certificates")}
            waits = {n for n, declared in self.row.unsupported.items() if isinstance(declared, Waits)}
            names = [f.name for f in FEATURES if f.name not in waits]
            open_ = [n for n in names if not self._settled(self.certificates[n])]
            if not open_ or time.monotonic() > deadline:
                break
            time.sleep(0.2)
        self._secrets = {s["metadata"]["name"]: s for s in self.kubectl.all("secrets")}
        self._requests = {r["metadata"]["name"]: r for r in self.kubectl.all("certificaterequests")}

    @staticmethod
    def _settled(found: dict[str, Any]) -> bool:
        return is_true(found, "Ready") or (condition(found, "Issuing") or {}).get("status") == "False"

    def issued(self, name: str, folder: Path) -> Issued:
        """A Certificate that must be Ready."""
        found = self.certificates[name]
        assert is_true(found, "Ready"), f"not issued: {yaml.safe_dump(found.get('status'))}"
        secret, request = self._secrets[found["spec"]["secretName"]], self._requests[f"{name}-1"]
        return Issued(found, secret, request, self.row.has_ca, folder)

    def scene(self, name: str, folder: Path) -> Scene:
        """A Certificate for a scenario."""
        row = self.row
        return Scene(self.kubectl, self.ref, self.host(name), name, row.has_ca, row.patience, folder)

    def table(self) -> str:
        """What was declared, for people."""
        lines = [f"{self.row.name}: {len(FEATURES) + len(SCENARIOS)} features in {time.monotonic() - self.began:.0f} s"]
        for name, declared in self.row.unsupported.items():
            lines.append(f"  {name}: {type(declared).__name__.lower()}: {declared.reason}")
        return "\n".join(lines)


@pytest.mark.usefixtures("operator")
class ConformanceSuite:
    """Subclass it as ``Test...`` with a row."""

    row: ClassVar[IssuerRow]

    @pytest.fixture(scope="class")
    @classmethod
    def batch(
        cls,
        cluster: Cluster,
        request: pytest.FixtureRequest,
        tmp_path_factory: pytest.TempPathFactory,
    ) -> Iterator[Batch]:
        """The row's Certificates, applied."""
        row = cls.row
        unknown = row.unsupported.keys() - {feature.name for feature in FEATURES} - SCENARIOS.keys()
        assert not unknown, f"there are no features {sorted(unknown)}"
        namespace = f"c-{uuid.uuid4().hex[:10]}"
        cluster.kubectl("create", "namespace", namespace)
        ground = Ground(cluster, Kubectl(cluster, namespace), request, [])
        yield Batch(row, ground, tmp_path_factory.mktemp(row.name.replace(" ", "-")))
        for clean_up in ground.later:
            clean_up()
        cluster.kubectl("delete", "namespace", namespace, "--wait=false")

    @pytest.mark.parametrize("feature", FEATURES, ids=lambda feature: feature.name)
    def test_feature(self, batch: Batch, feature: Feature, tmp_path: Path) -> None:
        """The feature is given, or refused or left out as declared."""
        declared = batch.row.unsupported.get(feature.name)
        if isinstance(declared, Refused | Waits):
            status = "False" if isinstance(declared, Refused) else "True"
            found = batch.certificates[feature.name]
            issuing = condition(found, "Issuing")
            assert issuing is not None, f"issued, although {declared.reason}"
            assert (issuing["status"], declared.says in issuing["message"]) == (status, True), issuing
            assert not is_true(found, "Ready")
            return
        issued = batch.issued(feature.name, tmp_path)
        if isinstance(declared, Ignored):
            with pytest.raises(AssertionError):
                feature.check(issued)
            return
        assert_sound(issued, batch.row.names_kept)
        feature.check(issued)

    @pytest.mark.parametrize("name", SCENARIOS)
    def test_scenario(self, batch: Batch, name: str, tmp_path: Path) -> None:
        """Several steps; an issuer that can't do them all fails at one."""
        declared = batch.row.unsupported.get(name)
        if declared is None:
            SCENARIOS[name](batch.scene(name, tmp_path))
            return
        with pytest.raises(AssertionError):
            SCENARIOS[name](batch.scene(name, tmp_path))

    def test_time(self, batch: Batch, capsys: pytest.CaptureFixture[str]) -> None:
        """The whole row within its limit; prints what was declared."""
        with capsys.disabled():
            print(f"\n{batch.table()}")
        assert time.monotonic() - batch.began < ROW_LIMIT
