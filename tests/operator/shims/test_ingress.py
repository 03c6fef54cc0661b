"""What Certificates an Ingress wants, and what it takes to get there."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from certwright.api import Certificate, Ingress
from certwright.settings import ShimSettings
from certwright.shims.annotations import FIELDS
from certwright.shims.ingress import covers, essence, wanted
from certwright.shims.update import Plan, merge_patch, plan

ISSUER = "cert-manager.io/issuer"
CLUSTER_ISSUER = "cert-manager.io/cluster-issuer"
DEFAULT = ShimSettings(default_issuer_name="house", default_issuer_kind="ClusterIssuer")
NONE = ShimSettings()
UID = "11111111-aaaa"
Entry = tuple[list[str], str]
WEB: list[Entry] = [(["web.example.test"], "web-tls")]


def ingress(
    annotations: dict[str, str] | None = None,
    tls: list[Entry] | None = None,
    settings: ShimSettings = NONE,
    **meta: Any,
) -> Ingress:
    """The essence of an Ingress named web; by default of the Issuer ca."""
    body = {
        "metadata": {
            "name": "web",
            "namespace": "ns",
            "uid": UID,
            "resourceVersion": "5",
            "annotations": {ISSUER: "ca"} if annotations is None else annotations,
            **meta,
        },
        "spec": {
            "tls": [{"hosts": hosts, "secretName": name} for hosts, name in (WEB if tls is None else tls)],
            "rules": [{"host": "web.example.test"}],
        },
    }
    lean = essence(msgspec.convert(body, Ingress), settings)
    assert lean is not None
    return lean


def existing(certificate: Certificate, owner: str = UID, **changes: Any) -> Certificate:
    """A Certificate as the API server has it: made by the Ingress with this UID, changed by ``changes`` to its spec."""
    body: dict[str, Any] = msgspec.to_builtins(certificate)
    reference = {"kind": "Ingress", "name": "web", "uid": owner, "controller": True}
    body["metadata"] |= {"uid": "c-1", "resourceVersion": "9", "ownerReferences": [reference] if owner else []}
    body["spec"] |= changes
    return msgspec.convert(body, Certificate)


def certificates(of: Ingress, settings: ShimSettings = NONE) -> tuple[Certificate, ...]:
    found = wanted(of, settings)
    assert found.certificates is not None
    assert found.problems == ()
    return found.certificates


def planned(of: Ingress, *there: Certificate, settings: ShimSettings = NONE) -> Plan:
    owned = tuple(c for c in there if any(o.uid == of.metadata.uid for o in c.metadata.owner_references))
    return plan(of, settings, {c.metadata.name: c for c in there}, owned)


@pytest.mark.parametrize(
    ("annotations", "settings", "expected"),
    [
        ({ISSUER: "ca"}, NONE, True),
        ({CLUSTER_ISSUER: "ca"}, NONE, True),
        ({ISSUER: ""}, NONE, True),
        ({"kubernetes.io/tls-acme": "true"}, NONE, True),
        ({"kubernetes.io/tls-acme": "T"}, NONE, True),
        ({"kubernetes.io/tls-acme": "false"}, NONE, False),
        ({"kubernetes.io/tls-acme": "yes"}, NONE, False),
        ({"kubernetes.io/tls-acme": "true"}, ShimSettings(auto_annotations=("x/auto",)), False),
        ({"x/auto": "1"}, ShimSettings(auto_annotations=("x/auto",)), True),
        ({"cert-manager.io/common-name": "x"}, DEFAULT, False),
        ({}, DEFAULT, False),
    ],
)
def test_which_ingresses_matter(annotations: dict[str, str], settings: ShimSettings, *, expected: bool) -> None:
    """Those that name an issuer, or ask for the default one."""
    body = {"metadata": {"name": "web", "annotations": annotations}}
    assert (essence(msgspec.convert(body, Ingress), settings) is not None) is expected


@pytest.mark.parametrize(
    "meta", [{"deletionTimestamp": "2026-11-25T00:00:00Z"}, {"finalizers": ["foregroundDeletion"]}]
)
def test_an_ingress_on_its_way_out_wants_nothing(meta: dict[str, Any]) -> None:
    """What it owns goes with it."""
    body = {"metadata": {"name": "web", "annotations": {ISSUER: "ca"}, **meta}}
    assert essence(msgspec.convert(body, Ingress, strict=False), NONE) is None


def test_the_essence_is_small() -> None:
    """Others' annotations are often larger than all else."""
    annotations = {ISSUER: "ca", "nginx/snippet": "x" * 9999, "kubectl.kubernetes.io/last-applied": "y", "team": "a"}
    lean = ingress(annotations, settings=ShimSettings(extra_annotations=("team",)))
    assert lean.metadata.annotations == {ISSUER: "ca", "team": "a"}


