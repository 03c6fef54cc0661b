"""Hostile requests on a running operator: refused for good, soon, in bounded memory, and nobody else waits for it."""

import json
import time
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from certwright_issuers import der
from certwright_issuers.pem import CERTIFICATE_REQUEST, join_pem
from tests.e2e.harness import Kubectl, Operator, condition
from tests.e2e.test_certificates import CA, ROOT_CA, SELF_SIGNED, certificate
from tests.e2e.test_requests import exempt, ready_reason, request
from tests.issuers.test_hostile import DNS, EMPTY, SUBJECT, attribute, critical, names, signed


def rsa_of(bits: int) -> bytes:
    """A public key of this size; nobody has to know its factors."""
    numbers = rsa.RSAPublicNumbers(65_537, (1 << (bits - 1)) | 1)
    algorithm = der.sequence(der.object_id("1.2.840.113549.1.1.1"), der.NULL)
    key = der.sequence(der.integer(numbers.n), der.integer(numbers.e))
    return der.sequence(algorithm, der.tlv(der.BIT_STRING, b"\0", key))


#: Name -> the request in DER, and a word of the refusal.
HOSTILE = {
    "ten-thousand-names": (signed(EMPTY, names(*[DNS] * 10_000)), "larger than the limit"),
    "name-of-64-kib": (signed(EMPTY, names(der.tlv(0x82, b"a" * 65_536))), "larger than the limit"),
    "subject-of-64-kib": (signed(der.sequence(der.set_of([attribute(b"a" * 65_536)]))), "larger than the limit"),
    "no-utf-8": (signed(der.sequence(der.set_of([attribute(b"\xff")]))), "malformed"),
    "nul-in-a-name": (signed(EMPTY, names(der.tlv(0x82, b"a.test\0.b.test"))), "alternative name"),
    "address-of-five-bytes": (signed(EMPTY, names(der.tlv(0x87, b"12345"))), "malformed"),
    "names-twice": (signed(EMPTY, der.sequence(*[names(DNS)[2:]] * 2)), "twice"),
    "critical-and-unknown": (signed(SUBJECT, critical("1.3.6.1.4.1.99999.1", b"\x05\x00")), "critical"),
    "rsa-16384": (signed(SUBJECT, spki=rsa_of(16_384)), "public key is not acceptable"),
    "cut-off": (signed(SUBJECT)[:-20], "cannot be decoded"),
}
#: Each takes milliseconds; the rest is the API server's time on a busy machine.
SECONDS = 20
#: What the process may grow by while it refuses all of them, in MiB.
GROWTH = 48


def resident(pid: int) -> float:
    """Memory of a process in MiB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / 2**20


@pytest.fixture(scope="module")
def warm() -> None:
    """The helpers make what they say."""
    for name in ("rsa-16384", "critical-and-unknown"):
        assert x509.load_der_x509_csr(HOSTILE[name][0])


@pytest.mark.usefixtures("warm")
def test_hostile_requests_are_refused_in_bounded_time_and_memory(kubectl: Kubectl, operator: Operator) -> None:
    """All at once, next to an honest Certificate that does not wait for them; admission has let them through."""
    exempt(kubectl)
    kubectl.apply(SELF_SIGNED, ROOT_CA, CA)
    kubectl.wait_ready("ca", kind="issuer")
    before = resident(operator.process.pid)
    hostile = [request(name, csr=join_pem(CERTIFICATE_REQUEST, encoded)) for name, (encoded, _) in HOSTILE.items()]
    begin = time.monotonic()
    kubectl("create", "-f", "-", stdin=_documents(hostile))
    kubectl.apply(certificate(issuer={"name": "ca"}))
    kubectl.wait_ready("web")
    for name, (_, words) in HOSTILE.items():
        refused = kubectl.wait("certificaterequest", name, lambda r: ready_reason(r) == "Failed")
        invalid = condition(refused, "InvalidRequest")
        assert invalid is not None, name
        assert words in invalid["message"], name
        assert len(invalid["message"]) < 500, name
        assert refused["status"]["failureTime"]
        assert "certificate" not in refused["status"]
    assert time.monotonic() - begin < SECONDS
    assert resident(operator.process.pid) - before < GROWTH


def _documents(objects: list[dict[str, object]]) -> str:
    return "\n---\n".join(json.dumps(obj) for obj in objects)


def test_what_is_larger_than_an_object_may_be_never_arrives(kubectl: Kubectl) -> None:
    """The API server's own limit."""
    huge = request("huge", csr=join_pem(CERTIFICATE_REQUEST, b"\x30" * 4_000_000))
    refused = kubectl("create", "-f", "-", stdin=_documents([huge]), check=False)
    assert refused.returncode != 0
    assert "too large" in refused.stderr.lower() or "limit" in refused.stderr.lower()
