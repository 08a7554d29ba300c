"""Opens the browser in a terminal, and begins what was chosen in it once it has been left."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from arc_tui.inspect.app import InspectApp
from arc_tui.inspect.tensors.source import Checkpoint
from arc_tui.ui.app import ended
from arc_tui.ui.settings import load_settings


def browse(
    checkpoint: Checkpoint,
    runs_dir: str,
    theme: str | None,
    show: Callable[[str], None],
    show_error: Callable[[str], None],
) -> int:
    """Browse a checkpoint until the user leaves.

    Args:
        checkpoint: What to browse first.
        runs_dir: The folder of runs as the user gave it.
        theme: Name of the theme; None takes the user's own.
        show: Shows a line on standard output afterwards.
        show_error: Shows a line on standard error.

    Returns:
        The exit code: 0, 1 if the browser failed, 128 and the signal's number if one ended it; that of the
        console where training was begun from here.

    Raises:
        ArcError: If the settings, the theme, or the training that is to begin, is refused.
    """
    settings = load_settings()
    app = InspectApp(checkpoint, Path(runs_dir), theme or settings.theme, settings.keys)
    begin = app.run()
    code = ended(app, show_error)
    if code or begin is None:
        return code
    from arc_tui.commands import attach  # the console is only loaded where training begins

    flags: dict[str, object] = {
        "resume": begin.run,
        "checkpoint": str(begin.checkpoint),
        "runs_dir": runs_dir,
    }
    if begin.branch is not None:
        flags["branch"] = begin.branch
    return attach.train(flags, None, sys.argv, theme, show, show_error)
