"""A run in Weights & Biases, offline unless WANDB_MODE says otherwise, in the folder `wandb` of the run."""

from __future__ import annotations

import importlib
import os
import shutil
from typing import Any

from arc_core.base.errors import RunError
from arc_core.base.paths import entries
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory
from arc_tui.mirror.trackers import Description, TrackedRow


class Wandb:
    """Logs by wandb, whose steps only move on and whose offline runs cannot be resumed.

    So going back begins another run with every row from the first step on. An offline run that has not been
    synced is removed by that; one that was synced, or logged online, stays in the group of the run's name.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._path, self._name = run.path, run.name
        self._run: Any = None

    def begin(self, step: int, described: Description) -> int:
        """Begin a run in place of what there was."""
        del step
        mode = os.environ.get("WANDB_MODE", "offline")
        if mode == "offline":
            os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
        self.close()
        self._library: Any = importlib.import_module("wandb")
        for folder in entries(self._path / "wandb"):
            synced = any(path.suffix == ".synced" for path in entries(folder))
            if folder.name.startswith("offline-run-") and not synced:
                shutil.rmtree(folder)
        (self._path / "wandb").mkdir(exist_ok=True)
        try:
            self._run = self._library.init(
                dir=str(self._path),
                mode=mode,
                project=os.environ.get("WANDB_PROJECT") or "arc-tui",
                name=self._name,
                group=self._name,
                config=dict(described.config),
                notes=described.notes or None,
                settings=self._library.Settings(
                    console="off", silent=True, x_disable_stats=True, disable_git=True, disable_code=True
                ),
            )
        except self._library.Error as error:
            raise RunError(f"wandb refuses to begin: {printable(str(error), 300)}") from None
        return 0

    def write(self, row: TrackedRow) -> None:
        """Take a row."""
        image = self._library.Image
        picture = {} if row.picture is None else {"sample": image(row.picture, caption=row.caption)}
        self._run.log({**row.numbers, **picture}, step=row.step)

    def note(self, text: str, step: int) -> None:
        """Take the notes."""
        del step
        self._run.notes = text

    def settle(self) -> None:
        """Nothing: a mirror that begins again writes all."""

    def close(self) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish()
            self._run = None
