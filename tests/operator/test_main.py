"""The command line."""

import argparse
import asyncio
import errno
import ipaddress
import socket
from pathlib import Path

import pytest

from certwright.__main__ import _run_until_done
from certwright.flagsettings import settings_of
from certwright.ignoredflags import ignored_flags
from certwright.options import SWITCHES, parse, parser


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


def test_flags_of_cert_manager_that_mean_nothing_are_taken_and_told() -> None:
    """With a value, without one, and in both spellings; nothing is said of those that were not given."""
    options = parser().parse_args(
        ["run", "--kube-api-qps=20", "--enable-profiling", "--dns01-check-retry-period", "10s"]
    )
    told = ignored_flags(options, SWITCHES)
    assert [sentence.split()[0] for sentence in told] == [
        "--dns01-check-retry-period",
        "--enable-profiling",
        "--kube-api-qps",
    ]
    assert ignored_flags(parser().parse_args(["run"]), SWITCHES) == []


def test_flags_without_a_command_are_those_of_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The arguments of cert-manager's own Deployment, as its chart makes them."""
    chart = (
        "--v=2",
        "--cluster-resource-namespace=cert-manager",
        "--leader-election-namespace=kube-system",
        "--acme-http01-solver-image=registry.example/acmesolver:v1",
        "--max-concurrent-challenges=60",
    )
    options = parse(chart)
    assert (options.command, settings_of(options).cluster_resource_namespace) == ("run", "cert-manager")
    for words, shown in ((["--version"], "certwright "), (["--help"], "COMMAND"), ([], "COMMAND")):
        with pytest.raises(SystemExit):
            parse(words)
        printed = capsys.readouterr()
        assert shown in printed.out + printed.err


@pytest.mark.parametrize(("word", "value"), [("1", True), ("t", True), ("TRUE", True), ("F", False), ("false", False)])
def test_words_for_true_and_false_are_those_of_go(word: str, value: bool) -> None:  # noqa: FBT001 (a value that is read)
    assert settings_of(parse(["run", f"--leader-elect={word}"])).lease.enabled is value


def test_lists_may_be_given_in_parts() -> None:
    """As Go's flags take them: the first one replaces the default, the others add to it."""
    flags = (
        "--controllers=*",
        "--controllers=-ingress-shim",
        "--feature-gates=ServerSideApply=true",
        "--feature-gates=ExperimentalCertificateSigningRequestControllers=true,ServerSideApply=false",
        "--acme-http01-solver-extra-labels=a=1",
        "--acme-http01-solver-extra-labels=b=2",
    )
    settings = settings_of(parser().parse_args(["run", *flags]))
    assert (settings.approval.enabled, settings.shim.enabled, settings.signing_requests) == (True, False, True)
    assert settings.http01.extra_labels == {"a": "1", "b": "2"}
    alone = settings_of(parser().parse_args(["run", "--copied-annotation-prefixes=a.example/"]))
    assert alone.issuance.copied_annotation_prefixes == ("a.example/",)


@pytest.mark.parametrize(
    ("flags", "times"),
    [
        ([], (17, 15, 12)),
        (["lease-duration=60s", "renew-deadline=40s", "retry-period=15s"], (60, 40, 15)),
        (["lease-duration=90s"], (90, 40, 15)),
        (["renew-deadline=30s"], (60, 30, 15)),
    ],
)
def test_times_of_the_lease(flags: list[str], times: tuple[float, ...]) -> None:
    """Whoever sets one has cert-manager's for the others, which it was chosen to go with."""
    lease = settings_of(parse(["run", *(f"--leader-election-{flag}" for flag in flags)])).lease
    assert (lease.duration, lease.renew_deadline, lease.renew_interval) == times


@pytest.mark.parametrize(
    "flags",
    [
        ["lease-duration=10s", "renew-deadline=40s", "retry-period=5s"],
        ["lease-duration=40s"],
        ["renew-deadline=18s"],
        ["retry-period=0s"],
        ["lease-duration=1500ms", "renew-deadline=1200ms", "retry-period=500ms"],
    ],
)
def test_times_by_which_two_would_write_are_refused(flags: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["run", *(f"--leader-election-{flag}" for flag in flags)])
    assert "must be longer than --leader-election-renew-deadline" in capsys.readouterr().err


def test_controllers_that_can_not_be_switched_are_told() -> None:
    options = parser().parse_args(["run", "--controllers=*,-ingress-shim,-certificaterequests-issuer-acme"])
    assert ignored_flags(options, SWITCHES) == [
        "--controllers: -certificaterequests-issuer-acme has no effect: only certificaterequests-approver and "
        "ingress-shim can be switched"
    ]


def test_unknown_flags_are_errors(capsys: pytest.CaptureFixture[str]) -> None:
    """A misspelt flag is not taken for one without effect."""
    with pytest.raises(SystemExit):
        parser().parse_args(["run", "--kube-api-qqs=20"])
    assert "--kube-api-qqs" in capsys.readouterr().err


def test_every_flag_is_in_the_reference() -> None:
    """docs/reference.md names each option that --help shows."""
    page = (Path(__file__).parents[2] / "docs" / "reference.md").read_text()
    commands = next(a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)).choices
    shown = {
        option
        for command in commands.values()
        for action in command._actions
        if action.help != argparse.SUPPRESS
        for option in action.option_strings[:1]
    }
    assert {option for option in shown if f"`{option}`" not in page} == {"-h"}


def test_a_port_that_is_taken_is_told_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    async def listen() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            await asyncio.get_running_loop().create_server(asyncio.Protocol, *taken.getsockname())

    assert _run_until_done(listen()) == 1
    assert "can't listen: " in caplog.text
    assert "address already in use" in caplog.text


def test_other_errors_keep_their_traceback() -> None:
    async def fail() -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        _run_until_done(fail())
