"""Every action of the console: its id, keys and words, written once.

The table feeds the bindings, the footer, the help screen, the palette, the user's `[keys]` and the
documentation.
"""

from __future__ import annotations

import enum
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from textual.keys import KEY_NAME_REPLACEMENTS

from arc_core.base.errors import ConfigError
from arc_core.base.options import unknown_key
from arc_core.base.text import printable


class Scope(enum.StrEnum):
    """Where an action's keys are heard."""

    APP = "app"
    """On every screen but dialogs."""
    MAIN = "main"
    """On the main screen."""
    CHART = "chart"
    """In a focused chart."""
    RUNS = "runs"
    """On the screen of runs."""
    COMPARE = "compare"
    """On the screen that compares two runs."""
    TIMELINE = "timeline"
    """On the screen of a run's checkpoints."""


@dataclass(frozen=True)
class Action:
    """One thing that the user can do.

    Attributes:
        id: Its name in the user's `[keys]`.
        keys: The default keys, as `key_name` spells them.
        label: A word or two for the footer.
        help: What it does, in one sentence.
        group: Heading of the help screen.
        scope: Where its keys are heard.
        call: The action as Textual calls it.
        footer: Rank for a place in the footer, smallest first; None leaves it to help and palette.
        steers: Whether it changes the run, which `--read-only` forbids.
    """

    id: str
    keys: tuple[str, ...]
    label: str
    help: str
    group: str
    scope: Scope
    call: str
    footer: int | None = None
    steers: bool = False


RUN, PANELS, VIEW, SCREENS = "The run", "Panels", "What is shown", "Screens"
RUNS, COMPARISON, CHECKPOINTS = "On the screen of runs", "Comparing two runs", "On the screen of checkpoints"

PANEL_NAMES = {
    1: "Loss",
    2: "Reward",
    3: "Grids",
    4: "Curriculum and memory",
    5: "Fixes",
    6: "Gradients",
    7: "Machine",
    8: "Log",
}
"""The panels by their digit."""


def _main(
    identity: str,
    keys: str,
    label: str,
    text: str,
    group: str,
    *,
    footer: int | None = None,
    steers: bool = False,
) -> Action:
    return Action(identity, tuple(keys.split()), label, text, group, Scope.MAIN, identity, footer, steers)


def _app(
    identity: str,
    keys: str,
    label: str,
    text: str,
    group: str,
    *,
    call: str | None = None,
    footer: int | None = None,
) -> Action:
    own = f"app.{call or identity}"
    return Action(identity, tuple(keys.split()), label, text, group, Scope.APP, own, footer)


def _chart(identity: str, keys: str, label: str, text: str) -> Action:
    return Action(identity, tuple(keys.split()), label, text, VIEW, Scope.CHART, identity)


def _on(
    scope: Scope,
    identity: str,
    keys: str,
    label: str,
    text: str,
    *,
    footer: int | None = None,
    steers: bool = False,
) -> Action:
    group = {Scope.RUNS: RUNS, Scope.COMPARE: COMPARISON, Scope.TIMELINE: CHECKPOINTS}[scope]
    return Action(identity, tuple(keys.split()), label, text, group, scope, identity, footer, steers)


