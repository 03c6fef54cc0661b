"""CertificateRequests: what is refused, who made one, who may approve it, and what can never change again."""

import base64
import json
import random
import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from certwright.admission.requests import csr_errors
from certwright.api import CertificateRequestSpec
from certwright_issuers.pem import CERTIFICATE_LIMIT, CERTIFICATE_REQUEST, split_pem
from certwright_issuers.usages import EXTENDED_USAGES, KEY_USAGE_BITS
from devcluster import Cluster
from tests.e2e.admission import Live, Row, accepted, answers, certificate, csr, judge, named, pem, refused, request
from tests.e2e.harness import ROOT, Operator, resting

pytestmark = pytest.mark.e2e

EVERY = (*KEY_USAGE_BITS, *EXTENDED_USAGES)


GOOD = split_pem(base64.b64decode(csr()), CERTIFICATE_REQUEST, CERTIFICATE_LIMIT)[0]

TABLE: dict[str, Row] = {
    "request": accepted(request()),
    "request-no-spec": refused({**request(), "spec": None}, "spec", "spec is required"),
    "request-no-issuer": refused(request(issuerRef=None), "spec.issuerRef", "Required"),
    "request-no-issuer-name": refused(request(issuerRef={"name": ""}), "spec.issuerRef.name", "must not be empty"),
    "request-unknown-kind": refused(
        request(issuerRef={"name": "x", "kind": "Foo"}), "spec.issuerRef.kind", "set issuerRef.group"
    ),
    "request-foreign-kind": accepted(request(issuerRef={"name": "x", "kind": "Foo", "group": "a.example"})),
    "request-no-csr": refused(request(request=None), "spec.request", "Required"),
    "request-empty-csr": refused(request(request=""), "spec.request", 'Invalid value: ""'),
    "request-no-pem": refused(request(request="bm90aGluZw=="), "spec.request", "PEM"),
    "request-binary": refused(request(request="/w=="), "spec.request"),
    "request-csr-garbage": refused(request(request=pem(b"no")), "spec.request", "decoded"),
    "request-csr-cut-off": refused(request(request=pem(GOOD[:-20])), "spec.request", "decoded"),
    "request-csr-usages": refused(request(request=csr(usages=("server auth",))), "spec.request", "key usages"),
    "request-csr-order": refused(
        request(request=csr(usages=("client auth", "server auth")), usages=["server auth", "client auth"]),
        "spec.request",
        "extended key usages",
    ),
    "request-csr-ca": refused(request(request=csr(is_ca=True, encode_basic_constraints=True)), "spec.request", "CA"),
    "request-csr": accepted(request(request=csr(usages=("server auth",)), usages=["server auth"])),
    "request-csr-every-usage": accepted(request(request=csr(usages=EVERY), usages=[*EVERY])),
    "request-no-base64": refused(request(request="%"), "spec.request", "byte"),
    "request-unknown-usage": refused(request(usages=["flying"]), "spec.usages[0]", 'Unsupported value: "flying"'),
    "request-bad-duration": refused(request(duration="90d"), "spec.duration", "written like 2160h"),
    "request-short-duration": accepted(request(duration="10m", isCA=True, usages=["cert sign", "any"])),
}

MADE = {"cert-manager.io/certificate-name": "tls", "acme.cert-manager.io/x": "1", "venafi.cert-manager.io/custom": "1"}
WHEN = "2026-01-01T00:00:00Z"


def verdict(type_: str, status: str = "True", **fields: str) -> dict[str, str]:
    """An Approved or Denied condition."""
    return {"type": type_, "status": status, "reason": "r", "message": "m", "lastTransitionTime": WHEN, **fields}


BARE = {"type": "Approved", "status": "True", "lastTransitionTime": WHEN}
APPROVED, DENIED, READY = verdict("Approved"), verdict("Denied"), verdict("Ready", "False")


@pytest.fixture(scope="module", autouse=True)
def undecided(cluster: Cluster, operator: Operator) -> Iterator[None]:
    """The operator rests: it would approve the requests before the tests do."""
    with resting(cluster, operator):
        yield


@pytest.fixture(scope="module")
def found(cluster: Cluster) -> dict[str, str]:
    """What kubectl says of each row."""
    return answers(cluster, "default", TABLE)


@pytest.mark.parametrize("name", TABLE)
def test_a_request_is_refused_or_accepted(found: dict[str, str], name: str) -> None:
    """Each row by its own words."""
    judge(TABLE[name], found[name])


