"""The theme that a console shows: chosen, changed by a key, and followed while its file is edited."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from textual.app import App

from arc_core.base.errors import ConfigError
from arc_tui.looks.textual import to_textual
from arc_tui.looks.themes import Theme, colourless, load_theme, theme_paths


class ThemeWatcher:
    """Looks at the file of the chosen theme when asked to; one `stat` a folder while nothing changes."""

    def __init__(self, name: str, folders: Sequence[Path] | None = None) -> None:
        """Begin to watch.

        Args:
            name: The theme on the screen.
            folders: As `load_theme` takes them.
        """
        self._folders = folders
        self.watch(name)

    def watch(self, name: str) -> None:
        """Watch another theme from now on."""
        self._name = name
        self._seen = self._stamp()

    def poll(self) -> Theme | ConfigError | None:
        """Return the theme as it stands now if it has changed since the last call.

        Returns:
            The new theme; what is wrong with it, once for each change, so that the old one stays on the
            screen; or None while nothing has changed.
        """
        stamp = self._stamp()
        if stamp == self._seen:
            return None
        self._seen = stamp
        try:
            return load_theme(self._name, self._folders)
        except ConfigError as error:
            return error

    def _stamp(self) -> tuple[Path, int, int, int] | None:
        path = theme_paths(self._folders).get(self._name)
        try:
            status = path.stat() if path is not None else None
        except OSError:
            return None
        return (path, status.st_ino, status.st_mtime_ns, status.st_size) if path and status else None


class Looks:
    """Keeps the theme of an app.

    Args:
        name: The theme to begin with.

    Raises:
        ConfigError: If there is no such theme, or its file is refused.
    """

    def __init__(self, name: str) -> None:
        self.theme = _loaded(name)
        self._name = name
        self._watcher = ThemeWatcher(name)

    def show(self, app: App[Any]) -> None:
        """Put the theme on the screen."""
        app.register_theme(to_textual(self.theme))
        app.theme = self.theme.name
        if app.is_running:
            app.refresh_css(animate=False)
            for screen in app.screen_stack:
                for widget in screen.walk_children():
                    widget.refresh()

    def next(self, app: App[Any]) -> str:
        """Put the next theme by name on the screen; returns its name.

        Raises:
            ConfigError: If its file is refused; the present theme stays.
        """
        names = sorted(theme_paths())
        at = names.index(self._name) if self._name in names else -1
        name = names[(at + 1) % len(names)]
        self._name = name
        self.theme = _loaded(name)
        self._watcher.watch(name)
        self.show(app)
        return name

    def follow(self, app: App[Any]) -> ConfigError | None:
        """Put the theme on the screen again if its file has changed; returns what is wrong with it."""
        found = self._watcher.poll()
        if isinstance(found, Theme):
            self.theme = found.without_colour() if colourless() else found
            self.show(app)
            return None
        return found


def _loaded(name: str) -> Theme:
    theme = load_theme(name)
    return theme.without_colour() if colourless() else theme
