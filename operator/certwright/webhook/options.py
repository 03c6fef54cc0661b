"""The command ``certwright webhook``: its words, and its settings."""

from __future__ import annotations

import argparse
from typing import Any

from certwright.webhook.settings import WebhookSettings

COMMAND = "webhook"


def add_webhook_command(commands: Any) -> argparse.ArgumentParser:
    """Add the command to a group of commands of argparse, whose own type is private."""
    defaults = WebhookSettings()
    made: argparse.ArgumentParser = commands.add_parser(
        COMMAND,
        help="serve admission reviews until SIGTERM, for API servers without admission policies",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
        description="Serve admission reviews until SIGTERM. See docs/howto/admission-webhook.md.",
    )
    made.add_argument("--kubeconfig", help="path; else the pod's service account, else $KUBECONFIG or ~/.kube/config")
    made.add_argument("--context", help="context of the kubeconfig; else its current one")
    made.add_argument("--listen-address", default=defaults.address, help="where the API server sends reviews, TLS")
    made.add_argument(
        "--healthz-listen-address", default=defaults.health_address, help="/livez and /healthz; empty: off"
    )
    made.add_argument("--namespace", default=defaults.namespace, help="of the Service and of the CA's Secret")
    made.add_argument("--service-name", default=defaults.service, help="Service by which the API server comes here")
    made.add_argument("--ca-secret-name", default=defaults.secret, help="Secret for the CA, made when it is missing")
    made.add_argument(
        "--configuration-name", default=defaults.configuration, help="webhook configurations whose caBundle is kept"
    )
    made.add_argument("--logging-format", choices=("text", "json"), default="text", help="of the log on stderr")
    made.add_argument(
        "-v", "--v", type=int, default=2, metavar="LEVEL", help="0 warnings, 2 events, 4 and more debugging"
    )
    return made


def webhook_settings_of(options: argparse.Namespace) -> WebhookSettings:
    """The settings that the options ask for."""
    return WebhookSettings(
        kubeconfig=options.kubeconfig,
        context=options.context,
        address=options.listen_address,
        health_address=options.healthz_listen_address,
        namespace=options.namespace,
        service=options.service_name,
        secret=options.ca_secret_name,
        configuration=options.configuration_name,
    )