@pytest.mark.parametrize(
    ("annotations", "settings", "expected"),
    [
        ({ISSUER: "ca"}, NONE, ("ca", "Issuer", "cert-manager.io")),
        ({ISSUER: "ca"}, DEFAULT, ("ca", "Issuer", "cert-manager.io")),
        ({CLUSTER_ISSUER: "ca"}, NONE, ("ca", "ClusterIssuer", "cert-manager.io")),
        ({ISSUER: "x", "cert-manager.io/issuer-kind": "AWSPCAIssuer", "cert-manager.io/issuer-group": "awspca"}, NONE,
         ("x", "AWSPCAIssuer", "awspca")),
        ({"kubernetes.io/tls-acme": "true"}, DEFAULT, ("house", "ClusterIssuer", "cert-manager.io")),
        ({"kubernetes.io/tls-acme": "true", ISSUER: "ca"}, DEFAULT, ("ca", "Issuer", "cert-manager.io")),
        ({"kubernetes.io/tls-acme": "true", "cert-manager.io/issuer-kind": "Issuer"}, DEFAULT,
         ("house", "Issuer", "cert-manager.io")),
    ],
)  # fmt: skip
def test_who_signs(annotations: dict[str, str], settings: ShimSettings, expected: tuple[str, str, str]) -> None:
    """Annotations before defaults."""
    (certificate,) = certificates(ingress(annotations, settings=settings), settings)
    ref = certificate.spec.issuer_ref
    assert (ref.name, ref.kind, ref.group) == expected


@pytest.mark.parametrize(
    ("annotations", "words"),
    [
        ({ISSUER: "a", CLUSTER_ISSUER: "b"}, ["cert-manager.io/issuer can't be used together"]),
        ({CLUSTER_ISSUER: "b", "cert-manager.io/issuer-kind": "Issuer"}, ["issuer-kind can't be used together"]),
        ({CLUSTER_ISSUER: "b", "cert-manager.io/issuer-group": "g"}, ["issuer-group can't be used together"]),
        ({ISSUER: ""}, ["no issuer is named"]),
        ({"kubernetes.io/tls-acme": "true"}, ["there is no default issuer"]),
        ({ISSUER: "a", "cert-manager.io/duration": "x"}, ["cert-manager.io/duration: 'x' is not a duration"]),
        ({ISSUER: "", "cert-manager.io/usages": "x"}, ["no issuer is named", "cert-manager.io/usages: "]),
    ],
)
def test_bad_annotations_leave_everything_as_it_is(annotations: dict[str, str], words: list[str]) -> None:
    """Each problem is told; nothing is made, changed or deleted."""
    good = ingress(tls=[(["old.example.test"], "old-tls")])
    (old,) = certificates(good)
    todo = planned(ingress(annotations), existing(old))
    assert (todo.create, todo.update, todo.delete) == ((), (), ())
    assert len(todo.problems) == len(words)
    assert all(word in problem for word, problem in zip(words, todo.problems, strict=True))


