"""Name constraints, held against OpenSSL's judgement."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from cryptography import x509

from certwright_issuers import der
from certwright_issuers.constraints import Domains, InvalidConstraints, constraints_der, read_constraints, violations
from certwright_issuers.csr import EMPTY_NAME
from certwright_issuers.names import Subject, literal_der, subject_der
from certwright_issuers.sans import AltNames, encode_alt_names
from tests.issuers.authority import NOW, make_authority, openssl, pem

NONE = Domains()

#: What is permitted, what is excluded, the names, and the one that is forbidden.
CASES = [
    (Domains(dns=("example.com",)), NONE, AltNames(dns_names=("example.com", "a.b.example.com", "EXAMPLE.com")), ""),
    (Domains(dns=("example.com",)), NONE, AltNames(dns_names=("badexample.com",)), "badexample.com"),
    (Domains(dns=("example.com",)), NONE, AltNames(dns_names=("*.example.com",)), ""),
    (Domains(dns=(".example.com",)), NONE, AltNames(dns_names=("a.example.com",)), ""),
    (Domains(dns=("a.com", "b.com")), NONE, AltNames(dns_names=("x.a.com", "x.b.com")), ""),
    (Domains(dns=("example.com",)), NONE, AltNames(ip_addresses=("192.0.2.1",)), ""),
    (NONE, Domains(dns=("example.com",)), AltNames(dns_names=("a.example.com",)), "a.example.com"),
    (NONE, Domains(dns=("example.com",)), AltNames(dns_names=("example.org",)), ""),
    (Domains(dns=("",)), Domains(dns=("x.com",)), AltNames(dns_names=("y.com",)), ""),
    (Domains(ips=("192.0.2.0/24",)), NONE, AltNames(ip_addresses=("192.0.2.255",)), ""),
    (Domains(ips=("192.0.2.0/24",)), NONE, AltNames(ip_addresses=("192.0.3.1",)), "192.0.3.1"),
    (Domains(ips=("192.0.2.0/24",)), NONE, AltNames(ip_addresses=("::1",)), "::1"),
    (NONE, Domains(ips=("2001:db8::/32",)), AltNames(ip_addresses=("2001:db8::1",)), "2001:db8::1"),
    (Domains(emails=("example.com",)), NONE, AltNames(email_addresses=("a@example.com",)), ""),
    (Domains(emails=("example.com",)), NONE, AltNames(email_addresses=("a@x.example.com",)), "a@x.example.com"),
    (Domains(emails=(".example.com",)), NONE, AltNames(email_addresses=("a@x.example.com",)), ""),
    (Domains(emails=("a@example.com",)), NONE, AltNames(email_addresses=("a@EXAMPLE.com",)), ""),
    (Domains(emails=("a@example.com",)), NONE, AltNames(email_addresses=("b@example.com",)), "b@example.com"),
    (Domains(uris=("example.com",)), NONE, AltNames(uris=("https://example.com:8443/x?a#b",)), ""),
    (Domains(uris=(".example.com",)), NONE, AltNames(uris=("spiffe://x.example.com/a",)), ""),
    (Domains(uris=("example.com",)), NONE, AltNames(uris=("https://x.example.com",)), "https://x.example.com"),
    (NONE, Domains(uris=("example.com",)), AltNames(uris=("https://example.com",)), "https://example.com"),
]


@pytest.mark.parametrize(("permitted", "excluded", "names", "forbidden"), CASES)
def test_judgement(permitted: Domains, excluded: Domains, names: AltNames, forbidden: str) -> None:
    """RFC 5280 section 4.2.1.10 for each kind of name."""
    subtrees = read_constraints(constraints_der(permitted, excluded))
    assert violations(subtrees, EMPTY_NAME, names) == ((forbidden,) if forbidden else ())


def test_wildcards_reach_into_excluded_domains() -> None:
    """A wildcard stands for an excluded host, so it is refused."""
    subtrees = read_constraints(constraints_der(NONE, Domains(dns=("secret.example.com",))))
    names = AltNames(dns_names=("*.example.com", "*.secret.example.com", "*.example.org", "example.com"))
    assert violations(subtrees, EMPTY_NAME, names) == ("*.example.com", "*.secret.example.com")


@pytest.mark.parametrize("uri", ["urn:uuid:1", "https://192.0.2.1/", "https://[::1]/", "mailto:a@b"])
def test_uris_without_a_host(uri: str) -> None:
    """They can't be judged, so any constraint on URIs forbids them."""
    names = AltNames(uris=(uri,))
    for permitted, excluded in ((Domains(uris=("x.com",)), NONE), (NONE, Domains(uris=("x.com",)))):
        assert violations(read_constraints(constraints_der(permitted, excluded)), EMPTY_NAME, names) == (uri,)


