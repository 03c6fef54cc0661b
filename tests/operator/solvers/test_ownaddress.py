"""Where a process that runs outside a cluster says that it is."""

import ipaddress

import pytest

from certwright.solvers.ownaddress import FAR, own_address

ROUTES = {"10.0.0.10": "10.0.0.1", "localhost": "127.0.0.1", "127.0.0.1": "127.0.0.1", "fd00::1": "fd00::2"}


@pytest.mark.parametrize(
    ("server", "listen", "far", "expected"),
    [
        ("https://10.0.0.10:6443", "0.0.0.0", "192.168.1.2", "10.0.0.1"),  # noqa: S104 (a setting)
        ("https://[fd00::1]:6443", "::", "192.168.1.2", "fd00::2"),
        ("https://10.0.0.10:6443", "10.9.9.9", "192.168.1.2", "10.9.9.9"),
        ("https://10.0.0.10:6443", "127.0.0.1", "192.168.1.2", "10.0.0.1"),
        ("https://127.0.0.1:6443", "", "192.168.1.2", "192.168.1.2"),
        ("https://localhost:6443", "", "", ""),
        ("https://unknown.example", "", "169.254.3.4", ""),
        ("not a URL", "", "", ""),
    ],
)
def test_what_is_chosen(server: str, listen: str, far: str, expected: str) -> None:
    """What it listens at, else the way to the API server, else the default route; nothing that endpoints can't have."""
    assert own_address(server, listen, lambda host: far if host in FAR else ROUTES.get(host, ""), list) == expected


def test_an_interface_without_a_route() -> None:
    """A network of its own, such as a container's or a namespace's, need not lead anywhere."""
    found = ["127.0.0.1", "fe80::1", "10.0.0.10", "10.0.0.20"]
    assert own_address("https://127.0.0.1:6443", "", lambda _: "", lambda: found) == "10.0.0.10"


def test_real_routes() -> None:
    """Loopback leads to loopback, which is of no use; a name that does not resolve is no error."""
    found = own_address("https://127.0.0.1:6443")
    assert not found or not ipaddress.ip_address(found).is_loopback
    assert own_address("https://name.invalid", "10.1.1.1") == "10.1.1.1"
