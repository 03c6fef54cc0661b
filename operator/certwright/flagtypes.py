"""What flags take: the words of the command line as values. Each raises ArgumentTypeError with a sentence for people."""

from __future__ import annotations

import argparse
import ipaddress
from datetime import timedelta
from typing import Any

from certwright.api.duration import parse_go_duration
from certwright.gates import parse_gates
from certwright.settings import HTTP01Settings
from certwright_issuers.egress import Network

SOLVER_PORT = HTTP01Settings().listen_port


class Gather(argparse.Action):
    """For lists and maps: given several times, all of it counts, as with Go's flags. The first replaces the default."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,  # noqa: ARG002
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,  # noqa: ARG002
    ) -> None:
        """Take one more occurrence."""
        before = getattr(namespace, self.dest)
        if before is not self.default:
            values = before | values if isinstance(values, dict) else before + values
        setattr(namespace, self.dest, values)


def positive(text: str) -> int:
    """A whole number above zero."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def boolean(text: str) -> bool:
    """As Go's flags take it, in either case."""
    values = {"true": True, "t": True, "1": True, "false": False, "f": False, "0": False}
    if text.lower() not in values:
        raise argparse.ArgumentTypeError(f"{text!r} is neither true nor false")
    return values[text.lower()]


def duration(text: str) -> timedelta:
    """A Go duration such as ``1h30m``."""
    try:
        return parse_go_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration such as 1h30m: {error}") from error


def feature_gates(text: str) -> dict[str, bool]:
    """``Name=true,Other=false``."""
    try:
        return parse_gates(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def seconds(text: str) -> float:
    """A Go duration, in seconds."""
    return duration(text).total_seconds()


def networks(text: str) -> tuple[Network, ...]:
    """A list of networks in CIDR notation."""
    try:
        return tuple(ipaddress.ip_network(word) for word in words(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is not a list of networks: {error}") from error


def solver_addresses(text: str) -> tuple[tuple[str, int], ...]:
    """A list of ``IP`` or ``IP:port`` at which others reach this process."""
    found = tuple(_endpoint(word, SOLVER_PORT) for word in words(text))
    for address, _ in found:
        if ipaddress.ip_address(address).is_loopback:
            raise argparse.ArgumentTypeError(f"{address} is a loopback address, which no ingress controller can reach")
    return found


def nameservers(text: str) -> tuple[tuple[str, int], ...]:
    """A list of ``IP`` or ``IP:port``."""
    return tuple(_endpoint(word, 53) for word in words(text))


def _endpoint(text: str, default_port: int) -> tuple[str, int]:
    """``10.0.0.1:8089`` or ``[2001:db8::1]:8089``, or without a port."""
    host, colon, port = text.rpartition(":")
    if not colon or (text.count(":") > 1 and not text.startswith("[")) or text.endswith("]"):
        host, port = text, str(default_port)
    try:
        address, number = str(ipaddress.ip_address(host.strip("[]"))), int(port)
    except ValueError:
        address, number = "", 0
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not an IP address with or without a port, such as 10.0.0.1:8089")
    return address, number


def namespaced_name(text: str) -> str:
    """``NAMESPACE/NAME``, or nothing."""
    namespace, slash, name = text.partition("/")
    if text and not (namespace and slash and name and "/" not in name):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAMESPACE/NAME")
    return text


def labels(text: str) -> dict[str, str]:
    """A list of ``key=value``."""
    pairs = [word.partition("=") for word in words(text)]
    for key, equals, _ in pairs:
        if not key or not equals:
            raise argparse.ArgumentTypeError(f"{text!r} is not a list of key=value")
    return {key: value for key, _, value in pairs}


def words(text: str) -> tuple[str, ...]:
    """A list, separated by commas."""
    return tuple(word.strip() for word in text.split(",") if word.strip())
