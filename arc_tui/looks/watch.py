"""Notices that a theme file has been edited, so that the screen can follow while someone works on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from arc_core.base.errors import ConfigError
from arc_tui.looks.themes import Theme, load_theme, theme_paths


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
