"""The lists of commands in `--help`."""

import pytest
import typer

from arc_tui import cli
from arc_tui.commands.groups import COMMANDS as TABLE

COMMANDS = typer.main.get_command(cli.app).commands  # pyright: ignore[reportAttributeAccessIssue]


def _help(capsys: pytest.CaptureFixture[str], *words: str) -> list[str]:
    with pytest.raises(SystemExit):
        cli.main([*words, "--help"])
    return capsys.readouterr().out.splitlines()


@pytest.fixture(autouse=True)
def _eighty_columns(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("COLUMNS", "80")


@pytest.mark.parametrize(
    ("words", "commands"),
    [((), COMMANDS), (("inspect",), COMMANDS["inspect"].commands)],
    ids=["all", "inspect"],
)
def test_each_command_has_one_whole_line_at_80_columns(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], commands: dict
):
    lines = _help(capsys, *words)
    assert max(map(len, lines)) < 80
    told = dict(
        line.strip().split(maxsplit=1) for line in lines[lines.index("Options:") + 3 :] if "  " in line
    )
    for name, command in commands.items():
        sentence = " ".join(command.help.split("\n\n")[0].split())
        assert told[name].endswith("."), name
        assert sentence.startswith(told[name]), name


def test_every_command_stands_under_its_heading(capsys: pytest.CaptureFixture[str]):
    lines = _help(capsys)
    found: dict[str, list[str]] = {}
    heading = ""
    for line in lines[lines.index("Train and steer:") :]:
        if line.endswith(":"):
            heading = line.removesuffix(":")
        elif line:
            found.setdefault(heading, []).append(line.split()[0])
    assert found == {heading: list(under) for heading, under in TABLE.items()}
    assert sorted(name for names in found.values() for name in names) == sorted(COMMANDS)


def test_narrow_terminal_breaks_lines_and_cuts_none(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "50")
    assert "..." not in "".join(_help(capsys)).replace("[ARGS]...", "")