def test_what_a_certificate_looks_like() -> None:
    """Named after the Secret; hosts by kind, each once; labels without the ApplySet's; default usages written out."""
    hosts = ["b.example.test", "a.example.test", "10.1.2.3", "b.example.test", "*.c.example.test"]
    labels = {"app": "web", "applyset.kubernetes.io/part-of": "x"}
    annotations = {ISSUER: "ca", "cert-manager.io/alt-names": "d.example.test,a.example.test"}
    (certificate,) = certificates(ingress(annotations, [(hosts, "web-tls")], labels=labels))
    assert msgspec.to_builtins(certificate) == {
        "status": {},
        "metadata": {"name": "web-tls", "namespace": "ns", "labels": {"app": "web"}},
        "spec": {
            "secretName": "web-tls",
            "dnsNames": ("b.example.test", "a.example.test", "*.c.example.test", "d.example.test"),
            "ipAddresses": ("10.1.2.3",),
            "usages": ("digital signature", "key encipherment"),
            "issuerRef": {"name": "ca", "kind": "Issuer", "group": "cert-manager.io"},
        },
    }


def test_entries_that_lack_something_are_skipped_and_told() -> None:
    """The others are met, and what a skipped entry's Secret had is not deleted."""
    (old,) = certificates(ingress(tls=[(["a.example.test"], "a-tls")]))
    of = ingress(tls=[([], "a-tls"), (["b.example.test"], ""), (["c.example.test"], "c-tls"), ([], "")])
    todo = planned(of, existing(old))
    assert [c.metadata.name for c in todo.create] == ["c-tls"]
    assert (todo.update, todo.delete) == ((), ())
    assert todo.problems == (
        "spec.tls[0] is skipped, because it has no hosts",
        "spec.tls[1] is skipped, because it has no secretName",
        "spec.tls[3] is skipped, because it has no hosts and no secretName",
    )


def test_a_secret_named_twice_stops_everything() -> None:
    """Which entry is meant can't be known."""
    todo = planned(ingress(tls=[(["a.test"], "x"), (["b.test"], "x"), (["c.test"], "y")]))
    assert todo == Plan(problems=("spec.tls names the Secret x more than once: put its hosts into one entry",))


ACME = "acme.cert-manager.io/http01-"


@pytest.mark.parametrize(
    ("annotations", "expected"),
    [
        ({}, {}),
        ({f"{ACME}edit-in-place": "true"},
         {f"{ACME}override-ingress-name": "web", "cert-manager.io/issue-temporary-certificate": "true"}),
        ({f"{ACME}edit-in-place": "false"}, {}),
        ({f"{ACME}ingress-class": "nginx"}, {f"{ACME}override-ingress-class": "nginx"}),
        ({f"{ACME}ingress-ingressclassname": "nginx"}, {f"{ACME}override-ingress-ingressclassname": "nginx"}),
        ({"team": "a", "other": "b"}, {"team": "a"}),
    ],
)  # fmt: skip
def test_annotations_of_the_certificate(annotations: dict[str, str], expected: dict[str, str]) -> None:
    """ACME overrides, and what --extra-certificate-annotations lists."""
    settings = ShimSettings(extra_annotations=("team",))
    (certificate,) = certificates(ingress({ISSUER: "ca", **annotations}, settings=settings), settings)
    assert certificate.metadata.annotations == expected


def test_nothing_is_written_when_nothing_changes() -> None:
    """Whatever the annotations, what was made from them is what is wanted."""
    annotations = {
        ISSUER: "ca",
        "cert-manager.io/subject-organizations": "A,B",
        "cert-manager.io/duration": "2160h",
        "cert-manager.io/secret-template": '{"labels": {"a": "b"}}',
        f"{ACME}edit-in-place": "true",
    }
    of = ingress(annotations, labels={"app": "web"})
    (certificate,) = certificates(of)
    assert planned(of, existing(certificate)) == Plan()


@pytest.mark.parametrize(
    "changes",
    [
        {"keystores": {"jks": {"create": True, "password": "x"}}},
        {"additionalOutputFormats": [{"type": "DER"}]},
        {"issuerRef": {"name": "ca"}},
        {"issuerRef": {"name": "ca", "kind": "Issuer", "group": ""}},
        {"uris": ["spiffe://a/b"]},
    ],
)
def test_what_no_annotation_decides_is_left_alone(changes: dict[str, Any]) -> None:
    """And an issuerRef that means the same."""
    of = ingress()
    (certificate,) = certificates(of)
    assert planned(of, existing(certificate, **changes)) == Plan()


