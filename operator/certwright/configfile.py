"""cert-manager's configuration file as words of the command line, one row of :data:`FIELDS` each (API contract section 6.1).

A field that certwright does not know is an error, as a misspelt flag is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

import yaml

API_VERSION = "controller.config.cert-manager.io/v1alpha1"
KIND = "ControllerConfiguration"
#: Path in the file -> flag.
FIELDS: dict[str, str] = {
    "acmeDNS01Config.checkRetryPeriod": "dns01-check-retry-period",
    "acmeDNS01Config.recursiveNameservers": "dns01-recursive-nameservers",
    "acmeDNS01Config.recursiveNameserversOnly": "dns01-recursive-nameservers-only",
    "acmeHTTP01Config.solverExtraLabels": "acme-http01-solver-extra-labels",
    "acmeHTTP01Config.solverImage": "acme-http01-solver-image",
    "acmeHTTP01Config.solverNameservers": "acme-http01-solver-nameservers",
    "acmeHTTP01Config.solverResourceLimitsCPU": "acme-http01-solver-resource-limits-cpu",
    "acmeHTTP01Config.solverResourceLimitsMemory": "acme-http01-solver-resource-limits-memory",
    "acmeHTTP01Config.solverResourceRequestCPU": "acme-http01-solver-resource-request-cpu",
    "acmeHTTP01Config.solverResourceRequestMemory": "acme-http01-solver-resource-request-memory",
    "acmeHTTP01Config.solverRunAsNonRoot": "acme-http01-solver-run-as-non-root",
    "acmeHTTP01Config.solverRuntimeClassName": "acme-http01-solver-runtime-class-name",
    "apiServerHost": "master",
    "certificateRequestMaximumBackoffDuration": "certificate-request-maximum-backoff-duration",
    "certificateRequestMinimumBackoffDuration": "certificate-request-minimum-backoff-duration",
    "clusterIssuerAmbientCredentials": "cluster-issuer-ambient-credentials",
    "clusterResourceNamespace": "cluster-resource-namespace",
    "controllers": "controllers",
    "copiedAnnotationPrefixes": "copied-annotation-prefixes",
    "enableCertificateOwnerRef": "enable-certificate-owner-ref",
    "enablePprof": "enable-profiling",
    "featureGates": "feature-gates",
    "gatewayAPI.enableListenerSet": "enable-gateway-api-listenerset",
    "gatewayAPI.enabled": "enable-gateway-api",
    "gatewayAPI.extraProtocols": "gateway-api-extra-protocols",
    "healthzListenAddress": "internal-healthz-listen-address",
    "ingressShimConfig.defaultAutoCertificateAnnotations": "auto-certificate-annotations",
    "ingressShimConfig.defaultIssuerGroup": "default-issuer-group",
    "ingressShimConfig.defaultIssuerKind": "default-issuer-kind",
    "ingressShimConfig.defaultIssuerName": "default-issuer-name",
    "ingressShimConfig.extraCertificateAnnotations": "extra-certificate-annotations",
    "issuerAmbientCredentials": "issuer-ambient-credentials",
    "kubeConfig": "kubeconfig",
    "kubernetesAPIBurst": "kube-api-burst",
    "kubernetesAPIQPS": "kube-api-qps",
    "leaderElectionConfig.enabled": "leader-elect",
    "leaderElectionConfig.healthzTimeout": "internal-healthz-leader-election-timeout",
    "leaderElectionConfig.leaseDuration": "leader-election-lease-duration",
    "leaderElectionConfig.namespace": "leader-election-namespace",
    "leaderElectionConfig.renewDeadline": "leader-election-renew-deadline",
    "leaderElectionConfig.retryPeriod": "leader-election-retry-period",
    "logging.format": "logging-format",
    "logging.verbosity": "v",
    "maxConcurrentChallenges": "max-concurrent-challenges",
    "metricsListenAddress": "metrics-listen-address",
    "metricsTLSConfig.cipherSuites": "metrics-tls-cipher-suites",
    "metricsTLSConfig.dynamic.dnsNames": "metrics-dynamic-serving-dns-names",
    "metricsTLSConfig.dynamic.leafDuration": "metrics-dynamic-serving-leaf-duration",
    "metricsTLSConfig.dynamic.secretName": "metrics-dynamic-serving-ca-secret-name",
    "metricsTLSConfig.dynamic.secretNamespace": "metrics-dynamic-serving-ca-secret-namespace",
    "metricsTLSConfig.filesystem.certFile": "metrics-tls-cert-file",
    "metricsTLSConfig.filesystem.keyFile": "metrics-tls-private-key-file",
    "metricsTLSConfig.minTLSVersion": "metrics-tls-min-version",
    "namespace": "namespace",
    "numberOfConcurrentWorkers": "concurrent-workers",
    "pemSizeLimitsConfig.maxBundleSize": "max-certificate-bundle-size",
    "pemSizeLimitsConfig.maxCertificateSize": "max-certificate-size",
    "pemSizeLimitsConfig.maxChainLength": "max-certificate-chain-length",
    "pemSizeLimitsConfig.maxPrivateKeySize": "max-private-key-size",
    "pprofAddress": "profiler-address",
}


def read_config(path: str) -> list[str]:
    """The file's fields as flags. Raises ValueError with what is wrong with it."""
    try:
        content: Any = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError) as error:
        raise ValueError(f"{path} can't be read: {error}") from error
    config = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    if (config.pop("apiVersion", None), config.pop("kind", None)) != (API_VERSION, KIND):
        raise ValueError(f"{path} is not a {KIND} of {API_VERSION}")
    return [f"--{_flag(path, name)}={_word(value)}" for name, value in _leaves(config)]


def _flag(path: str, name: str) -> str:
    if name not in FIELDS:
        raise ValueError(f"{path}: there is no field {name!r}")
    return FIELDS[name]


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in config.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict) and name not in FIELDS:
            yield from _leaves(cast("dict[str, Any]", value), f"{name}.")
        elif value is not None:
            yield name, value


def _word(value: Any) -> str:
    """As on the command line."""
    match value:
        case bool():
            return str(value).lower()
        case [*members]:
            return ",".join(map(_word, members))
        case dict():
            return ",".join(f"{key}={_word(each)}" for key, each in cast("dict[str, Any]", value).items())
        case _:
            return str(value)