ACTIONS: tuple[Action, ...] = (
    _main(
        "pause",
        "p",
        "pause",
        "Pause training, or go on; start a run again that has no process.",
        RUN,
        footer=1,
        steers=True,
    ),
    _main("checkpoint", "c", "checkpoint", "Save a checkpoint now.", RUN, footer=2, steers=True),
    _main("validate", "v", "validate", "Validate now.", RUN, footer=3, steers=True),
    _main(
        "edit", "e", "edit", "Edit a learning rate or the checkpoint interval.", RUN, footer=6, steers=True
    ),
    _main("stop", "s", "stop", "Save a checkpoint and end the run; asks first.", RUN, footer=8, steers=True),
    _app("detach", "q d ctrl+q ctrl+c", "detach", "Leave the console; the run goes on.", RUN, footer=5),
    *(
        Action(
            f"panel_{digit}",
            (str(digit),),
            name,
            f"Show and focus the panel {name}.",
            PANELS,
            Scope.MAIN,
            f"panel({digit})",
        )
        for digit, name in PANEL_NAMES.items()
    ),
    _main(
        "enlarge",
        "+ enter",
        "enlarge",
        "Let the focused panel fill the screen, or shrink it.",
        PANELS,
        footer=7,
    ),
    _main("back", "escape", "back", "Leave what is enlarged, filtered or pointed at.", PANELS),
    _main("older_sample", "[", "older", "Show an older sample's grids.", VIEW, footer=9),
    _main("newer_sample", "]", "newer", "Show a newer sample's grids.", VIEW),
    _main("live", "l", "live", "Follow the newest numbers and grids again.", VIEW, footer=12),
    _main("log_scale", "y", "log scale", "Draw the charts on a logarithmic scale, or a linear one.", VIEW),
    _main("grid_digits", "g", "digits", "Write the digit into each cell of a grid, or leave it out.", VIEW),
    _main("filter", "/", "filter", "Filter the log by a word.", VIEW),
    _main("seen", "w", "seen", "Mark the warnings shown above as seen.", VIEW),
    _chart("cursor_left", "left", "cursor left", "Move the chart's cursor to the left."),
    _chart("cursor_right", "right", "cursor right", "Move the chart's cursor to the right."),
    _chart("cursor_home", "home", "first step", "Move the chart's cursor to the first step shown."),
    _chart("cursor_end", "end", "last step", "Move the chart's cursor to the last step shown."),
    _chart("zoom_in", ".", "closer", "Show fewer steps in the chart."),
    _chart("zoom_out", ",", "wider", "Show more steps in the chart."),
    _app("theme", "t", "theme", "Take the next theme.", VIEW, footer=11),
    _app("screenshot", "ctrl+s", "screenshot", "Save the screen as an SVG file.", VIEW),
    _app("runs", "r", "runs", "Browse, attach to, resume and compare runs.", SCREENS, footer=10),
    _app("timeline", "k", "checkpoints", "Show the checkpoints of this run.", SCREENS),
    _app("help", "?", "help", "Show all keys.", SCREENS, footer=4),
    _app("palette", "ctrl+p", "palette", "Find any action by its words.", SCREENS, call="command_palette"),
    _on(Scope.RUNS, "runs_attach", "enter", "attach", "Show the chosen run.", footer=1),
    _on(
        Scope.RUNS, "runs_mark", "space", "mark", "Mark a run for comparison, or take the mark off.", footer=2
    ),
    _on(
        Scope.RUNS,
        "runs_compare",
        "c",
        "compare",
        "Compare the two marked runs, or the chosen one with the one shown.",
        footer=3,
    ),
    _on(
        Scope.RUNS,
        "runs_go_on",
        "o",
        "go on",
        "Start a run again that has no process; asks first.",
        footer=4,
        steers=True,
    ),
    _on(Scope.RUNS, "runs_filter", "/", "filter", "Show only runs whose name holds a word.", footer=5),
    _on(Scope.COMPARE, "compare_previous", "[", "previous", "Compare by the previous number.", footer=1),
    _on(Scope.COMPARE, "compare_next", "]", "next number", "Compare by the next number.", footer=2),
    _on(
        Scope.COMPARE,
        "compare_log_scale",
        "y",
        "log scale",
        "Draw on a logarithmic scale, or a linear one.",
        footer=3,
    ),
    _on(
        Scope.TIMELINE,
        "timeline_open",
        "enter",
        "open",
        "Browse what is in the checkpoint; leaving the browser comes back here.",
        footer=1,
    ),
    _on(
        Scope.TIMELINE,
        "timeline_verify",
        "v",
        "verify",
        "Hold the files of the checkpoint against its manifest.",
        footer=5,
    ),
    _on(
        Scope.TIMELINE,
        "timeline_resume",
        "o",
        "go on",
        "Go on with the run from this checkpoint; asks first.",
        footer=2,
        steers=True,
    ),
    _on(
        Scope.TIMELINE,
        "timeline_branch",
        "b",
        "branch",
        "Begin a new run from this checkpoint; asks for its name.",
        footer=3,
        steers=True,
    ),
    _on(
        Scope.TIMELINE,
        "timeline_log_scale",
        "y",
        "log scale",
        "Draw on a logarithmic scale, or a linear one.",
        footer=4,
    ),
)
"""All actions, in the order of the help screen."""

BY_ID = {action.id: action for action in ACTIONS}


def key_name(key: str) -> str:
    """Return the name that Textual has for a key: `comma` for `,`; names are returned as they are."""
    if len(key) != 1 or key.isalnum():
        return key
    name = unicodedata.name(key, key).lower().replace("-", "_").replace(" ", "_")
    return KEY_NAME_REPLACEMENTS.get(name, name)


def keymap(overrides: Mapping[str, Sequence[str]]) -> dict[str, tuple[str, ...]]:
    """Return the keys of every action, with the user's own in place of the defaults.

    Args:
        overrides: Keys by action id; an empty list leaves the action without a key.

    Raises:
        ConfigError: If an id is unknown, a key is no key, or one key would do two things in one place.
    """
    for identity in overrides:
        if identity not in BY_ID:
            raise unknown_key(identity, BY_ID, "action")
    result = {action.id: tuple(overrides.get(action.id, action.keys)) for action in ACTIONS}
    taken: dict[tuple[str, Scope], str] = {}
    for action in ACTIONS:
        for key in result[action.id]:
            if not key or key != key.strip() or "," in key[1:]:
                raise ConfigError(f'keys.{action.id} has "{printable(key, 20)}", which is no key.')
            for place in _HEARD.get(action.scope, (action.scope,)):
                other = taken.setdefault((key_name(key), place), action.id)
                if other != action.id:
                    raise ConfigError(
                        f"The key {printable(key, 20)} is given to {other} and to {action.id}; "
                        "each key can do one thing."
                    )
    return result


_HEARD = {Scope.APP: (Scope.MAIN, Scope.RUNS, Scope.COMPARE, Scope.TIMELINE)}
"""Screens on which the keys of a scope are heard, where they are more than its own."""


def by_key(scope: Scope, keys: Mapping[str, Sequence[str]]) -> dict[str, Action]:
    """Return the actions of a scope by the names that Textual has for their keys.

    Args:
        scope: Where the keys are heard.
        keys: Keys of every action, as `keymap` returns them.
    """
    return {key_name(key): action for action in ACTIONS if action.scope is scope for key in keys[action.id]}


def shown(keys: Sequence[str]) -> str:
    """Write the keys of an action for the reader: `q, d, Ctrl+Q`."""
    return ", ".join(key if len(key) == 1 else "+".join(map(_part, key.split("+"))) for key in keys)


def _part(part: str) -> str:
    signs = {"left": "←", "right": "→", "up": "↑", "down": "↓", "escape": "Esc"}
    return signs.get(part, part.capitalize())
