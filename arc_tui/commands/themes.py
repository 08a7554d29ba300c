"""`arc-tui themes` lists and checks themes; `arc-tui settings` explains what a user can set."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from arc_core.base.errors import ConfigError
from arc_core.base.paths import expanded
from arc_core.base.text import printable
from arc_tui.commands.output import echo, path_told
from arc_tui.drawing.rows import padded
from arc_tui.drawing.signs import shown

if TYPE_CHECKING:
    from rich.text import Text

    from arc_tui.looks.themes import Theme


def themes(
    check: Annotated[
        list[Path] | None,
        typer.Option(
            "--check", metavar="FILE.toml", parser=expanded, help="Only check this file; may be repeated."
        ),
    ] = None,
) -> None:
    """List the themes with their colours. Your own are read from the config folder."""
    from arc_tui.looks.themes import read_theme, theme_paths, user_theme_folder

    if check:
        for path in check:
            read_theme(path)
            echo(f"{path_told(path)} is a theme.")
        return
    from rich.console import Console  # here, so that other commands need not wait for it
    from rich.text import Text

    console = Console(highlight=False, markup=False)
    for name, path in sorted(theme_paths().items()):
        try:
            line = _swatches(read_theme(path))
        except ConfigError as error:
            line = Text(printable(str(error)))
        own = " (yours)" if path.parent == user_theme_folder() else ""
        console.print(Text(padded(shown(printable(name, 30)), 16)), line, Text(own), soft_wrap=True, sep="")
    echo(f"\nYour own go into {path_told(user_theme_folder())}.")


def _swatches(theme: Theme) -> Text:
    from rich.text import Text

    from arc_tui.looks.styles import GRID_COLOURS, PALETTE_COLOURS

    line = Text(f"{'dark ' if theme.dark else 'light'}  ")
    for digit in range(GRID_COLOURS):
        line.append(f"{digit} ", theme.style(f"grid.{digit}"))
    line.append("  ")
    for place in range(PALETTE_COLOURS):
        line.append("##" if theme.ascii else "━━", theme.style(f"series.{place}"))
    line.append("  ")
    for word in ("running", "paused", "finished", "crashed"):
        line.append(word, theme.style(f"state.{word}"))
        line.append(" ")
    return line


def settings() -> None:
    """Print a config file for the console. It explains every setting and key, as it is by default."""
    from arc_tui.ui.settings import example

    echo(example(), nl=False)