def random_request(luck: random.Random) -> dict[str, Any]:
    """A request whose CSR asks for much the same, or is damaged."""
    asked = luck.sample(EVERY, luck.choice((0, 1, 2, 3, 5, 8, len(EVERY))))
    is_ca = luck.random() < 0.3
    encoded = csr(
        usages=tuple(asked),
        is_ca=is_ca,
        encode_basic_constraints=luck.random() < 0.6,
        encode_usages=luck.random() < 0.9,
    )
    wanted = list(asked)
    chance = luck.random()
    if chance < 0.2:
        luck.shuffle(wanted)
    elif chance < 0.35:
        wanted = wanted[1:]
    elif chance < 0.45:
        wanted = list(dict.fromkeys([*wanted, luck.choice(EVERY)]))
    elif chance < 0.6:
        is_ca = not is_ca
    elif chance < 0.65:
        lines = base64.b64decode(encoded).splitlines(keepends=True)
        del lines[luck.randrange(1, len(lines) - 1)]
        encoded = base64.b64encode(b"".join(lines)).decode()
    return request(request=encoded, usages=wanted, isCA=is_ca)


def test_the_policy_and_the_operator_judge_csrs_alike(cluster: Cluster) -> None:
    """CEL takes a CSR apart by its octets: what the operator would find is the measure."""
    luck = random.Random(20261125)  # noqa: S311 (cases, not secrets)
    table = {f"csr-{number}": accepted(random_request(luck)) for number in range(150)}
    said = answers(cluster, "default", table)
    found = {name: csr_errors(_spec(obj)) for name, (obj, _) in table.items()}
    differing = {name: (found[name], said[name]) for name in table if bool(found[name]) != bool(said[name])}
    assert differing == {}
    assert 30 < sum(bool(errors) for errors in found.values()) < 120


def _spec(obj: dict[str, Any]) -> CertificateRequestSpec:
    return msgspec.convert(obj["spec"], type=CertificateRequestSpec, strict=False)


def test_only_certwright_is_not_asked_about_its_own_csrs(cluster: Cluster, space: str) -> None:
    """It costs the API server milliseconds, and certwright looks for itself."""
    obj = json.dumps(named("own", TABLE["request-csr-usages"][0]))
    apply = (
        "-n",
        space,
        "create",
        "--dry-run=server",
        "-f",
        "-",
        "--as=system:serviceaccount:cert-manager:cert-manager",
    )
    assert cluster.kubectl(*apply, input=obj, check=False).returncode == 0


@pytest.fixture(scope="module")
def space(cluster: Cluster) -> Iterator[str]:
    """A namespace for the module."""
    name = "admission-requests"
    cluster.kubectl("create", "namespace", name)
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


def live(cluster: Cluster, space: str, name: str, **spec: Any) -> Live:
    """A stored request with annotations."""
    obj = named(name, request(**spec))
    obj["metadata"]["annotations"] = MADE
    return Live(cluster, space, obj)


# Immutability


@pytest.mark.parametrize(
    ("name", "change"),
    {
        "issuer": {"issuerRef": {"name": "other"}},
        "duration": {"duration": "1h"},
        "is-ca": {"isCA": True},
        "username": {"username": "root"},
        "groups": {"groups": ["system:masters"]},
        "uid": {"uid": "0"},
        "extra": {"extra": {"a": ["b"]}},
    }.items(),
)
def test_the_spec_of_a_request_never_changes(cluster: Cluster, space: str, name: str, change: dict[str, Any]) -> None:
    """Neither what was asked for nor who asked."""
    refusal = live(cluster, space, f"immutable-{name}").patch({"spec": change})
    assert "spec" in refusal
    assert "immutable" in refusal


def test_the_spec_of_a_request_cannot_be_removed(cluster: Cluster, space: str) -> None:
    """The schema does not require it, a rule does."""
    assert "spec is required" in live(cluster, space, "spec-removed").remove("/spec")


