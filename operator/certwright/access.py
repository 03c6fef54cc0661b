"""Who certwright is to the API server: address, trust and credentials, from a kubeconfig or from inside the cluster.

The ``kubernetes`` package reads all of it, exec plugins and rotating token files included; what it read is handed to the
client in ``kube.py``, to Kopf's watches and to the Lease thread, so that the three are always the same user.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kubernetes import client as kubernetes_client
from kubernetes import config as _kubernetes_config

from certwright import __version__

#: The package has no types.
kubernetes_config: Any = _kubernetes_config


class NoAccess(Exception):
    """No usable configuration for reaching an API server; the message says what was tried."""


@dataclass(frozen=True, slots=True)
class Access:
    """The way to one API server."""

    #: ``kubernetes.client.Configuration``; that package has no types.
    configuration: Any

    @property
    def server(self) -> str:
        """Base URL without a trailing slash."""
        return str(self.configuration.host).rstrip("/")

    @property
    def user_agent(self) -> str:
        """What the API server's audit log shows."""
        return f"certwright/{__version__}"

    def authorization(self) -> str | None:
        """The Authorization header as of now; reads a rotated token again when it is due."""
        token = self.configuration.get_api_key_with_prefix("BearerToken", alias="authorization")
        return str(token) if token else self._basic()

    def ssl_context(self) -> ssl.SSLContext | None:
        """Trust and client certificate; None for plain HTTP."""
        if not self.server.startswith("https:"):
            return None
        context = ssl.create_default_context(cafile=self.configuration.ssl_ca_cert)
        if not self.configuration.verify_ssl:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.configuration.cert_file:
            context.load_cert_chain(self.configuration.cert_file, self.configuration.key_file)
        return context

    def blocking_client(self) -> Any:
        """A ``kubernetes.client.ApiClient`` for the Lease thread."""
        api = kubernetes_client.ApiClient(self.configuration)
        api.user_agent = self.user_agent
        return api

    def _basic(self) -> str | None:
        if not (self.configuration.username and self.configuration.password):
            return None
        return str(self.configuration.get_basic_auth_token())


def load_access(kubeconfig: str | None = None, context: str | None = None, master: str = "") -> Access:
    """Read the given kubeconfig, else the service account of the pod, else $KUBECONFIG or ~/.kube/config.

    ``master``: another URL of the same API server. Raises :class:`NoAccess`.
    """
    configuration: Any = kubernetes_client.Configuration()
    in_cluster = Path(kubernetes_config.incluster_config.SERVICE_TOKEN_FILENAME).exists()
    try:
        if kubeconfig or not in_cluster:
            kubernetes_config.load_kube_config(kubeconfig, context=context, client_configuration=configuration)
        else:
            kubernetes_config.load_incluster_config(client_configuration=configuration)
    except (kubernetes_config.ConfigException, OSError) as error:
        tried = kubeconfig or ("the pod's service account" if in_cluster else "$KUBECONFIG and ~/.kube/config")
        raise NoAccess(f"no access to a cluster by {tried}: {error}") from error
    if master:
        configuration.host = master
    return Access(configuration)
