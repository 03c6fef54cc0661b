"""cert-manager's ControllerConfiguration in place of flags."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from certwright.access import load_access
from certwright.configfile import FIELDS, read_config
from certwright.flagsettings import settings_of
from certwright.options import parse, parser

HEAD = {"apiVersion": "controller.config.cert-manager.io/v1alpha1", "kind": "ControllerConfiguration"}


def written(folder: Path, **fields: Any) -> str:
    """The path of a file with these fields."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**HEAD, **fields}))
    return str(path)


def test_every_field_is_a_flag() -> None:
    commands: Any = next(action for action in parser()._actions if action.dest == "command").choices
    known = {option for action in commands["run"]._actions for option in action.option_strings}
    assert {flag for flag in FIELDS.values() if f"--{flag}" not in known} == set()


def test_fields_of_all_shapes(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        clusterResourceNamespace="pki",
        controllers=["*", "-ingress-shim"],
        copiedAnnotationPrefixes=["a.example/", "b.example/"],
        enableCertificateOwnerRef=True,
        featureGates={"ExperimentalCertificateSigningRequestControllers": True, "ServerSideApply": False},
        ingressShimConfig={"defaultIssuerName": "house", "defaultIssuerKind": "ClusterIssuer"},
        leaderElectionConfig={"enabled": False, "namespace": "pki", "leaseDuration": "60s"},
        logging={"format": "json", "verbosity": 4},
        metricsTLSConfig={"dynamic": {"dnsNames": ["metrics"]}},
        numberOfConcurrentWorkers=7,
        kubernetesAPIQPS=20.0,
        namespace=None,
    )
    options = parse(["run", f"--config={path}"])
    settings = settings_of(options)
    assert (options.logging_format, options.v) == ("json", 4)
    assert settings.cluster_resource_namespace == "pki"
    assert settings.issuance.copied_annotation_prefixes == ("a.example/", "b.example/")
    assert settings.issuance.certificate_owner_ref
    assert settings.signing_requests
    assert (settings.shim.enabled, settings.approval.enabled) == (False, True)
    assert (settings.shim.default_issuer_name, settings.shim.default_issuer_kind) == ("house", "ClusterIssuer")
    assert (settings.lease.enabled, settings.lease.namespace, settings.lease.duration) == (False, "pki", 60.0)
    assert settings.queue.workers == 7
    assert settings.namespace == ""


def test_flags_go_before_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, controllers=["*", "-ingress-shim"], maxConcurrentChallenges=5, namespace="one")
    settings = settings_of(parse(["run", "--controllers=*", f"--config={path}", "--max-concurrent-challenges=6"]))
    assert (settings.shim.enabled, settings.acme.max_challenges, settings.namespace) == (True, 6, "one")


def test_without_a_file_the_flags_are_all() -> None:
    assert settings_of(parse(["run", "--config="])) == settings_of(parser().parse_args(["run"]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "can't be read: [Errno 2] No such file"),
        ("a: [", "can't be read: while parsing"),
        ("[]", "is not a ControllerConfiguration of controller.config.cert-manager.io/v1alpha1"),
        (yaml.safe_dump({**HEAD, "kind": "WebhookConfiguration"}), "is not a ControllerConfiguration"),
        (yaml.safe_dump({**HEAD, "gatewayAPI": {"enable": True}}), "there is no field 'gatewayAPI.enable'"),
        (yaml.safe_dump({**HEAD, "numberOfConcurrentWorkers": "x"}), "--concurrent-workers: invalid"),
        (yaml.safe_dump({**HEAD, "featureGates": {"Moon": True}}), "there is no feature gate 'Moon'"),
    ],
)
def test_what_is_wrong_with_a_file_is_said(
    text: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "config.yaml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SystemExit):
        parse(["run", f"--config={path}"])
    assert words in capsys.readouterr().err


def test_a_file_is_read_as_flags(tmp_path: Path) -> None:
    assert read_config(written(tmp_path, enablePprof=True, apiServerHost="https://a.example")) == [
        "--master=https://a.example",
        "--enable-profiling=true",
    ]


def test_the_api_servers_url_may_be_another_one_than_the_kubeconfigs(tmp_path: Path) -> None:
    kubeconfig = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://10.0.0.1:6443"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(kubeconfig))
    assert load_access(str(path)).server == "https://10.0.0.1:6443"
    assert load_access(str(path), master="https://api.example/").server == "https://api.example"