@pytest.mark.parametrize(
    ("name", "change", "key"),
    [
        ("add", {"cert-manager.io/new": "1"}, "cert-manager.io/new"),
        ("change", {"cert-manager.io/certificate-name": "2"}, "cert-manager.io/certificate-name"),
        ("remove", {"cert-manager.io/certificate-name": None}, "cert-manager.io/certificate-name"),
        ("acme", {"acme.cert-manager.io/x": "2"}, "acme.cert-manager.io/x"),
        ("venafi", {"venafi.cert-manager.io/custom": "2", "venafi.cert-manager.io/pickup-id": "3"}, ""),
        ("foreign", {"a.example/cert-manager.io": "1"}, ""),
    ],
)
def test_our_annotations_of_a_request_never_change(
    cluster: Cluster, space: str, name: str, change: dict[str, Any], key: str
) -> None:
    """They say which Certificate, revision and key it is for; others are free."""
    refusal = live(cluster, space, f"annotation-{name}").patch({"metadata": {"annotations": change}})
    assert bool(refusal) == bool(key)
    if key:
        assert "metadata.annotations" in refusal
        assert key in refusal.rsplit(":", 1)[-1]


# Approval


@pytest.mark.parametrize(
    ("name", "before", "after", "parts"),
    [
        ("approve", [], [APPROVED], ()),
        ("deny", [], [DENIED], ()),
        ("approve-false", [], [verdict("Approved", "False")], ("status.conditions", "only be True")),
        ("deny-unknown", [], [verdict("Denied", "Unknown")], ("status.conditions", "only be True")),
        ("both-at-once", [], [APPROVED, DENIED], ("status.conditions", "both Approved and Denied")),
        ("deny-approved", [APPROVED], [APPROVED, DENIED], ("status.conditions", "both Approved and Denied")),
        ("exchange", [APPROVED], [DENIED], ("status.conditions", "neither be changed nor removed")),
        ("withdraw", [APPROVED], [], ("status.conditions", "neither be changed nor removed")),
        ("leave-out-empty", [verdict("Approved", message="", reason="")], [BARE], ()),
        ("rewrite-time", [verdict("Approved", lastTransitionTime=WHEN.replace("Z", ".000Z"))], [APPROVED], ()),
        (
            "set-back",
            [DENIED],
            [verdict("Denied", lastTransitionTime="2020-01-01T00:00:00Z")],
            ("status.conditions", "neither be changed nor removed"),
        ),
        ("reword", [DENIED], [verdict("Denied", message="n")], ("status.conditions", "neither be changed nor removed")),
        ("turn-false", [APPROVED], [verdict("Approved", "False")], ("status.conditions", "only be True")),
        ("ready-after-approval", [APPROVED], [READY, APPROVED], ()),
        ("ready-before-approval", [], [READY], ()),
    ],
)
def test_a_verdict_is_given_once(
    cluster: Cluster, space: str, name: str, before: list[Any], after: list[Any], parts: tuple[str, ...]
) -> None:
    """Approved or Denied, True, and never withdrawn, whoever asks."""
    obj = live(cluster, space, f"verdict-{name}")
    if before:
        assert obj.status({"conditions": before}) == ""
    judge(({}, parts), obj.status({"conditions": after}))


def test_the_status_of_an_approved_request_cannot_be_removed(cluster: Cluster, space: str) -> None:
    """Removing all of it would withdraw the verdict."""
    obj = live(cluster, space, "status-removed")
    assert obj.status({"conditions": [APPROVED]}) == ""
    assert "neither be changed nor removed" in obj.remove("/status", "--subresource=status")


#: Who may approve for what: resource names for the verb approve on signers.
GRANTS = {
    "nobody": [],
    "all-issuers": ["issuers.cert-manager.io/*"],
    "one-issuer": ["issuers.cert-manager.io/admission-requests.ca"],
    "elsewhere": ["issuers.cert-manager.io/default.ca", "issuers.cert-manager.io/ca"],
    "one-cluster": ["clusterissuers.cert-manager.io/ca"],
    "foreign": ["fooissuers.a.example/*", "policies.a.example/admission-requests.ca", "classes.a.example/ca"],
    "foreign-cluster": ["fooclusterissuers.a.example/ca"],
    "foreign-dotted": ["fooclusterissuers.a.example/admission-requests.ca"],
}
CLUSTER_CA = {"name": "ca", "kind": "ClusterIssuer"}


def foreign(kind: str) -> dict[str, str]:
    """A reference to an issuer of another API."""
    return {"name": "ca", "kind": kind, "group": "a.example"}