CHANGES: list[tuple[dict[str, str], dict[str, Any]]] = [
    ({"common-name": "x"}, {"commonName": "x"}),
    ({"alt-names": "a.test"}, {"dnsNames": ("web.example.test", "a.test")}),
    ({"ip-sans": "10.0.0.1"}, {"ipAddresses": ("10.0.0.1",)}),
    ({"email-sans": "a@b.test"}, {"emailAddresses": ("a@b.test",)}),
    ({"subject-countries": "DE"}, {"subject": {"countries": ("DE",)}}),
    ({"duration": "3h"}, {"duration": "3h0m0s"}),
    ({"renew-before": "1h"}, {"renewBefore": "1h0m0s"}),
    ({"renew-before-percentage": "30"}, {"renewBeforePercentage": 30}),
    ({"usages": "client auth"}, {"usages": ("client auth",)}),
    ({"revision-history-limit": "2"}, {"revisionHistoryLimit": 2}),
    ({"private-key-algorithm": "ECDSA"}, {"privateKey": {"algorithm": "ECDSA"}}),
    ({"secret-template": '{"labels": {"a": "b"}}'}, {"secretTemplate": {"labels": {"a": "b"}}}),
]


@pytest.mark.parametrize(("annotations", "patch"), CHANGES)
def test_every_annotation_takes_effect_and_goes_again(annotations: dict[str, str], patch: dict[str, Any]) -> None:
    """Added to an Ingress that has its Certificate, and taken away from it."""
    plain = ingress()
    full = ingress({ISSUER: "ca"} | {f"cert-manager.io/{name}": text for name, text in annotations.items()})
    (before,), (after,) = certificates(plain), certificates(full)
    (added,) = planned(full, existing(before)).update
    assert added.patch == {"metadata": {"uid": "c-1"}, "spec": patch}
    (removed,) = planned(plain, existing(after)).update
    assert removed.what == added.what == ", ".join(patch)
    old = msgspec.to_builtins(before.spec)
    assert removed.patch["spec"] == {name: old.get(name) for name in patch}


def test_the_issuer_changes() -> None:
    """To another name and kind."""
    (before,) = certificates(ingress())
    (update,) = planned(ingress({CLUSTER_ISSUER: "ca"}), existing(before)).update
    assert update.patch["spec"] == {"issuerRef": {"kind": "ClusterIssuer"}}


def test_labels_and_annotations_follow() -> None:
    """New ones come, old ones go, others' annotations stay."""
    settings = ShimSettings(extra_annotations=("team",))
    old = ingress({ISSUER: "ca", "team": "a", f"{ACME}edit-in-place": "true"}, labels={"a": "1"}, settings=settings)
    (before,) = certificates(old, settings)
    before.metadata.annotations["foreign"] = "stays"
    new = ingress({ISSUER: "ca", f"{ACME}ingress-class": "x"}, labels={"b": "2"}, settings=settings)
    (update,) = planned(new, existing(before), settings=settings).update
    assert update.what == "labels, annotations"
    assert update.patch == {
        "metadata": {
            "uid": "c-1",
            "labels": {"a": None, "b": "2"},
            "annotations": {
                "team": None,
                f"{ACME}override-ingress-name": None,
                f"{ACME}override-ingress-class": "x",
                "cert-manager.io/issue-temporary-certificate": None,
            },
        }
    }


def test_a_temporary_certificate_that_a_user_asked_for_stays() -> None:
    """Only what came with edit-in-place goes with it."""
    of = ingress()
    (certificate,) = certificates(of)
    certificate.metadata.annotations["cert-manager.io/issue-temporary-certificate"] = "true"
    assert planned(of, existing(certificate)) == Plan()


