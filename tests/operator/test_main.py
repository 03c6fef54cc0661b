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