@pytest.fixture(scope="module")
def users(cluster: Cluster, space: str) -> Iterator[None]:
    """One user per grant, all of whom may write the status of requests."""
    roles: list[dict[str, Any]] = [
        {
            "kind": "ClusterRole",
            "metadata": {"name": "admission-writer"},
            "rules": [
                {
                    "apiGroups": ["cert-manager.io"],
                    "resources": ["certificaterequests", "certificaterequests/status"],
                    "verbs": ["get", "create", "patch"],
                }
            ],
        }
    ]
    for user, names in GRANTS.items():
        signers = {
            "apiGroups": ["cert-manager.io"],
            "resources": ["signers"],
            "verbs": ["approve"],
            "resourceNames": names,
        }
        role = {"kind": "ClusterRole", "metadata": {"name": f"admission-{user}"}, "rules": [signers] if names else []}
        roles += [role, *(_binding(user, name) for name in (f"admission-{user}", "admission-writer"))]
    for role in roles:
        role["apiVersion"] = "rbac.authorization.k8s.io/v1"
    manifests = "\n---\n".join(json.dumps(role) for role in roles)
    cluster.kubectl("apply", "-f", "-", input=manifests)
    last = list(GRANTS)[-1]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        can = cluster.kubectl(
            "auth", "can-i", "patch", "certificaterequests", "--subresource=status", f"--as={last}", check=False
        )
        if can.stdout.startswith("yes"):
            break
        time.sleep(0.1)
    yield
    cluster.kubectl("delete", "-f", "-", input=manifests)


