"""What the store finds by which name."""

from certwright.store import NamespacedName, Store
from certwright.workqueue import Key
from tests.operator.builders import certificate

WEB = Key("Certificate", "ns", "web")


def test_password_secrets_reach_their_certificates() -> None:
    """The Secrets of stores that are made are watched; a literal password or a store not made needs none."""
    store = Store()
    ref = {"passwordSecretRef": {"name": "pass", "key": "k"}}
    store.put_certificate(certificate(keystores={"jks": {"create": True, **ref}}))
    assert store.secret_users(NamespacedName("ns", "pass")) == {WEB}
    assert store.see_secret(NamespacedName("ns", "pass"), 7)
    assert not store.see_secret(NamespacedName("ns", "pass"), 7)
    assert store.certificates_for_secret(NamespacedName("ns", "pass")) == []
    store.drop_certificate(WEB)
    assert store.secret_users(NamespacedName("ns", "pass")) == frozenset()
    for jks in ({"create": False, **ref}, {"create": True, "password": "literal"}):
        store = Store()
        store.put_certificate(certificate(keystores={"jks": jks}))
        assert store.secret_users(NamespacedName("ns", "pass")) == frozenset()
        assert store.secret_users(NamespacedName("ns", "web-tls")) == {WEB}
