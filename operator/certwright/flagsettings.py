"""The settings that the flags of ``certwright run`` ask for."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from certwright.gates import GATES, RENEWAL_INFO, SIGNING_REQUESTS
from certwright.options import APPROVER, INGRESS_SHIM, lease_times_of
from certwright.settings import (
    AcmeSettings,
    ApprovalSettings,
    HTTP01Settings,
    IssuanceSettings,
    IssuerSettings,
    LeaseSettings,
    QueueSettings,
    ServingSettings,
    Settings,
    ShimSettings,
)
from certwright_issuers.egress import EgressPolicy


def settings_of(options: argparse.Namespace) -> Settings:
    """The settings that the options ask for."""
    controllers: tuple[str, ...] = options.controllers
    duration, deadline, period = lease_times_of(options)
    return Settings(
        kubeconfig=options.kubeconfig,
        context=options.context,
        master=options.master,
        namespace=options.namespace,
        cluster_resource_namespace=options.cluster_resource_namespace,
        signing_requests=options.feature_gates.get(SIGNING_REQUESTS, GATES[SIGNING_REQUESTS]),
        lease=LeaseSettings(
            enabled=options.leader_elect,
            namespace=options.leader_election_namespace,
            duration=duration,
            renew_deadline=deadline,
            renew_interval=period,
        ),
        queue=QueueSettings(workers=options.concurrent_workers),
        issuance=IssuanceSettings(
            min_request_backoff=options.certificate_request_minimum_backoff_duration,
            max_request_backoff=options.certificate_request_maximum_backoff_duration,
            certificate_owner_ref=options.enable_certificate_owner_ref,
            copied_annotation_prefixes=options.copied_annotation_prefixes,
            renewal_jitter=options.renewal_jitter,
        ),
        http01=HTTP01Settings(
            listen_address=options.acme_http01_solver_listen_address,
            addresses=options.acme_http01_solver_address,
            service=options.acme_http01_solver_service,
            pod_ip=os.environ.get("POD_IP", ""),
            nameservers=options.acme_http01_solver_nameservers,
            extra_labels=options.acme_http01_solver_extra_labels,
        ),
        acme=AcmeSettings(
            max_challenges=options.max_concurrent_challenges,
            max_requests=options.max_concurrent_acme_requests,
            renewal_info=options.feature_gates.get(RENEWAL_INFO, GATES[RENEWAL_INFO]),
        ),
        egress=EgressPolicy(
            allow=options.issuer_egress_allow,
            deny=options.issuer_egress_deny,
            private=options.issuer_egress_private,
        ),
        issuers=IssuerSettings(
            cluster_ambient_credentials=options.cluster_issuer_ambient_credentials,
            ambient_credentials=options.issuer_ambient_credentials,
        ),
        approval=ApprovalSettings(
            enabled=_switched_on(APPROVER, controllers), signer_names=options.approve_signer_names
        ),
        shim=ShimSettings(
            enabled=_switched_on(INGRESS_SHIM, controllers),
            auto_annotations=options.auto_certificate_annotations,
            extra_annotations=options.extra_certificate_annotations,
            default_issuer_name=options.default_issuer_name,
            default_issuer_kind=options.default_issuer_kind,
            default_issuer_group=options.default_issuer_group,
        ),
        serving=ServingSettings(
            metrics_address=options.metrics_listen_address, health_address=options.healthz_listen_address
        ),
    )


def _switched_on(controller: str, controllers: Sequence[str]) -> bool:
    """As in ``--controllers``: named, or all with ``*``, and not taken out again."""
    return f"-{controller}" not in controllers and ("*" in controllers or controller in controllers)