def _binding(user: str, role: str) -> dict[str, Any]:
    return {
        "kind": "ClusterRoleBinding",
        "metadata": {"name": f"{role}-{user}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role},
        "subjects": [{"kind": "User", "name": user}],
    }


@pytest.mark.parametrize("condition", [APPROVED, DENIED], ids=["approve", "deny"])
@pytest.mark.parametrize(
    ("user", "ref", "answer"),
    [
        ("nobody", {"name": "ca"}, "no"),
        ("all-issuers", {"name": "ca"}, "yes"),
        ("all-issuers", {"name": "ca", "kind": "Issuer", "group": "cert-manager.io"}, "yes"),
        ("all-issuers", CLUSTER_CA, "no"),
        ("one-issuer", {"name": "ca", "kind": ""}, "yes"),
        ("one-issuer", {"name": "cb"}, "no"),
        ("elsewhere", {"name": "ca"}, "no"),
        ("one-cluster", CLUSTER_CA, "yes"),
        ("one-cluster", {"name": "ca"}, "no"),
        ("foreign", foreign("FooIssuer"), "yes"),
        ("foreign", foreign("Policy"), "yes"),
        ("foreign", foreign("Class"), "yes"),
        ("foreign", foreign("Other"), "no"),
        ("foreign-cluster", foreign("FooClusterIssuer"), "yes"),
        ("foreign-dotted", foreign("FooClusterIssuer"), "no"),
    ],
)
@pytest.mark.usefixtures("users")
def test_only_those_who_may_approve_for_an_issuer_do(
    cluster: Cluster, space: str, user: str, ref: dict[str, str], answer: str, condition: dict[str, str]
) -> None:
    """The verb approve on signers, for all issuers of a kind or for one."""
    kind = (ref.get("kind") or "default").lower()
    name = f"by-{user}-{kind}-{ref['name']}-{len(ref)}-{condition['type'].lower()}"
    refusal = live(cluster, space, name, issuerRef=ref).status({"conditions": [condition]}, f"--as={user}")
    assert (refusal == "") == (answer == "yes"), refusal
    if answer == "no":
        assert "Forbidden" in refusal
        assert f"status.conditions: user {user} may not approve or deny" in refusal
        assert "signers" in refusal


@pytest.mark.usefixtures("users")
def test_who_may_not_approve_may_still_report(cluster: Cluster, space: str) -> None:
    """An external issuer writes Ready and the certificate without any right to approve."""
    obj = live(cluster, space, "reported")
    assert obj.status({"conditions": [APPROVED]}) == ""
    assert obj.status({"conditions": [APPROVED, READY], "certificate": "cGVt"}, "--as=nobody") == ""


# Identity


def stored(cluster: Cluster, space: str, name: str, spec: dict[str, Any], *flags: str) -> dict[str, Any]:
    """The spec as stored of a request that a user made."""
    cluster.kubectl("-n", space, "create", "-f", "-", *flags, input=json.dumps(named(name, request(**spec))))
    found: dict[str, Any] = json.loads(
        cluster.kubectl("-n", space, "get", "certificaterequest", name, "-o", "json").stdout
    )["spec"]
    return found


FORGED = {"username": "root", "uid": "0", "groups": ["system:masters"], "extra": {"forged": ["yes"]}}


@pytest.mark.usefixtures("users")
@pytest.mark.parametrize("forged", [{}, FORGED], ids=["plain", "forged"])
def test_a_request_tells_who_made_it(cluster: Cluster, space: str, forged: dict[str, Any]) -> None:
    """Name, UID, groups and extra come from the API server, whatever the client wrote."""
    name = f"identity-full-{len(forged)}"
    who = ("--as=nobody", "--as-uid=u-1", "--as-group=devs", "--as-user-extra=scopes=a", "--as-user-extra=scopes=b")
    spec = stored(cluster, space, name, forged, *who)
    assert spec["username"] == "nobody"
    assert spec["uid"] == "u-1"
    assert sorted(spec["groups"]) == ["devs", "system:authenticated"]
    assert spec["extra"] == {"scopes": ["a", "b"]}


@pytest.mark.usefixtures("users")
def test_what_the_user_has_not_is_removed(cluster: Cluster, space: str) -> None:
    """A forged UID or extra of a user who has none."""
    spec = stored(cluster, space, "identity-sparse", FORGED, "--as=nobody")
    assert spec["username"] == "nobody"
    assert spec["groups"] == ["system:authenticated"]
    assert "uid" not in spec
    assert "extra" not in spec


@pytest.mark.usefixtures("users")
def test_without_the_mutating_policy_a_forged_identity_is_refused(cluster: Cluster, space: str) -> None:
    """API servers that do not serve such policies leave the fields empty, but never wrong."""
    binding = ("mutatingadmissionpolicybinding", "certwright-certificaterequests-identity")
    cluster.kubectl("delete", *binding)
    try:
        time.sleep(1)
        assert "username" not in stored(cluster, space, "identity-none", {}, "--as=nobody")
        for field, value in FORGED.items():
            row = {f"identity-{field}": refused(request(**{field: value}), f"spec.{field} must be", "Forbidden")}
            for name, answer in answers(cluster, space, row).items():
                judge(row[name], answer)
    finally:
        # As a user would: what is created from a copy has no say in later applies.
        cluster.kubectl("apply", "-f", str(ROOT / "deploy" / "admission-identity.yaml"))
        time.sleep(1)


# Exemption


@pytest.fixture(scope="module")
def exempt(cluster: Cluster) -> Iterator[str]:
    """A namespace that is not validated."""
    name = "admission-exempt"
    cluster.kubectl("create", "namespace", name)
    cluster.kubectl("label", "namespace", name, "cert-manager.io/disable-validation=true")
    time.sleep(0.5)  # until the API server's own watch has seen the label
    yield name
    cluster.kubectl("delete", "namespace", name, "--wait=false")


@pytest.mark.usefixtures("users")
def test_an_exempt_namespace_is_not_validated(cluster: Cluster, exempt: str) -> None:
    """No policy refuses anything there, the rules of the CRDs hold, and identity is written all the same."""
    bad = {"bad": (certificate(ipAddresses=["x"]), ()), "worse": (certificate(duration="1m"), ("spec.duration",))}
    for name, answer in answers(cluster, exempt, bad).items():
        judge(bad[name], answer)
    assert stored(cluster, exempt, "identity", FORGED, "--as=nobody")["username"] == "nobody"
    assert Live(cluster, exempt, named("free", request())).status({"conditions": [APPROVED]}, "--as=nobody") == ""


def test_only_a_changed_spec_is_judged_again(cluster: Cluster, space: str) -> None:
    """What was stored before a rule existed can still be labelled and deleted, but not made worse."""
    cluster.kubectl("label", "namespace", space, "cert-manager.io/disable-validation=true")
    time.sleep(0.5)
    obj = Live(cluster, space, named("older-than-the-rule", certificate(ipAddresses=["x"])))
    cluster.kubectl("label", "namespace", space, "cert-manager.io/disable-validation-")
    time.sleep(0.5)
    assert obj.patch({"metadata": {"labels": {"a": "b"}}}) == ""
    assert obj.status({"revision": 1}) == ""
    assert "spec.ipAddresses" in obj.patch({"spec": {"secretName": "other"}})
