"""Themes: one TOML file each, shipped with the package or put into the user's own folder."""

from __future__ import annotations

import dataclasses
import functools
import os
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, TypeVar, cast

from rich.style import Style

from arc_core.base.errors import ConfigError
from arc_core.base.options import nearest, unknown_key
from arc_core.base.paths import is_dir, matching, own_folder
from arc_core.base.text import printable
from arc_tui.looks.styles import GRID_COLOURS, PALETTE_COLOURS, SeriesColours, Status, Surface, styles

__all__ = [
    "COLOURLESS",
    "DEFAULT_THEME",
    "SeriesColours",
    "Status",
    "Surface",
    "Theme",
    "colourless",
    "load_theme",
    "read_theme",
    "theme_folder",
    "theme_paths",
    "user_theme_folder",
]

DEFAULT_THEME = "arc-dark"
COLOURLESS = "NO_COLOR"
"""The environment variable by which a user refuses colour, whatever it says unless it is empty."""

T = TypeVar("T", Status, Surface)

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_TOP_LEVEL = ("name", "dark", "grid", "status", "surface", "series")
_OPTIONAL = ("ascii",)


@dataclass(frozen=True)
class Theme:
    """A checked theme; every colour is written `#rrggbb`.

    Attributes:
        name: The name it is chosen by.
        dark: Whether its background is dark.
        grid: Colours of the cells 0 to 9.
        status: Colours of states and messages.
        surface: Colours of the screen.
        series: Colours of curves and bars.
        ascii: Whether charts are drawn in plain letters instead of braille and blocks.
        colourless: Whether `style` gives no colours at all; grids are then told apart by their digits.
    """

    name: str
    dark: bool
    grid: tuple[str, ...]
    status: Status
    surface: Surface
    series: SeriesColours
    ascii: bool = False
    colourless: bool = False

    def style(self, name: str) -> Style:
        """Return the look of something by what it means.

        Args:
            name: As `arc_tui.looks.styles` lists them; behind a space the address of what a click opens.

        Raises:
            KeyError: If there is no such name.
        """
        look, _, address = name.partition(" ")
        return self._styles[look] + Style(link=address) if address else self._styles[look]

    @property
    def style_names(self) -> tuple[str, ...]:
        """Every name that `style` knows."""
        return tuple(self._styles)

    def without_colour(self) -> Theme:
        """Return this theme with looks that need no colour."""
        return dataclasses.replace(self, colourless=True)

    @functools.cached_property
    def _styles(self) -> dict[str, Style]:
        return styles(self.grid, self.status, self.surface, self.series, colourless=self.colourless)


def colourless() -> bool:
    """Whether the user wants no colour, as https://no-color.org has it."""
    return bool(os.environ.get(COLOURLESS))


def theme_folder() -> Path:
    """Return the folder of the shipped themes: inside the installed package, else beside it."""
    installed = Path(__file__).parents[1] / "_themes"
    return installed if is_dir(installed) else Path(__file__).parents[2] / "themes"


def user_theme_folder() -> Path:
    """Return the folder where a user puts themes; it need not exist."""
    return own_folder("XDG_CONFIG_HOME", "~/.config") / "arc-tui" / "themes"


def theme_paths(folders: Sequence[Path] | None = None) -> dict[str, Path]:
    """List the theme files by name; the user's own come before the shipped ones.

    Args:
        folders: Where to look, first match wins; None looks in the usual two.
    """
    places = [user_theme_folder(), theme_folder()] if folders is None else list(folders)
    return {path.stem: path for place in reversed(places) for path in matching(place, "*.toml")}


def load_theme(name: str = DEFAULT_THEME, folders: Sequence[Path] | None = None) -> Theme:
    """Load a theme by name; the user's own folder comes before the shipped one.

    Args:
        name: The file's name without `.toml`.
        folders: Where to look, first match wins; None looks in the usual two.

    Returns:
        The theme, without colour if the user wants none.

    Raises:
        ConfigError: If there is none of that name, or it is not a theme; names file, key and value.
    """
    paths = theme_paths(folders)
    if name not in paths:
        near = nearest(name, paths)
        hint = (
            f"did you mean {printable(near)}?" if near else f"there is {', '.join(sorted(paths)) or 'none'}."
        )
        raise ConfigError(f"There is no theme {printable(name, 60)}; {hint}")
    theme = read_theme(paths[name])
    return theme.without_colour() if colourless() else theme


def read_theme(path: Path) -> Theme:
    """Read and check a theme file.

    Raises:
        ConfigError: If it cannot be read or is not a theme; names file, key and value.
    """
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
        if key not in _TOP_LEVEL + _OPTIONAL:
            raise unknown_key(key, _TOP_LEVEL + _OPTIONAL, "theme entry")
    missing = [key for key in _TOP_LEVEL if key not in content]
    if missing:
        raise ConfigError(f"{missing[0]} is missing.")
    name, dark, plain = content["name"], content["dark"], content.get("ascii", False)
    if not isinstance(name, str) or not isinstance(dark, bool) or not isinstance(plain, bool):
        raise ConfigError("name must be text, and dark and ascii must be true or false.")
    return Theme(
        name=name,
        dark=dark,
        grid=_list(_table(content, "grid", ("colours",))["colours"], "grid.colours", GRID_COLOURS),
        status=_colours(content, "status", Status),
        surface=_colours(content, "surface", Surface),
        series=_series(content),
        ascii=plain,
    )


def _series(content: dict[str, Any]) -> SeriesColours:
    names = tuple(field.name for field in fields(SeriesColours))
    table = _table(content, "series", names)
    palette = _list(table["palette"], "series.palette", PALETTE_COLOURS)
    lines = {name: _colour(f"series.{name}", table[name]) for name in names if name != "palette"}
    return SeriesColours(**lines, palette=palette)


def _list(value: object, name: str, count: int) -> tuple[str, ...]:
    colours = cast("list[object]", value) if isinstance(value, list) else []
    if len(colours) != count:
        raise ConfigError(f"{name} must be a list of {count} colours.")
    return tuple(_colour(f"{name}[{number}]", colour) for number, colour in enumerate(colours))


def _colours(content: dict[str, Any], key: str, kind: type[T]) -> T:
    names = tuple(field.name for field in fields(kind))
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
