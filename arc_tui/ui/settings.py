"""What a user sets for every console: the theme, keys, bell and pace, in a TOML file of their own."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from arc_core.base.config_file import ConfigFile, read_config_file
from arc_core.base.errors import ConfigError
from arc_core.base.options import Setting, Value, canonical, option, settings_of, unknown_key
from arc_core.base.paths import exists, own_folder
from arc_core.base.text import printable
from arc_tui.alerts.target import check_typed
from arc_tui.looks.themes import DEFAULT_THEME, load_theme
from arc_tui.ui.actions import ACTIONS

KEYS = "keys"


@dataclass(frozen=True, kw_only=True)
class Values:
    """The plain settings, each with its default; `Settings` adds the keys."""

    theme: str = option(DEFAULT_THEME, "The theme: the name of a TOML file, without its ending.")
    bell: bool = option(True, "Ring the terminal's bell when something happens.")
    title: bool = option(True, "Show the run and its state in the terminal's title.")
    notification: str = option(
        "auto",
        "The terminal's own notification beside the bell: the OSC sequence that it understands.",
        choices=("auto", "9", "99", "777", "off"),
    )
    progress: str = option(
        "auto",
        "Show a run's progress in the terminal's tab or taskbar (OSC 9;4).",
        choices=("auto", "on", "off"),
    )
    alert: str | None = option(
        None, "Where alerts of every run are sent: an address, env:NAME or file:PATH; see docs/alerts.md."
    )
    on_finish: bool = option(True, "Tell by bell, notification and alert that a run has ended.")
    on_crash: bool = option(True, "Tell so that a training process has crashed.")
    on_best: bool = option(True, "Tell so that a validation is the best so far.")
    on_stall: bool = option(True, "Tell by alert that a run has said nothing for stall_minutes.")
    on_warning: bool = option(True, "Tell by alert that a run keeps giving a warning.")
    stall_minutes: float = option(
        15.0,
        "Minutes without a word after which a run that is not paused has stalled.",
        low=0.01,
        high=10_000,
    )
    refresh: float = option(2.0, "Times a second that panels are drawn anew.", low=0.1, high=10)
    refresh_unfocused: float = option(
        0.5, "The same while the terminal does not have the focus.", low=0.1, high=10
    )
    grid_digits: bool = option(False, "Write the digit into each cell of a grid.")
    log_scale: bool = option(False, "Draw losses and gradient norms on a logarithmic scale at first.")


@dataclass(frozen=True, kw_only=True)
class Settings(Values):
    """Everything that the config file says, checked.

    Attributes:
        keys: The user's own keys by the id of the action; an action that is left out keeps its own, and one
            with none has no key.
        path: The file that was read; None if there is none.
    """

    keys: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    path: Path | None = None


@functools.cache
def known_settings() -> dict[str, Setting]:
    """List every plain setting by name, in the order of the file."""
    return settings_of(Values)


def settings_path() -> Path:
    """Return where the user's config file is; it need not exist."""
    return own_folder("XDG_CONFIG_HOME", "~/.config") / "arc-tui" / "config.toml"


def load_settings(path: Path | None = None) -> Settings:
    """Read the user's config file; without one everything has its default.

    Args:
        path: The file, which must exist; None takes the user's own if there is one.

    Raises:
        ConfigError: If the file is not TOML, or has an unknown key, a wrong value, a theme that there is
            not, or keys that clash; names file and line, and the nearest right name.
    """
    own = settings_path()
    if path is None and not exists(own):
        return Settings()
    file = read_config_file(path if path is not None else own)
    values: dict[str, Value] = {}
    keys: dict[str, tuple[str, ...]] = {}
    for key, value in file.values.items():
        try:
            if key == KEYS:
                keys = _keys(value)
                continue
            name = canonical(key)
            if name not in known_settings():
                raise unknown_key(key, [*known_settings(), KEYS], "console setting")
            if name in values:
                raise ConfigError(f"{name} is given twice.")
            if name == "alert" and isinstance(value, str) and value != "none":
                check_typed(value)  # first, as other refusals repeat the value
            values[name] = known_settings()[name].check(value)
            if name == "theme":
                load_theme(cast(str, value))
        except ConfigError as error:
            raise ConfigError(f"{_place(file, key, str(error))}: {error}") from None
    return Settings(**cast("dict[str, Any]", values), keys=keys, path=file.path)


def example() -> str:
    """Return a config file that says what everything is by default, each line explained."""
    lines = ["# The console's settings; leave out what is to stay as it is."]
    for setting in known_settings().values():
        default = setting.default
        shown = f'"{default or "none"}"' if isinstance(default, str | None) else str(default).lower()
        lines += ["", f"# {setting.help}", f"# May be {setting.allowed()}.", f"{setting.name} = {shown}"]
    lines += ["", "# The keys of each action: one, or a list; an empty list leaves it without.", f"[{KEYS}]"]
    for action in ACTIONS:
        lines += [f"# {action.help}", f"{action.id} = {json.dumps(list(action.keys))}"]
    return "\n".join(lines) + "\n"


def _keys(table: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(table, dict):
        raise ConfigError(f'{KEYS} must be a table, such as [{KEYS}] with pause = "P" below it.')
    chosen = {name: _key_list(name, given) for name, given in cast("dict[str, object]", table).items()}
    if chosen:
        # Only here: whoever rebinds nothing need not wait for Textual, which `arc-tui status` never needs.
        from arc_tui.ui.keys import keymap

        keymap(chosen)
    return chosen


def _key_list(name: str, given: object) -> tuple[str, ...]:
    listed = cast("list[object]", given) if isinstance(given, list) else [given]
    if not all(isinstance(key, str) and key for key in listed):
        shown = printable(repr(given), 40)
        raise ConfigError(f"{KEYS}.{printable(name, 40)} is {shown}, but must be a key or a list of keys.")
    return tuple(cast("list[str]", listed))


def _place(file: ConfigFile, key: str, problem: str) -> str:
    """Return file and line of a problem; within the table of keys, the line of the key that it names."""
    if key == KEYS:
        table: object = file.values[KEYS]
        named = [name for name in table if name in problem] if isinstance(table, dict) else []
        return file.place(named[-1], KEYS) if named else file.place(KEYS)
    return file.place(key)
