"""The conformance matrix of ACME: Pebble, which certifies DNS names and reachable addresses and nothing else."""

from devcluster.acmeca import AcmeCA
from tests.e2e.acme import ca_fixture, direct_fixture, issuer
from tests.e2e.conformance.suite import ConformanceSuite, Ground, Ignored, IssuerRow, Refused, Waits

ONLY_NAMES = "ACME certifies DNS names and IP addresses (RFC 8738), and no others"
BY_THE_CA = "the CA decides on subject, usages, lifetime and constraints, and takes only names from the request"
UNREACHABLE = "the CA looks at the address itself, and nothing is there"


#: It puts a name into the subject, as Let's Encrypt's profile classic does.
PROFILE = {"description": "90 days", "validityPeriod": 7776000, "promoteCommonName": True}
ca = ca_fixture(config={"profiles": {"default": PROFILE}})
direct = direct_fixture()


def acme_issuer(ground: Ground) -> dict[str, str]:
    running: AcmeCA = ground.request.getfixturevalue("ca")
    ground.request.getfixturevalue("direct")
    # A scenario makes a certificate due by renewBefore, which renewal information would override (test_renewal_info.py).
    ground.kubectl.apply(issuer(running, "issuer", renewalInformationSource="None"))
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
