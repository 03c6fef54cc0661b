"""The command line, as far as it starts nothing."""

import importlib.util

import pytest

from devcluster import ingress
from devcluster.__main__ import parser
from devcluster.errors import DevclusterError


def test_extras_are_named_in_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert parser().parse_args(["up", "--with", "acme,ingress,vault"]).extras == ("acme", "ingress", "vault")
    assert parser().parse_args(["up"]).extras == ()
    with pytest.raises(SystemExit):
        parser().parse_args(["up", "--with", "acme,moon"])
    assert "moon unknown; there are acme, ingress, vault" in capsys.readouterr().err


def test_a_missing_envoy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DevclusterError, match="make install"):
        ingress.envoy_binary()
