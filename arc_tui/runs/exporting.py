"""The weights of a run, for whoever solves tasks."""

from __future__ import annotations

import subprocess
from pathlib import Path

from arc_core.base.errors import RunError
from arc_core.base.extras import require
from arc_core.base.paths import is_file
from arc_core.run.directory import RunDirectory
from arc_tui.runs.engine import Program


def weights_of(run: RunDirectory, number: int) -> Path:
    """Return the weights file of a checkpoint, written if it is not there yet.

    They are written once for each checkpoint, beside the run's: what was begun with some can go on with them
    when the run has trained further.

    Args:
        run: The run.
        number: Id of the checkpoint.

    Raises:
        RunError: If the run has trained no agent that solves tasks, or the checkpoint cannot be used.
        MissingPackageError: If the extra `train` is not installed.
    """
    target = run.path / f"weights-{number:05d}.safetensors"
    if is_file(target):
        return target
    require("Exporting weights", "train")
    done = subprocess.run(
        Program.EXPORTING.command(str(run.path), str(target), str(number)),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        told = done.stderr.strip().splitlines() or ["it was refused."]
        raise RunError(told[-1].removeprefix("Error: "))
    return target
