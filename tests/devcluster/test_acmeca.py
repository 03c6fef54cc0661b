"""Pebble and its DNS inside a cluster."""

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator

import pytest
from cryptography import x509

from devcluster import Cluster, acmeca
from devcluster.acmeca import AcmeCA
from devcluster.errors import DevclusterError
from devcluster.netns import INGRESS_ADDRESS

pytestmark = pytest.mark.e2e

#: Asks a DNS server for the A records of a name.
LOOK_UP = """
import dns.message, dns.query, dns.rcode, sys
answer = dns.query.udp(dns.message.make_query(sys.argv[1], "A"), sys.argv[2], 5, int(sys.argv[3]))
print(dns.rcode.to_text(answer.rcode()), *(record for rrset in answer.answer for record in rrset))
"""


@pytest.fixture(scope="module")
def ca(own_cluster: Cluster) -> Iterator[AcmeCA]:
    yield acmeca.start(own_cluster)
    own_cluster.end("pebble")
    own_cluster.end("pebble-challtestsrv")


def look_up(cluster: Cluster, ca: AcmeCA, name: str) -> str:
    argv = [*cluster.exec_prefix, sys.executable, "-I", "-c", LOOK_UP, name, *ca.nameserver.split(":")]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


def test_the_directory_is_served_with_the_ca_bundle_that_is_named(own_cluster: Cluster, ca: AcmeCA) -> None:
    directory = json.loads(own_cluster.request(ca.directory, verify=False))
    assert "newOrder" in directory
    assert set(directory["meta"]["profiles"]) == {"default", "shortlived"}
    context = ssl.create_default_context(cafile=str(ca.ca_bundle_file))
    assert context.cert_store_stats()["x509_ca"] == 1
    with pytest.raises(DevclusterError, match="CERTIFICATE_VERIFY_FAILED"):
        own_cluster.request(ca.directory)


def test_its_root_can_be_read(ca: AcmeCA) -> None:
    assert "Pebble Root CA" in x509.load_pem_x509_certificate(ca.root()).subject.rfc4514_string()


def test_names_are_at_the_ingress_controller_until_told_otherwise(own_cluster: Cluster, ca: AcmeCA) -> None:
    assert look_up(own_cluster, ca, "any.example.com") == f"NOERROR {INGRESS_ADDRESS}"
    ca.point("moved.example.com", "10.0.0.10")
    assert look_up(own_cluster, ca, "moved.example.com") == "NOERROR 10.0.0.10"
    ca.point("moved.example.com")
    assert look_up(own_cluster, ca, "moved.example.com") == f"NOERROR {INGRESS_ADDRESS}"
    ca.fail_dns("broken.example.com")
    assert look_up(own_cluster, ca, "broken.example.com") == "SERVFAIL"
    ca.heal_dns("broken.example.com")
    assert look_up(own_cluster, ca, "broken.example.com") == f"NOERROR {INGRESS_ADDRESS}"


def test_a_bad_configuration_is_told_with_pebbles_words(own_cluster: Cluster, ca: AcmeCA) -> None:
    own_cluster.end("pebble")
    own_cluster.end("pebble-challtestsrv")
    with pytest.raises(DevclusterError, match=r"pebble ended with status 1 while starting(.|\n)*invalid key algorithm"):
        acmeca.start(own_cluster, config={"keyAlgorithm": "none"})
    own_cluster.end("pebble-challtestsrv")
    acmeca.start(own_cluster)
