"""`arc-tui serve`: what it refuses, what it prints, and how it ends."""

import contextlib
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from recordings import make_run

from arc_tui import cli
from arc_tui.runs.engine import Program
from arc_tui.serve.access import NO_TOKEN, TOKEN
from arc_tui.serve.server import views_of

GIVEN = "0123456789abcdefGIVEN"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.delenv(TOKEN, raising=False)
    make_run(tmp_path / "runs")


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(["serve", *arguments])
    assert caught.value.code == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    return printed.err


def test_run_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]):
    assert "There is no run nope in runs" in refused(capsys, "nope")


def test_port_that_is_taken_is_refused(capsys: pytest.CaptureFixture[str]):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = refused(capsys, "--port", str(port))
    assert said == f'Error: Cannot listen on "127.0.0.1", port {port}: Address already in use.\n'
    assert "65535" in refused(capsys, "--port", "70000")


@pytest.mark.parametrize("host", ["", "1.2.3.4.5", "192.0.2.1", "\x1b]0;x\x07", "ü" * 99])
def test_host_that_is_no_address_of_this_machine_is_refused(host: str, capsys: pytest.CaptureFixture[str]):
    said = refused(capsys, "--host", host)
    assert "Cannot listen on" in said
    assert "\x1b" not in said


def test_token_that_others_can_read_or_guess_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "token"
    file.write_text(GIVEN)
    file.chmod(0o644)
    said = refused(capsys, "--token-file", str(file))
    assert "is open to others: chmod 600" in said
    assert GIVEN not in said
    monkeypatch.setenv(TOKEN, "")
    assert "ARC_TUI_SERVE_TOKEN in the environment is no token" in refused(capsys)


def test_extra_that_is_not_installed_is_named(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "aiohttp" else found(name))
    said = refused(capsys)
    assert (
        said == "Error: arc-tui serve needs aiohttp, which is not installed: pip install 'arc-tui[serve]'.\n"
    )


def test_only_this_command_imports_aiohttp():
    script = (
        "import sys\nfrom arc_tui import cli\n"
        "try: cli.main(['serve', '--help'])\nexcept SystemExit: pass\n"
        "import arc_tui.commands.serve, arc_tui.serve.access, arc_tui.serve.viewer\n"
        "sys.exit('aiohttp' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_pages_open_what_the_command_names(tmp_path: Path):
    views = views_of("-x", Path("r"), Path("e"))
    start = Program.COMMANDS.command()
    assert {path: view.command(read_only=True)[len(start) :] for path, view in views.items()} == {
        "/": ["attach", "--runs-dir", "r", "--read-only", "--", "-x"],
        "/inspect": ["inspect", "checkpoint", "--runs-dir", "r", "--read-only", "--", "-x"],
        "/results": ["inspect", "results", "--evals-dir", "e", "--read-only", "--"],
    }
    every = views_of(None, Path("r"), Path("e"))
    assert every["/"].command(read_only=False)[len(start) :] == [
        "attach",
        "--choose",
        "--runs-dir",
        "r",
        "--",
    ]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_address_is_printed_once_it_answers_and_a_signal_ends_it(number: int):
    process = subprocess.Popen(
        Program.COMMANDS.command("serve", "rec"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process, contextlib.ExitStack() as ending:
        ending.callback(process.kill)
        assert process.stdout is not None
        assert process.stderr is not None
        lines = [process.stdout.readline() for _ in range(3)]
        assert lines[0].startswith("The run recorded in a browser; Ctrl+C ends this")
        found = re.fullmatch(r"    (http://127\.0\.0\.1:\d+/)\?token=([\w-]{43})\n", lines[2])
        assert found
        browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
        with browser.open(found[0].strip()) as answer:
            assert answer.status == 200
        with pytest.raises(urllib.error.HTTPError) as told:
            urllib.request.urlopen(found[1])
        assert told.value.read().decode() == NO_TOKEN
        told.value.close()
        os.kill(process.pid, number)
        assert process.wait(30) == 0
        assert process.stderr.read() == ""
        assert found[2] not in process.stdout.read()
