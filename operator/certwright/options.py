"""The options of ``certwright run``; what they choose becomes settings in ``flagsettings``.

Flags have cert-manager's names wherever it has them, so that manifests with ``extraArgs`` keep working.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from certwright import __version__, flagtypes
from certwright.configfile import read_config
from certwright.gates import RENEWAL_INFO, SIGNING_REQUESTS
from certwright.ignoredflags import add_ignored_flags
from certwright.leasetimes import DEFAULTS, lease_times
from certwright.settings import (
    AcmeSettings,
    HTTP01Settings,
    IssuanceSettings,
    IssuerSettings,
    LeaseSettings,
    ServingSettings,
    Settings,
    ShimSettings,
)
from certwright.webhook.options import add_webhook_command
from certwright_issuers.egress import EgressPolicy

APPROVER = "certificaterequests-approver"
INGRESS_SHIM = "ingress-shim"
#: Flags that come before a command.
OF_NO_COMMAND = ("-h", "--help", "--version")
#: Controllers that ``--controllers`` switches.
SWITCHES = (APPROVER, INGRESS_SHIM)


class Options(Protocol):
    """A group of options of argparse, whose own type is private."""

    def add_argument(self, *names: str, **properties: Any) -> argparse.Action:
        """Add an option."""
        ...


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line, with what the file of ``--config`` says for flags that are not on it. Exits when it is wrong.

    Flags without a command are those of ``run``: cert-manager's controller has no commands.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    argv = ["run", *words] if words and words[0].startswith("-") and words[0] not in OF_NO_COMMAND else words
    options = parser().parse_args(argv)
    try:
        if getattr(options, "config", ""):
            given = vars(parser().parse_args(["run", *read_config(options.config)]))
            options = parser({**given, "config": ""}).parse_args(argv)
        lease_times_of(options)
    except ValueError as error:
        parser().error(str(error))
    return options


def lease_times_of(options: argparse.Namespace) -> tuple[float, float, float]:
    """Lease duration, renew deadline and retry period in seconds. Raises ValueError."""
    names = ("lease_duration", "renew_deadline", "retry_period")
    return lease_times(*(getattr(options, f"leader_election_{name}", None) for name in names))


def parser(defaults: Mapping[str, Any] | None = None) -> argparse.ArgumentParser:
    """All commands and options. ``defaults``: those of ``run``, in place of its own."""
    root = argparse.ArgumentParser(prog="certwright", description="A certificate operator for Kubernetes.")
    root.add_argument("--version", action="version", version=f"certwright {__version__}")
    commands = root.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run the operator until SIGTERM",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Run the operator until SIGTERM.",
    )
    _cluster_options(run.add_argument_group("cluster"))
    _lease_options(run.add_argument_group("leader election"))
    _issuance_options(run.add_argument_group("issuance"))
    _issuer_options(run.add_argument_group("issuers outside the process"))
    _http01_options(run.add_argument_group("ACME HTTP-01 challenges"))
    _shim_options(run.add_argument_group("annotated Ingresses"))
    _observation_options(run.add_argument_group("observation"))
    add_ignored_flags(run)
    run.set_defaults(**(defaults or {}))
    add_webhook_command(commands)
    return root


def _cluster_options(group: Options) -> None:
    defaults = Settings()
    group.add_argument("--kubeconfig", help="path; else the pod's service account, else $KUBECONFIG or ~/.kube/config")
    group.add_argument("--context", help="context of the kubeconfig; else its current one")
    group.add_argument("--master", default=defaults.master, help="URL of the API server, in place of the kubeconfig's")
    group.add_argument(
        "--config", default="", metavar="FILE", help="cert-manager's ControllerConfiguration; flags go before it"
    )
    group.add_argument("--namespace", default="", help="serve this namespace only, and no ClusterIssuers")
    group.add_argument(
        "--cluster-resource-namespace",
        default=defaults.cluster_resource_namespace,
        help="where the Secrets of ClusterIssuers are",
    )
    group.add_argument(
        "--concurrent-workers",
        type=flagtypes.positive,
        default=defaults.queue.workers,
        help="objects reconciled at once",
    )


def _lease_options(group: Options) -> None:
    lease, (duration, deadline, period) = LeaseSettings(), DEFAULTS
    group.add_argument(
        "--leader-elect",
        type=flagtypes.boolean,
        nargs="?",
        const=True,
        default=lease.enabled,
        help="write only as the Lease's holder",
    )
    group.add_argument("--leader-election-namespace", default=lease.namespace, help="where the Lease is")
    group.add_argument(
        "--leader-election-lease-duration",
        type=flagtypes.seconds,
        default=argparse.SUPPRESS,
        help=f"trust in a silent holder (default: {duration:g}s)",
    )
    group.add_argument(
        "--leader-election-renew-deadline",
        type=flagtypes.seconds,
        default=argparse.SUPPRESS,
        help=f"writes stop after this without a renewal (default: {deadline:g}s)",
    )
    group.add_argument(
        "--leader-election-retry-period",
        type=flagtypes.seconds,
        default=argparse.SUPPRESS,
        help=f"between two renewals (default: {period:g}s)",
    )


def _issuance_options(group: Options) -> None:
    issuance = IssuanceSettings()
    group.add_argument(
        "--controllers",
        type=flagtypes.words,
        action=flagtypes.Gather,
        default=("*",),
        help=f"list; -{APPROVER} and -{INGRESS_SHIM} switch these off",
    )
    group.add_argument(
        "--feature-gates",
        type=flagtypes.feature_gates,
        action=flagtypes.Gather,
        default=dict[str, bool](),
        metavar="NAME=BOOL,...",
        help=f"cert-manager's; {SIGNING_REQUESTS}=true signs requests of certificates.k8s.io, "
        f"{RENEWAL_INFO}=false ignores when CAs suggest to renew",
    )
    group.add_argument(
        "--approve-signer-names",
        type=flagtypes.words,
        action=flagtypes.Gather,
        default=("*",),
        help="signers whose requests are approved, as in RBAC",
    )
    group.add_argument(
        "--enable-certificate-owner-ref",
        type=flagtypes.boolean,
        nargs="?",
        const=True,
        default=issuance.certificate_owner_ref,
        help="delete a Secret with its Certificate",
    )
    group.add_argument(
        "--copied-annotation-prefixes",
        type=flagtypes.words,
        action=flagtypes.Gather,
        default=issuance.copied_annotation_prefixes,
        help="annotations that requests inherit",
    )
    group.add_argument(
        "--certificate-request-minimum-backoff-duration",
        type=flagtypes.duration,
        default=issuance.min_request_backoff,
        help="pause after a first failed issuance; it doubles",
    )
    group.add_argument(
        "--certificate-request-maximum-backoff-duration",
        type=flagtypes.duration,
        default=issuance.max_request_backoff,
        help="longest pause between attempts",
    )
    group.add_argument(
        "--renewal-jitter",
        type=float,
        default=issuance.renewal_jitter,
        help="share (0 to 0.5) of the time from renewal to expiry by which renewals are spread earlier",
    )


def _issuer_options(group: Options) -> None:
    group.add_argument(
        "--max-concurrent-challenges",
        type=flagtypes.positive,
        default=AcmeSettings().max_challenges,
        help="ACME challenges worked on at once",
    )
    group.add_argument(
        "--max-concurrent-acme-requests",
        type=flagtypes.positive,
        default=AcmeSettings().max_requests,
        help="requests in flight for one ACME account",
    )
    group.add_argument(
        "--issuer-egress-allow",
        type=flagtypes.networks,
        action=flagtypes.Gather,
        default=(),
        help="networks (CIDR) that issuers may always be at, loopback included",
    )
    group.add_argument(
        "--issuer-egress-deny",
        type=flagtypes.networks,
        action=flagtypes.Gather,
        default=(),
        help="networks (CIDR) that issuers must not be at",
    )
    group.add_argument(
        "--issuer-egress-private",
        type=flagtypes.boolean,
        nargs="?",
        const=True,
        default=EgressPolicy().private,
        help="whether issuers may be at private addresses",
    )
    issuers = IssuerSettings()
    for scope, default in (
        ("cluster-issuer", issuers.cluster_ambient_credentials),
        ("issuer", issuers.ambient_credentials),
    ):
        group.add_argument(
            f"--{scope}-ambient-credentials",
            type=flagtypes.boolean,
            nargs="?",
            const=True,
            default=default,
            help="let them use the operator's own cloud credentials",
        )


def _http01_options(group: Options) -> None:
    settings = HTTP01Settings()
    group.add_argument(
        "--acme-http01-solver-listen-address",
        default=settings.listen_address,
        help="where this process answers challenges; empty: it does not",
    )
    group.add_argument(
        "--acme-http01-solver-address",
        type=flagtypes.solver_addresses,
        action=flagtypes.Gather,
        default=(),
        help="list of IP[:port] at which ingress controllers reach the replicas, for operators outside the cluster",
    )
    group.add_argument(
        "--acme-http01-solver-service",
        type=flagtypes.namespaced_name,
        default="",
        help="NAMESPACE/NAME of the Service that selects the replicas; else $POD_IP, or the address towards the API server",
    )
    group.add_argument(
        "--acme-http01-solver-nameservers",
        type=flagtypes.nameservers,
        action=flagtypes.Gather,
        default=(),
        help="list of DNS servers IP[:port] that self-checks ask; else as the system resolves names",
    )
    group.add_argument(
        "--acme-http01-solver-extra-labels",
        type=flagtypes.labels,
        action=flagtypes.Gather,
        default={},
        help="list of key=value for what is made for challenges",
    )


def _shim_options(group: Options) -> None:
    shim = ShimSettings()
    group.add_argument(
        "--auto-certificate-annotations",
        type=flagtypes.words,
        action=flagtypes.Gather,
        default=shim.auto_annotations,
        help="annotations that, when true, ask for a Certificate of the default issuer",
    )
    group.add_argument(
        "--extra-certificate-annotations",
        type=flagtypes.words,
        action=flagtypes.Gather,
        default=shim.extra_annotations,
        help="annotations that Certificates inherit from their Ingress",
    )
    group.add_argument(
        "--default-issuer-name", default=shim.default_issuer_name, help="issuer of Ingresses that name none"
    )
    group.add_argument("--default-issuer-kind", default=shim.default_issuer_kind, help="its kind")
    group.add_argument("--default-issuer-group", default=shim.default_issuer_group, help="its API group")


def _observation_options(group: Options) -> None:
    serving = ServingSettings()
    group.add_argument("--metrics-listen-address", default=serving.metrics_address, help="Prometheus; empty: off")
    group.add_argument(
        "--healthz-listen-address",
        "--internal-healthz-listen-address",
        default=serving.health_address,
        help="/livez and /readyz; empty: off",
    )
    group.add_argument("--logging-format", choices=("text", "json"), default="text", help="of the log on stderr")
    group.add_argument(
        "-v", "--v", type=int, default=2, metavar="LEVEL", help="0 warnings, 2 events, 4 and more debugging"
    )
