"""What a console is opened with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from arc_core.run.directory import RunDirectory
from arc_tui.runs.feed import Arrival, EventSource, Feed
from arc_tui.ui.settings import Settings

SourceOf = Callable[[RunDirectory, Callable[[Arrival], None]], EventSource]
"""Makes the source of a run's events."""


@dataclass(frozen=True)
class Options:
    """What a console is opened with.

    Attributes:
        runs_dir: The folder of runs as the user gave it.
        settings: The user's settings.
        theme: Name of the theme; None takes that of the settings.
        read_only: Whether nothing may be asked of the run.
        choose: Whether the list of runs is shown first.
        replay: Whether the source plays a finished run again.
        source: Makes the source of events.
        clock: Seconds since the epoch.
        alert: Where the alerts of a run go whose process the console starts; None sends none.
    """

    runs_dir: str = "runs"
    settings: Settings = field(default_factory=Settings)
    theme: str | None = None
    read_only: bool = False
    choose: bool = False
    replay: bool = False
    source: SourceOf = Feed
    clock: Callable[[], float] = time.time
    alert: str | None = None
