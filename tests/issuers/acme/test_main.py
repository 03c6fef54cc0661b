"""The command line: help, wrong usage, hooks; the whole way is tested against Pebble."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from certwright_issuers.acme import __main__ as program
from certwright_issuers.acme import keys
from certwright_issuers.acme.issue import Publication
from certwright_issuers.contract import ConfigInvalid

PUBLICATION = Publication("dns-01", "a.example.com", "token", "value")


def test_every_option_has_a_help_text() -> None:
    """A person learns all of it from --help."""
    actions = program._parser()._actions
    assert len(actions) > 15
    assert all(action.help for action in actions)


def _files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


async def test_refusals_end_with_status_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reason and the message go to stderr, without a traceback, and no key is left for names that are none."""
    files = [f"--{name}={tmp_path / name}" for name in ("account-key", "key", "out")]
    begin = [*files, "--hook", "true"]
    wrong = [[], ["--domain", "a b"], ["--domain", "a.example", "--server", "http://ca.example/"]]
    for more in wrong:
        # In a thread, because it runs an event loop of its own.
        assert await asyncio.to_thread(program.main, [*begin, *more]) == 1
    told = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in told] == ["NoNames", "InvalidName", "InvalidURL"]
    assert _files(tmp_path) == []


def test_wrong_usage_ends_with_status_two(capsys: pytest.CaptureFixture[str]) -> None:
    """argparse names the option that is missing."""
    with pytest.raises(SystemExit) as end:
        program.main(["--domain", "a.example"])
    assert end.value.code == 2
    assert "--hook" in capsys.readouterr().err


async def test_a_hook_gets_its_facts_by_the_environment(tmp_path: Path) -> None:
    """Verb as argument; type, name, token, value and record name as variables."""
    out = tmp_path / "out"
    script = f'echo "$1 $ACME_TYPE $ACME_IDENTIFIER $ACME_TOKEN $ACME_VALUE $ACME_TXT_NAME" >> {out}'
    solver = program.HookSolver(["sh", "-c", script, "hook"], "dns-01")
    await solver.publish(PUBLICATION)
    await solver.withdraw(PUBLICATION)
    facts = "dns-01 a.example.com token value _acme-challenge.a.example.com"
    assert out.read_text().splitlines() == [f"publish {facts}", f"withdraw {facts}"]


@pytest.mark.parametrize(
    ("command", "words"),
    [(["false"], "ended with status 1"), (["/nonexistent"], "can't be started"), (["sleep"], "longer than")],
)
async def test_a_hook_that_fails_ends_the_issuance(
    monkeypatch: pytest.MonkeyPatch, command: list[str], words: str
) -> None:
    """A status, a missing program, or no end: each is told, and no process is left."""
    monkeypatch.setattr(program, "HOOK_TIMEOUT", 0.05)
    if command == ["sleep"]:
        command = ["sh", "-c", "exec sleep 60"]
    with pytest.raises(ConfigInvalid, match=words):
        await program.HookSolver(command, "http-01").publish(PUBLICATION)


def test_files_are_written_atomically_and_keys_are_private(tmp_path: Path) -> None:
    """A key is made once and readable by its owner alone; no temporary file stays, also after a failure."""
    name = str(tmp_path / "key.pem")
    first = program._key_file(name)
    assert program._key_file(name) == first
    assert keys.load(first).thumbprint
    assert Path(name).stat().st_mode & 0o777 == 0o600
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="folder"):
        program._write(tmp_path / "folder", b"x", 0o600)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "key.pem"]


def test_the_package_alone_imports_nothing_heavy() -> None:
    """A process without an ACME issuer does not pay for josepy, acme and requests."""
    heavy = "{'acme', 'josepy', 'requests'}"
    code = f"import sys, certwright_issuers, certwright_issuers.acme; print({heavy} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
