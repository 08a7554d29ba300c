"""`--alert` of the commands that train or watch a run, and the address that the user's settings give."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass

from arc_core.run.directory import RunDirectory
from arc_tui.alerts.starting import start_watcher
from arc_tui.alerts.target import target_of
from arc_tui.ui.settings import Settings, load_settings

LAST_WORD_SECONDS = 10.0
"""So long a command that ends with its run waits for the last alert, as its job may end with it."""


@dataclass
class Alerts:
    """Where a command has a run's alerts sent, if anywhere.

    Attributes:
        address: As `target_of` takes it; None sends none.
        settings: What is to be told.
    """

    address: str | None
    settings: Settings
    _watcher: subprocess.Popen[bytes] | None = None

    @classmethod
    def of(cls, given: str | None, settings: Settings | None = None) -> Alerts:
        """Settle where alerts go, before anything else is done.

        Args:
            given: What stood on the command line; None takes the address of the settings.
            settings: The user's; None reads them.

        Raises:
            ArcError: If the address, or what it names, is refused.
        """
        settings = load_settings() if settings is None else settings
        address = settings.alert if given is None else given
        if address is not None:
            target_of(address)
        return cls(address, settings)

    def start(self, run: RunDirectory) -> None:
        """Have a run's alerts sent until it ends.

        Raises:
            RunError: If alerts.log is no regular file.
        """
        if self.address is not None:
            self._watcher = start_watcher(run, self.address, self.settings)

    def wait(self) -> None:
        """Wait a moment for the last alert of a run that has ended."""
        if self._watcher is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._watcher.wait(LAST_WORD_SECONDS)
