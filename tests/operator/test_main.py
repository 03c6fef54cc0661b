"""The command line."""

import ipaddress

import pytest

from certwright.__main__ import parser, settings_of


def test_where_issuers_may_be_is_set_by_flags() -> None:
    flags = (
        "--issuer-egress-allow=127.0.0.0/8,fd00::/8",
        "--issuer-egress-deny=10.0.0.0/8",
        "--issuer-egress-private=false",
    )
    egress = settings_of(parser().parse_args(["run", *flags])).egress
    assert egress.allow == (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("fd00::/8"))
    assert egress.deny == (ipaddress.ip_network("10.0.0.0/8"),)
    assert egress.private is False


def test_networks_that_are_none_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["run", "--issuer-egress-deny=10.0.0.1/8"])
    assert "'10.0.0.1/8' is not a list of networks" in capsys.readouterr().err


def test_where_challenges_are_answered_is_set_by_flags(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POD_IP", "10.1.2.3")
    flags = (
        "--acme-http01-solver-listen-address=:9000",
        "--acme-http01-solver-address=10.0.0.1,[2001:db8::1]:80",
        "--acme-http01-solver-service=ns/name",
        "--acme-http01-solver-nameservers=10.0.0.53,[2001:db8::53]:54,2001:db8::53",
        "--acme-http01-solver-extra-labels=team=a,b=",
        "--acme-http01-solver-image=ignored",
        "--acme-http01-solver-resource-limits-cpu=100m",
    )
    http01 = settings_of(parser().parse_args(["run", *flags])).http01
    assert http01.listen_port == 9000
    assert http01.addresses == (("10.0.0.1", 8089), ("2001:db8::1", 80))
    assert http01.service == "ns/name"
    assert http01.pod_ip == "10.1.2.3"
    assert http01.nameservers == (("10.0.0.53", 53), ("2001:db8::53", 54), ("2001:db8::53", 53))
    assert http01.extra_labels == {"team": "a", "b": ""}


@pytest.mark.parametrize(
    ("flag", "words"),
    [
        ("address=host:80", "is not an IP address with or without a port"),
        ("address=10.0.0.1:70000", "is not an IP address with or without a port"),
        ("address=127.0.0.1:80", "is a loopback address"),
        ("nameservers=ns.example", "is not an IP address with or without a port"),
        ("service=name", "is not NAMESPACE/NAME"),
        ("extra-labels=a", "is not a list of key=value"),
    ],
)
def test_solver_flags_that_make_no_sense_are_refused(flag: str, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["run", f"--acme-http01-solver-{flag}"])
    assert words in capsys.readouterr().err
