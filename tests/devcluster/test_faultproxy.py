"""Every fault, against a real API server."""

import http.client
import json
import ssl
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from devcluster import Cluster
from devcluster.errors import DevclusterError
from devcluster.faultproxy import KubeFaultProxy

pytestmark = pytest.mark.e2e
MAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="session")
def token_kubeconfig(own_cluster: Cluster) -> Path:
    """Of a service account that may edit in its namespace."""
    own_cluster.kubectl("create", "serviceaccount", "editor")
    own_cluster.kubectl("create", "rolebinding", "editor", "--clusterrole=edit", "--serviceaccount=default:editor")
    return own_cluster.service_account_kubeconfig("default", "editor").outer


@pytest.fixture
def proxy(own_cluster: Cluster) -> Iterator[KubeFaultProxy]:
    """Outside, where the test is."""
    with KubeFaultProxy(own_cluster, inside=False) as running:
        yield running


class Client:
    """Requests through a proxy, one connection each."""

    def __init__(self, kubeconfig: Path, ca: Path) -> None:
        config = json.loads(kubeconfig.read_text())
        self._server = config["clusters"][0]["cluster"]["server"].removeprefix("https://")
        self._token = config["users"][0]["user"]["token"]
        self._context = ssl.create_default_context(cafile=str(ca))

    def open(self, method: str, path: str, body: object = None) -> http.client.HTTPResponse:
        """Send, and wait for the headers of the answer."""
        connection = http.client.HTTPSConnection(self._server, context=self._context, timeout=10)
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json", "Connection": "close"}
        try:
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            return connection.getresponse()
        finally:
            connection.close()

    def __call__(self, method: str, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        """Status and decoded body."""
        with self.open(method, path, body) as response:
            return response.status, json.loads(response.read())


@pytest.fixture
def client(proxy: KubeFaultProxy, token_kubeconfig: Path, own_cluster: Cluster) -> Client:
    """Through the proxy, as the editor."""
    return Client(proxy.kubeconfig(token_kubeconfig), own_cluster.files.pki / "ca.crt")


def config_map() -> dict[str, Any]:
    """One that nobody has yet."""
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"m-{uuid.uuid4().hex[:8]}"}}


def path_of(obj: dict[str, Any]) -> str:
    """Where it is."""
    return f"{MAPS}/{obj['metadata']['name']}"


def test_passes_everything_on(proxy: KubeFaultProxy, client: Client) -> None:
    obj = config_map()
    assert client("POST", MAPS, obj)[0] == 201
    status, found = client("GET", f"{path_of(obj)}?pretty=true")
    assert (status, found["metadata"]["name"]) == (200, obj["metadata"]["name"])
    assert client("GET", "/api/v1/secrets")[0] == 403
    assert proxy.requests == [("POST", MAPS, 201), ("GET", path_of(obj), 200), ("GET", "/api/v1/secrets", 403)]


def test_kubectl_inside_keeps_the_token(own_cluster: Cluster, token_kubeconfig: Path) -> None:
    with KubeFaultProxy(own_cluster) as proxy:
        config = proxy.kubeconfig(token_kubeconfig)
        argv = [str(own_cluster.programs["kubectl"]), f"--kubeconfig={config}", "auth", "whoami", "-o", "json"]
        result = subprocess.run([*own_cluster.exec_prefix, *argv], capture_output=True, text=True, check=False)
        assert "system:serviceaccount:default:editor" in result.stdout, result.stderr
        with pytest.raises(DevclusterError, match="no token"):
            proxy.kubeconfig(own_cluster.kubeconfig)


def test_status_with_a_reason_every_second_time(proxy: KubeFaultProxy, client: Client) -> None:
    fault = proxy.fault(method="GET", path_regex="/configmaps", status=409, every=2, retry_after=7)
    answers = [client("GET", MAPS) for _ in range(4)]
    assert [status for status, _ in answers] == [200, 409, 200, 409]
    assert (answers[1][1]["kind"], answers[1][1]["reason"]) == ("Status", "Conflict")
    assert fault.hits == 2
    proxy.clear()
    assert client("GET", MAPS)[0] == 200