def test_uris_with_a_user() -> None:
    """Who logs in is no part of the host name (RFC 3986 section 3.2)."""
    limits = read_constraints(constraints_der(Domains(uris=("example.com",)), NONE))
    assert violations(limits, EMPTY_NAME, AltNames(uris=("https://example.com@evil.org/",))) != ()
    assert violations(limits, EMPTY_NAME, AltNames(uris=("https://u:p@example.com/",))) == ()


def subtree(tag: int, content: bytes, which: int = 0xA0) -> bytes:
    """An extension with one constraint."""
    return der.sequence(der.tlv(which, der.sequence(der.tlv(tag, content))))


def test_directory_names() -> None:
    """The subject and directory names begin with the permitted name; letter case and spaces don't count."""
    limits = read_constraints(subtree(0xA4, subject_der(Subject(("My  Org",)), "")))
    inside, outside = subject_der(Subject(("my org",)), "a"), subject_der(Subject(("org",)), "a")
    assert violations(limits, inside, AltNames()) == ()
    assert violations(limits, outside, AltNames()) == ("CN=a,O=org",)
    assert violations(limits, EMPTY_NAME, AltNames(directory_names=(outside,))) == ("CN=a,O=org",)
    excluding = read_constraints(subtree(0xA4, subject_der(Subject(("org",)), ""), 0xA1))
    assert violations(excluding, outside, AltNames()) == ("CN=a,O=org",)


def test_mailboxes_in_the_subject() -> None:
    """The emailAddress attribute is a mailbox like any other."""
    limits = read_constraints(constraints_der(Domains(emails=("example.com",)), NONE))
    assert violations(limits, literal_der("1.2.840.113549.1.9.1=a@b"), AltNames()) == ("a@b",)


def test_kinds_that_can_not_be_judged() -> None:
    """A constraint on otherNames or registered identifiers forbids all of them."""
    names = AltNames(other_names=(("1.2.3", "x"),), foreign=1)
    assert violations(read_constraints(subtree(0xA0, b"")), EMPTY_NAME, names) == ("its otherNames",)
    assert violations(read_constraints(subtree(0x88, b"\x2a\x03", 0xA1)), EMPTY_NAME, names) == (
        "its names of unusual kinds",
    )


def test_the_library_reads_what_is_written() -> None:
    """All kinds, permitted and excluded."""
    value = constraints_der(
        Domains(("a.com",), ("10.1.2.3/8",), ("b.com",), ("c.com",)), Domains((".d.com",), ("2001:db8::/32",))
    )
    assert (
        value
        == x509.NameConstraints(
            [
                x509.DNSName("a.com"),
                x509.IPAddress(ipaddress.ip_network("10.0.0.0/8")),
                x509.RFC822Name("b.com"),
                x509.UniformResourceIdentifier("c.com"),
            ],
            [x509.DNSName(".d.com"), x509.IPAddress(ipaddress.ip_network("2001:db8::/32"))],
        ).public_bytes()
    )
    assert constraints_der(NONE, NONE) == b""


@pytest.mark.parametrize(
    "encoded", [b"", b"\x30\x02\xa2\x00", b"\x30\x04\xa0\x02\x30\x00", b"\x30\x02\xa0\x05", b"\x05\x00"]
)
def test_malformed(encoded: bytes) -> None:
    """Nothing is guessed."""
    with pytest.raises(InvalidConstraints):
        read_constraints(encoded)


@pytest.mark.slow
@pytest.mark.parametrize(("permitted", "excluded", "names", "forbidden"), CASES)
def test_openssl_judges_alike(
    tmp_path: Path, permitted: Domains, excluded: Domains, names: AltNames, forbidden: str
) -> None:
    """Another implementation accepts and refuses the same certificates."""
    limits = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.30"), constraints_der(permitted, excluded))
    root = make_authority("root", extensions=((limits, True),))
    sans = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.17"), encode_alt_names(names))
    plain = x509.BasicConstraints(ca=False, path_length=None)
    leaf = make_authority("leaf", root, extensions=((sans, False), (plain, True)))
    (tmp_path / "root").write_bytes(pem(root.certificate))
    (tmp_path / "leaf").write_bytes(pem(leaf.certificate))
    at = str(int(NOW.timestamp()))
    said = openssl(tmp_path, "verify", "-attime", at, "-CAfile", "root", "leaf", check=False)
    assert ("leaf: OK" in said) == (not forbidden), said
