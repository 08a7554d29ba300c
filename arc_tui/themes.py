"""Themes: one TOML file each, shipped with the package or put into the user's own folder."""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, cast

from arc_core.errors import ConfigError
from arc_core.options import nearest, unknown_key
from arc_core.text import printable

DEFAULT_THEME = "arc-dark"
GRID_COLOURS = 10

T = TypeVar("T")

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_TOP_LEVEL = ("name", "dark", "grid", "status", "surface")


@dataclass(frozen=True)
class Status:
    """Colours of states and messages; never the only sign of either."""

    running: str
    paused: str
    finished: str
    crashed: str
    good: str
    warning: str
    error: str
    muted: str


@dataclass(frozen=True)
class Surface:
    """Colours of the screen itself."""

    background: str
    panel: str
    border: str
    text: str
    accent: str


@dataclass(frozen=True)
class Theme:
    """A checked theme; every colour is written `#rrggbb`, `grid` holds those of cells 0 to 9."""

    name: str
    dark: bool
    grid: tuple[str, ...]
    status: Status
    surface: Surface


def theme_folder() -> Path:
    """Return the folder of the shipped themes: inside the installed package, else beside it."""
    installed = Path(__file__).parent / "_themes"
    return installed if installed.is_dir() else Path(__file__).parent.parent / "themes"


def user_theme_folder() -> Path:
    """Return the folder where a user puts themes; it need not exist."""
    base = os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config"
    return Path(base) / "arc-tui" / "themes"


def load_theme(name: str = DEFAULT_THEME, folders: Sequence[Path] | None = None) -> Theme:
    """Load a theme by name; the user's own folder comes before the shipped one.

    Args:
        name: The file's name without `.toml`.
        folders: Where to look, first match wins; None looks in the usual two.

    Raises:
        ConfigError: If there is none of that name, or it is not a theme; names file, key and value.
    """
    places = [user_theme_folder(), theme_folder()] if folders is None else list(folders)
    paths = {path.stem: path for place in reversed(places) for path in sorted(place.glob("*.toml"))}
    if name not in paths:
        near = nearest(name, paths)
        hint = (
            f"did you mean {printable(near)}?" if near else f"there is {', '.join(sorted(paths)) or 'none'}."
        )
        raise ConfigError(f"There is no theme {printable(name, 60)}; {hint}")
    return _read_theme(paths[name])


def _read_theme(path: Path) -> Theme:
    shown = printable(str(path))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"Cannot read the theme {shown}: {error.strerror}.") from None
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{shown} is not TOML: {printable(str(error))}.") from None
    try:
        return _theme(content)
    except ConfigError as error:
        raise ConfigError(f"{shown}: {error}") from None


def _theme(content: dict[str, Any]) -> Theme:
    for key in content:
        if key not in _TOP_LEVEL:
            raise unknown_key(key, _TOP_LEVEL, "theme entry")
    missing = [key for key in _TOP_LEVEL if key not in content]
    if missing:
        raise ConfigError(f"{missing[0]} is missing.")
    name, dark = content["name"], content["dark"]
    if not isinstance(name, str) or not isinstance(dark, bool):
        raise ConfigError("name must be text and dark must be true or false.")
    grid = _table(content, "grid", ("colours",))["colours"]
    colours = cast("list[object]", grid) if isinstance(grid, list) else []
    if len(colours) != GRID_COLOURS:
        raise ConfigError(f"grid.colours must be a list of {GRID_COLOURS} colours.")
    return Theme(
        name=name,
        dark=dark,
        grid=tuple(_colour(f"grid.colours[{number}]", colour) for number, colour in enumerate(colours)),
        status=_colours(content, "status", Status),
        surface=_colours(content, "surface", Surface),
    )


def _colours(content: dict[str, Any], key: str, kind: type[T]) -> T:
    names = tuple(field.name for field in fields(cast("type[Any]", kind)))
    table = _table(content, key, names)
    return kind(**{name: _colour(f"{key}.{name}", table[name]) for name in names})


def _table(content: dict[str, Any], key: str, names: tuple[str, ...]) -> dict[str, object]:
    if not isinstance(content[key], dict):
        raise ConfigError(f"{key} must be a table.")
    table = cast("dict[str, object]", content[key])
    for name in table:
        if name not in names:
            raise unknown_key(f"{key}.{name}", [f"{key}.{known}" for known in names], "theme entry")
    for name in names:
        if name not in table:
            raise ConfigError(f"{key}.{name} is missing.")
    return table


def _colour(name: str, value: object) -> str:
    if isinstance(value, str) and _COLOUR.fullmatch(value):
        return value.lower()
    raise ConfigError(f"{name} is {printable(repr(value), 40)}, but must be a colour like #0074d9.")