@pytest.mark.parametrize(("fault", "reached"), [("drop_before", False), ("drop_after", True)])
def test_dropped_write(
    proxy: KubeFaultProxy, client: Client, own_cluster: Cluster, fault: str, *, reached: bool
) -> None:
    proxy.fault(method="POST", count=1, drop_before=not reached, drop_after=reached)
    obj = config_map()
    with pytest.raises((ConnectionError, ssl.SSLError)):
        client("POST", MAPS, obj)
    assert proxy.requests == [("POST", MAPS, 0)]
    found = own_cluster.kubectl("get", "configmap", obj["metadata"]["name"], check=False)
    assert (found.returncode == 0) == reached
    assert client("POST", MAPS, obj)[0] == (409 if reached else 201)


def test_delay(proxy: KubeFaultProxy, client: Client) -> None:
    proxy.fault(delay=0.5, count=1)
    began = time.monotonic()
    assert client("GET", MAPS)[0] == 200
    assert time.monotonic() - began >= 0.5


def watched(client: Client, version: str = "") -> http.client.HTTPResponse:
    """A watch of the config maps, from now or from a version."""
    if not version:
        version = client("GET", MAPS)[1]["metadata"]["resourceVersion"]
    return client.open("GET", f"{MAPS}?watch=true&resourceVersion={version}")


def test_watch_passes_events_as_they_come(proxy: KubeFaultProxy, client: Client) -> None:
    with watched(client) as stream:
        for _ in range(3):
            obj = config_map()
            client("POST", MAPS, obj)
            event = json.loads(stream.readline())
            assert (event["type"], event["object"]["metadata"]["name"]) == ("ADDED", obj["metadata"]["name"])
    assert ("WATCH", MAPS, 200) in proxy.requests


def test_watch_is_gone_after_an_event(proxy: KubeFaultProxy, client: Client) -> None:
    proxy.fault(watch="gone", after_events=1, count=1)
    with watched(client) as stream:
        client("POST", MAPS, config_map())
        client("POST", MAPS, config_map())
        events = [json.loads(line) for line in stream.read().splitlines()]
    assert [event["type"] for event in events] == ["ADDED", "ERROR"]
    assert events[1]["object"]["code"] == 410


def broken(read: Callable[[], bytes]) -> bool:
    """Whether reading to the end fails as on a broken connection."""
    try:
        read()
    except (http.client.IncompleteRead, ConnectionError, ssl.SSLError):
        return True
    return False


def test_open_watch_is_cut(proxy: KubeFaultProxy, client: Client) -> None:
    with watched(client) as stream:
        assert proxy.break_watches("cut", "/secrets") == 0
        assert proxy.break_watches("cut", "/configmaps") == 1
        assert broken(stream.read)


def test_open_watch_is_gone(proxy: KubeFaultProxy, client: Client) -> None:
    with watched(client) as stream:
        assert proxy.break_watches("gone") == 1
        assert json.loads(stream.read())["object"]["reason"] == "Expired"


def test_stalled_watch_is_silent_until_the_proxy_stops(proxy: KubeFaultProxy, client: Client) -> None:
    with watched(client) as stream, ThreadPoolExecutor(1) as pool:
        assert proxy.break_watches("stall") == 1
        client("POST", MAPS, config_map())
        reading = pool.submit(broken, stream.readline)
        time.sleep(0.3)
        assert not reading.done()
        proxy.stop()
        reading.result(5)


def test_watch_of_a_client_that_left_is_forgotten(proxy: KubeFaultProxy, client: Client) -> None:
    watched(client).close()
    deadline = time.monotonic() + 5
    while proxy.break_watches("cut"):
        assert time.monotonic() < deadline


def test_api_server_that_is_down_is_a_broken_connection(
    proxy: KubeFaultProxy, client: Client, own_cluster: Cluster
) -> None:
    with watched(client) as stream:
        own_cluster.kill_apiserver()
        try:
            assert broken(stream.read)
            with pytest.raises((ConnectionError, ssl.SSLError)):
                client("GET", MAPS)
        finally:
            own_cluster.start_apiserver()
    assert client("GET", MAPS)[0] == 200
