"""Paths are links on a terminal and plain text anywhere else; what is copied reaches the terminal."""

import base64
import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest
from recordings import make_run
from rich.console import Console

from arc_tui.commands.headless import TerminalOutput
from arc_tui.looks.themes import load_theme
from arc_tui.ui.osc import file_uri, link

ARC_TUI = Path(sys.executable).parent / "arc-tui"
WHERE = ("recorded", "--runs-dir", ".")


def environment(folder: Path, term: str) -> dict[str, str]:
    unwanted = ("VTE_VERSION", "NO_COLOR", "COLUMNS", "LINES")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
    return kept | {"TERM": term, "XDG_CONFIG_HOME": str(folder / "config")}


def spawned(folder: Path, term: str, *words: str) -> pexpect.spawn:
    size = (40, 160)
    return pexpect.spawn(
        str(ARC_TUI), list(words), cwd=folder, env=environment(folder, term), dimensions=size, timeout=60
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("term", ["xterm-256color", "dumb"])
def test_printed_path_is_a_link_on_a_terminal_that_takes_them(tmp_path: Path, term: str):
    make_run(tmp_path)
    report = spawned(tmp_path, term, "report", *WHERE, "--output", "page.html")
    report.expect(pexpect.EOF)
    report.wait()
    plain = term == "dumb"
    assert (
        report.before == f"{'page.html' if plain else link('page.html', tmp_path / 'page.html')}\r\n".encode()
    )


def test_printed_path_is_plain_in_a_pipe(tmp_path: Path):
    make_run(tmp_path)
    told = subprocess.run(
        [ARC_TUI, "report", *WHERE, "--output", "page.html"],
        cwd=tmp_path,
        env=environment(tmp_path, "xterm-256color"),
        capture_output=True,
        check=True,
    )
    assert told.stdout == b"page.html\n"


def test_console_links_the_folder_of_runs_and_sends_what_is_copied(tmp_path: Path):
    make_run(tmp_path)
    console = spawned(tmp_path, "xterm-256color", "attach", *WHERE)
    console.expect("Loss")
    console.send("r")
    console.expect(re.escape(f";{file_uri(tmp_path)}").encode())
    console.expect("1 pair|BEST|recorded")
    console.send("C")
    console.expect(rb"\x1b\]52;c;([A-Za-z0-9+/=]+)\x07")
    assert base64.b64decode(console.match[1]) == b"arc-tui train --resume recorded --runs-dir ."
    console.send("\x1bq")
    console.close(force=True)


@pytest.mark.parametrize("term", ["xterm-256color", "linux"])
def test_line_of_training_ends_in_a_link_to_its_run(
    tmp_path: Path, term: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TERM", term)
    monkeypatch.delenv("VTE_VERSION", raising=False)
    stream = io.StringIO()
    output = TerminalOutput(Console(file=stream, force_terminal=True, width=300), load_theme().status)
    output.line(f"Run a, in {tmp_path}", "muted", tmp_path)
    output.close()
    (line,) = [line for line in stream.getvalue().splitlines() if "Run a" in line]
    assert (f";{file_uri(tmp_path)}\x1b\\" in line) is (term == "xterm-256color")
    assert str(tmp_path) in line
