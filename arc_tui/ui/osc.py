"""Notifications and progress that a terminal shows outside its screen, links, and which terminals know them.

Another terminal may show such a sequence as text or take it for something else, so it is written only where
the environment names one that is known to understand it, or where the user says so.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from arc_core.base.text import printable

ST = "\x1b\\"

_BY_PROGRAM = {"iTerm.app": "9", "WezTerm": "777", "ghostty": "777", "WarpTerminal": "9"}
"""The notification of terminals that name themselves in TERM_PROGRAM."""
_BY_TERM = {
    "xterm-kitty": "99",
    "xterm-ghostty": "777",
    "foot": "777",
    "foot-extra": "777",
    "rxvt-unicode": "777",
}
"""That of terminals that TERM names, through ssh too."""
_PROGRESS_PROGRAMS = frozenset({"iTerm.app", "WezTerm", "ghostty"})
_PROGRESS_TERMS = frozenset({"xterm-ghostty"})
VTE_WITH_PROGRESS = 8000

VTE_WITH_LINKS = 5000
"""Some before it show a link as text, and one ends at it."""
_NO_LINKS = frozenset({"", "dumb", "linux", "eterm-color"})

NORMAL, FAILED, PAUSED = 1, 2, 4
"""What a progress looks like; the sequence's own numbers."""


def notification_form(environment: Mapping[str, str]) -> str | None:
    """Return the number of the sequence by which the terminal notifies; None where it is not known to."""
    if "TMUX" in environment:  # which swallows it, unless it is told to let it pass
        return None
    term = environment.get("TERM", "").removesuffix("-256color")
    program = environment.get("TERM_PROGRAM") or _program_over_ssh(environment)
    return _BY_PROGRAM.get(program) or _BY_TERM.get(term)


def understands_progress(environment: Mapping[str, str]) -> bool:
    """Whether the terminal is known to show a progress."""
    if "TMUX" in environment:
        return False
    program = environment.get("TERM_PROGRAM") or _program_over_ssh(environment)
    return (
        program in _PROGRESS_PROGRAMS
        or environment.get("TERM") in _PROGRESS_TERMS
        or "WT_SESSION" in environment
        or environment.get("ConEmuANSI") == "ON"
        or (_vte(environment) or 0) >= VTE_WITH_PROGRESS
    )


def takes_links(environment: Mapping[str, str]) -> bool:
    """Whether the terminal shows a link, or passes over it; the few that do neither are known."""
    vte = _vte(environment)
    return environment.get("TERM", "") not in _NO_LINKS and (vte is None or vte >= VTE_WITH_LINKS)


def _vte(environment: Mapping[str, str]) -> int | None:
    version = environment.get("VTE_VERSION", "")
    return int(version) if version.isascii() and version.isdigit() and len(version) < 9 else None


def _program_over_ssh(environment: Mapping[str, str]) -> str:
    """What iTerm2 says by a variable that ssh hands on."""
    return "iTerm.app" if environment.get("LC_TERMINAL") == "iTerm2" else ""


def notification(form: str, title: str, text: str) -> str:
    """Return the sequence that shows a notification.

    Args:
        form: `9`, `99` or `777`.
        title: What it is about.
        text: What has happened.
    """
    about, what = printable(title, 80), printable(text, 300)
    if form == "99":
        return f"\x1b]99;i=arc-tui:d=0;{about}{ST}\x1b]99;i=arc-tui:p=body;{what}{ST}"
    if form == "777":
        return f"\x1b]777;notify;{about.replace(';', ',')};{what}{ST}"
    return f"\x1b]9;{about}: {what}{ST}"


def progress(kind: int | None, share: float = 0.0) -> str:
    """Return the sequence that shows a progress, or takes it away if `kind` is None."""
    percent = 0 if kind is None else min(max(round(100 * share), 0), 100)
    return f"\x1b]9;4;{0 if kind is None else kind};{percent}{ST}"


def through_tmux(sequence: str, environment: Mapping[str, str]) -> str:
    """Wrap a sequence so that tmux lets it pass, where `allow-passthrough` is on."""
    if "TMUX" not in environment:
        return sequence
    return "\x1bPtmux;" + sequence.replace("\x1b", "\x1b\x1b") + ST


def file_uri(path: Path) -> str:
    """Return the address of a file; it names this machine, as the terminal may be on another."""
    return f"file://{quote(platform.node())}{quote(os.fsencode(path.absolute()))}"


def link(text: str, path: Path) -> str:
    """Return a printable text that opens a file where the terminal takes links."""
    return f"\x1b]8;;{file_uri(path)}{ST}{text}\x1b]8;;{ST}"


def linked(style: str, path: Path) -> str:
    """Return the style of a row's text that opens a file, where the terminal takes links."""
    return f"{style} {file_uri(path)}" if takes_links(os.environ) else style
