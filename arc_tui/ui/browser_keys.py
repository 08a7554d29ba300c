"""Every key of the browser, written once: for its screens, the line at their foot and the help."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Key:
    """A key and what it does.

    Attributes:
        keys: As Textual names them; the first is shown.
        shown: How it is written for the reader.
        call: The action as Textual calls it.
        label: A word or two for the foot of the screen; empty leaves it to the help.
        help: What it does, in one sentence.
    """

    keys: tuple[str, ...]
    shown: str
    call: str
    label: str
    help: str


EVERYWHERE: tuple[Key, ...] = (
    Key(("escape",), "Esc", "back", "back", "Stop what is being computed, or leave what is shown."),
    Key(("question_mark",), "?", "help", "help", "Show all keys."),
    Key(("t",), "t", "app.theme", "", "Take the next theme."),
    Key(("ctrl+s",), "Ctrl+S", "app.screenshot", "", "Save the screen as an SVG file."),
    Key(("q", "ctrl+q", "ctrl+c"), "q", "app.leave", "quit", "Leave the browser."),
)
"""Keys that every screen has."""

BROWSER: tuple[Key, ...] = (
    Key(("enter",), "Enter", "open", "open", "Open a module or close it; show a tensor's values."),
    Key(("right",), "→", "unfold", "", "Open a module."),
    Key(("left",), "←", "fold", "", "Close a module, or go to the one around it."),
    Key(("slash",), "/", "search", "search", "Search names: words, type:bf16, size>10MB, has:nan."),
    Key(("v",), "v", "view", "table", "Change between the tree and a table of tensors."),
    Key(("s",), "s", "sort", "sort", "Sort the table by the next column."),
    Key(("r",), "r", "reverse", "", "Sort the other way round."),
    Key(
        ("a",),
        "a",
        "statistics",
        "statistics",
        "Compute the statistics of all tensors shown, in the background.",
    ),
    Key(
        ("i",),
        "i",
        "app.training",
        "training",
        "Show epoch, metrics, rates, memory, preference and configuration.",
    ),
    Key(
        ("k",),
        "k",
        "app.timeline",
        "timeline",
        "Show the run's checkpoints and how the chosen layer has drifted.",
    ),
    Key(("d",), "d", "app.compare", "compare", "Compare with another checkpoint; asks which."),
    Key(("V",), "V", "app.verify", "verify", "Hold every file against the manifest."),
    Key(("x",), "x", "app.export", "export", "Copy the chosen component or module to a folder; asks which."),
    Key(("y",), "y", "scale", "", "Draw the histogram by values, or by powers of two."),
)
TENSOR: tuple[Key, ...] = (
    Key(("up",), "↑", "move(-1,0)", "", "Move the cursor up."),
    Key(("down",), "↓", "move(1,0)", "", "Move the cursor down."),
    Key(("left",), "←", "move(0,-1)", "", "Move the cursor to the left."),
    Key(("right",), "→", "move(0,1)", "", "Move the cursor to the right."),
    Key(("pageup",), "PgUp", "page(-1,0)", "", "Move up by a screen."),
    Key(("pagedown",), "PgDn", "page(1,0)", "page", "Move down by a screen."),
    Key(("ctrl+left", "comma"), ",", "page(0,-1)", "", "Move to the left by a screen."),
    Key(("ctrl+right", "full_stop"), ".", "page(0,1)", "across", "Move to the right by a screen."),
    Key(("home",), "Home", "jump(0)", "", "Go to the first element."),
    Key(("end",), "End", "jump(1)", "", "Go to the last element."),
    Key(("n",), "n", "odd", "next NaN", "Go to the next of the first NaN and infinite elements."),
    Key(("y",), "y", "scale", "scale", "Draw the histogram by values, or by powers of two."),
)
TRAINING: tuple[Key, ...] = (
    Key(("tab",), "Tab", "other", "other side", "Go to the other list."),
    Key(("enter",), "Enter", "open", "open", "Show what the chosen line is about."),
)
COMPARE: tuple[Key, ...] = (
    Key(
        ("w",),
        "w",
        "weights",
        "weights only",
        "Leave out optimizer, memory and generators, or show them again.",
    ),
    Key(("s",), "s", "sort", "sort", "Sort by the next column."),
    Key(("r",), "r", "reverse", "reverse", "Sort the other way round."),
)
TIMELINE: tuple[Key, ...] = (
    Key(("enter",), "Enter", "open", "open", "Browse this checkpoint."),
    Key(("c",), "c", "compare", "compare", "Compare the checkpoint that is browsed with this one."),
    Key(("m",), "m", "metric", "metric", "Show the next metric beside the drift."),
    Key(("o",), "o", "resume", "go on", "Leave, and go on with the run from this checkpoint; asks first."),
    Key(
        ("b",), "b", "branch", "branch", "Leave, and begin a new run from this checkpoint; asks for its name."
    ),
)

Sections = Sequence[tuple[str, Sequence[Key]]]
"""Keys under the names of the screens that have them."""

SCREENS: Sections = (
    ("Everywhere", EVERYWHERE),
    ("Browser", BROWSER),
    ("Tensor", TENSOR),
    ("Training", TRAINING),
    ("Comparison", COMPARE),
    ("Timeline", TIMELINE),
)
"""What the help of the checkpoint browser lists."""


def by_name(keys: Sequence[Key]) -> dict[str, str]:
    """Return the action of each key, by Textual's name of it."""
    return {name: key.call for key in (*keys, *EVERYWHERE) for name in key.keys}