@pytest.mark.parametrize("owner", ["", "another-uid"])
def test_foreign_certificates_are_never_touched(owner: str) -> None:
    """With no owner, or with another; told only when they don't cover the hosts."""
    of = ingress({ISSUER: "ca", "cert-manager.io/duration": "5h"})
    (certificate,) = certificates(ingress())
    assert planned(of, existing(certificate, owner)) == Plan()
    (problem,) = planned(of, existing(certificate, owner, dnsNames=["other.example.test"])).problems
    assert "web-tls was not made for this Ingress" in problem
    assert "lacks web.example.test" in problem


@pytest.mark.parametrize(
    ("names", "host", "expected"),
    [
        (["a.b.test"], "a.b.test", True),
        (["*.b.test"], "a.b.test", True),
        (["*.b.test"], "*.b.test", True),
        (["*.b.test"], "b.test", False),
        (["*.b.test"], "x.a.b.test", False),
        (["a.b.test"], "*.b.test", False),
        ([], "test", False),
    ],
)
def test_which_hosts_a_certificate_covers(names: list[str], host: str, *, expected: bool) -> None:
    """A wildcard stands for one label."""
    spec = {"secretName": "x", "dnsNames": names}
    assert covers(msgspec.convert({"spec": spec}, Certificate), host) is expected


def test_certificates_without_an_entry_are_deleted() -> None:
    """Unless their Secret is still named, or they are on their way out."""
    (a,) = certificates(ingress(tls=[(["a.test"], "a-tls")]))
    (b,) = certificates(ingress(tls=[(["b.test"], "b-tls")]))
    of = ingress(tls=[(["a.test"], "a-tls")])
    gone = existing(b)
    assert planned(of, existing(a), gone) == Plan(delete=(gone,))
    assert planned(of, existing(a), existing(b, secretName="a-tls")) == Plan()
    meta = msgspec.structs.replace(gone.metadata, deletion_timestamp=msgspec.convert("2026-11-25T00:00:00Z", Any))
    assert planned(of, existing(a), msgspec.structs.replace(gone, metadata=meta)) == Plan()
    assert planned(ingress(tls=[]), existing(a)).delete != ()


def test_a_secret_name_changed_by_hand_is_put_back() -> None:
    """The Certificate is the entry's by its name."""
    of = ingress()
    (certificate,) = certificates(of)
    (update,) = planned(of, existing(certificate, secretName="elsewhere")).update
    assert update.patch["spec"] == {"secretName": "web-tls"}


VALUES = st.recursive(
    st.text(max_size=3), lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=8
)
OBJECTS = st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3)


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386 section 2."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


@given(OBJECTS, OBJECTS)
def test_a_merge_patch_does_what_it_is_for(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Applied to the old object it gives the new one, and is empty only for equal ones."""
    patch = merge_patch(before, after)
    assert merged(before, patch) == after
    assert (patch == {}) is (before == after)


TEXTS = st.one_of(st.text(max_size=12), st.sampled_from(["true", "1h", "256", "ECDSA", "ca", "a.test,b.test"]))
ANNOTATIONS = st.dictionaries(
    st.sampled_from(
        [ISSUER, CLUSTER_ISSUER, "cert-manager.io/issuer-kind", "cert-manager.io/issuer-group",
         "kubernetes.io/tls-acme", f"{ACME}edit-in-place", f"{ACME}ingress-class"]
        + [field.annotation for field in FIELDS]
    ),
    TEXTS,
)  # fmt: skip
ENTRIES = st.lists(
    st.tuples(st.lists(st.text(max_size=8), max_size=3), st.sampled_from(["", "a", "b", "c"])), max_size=4
)


@given(ANNOTATIONS, ENTRIES, st.sampled_from([NONE, DEFAULT]))
def test_any_ingress_has_a_plan_and_then_none(
    annotations: dict[str, str], tls: list[Entry], settings: ShimSettings
) -> None:
    """No Ingress raises; what was made as planned leaves nothing to do."""
    of = ingress({"kubernetes.io/tls-acme": "true", **annotations, ISSUER: "ca"}, tls, settings)
    todo = planned(of, settings=settings)
    assert (todo.update, todo.delete) == ((), ())
    made = [existing(certificate) for certificate in todo.create]
    again = planned(of, *made, settings=settings)
    assert (again.create, again.update, again.delete) == ((), (), ())
