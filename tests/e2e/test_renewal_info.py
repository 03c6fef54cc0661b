"""The CA says when to renew (RFC 9773): what is asked, what is shown, and what follows."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from certwright_issuers.acme import ari
from devcluster.acmeca import AcmeCA
from tests.e2e.acme import ISSUER, Restartable, ca_fixture, direct_fixture, issuer, log_end, requests_of
from tests.e2e.harness import Kubectl
from tests.e2e.test_certificates import certificate, data_of, revision, secret_of, x509_of

pytestmark = pytest.mark.usefixtures("direct")

HOUR = timedelta(hours=1)
#: A name that other tests use as well may be on its way there.
NAME = "renewal.example.test"


#: It refuses no nonces, so that requests can be counted.
ca = ca_fixture({"PEBBLE_WFE_NONCEREJECT": "0"})
direct = direct_fixture()


def when(text: str) -> datetime:
    return datetime.fromisoformat(text)


def info_of(found: dict[str, Any]) -> dict[str, Any]:
    """What the status says of renewal information; nothing if it says nothing."""
    info: dict[str, Any] = (found.get("status") or {}).get("acme", {}).get("ari", {})
    return info


def issue(kubectl: Kubectl, ca: AcmeCA, *, acme: dict[str, Any] | None = None, **spec: Any) -> dict[str, Any]:
    """A Certificate that is Ready."""
    # Pebble picks one by itself for an order without a profile.
    kubectl.apply(issuer(ca, profile="default", **acme or {}))
    kubectl.wait_ready("acme", kind="issuer")
    kubectl.apply(certificate(issuer=ISSUER, dnsNames=[NAME], **spec))
    return kubectl.wait_ready("web")


def ask_again(kubectl: Kubectl) -> None:
    """As if it were time to."""
    patch = {"status": {"acme": {"ari": {"nextCheck": "2026-01-01T00:00:00Z"}}}}
    kubectl("patch", "certificate", "web", "--subresource=status", "--type=merge", "-p", json.dumps(patch))


def window(start: datetime, end: datetime, **more: str) -> str:
    shown = {"start": start.isoformat(), "end": end.isoformat()}
    return json.dumps({"suggestedWindow": shown, **more})


def test_what_the_ca_suggests_decides(kubectl: Kubectl, ca: AcmeCA) -> None:
    """Contract rows 8.14 and 8.15: in the same write as Ready; renewBefore plays no part; the renewal time is one second
    of the window, and stays that, whatever is changed and written between two questions."""
    since = log_end(ca)
    ready = issue(kubectl, ca, renewBefore="1h")
    info = info_of(ready)
    assert info.keys() == {"lastChecked", "nextCheck", "suggestedWindow"}
    start, end = (when(info["suggestedWindow"][bound]) for bound in ("start", "end"))
    chosen = ready["status"]["renewalTime"]
    assert end - start == 48 * HOUR
    assert start <= when(chosen) <= end
    assert 6 * HOUR <= when(info["nextCheck"]) - when(info["lastChecked"]) <= 6.6 * HOUR
    kubectl.apply(certificate(issuer=ISSUER, dnsNames=[NAME], renewBefore="2h", secretTemplate={"labels": {"a": "b"}}))
    kubectl.wait("secret", "web-tls", lambda s: s["metadata"]["labels"].get("a") == "b")
    later = kubectl.wait_ready("web")
    assert (later["status"]["renewalTime"], info_of(later)) == (chosen, info)
    asked = [line for line in requests_of(ca, since) if "/renewalInfo/" in line]
    assert len(asked) == 1


def test_a_window_in_the_past_means_now(kubectl: Kubectl, ca: AcmeCA) -> None:
    """Renewed at once; the Event has the CA's explanation; the order names the certificate that it replaces; and what was
    said of the old certificate is not taken for the new one."""
    issue(kubectl, ca)
    old = secret_of(kubectl)
    now = datetime.now(UTC)
    ca.suggest(
        data_of(old, "tls.crt"), window(now - 2 * HOUR, now - HOUR, explanationURL="https://ca.example/incident")
    )
    ask_again(kubectl)
    told = kubectl.wait_event("web", "RenewalWindow")["message"]
    assert told.startswith(f"The CA suggests to renew between {now - 2 * HOUR:%Y-%m-%dT%H:%M}")
    assert told.endswith("; it explains why at https://ca.example/incident")
    renewed = kubectl.wait("certificate", "web", lambda c: revision(c) == 2)
    assert secret_of(kubectl)["data"]["tls.crt"] != old["data"]["tls.crt"]
    (order,) = [o for o in kubectl.all("orders.acme.cert-manager.io") if o["metadata"]["name"].startswith("web-2-")]
    assert order["spec"]["replaces"] == ari.certificate_id(x509_of(old))
    renewed = kubectl.wait("certificate", "web", info_of)
    assert when(info_of(renewed)["suggestedWindow"]["start"]) > now + 50 * 24 * HOUR
    assert "explanationURL" not in info_of(renewed)


def test_a_window_that_moves_moves_the_renewal(kubectl: Kubectl, ca: AcmeCA) -> None:
    """The explanation is shown as long as the CA gives it."""
    ready = issue(kubectl, ca)
    start = datetime.now(UTC) + 24 * HOUR
    explained = window(start, start + HOUR, explanationURL="https://ca.example/why")
    ca.suggest(data_of(secret_of(kubectl), "tls.crt"), explained)
    ask_again(kubectl)
    moved = kubectl.wait("certificate", "web", lambda c: "explanationURL" in info_of(c))
    assert start - HOUR < when(moved["status"]["renewalTime"]) < start + HOUR < when(ready["status"]["renewalTime"])
    assert revision(moved) == 1


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ("<html>", "is not ACME"),
        (window(datetime(2027, 1, 2, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)), "renewal window"),
    ],
)
def test_nonsense_is_told_and_changes_nothing(kubectl: Kubectl, ca: AcmeCA, answer: str, words: str) -> None:
    """The window that was known stays in force; the CA is asked again when it wants to be, and a good answer ends it."""
    ready = issue(kubectl, ca)
    pem = data_of(secret_of(kubectl), "tls.crt")
    ca.suggest(pem, answer)
    ask_again(kubectl)
    failed = kubectl.wait("certificate", "web", lambda c: "lastError" in info_of(c))
    info = info_of(failed)
    assert words in info["lastError"]
    assert "<html>" not in info["lastError"]
    assert 6 * HOUR <= when(info["nextCheck"]) - when(info["lastChecked"]) <= 6.6 * HOUR
    assert info["suggestedWindow"] == info_of(ready)["suggestedWindow"]
    assert failed["status"]["renewalTime"] == ready["status"]["renewalTime"]
    told = kubectl.wait_event("web", "ARIError")
    assert (told["type"], told["message"]) == ("Warning", f"The CA can't be asked when to renew: {info['lastError']}")
    ca.suggest(pem, "")
    ask_again(kubectl)
    healed = kubectl.wait("certificate", "web", lambda c: info_of(c) and "lastError" not in info_of(c))
    assert info_of(healed)["suggestedWindow"] == info_of(ready)["suggestedWindow"]


def test_whoever_does_not_want_it_is_not_given_it(kubectl: Kubectl, ca: AcmeCA) -> None:
    """renewalInformationSource None: nobody asks, and what was known goes when it is switched off."""
    since = log_end(ca)
    ready = issue(kubectl, ca, acme={"renewalInformationSource": "None"}, renewBefore="24h")
    assert not info_of(ready)
    assert when(ready["status"]["notAfter"]) - when(ready["status"]["renewalTime"]) == 24 * HOUR
    assert not [line for line in requests_of(ca, since) if "/renewalInfo/" in line]
    kubectl.apply(issuer(ca, profile="default", renewalInformationSource="ARI"))
    on = kubectl.wait("certificate", "web", info_of)
    assert when(on["status"]["renewalTime"]) <= when(info_of(on)["suggestedWindow"]["end"])
    kubectl.apply(issuer(ca, profile="default", renewalInformationSource="None"))
    off = kubectl.wait("certificate", "web", lambda c: not info_of(c))
    assert off["status"]["renewalTime"] == ready["status"]["renewalTime"]


def test_a_restart_asks_nothing(kubectl: Kubectl, ca: AcmeCA, direct: Restartable) -> None:
    """All of it is in the status, for another replica as well."""
    ready = issue(kubectl, ca)
    since = log_end(ca)
    direct.kill()
    direct.start()
    kubectl.apply(certificate(issuer=ISSUER, dnsNames=[NAME], secretTemplate={"labels": {"a": "b"}}))
    kubectl.wait("secret", "web-tls", lambda s: s["metadata"]["labels"].get("a") == "b")
    found = kubectl.wait_ready("web")
    for field in ("acme", "renewalTime", "revision"):
        assert found["status"][field] == ready["status"][field]
    assert not [line for line in requests_of(ca, since) if "/renewalInfo/" in line]
