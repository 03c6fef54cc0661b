"""The conformance matrix of ACME: Pebble, which certifies DNS names and reachable addresses and nothing else."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from devcluster import Cluster, acmeca
from devcluster.acmeca import AcmeCA
from tests.e2e.acme import FLAGS, issuer
from tests.e2e.conformance.suite import ConformanceSuite, Ground, Ignored, IssuerRow, Refused, Waits
from tests.e2e.harness import Operator, in_place_of

ONLY_NAMES = "ACME certifies DNS names and IP addresses (RFC 8738), and no others"
BY_THE_CA = "the CA decides on subject, usages, lifetime and constraints, and takes only names from the request"
UNREACHABLE = "the CA looks at the address itself, and nothing is there"


@pytest.fixture(scope="module")
def ca(cluster: Cluster) -> Iterator[AcmeCA]:
    """A CA that puts a name into the subject, as Let's Encrypt's profile classic does."""
    profile = {"description": "90 days", "validityPeriod": 7776000, "promoteCommonName": True}
    yield acmeca.start(cluster, config={"profiles": {"default": profile}})
    cluster.end("pebble")
    cluster.end("pebble-challtestsrv")


@pytest.fixture(scope="module")
def direct(
    cluster: Cluster,
    ca: AcmeCA,
    operator: Operator,
    operator_kubeconfig: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Operator]:
    """An operator where the CA looks."""
    log = tmp_path_factory.mktemp("direct") / "certwright.log"
    # Pebble deadlocks when two orders are made and an authorization is read at the same time.
    few = "--max-concurrent-acme-requests=2"
    with in_place_of(operator, cluster, operator_kubeconfig, log, *FLAGS, few) as running:
        yield running


def acme_issuer(ground: Ground) -> dict[str, str]:
    ca: AcmeCA = ground.request.getfixturevalue("ca")
    ground.request.getfixturevalue("direct")
    ground.kubectl.apply(issuer(ca, "issuer"))
    ground.kubectl.wait_ready("issuer", kind="issuer")
    return {"name": "issuer"}


class TestACMEIssuer(ConformanceSuite):
    """HTTP-01."""

    row = IssuerRow(
        "acme Issuer",
        acme_issuer,
        unsupported={
            "wildcard": Waits("HTTP-01 can't prove them", "wildcard names need DNS-01"),
            "ed25519": Refused("Pebble, like Let's Encrypt, takes RSA and ECDSA alone", "badCSR"),
            "common-name-only": Refused("no name to be proved", "ACME certifies no others"),
            "common-name-beside-names": Refused("the common name is not proved", "neither among the DNS names"),
            "uri": Refused(ONLY_NAMES, "ACME certifies no others"),
            "email-address": Refused(ONLY_NAMES, "ACME certifies no others"),
            "ip-address": Refused(UNREACHABLE, "connection"),
            "ipv6-address": Refused(UNREACHABLE, "connection"),
            "mixed-names": Refused(UNREACHABLE, "connection"),
            "other-name": Ignored(ONLY_NAMES),
            "subject": Ignored(BY_THE_CA),
            "literal-subject": Ignored(BY_THE_CA),
            "duration": Ignored(BY_THE_CA),
            "usages": Ignored(BY_THE_CA),
            "every-usage": Ignored(BY_THE_CA),
            "is-ca": Ignored(BY_THE_CA),
            "name-constraints": Ignored(BY_THE_CA),
        },
        has_ca=False,
        names_kept=frozenset({"dnsNames"}),
    )
