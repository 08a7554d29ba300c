"""What is written when the console itself fails, so that the failure can be told and mended."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
import traceback
from pathlib import Path

from arc_core.base.paths import own_folder
from arc_core.base.text import printable


def report_folder() -> Path:
    """Return the folder of the reports: the user's own place for the state of programs."""
    return own_folder("XDG_STATE_HOME", "~/.local/state") / "arc-tui"


def write_report(error: BaseException, place: str, folder: Path | None = None) -> Path | None:
    """Write a report.

    Args:
        error: What was raised.
        place: What was shown, in a few words.
        folder: Where it goes; None for the usual folder.

    Returns:
        The file, mode 0600; None where none can be written.
    """
    where = report_folder() if folder is None else folder
    lines = [
        time.strftime("%Y-%m-%d %H:%M:%S"),
        f"arc-tui {importlib.metadata.version('arc-tui')}, textual {importlib.metadata.version('textual')}",
        f"Python {platform.python_version()} on {platform.platform()}",
        f"TERM {os.environ.get('TERM', '')}, {place}",
        "",
        *"".join(traceback.format_exception(error)).splitlines(),
    ]
    text = "\n".join(printable(line) for line in lines) + "\n"
    path = where / time.strftime(f"crash_%Y%m%d_%H%M%S_{os.getpid()}.txt")
    try:
        where.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
    except OSError:
        return None
    return path
