"""Flags of cert-manager that mean nothing here: taken, so that manifests with ``extraArgs`` keep working, and told.

A flag that certwright has no use for and does not know either ends it with an error, as a misspelt one should.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection

_LIMITS = "sizes are bounded by what cert-manager allows at the most"
_NO_DNS01 = "DNS-01 challenges are not solved"
_NO_GATEWAY = "Gateways are not watched"
_NO_KLOG = "the log is written line by line, by -v and --logging-format alone"
_NO_METRICS_TLS = "metrics are served without TLS"
_NO_PODS = "no solver pod is started"
_NO_PROFILER = "there is no profiler"
#: Flag -> why it has no effect (API contract section 6.1).
IGNORED: dict[str, str] = {
    "acme-http01-solver-image": _NO_PODS,
    "acme-http01-solver-resource-limits-cpu": _NO_PODS,
    "acme-http01-solver-resource-limits-memory": _NO_PODS,
    "acme-http01-solver-resource-request-cpu": _NO_PODS,
    "acme-http01-solver-resource-request-memory": _NO_PODS,
    "acme-http01-solver-run-as-non-root": _NO_PODS,
    "acme-http01-solver-runtime-class-name": _NO_PODS,
    "dns01-check-retry-period": _NO_DNS01,
    "dns01-recursive-nameservers": _NO_DNS01,
    "dns01-recursive-nameservers-only": _NO_DNS01,
    "enable-gateway-api": _NO_GATEWAY,
    "enable-gateway-api-listenerset": _NO_GATEWAY,
    "enable-profiling": _NO_PROFILER,
    "gateway-api-extra-protocols": _NO_GATEWAY,
    "internal-healthz-leader-election-timeout": "liveness does not depend on the Lease",
    "kube-api-burst": "requests in flight are bounded instead, and the API server's priority and fairness is obeyed",
    "kube-api-qps": "requests in flight are bounded instead, and the API server's priority and fairness is obeyed",
    "log-flush-frequency": _NO_KLOG,
    "max-certificate-bundle-size": _LIMITS,
    "max-certificate-chain-length": _LIMITS,
    "max-certificate-size": _LIMITS,
    "max-private-key-size": _LIMITS,
    "metrics-dynamic-serving-ca-secret-name": _NO_METRICS_TLS,
    "metrics-dynamic-serving-ca-secret-namespace": _NO_METRICS_TLS,
    "metrics-dynamic-serving-dns-names": _NO_METRICS_TLS,
    "metrics-dynamic-serving-leaf-duration": _NO_METRICS_TLS,
    "metrics-tls-cert-file": _NO_METRICS_TLS,
    "metrics-tls-cipher-suites": _NO_METRICS_TLS,
    "metrics-tls-min-version": _NO_METRICS_TLS,
    "metrics-tls-private-key-file": _NO_METRICS_TLS,
    "profiler-address": _NO_PROFILER,
    "vmodule": _NO_KLOG,
}
_GIVEN = "given"


def add_ignored_flags(parser: argparse.ArgumentParser) -> None:
    """Let ``parser`` take them, with or without a value, and not show them."""
    for flag in IGNORED:
        parser.add_argument(f"--{flag}", nargs="?", const=_GIVEN, help=argparse.SUPPRESS)


def ignored_flags(options: argparse.Namespace, switches: Collection[str]) -> list[str]:
    """A sentence for each that was given, and for controllers that can't be switched: all but ``switches``."""
    flags = [
        f"--{flag} has no effect: {why}"
        for flag, why in IGNORED.items()
        if getattr(options, flag.replace("-", "_")) is not None
    ]
    fixed = [name for name in options.controllers if name.removeprefix("-") not in {"*", *switches}]
    return flags + [
        f"--controllers: {name} has no effect: only {' and '.join(switches)} can be switched" for name in fixed
    ]
