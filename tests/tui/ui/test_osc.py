"""Notifications and progress of the terminal: where they are understood, and what is sent there."""

import platform
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from hostile import hostile_texts, obeyed

from arc_tui.looks.themes import load_theme
from arc_tui.runs.state import Phase
from arc_tui.ui.osc import (
    file_uri,
    link,
    linked,
    notification,
    notification_form,
    progress,
    takes_links,
    understands_progress,
)
from arc_tui.ui.settings import Settings
from arc_tui.ui.terminal import Terminal


@pytest.mark.parametrize(
    ("environment", "form", "shows_progress"),
    [
        ({"TERM": "xterm-256color"}, None, False),
        ({}, None, False),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "iTerm.app"}, "9", True),
        ({"TERM": "xterm-256color", "LC_TERMINAL": "iTerm2"}, "9", True),
        ({"TERM": "xterm-256color", "TERM_PROGRAM": "WezTerm"}, "777", True),
        ({"TERM": "xterm-ghostty"}, "777", True),
        ({"TERM": "xterm-kitty"}, "99", False),
        ({"TERM": "foot"}, "777", False),
        ({"TERM": "rxvt-unicode-256color"}, "777", False),
        ({"TERM": "xterm-256color", "WT_SESSION": "a"}, None, True),
        ({"TERM": "xterm-256color", "ConEmuANSI": "ON"}, None, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "8000"}, None, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7802"}, None, False),
        ({"TERM": "xterm-256color", "VTE_VERSION": "²"}, None, False),
        ({"TERM": "tmux-256color", "TERM_PROGRAM": "WezTerm", "TMUX": "/tmp/x,1,0"}, None, False),
    ],
)
def test_only_terminals_that_are_known_to_understand_are_sent_any(
    environment: dict[str, str], form: str | None, shows_progress: bool
):
    assert notification_form(environment) == form
    assert understands_progress(environment) is shows_progress


@pytest.mark.parametrize(
    ("form", "sequence"),
    [
        ("9", "\x1b]9;a;b: has ended\x1b\\"),
        ("777", "\x1b]777;notify;a,b;has ended\x1b\\"),
        ("99", "\x1b]99;i=arc-tui:d=0;a;b\x1b\\\x1b]99;i=arc-tui:p=body;has ended\x1b\\"),
    ],
)
def test_each_form_is_what_its_terminals_read(form: str, sequence: str):
    assert notification(form, "a;b", "has ended") == sequence


@pytest.mark.parametrize("form", ["9", "99", "777"])
def test_a_hostile_name_cannot_end_the_sequence(form: str):
    sequence = notification(form, "x\x1b\\\x07\x1b]52;c;aGk=\x07\x9c", "y\x1b\\")
    plain = notification(form, "x", "y")
    assert sequence.count("\x1b") == plain.count("\x1b")
    assert not {"\x07", "\x9c"} & set(sequence)


def written(environment: dict[str, str], **settings: object) -> tuple[Terminal, list[str]]:
    text: list[str] = []
    told = Settings(title=False, bell=False, **settings)  # type: ignore[arg-type]
    return Terminal(told, text.append, lambda: None, environment), text


def test_progress_follows_the_run_and_is_taken_away_in_the_end():
    terminal, text = written({"TERM_PROGRAM": "WezTerm"})
    for phase, share in (
        *((Phase.RUNNING, 0.1), (Phase.RUNNING, 0.101), (Phase.SAVING, 0.1), (Phase.PAUSED, 0.2)),
        *((Phase.CRASHED, 0.3), (Phase.FINISHED, 1.0), (Phase.STARTING, None)),
    ):
        terminal.show("demo", phase, share)
    terminal.close()
    assert text == [progress(1, 0.1), progress(4, 0.2), progress(2, 0.3), *[progress(None)] * 2]
    assert text[0] == "\x1b]9;4;1;10\x1b\\"


def test_what_is_not_wanted_or_not_understood_is_not_written():
    for environment, settings in (
        ({"TERM_PROGRAM": "WezTerm"}, {"notification": "off", "progress": "off"}),
        ({"TERM": "xterm-256color"}, {}),
    ):
        terminal, text = written(environment, **settings)
        terminal.show("demo", Phase.RUNNING, 0.5)
        terminal.tell("demo", "has crashed", wanted=True)
        terminal.close()
        assert text == []
    terminal, text = written({"TERM_PROGRAM": "WezTerm"})
    terminal.tell("demo", "has crashed", wanted=False)
    assert text == []


def test_what_is_asked_for_passes_through_tmux():
    terminal, text = written({"TMUX": "x"}, notification="9", progress="on")
    terminal.show("demo", Phase.RUNNING, 0.5)
    terminal.tell("demo", "has crashed", wanted=True)
    assert text[0] == "\x1bPtmux;\x1b\x1b]9;4;1;50\x1b\x1b\\\x1b\\"
    assert text[1] == "\x1bPtmux;\x1b\x1b]9;demo: has crashed\x1b\x1b\\\x1b\\"


@pytest.mark.parametrize(
    ("environment", "takes"),
    [
        ({"TERM": "xterm-256color"}, True),
        ({"TERM": "tmux-256color", "TMUX": "x"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "7802"}, True),
        ({"TERM": "xterm-256color", "VTE_VERSION": "4801"}, False),
        ({"TERM": "linux"}, False),
        ({"TERM": "dumb"}, False),
        ({}, False),
    ],
)
def test_links_go_to_all_terminals_but_those_that_show_them_as_text(
    environment: dict[str, str], takes: bool, monkeypatch: pytest.MonkeyPatch
):
    assert takes_links(environment) is takes
    monkeypatch.setattr("os.environ", environment)
    assert (linked("muted", Path("x")) == "muted") is not takes


@pytest.mark.parametrize(
    "text", ["a b", "ü;é", *(text for text in hostile_texts()[:60] if "\x00" not in text)]
)
def test_link_names_machine_and_file_and_holds_no_control_byte_of_its_name(text: str):
    path = (
        Path("/runs") / text.encode("utf-8", "surrogateescape" if "\ud800" not in text else "ignore").decode()
    )
    uri = file_uri(path)
    assert obeyed(uri) == set()
    assert uri.isascii()
    parts = urlsplit(uri)
    assert (parts.scheme, parts.netloc) == ("file", platform.node())
    assert unquote(parts.path) == str(path)
    assert link("here", path) == f"\x1b]8;;{uri}\x1b\\here\x1b]8;;\x1b\\"
    assert load_theme().style(f"muted {uri}").link == uri
