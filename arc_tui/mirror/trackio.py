"""A run in trackio's local database, in the project `arc-tui` or the one that TRACKIO_PROJECT names."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

from arc_core.base.errors import RunError
from arc_core.base.paths import is_file
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory
from arc_tui.mirror.trackers import Description, TrackedRow

WRITE_SECONDS = 60.0
"""How long its thread may take to write what it was given, where nothing else becomes of it."""


class Trackio:
    """Logs by `trackio.log`, whose thread writes beside this one and only warns of what fails.

    So what has been written is read back from the database. Going back deletes rows there: trackio itself
    takes any step again and keeps both.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._name = run.name
        self._project = os.environ.get("TRACKIO_PROJECT") or "arc-tui"
        self._kept = run.path / "mirrors" / "trackio.id"
        self._run: Any = None
        self._rows = 0
        """Rows that the database has to have for this run."""

    def begin(self, step: int, described: Description) -> int:
        """Open the run, and delete what it holds from there on."""
        for name in ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL"):
            if os.environ.get(name):
                raise RunError(
                    f"A mirror writes trackio's local database: unset {name}; trackio sync takes it further."
                )
        if self._run is None:
            step = self._open(step, described)
        else:
            self.settle()
        with self._database() as database:
            database.execute("DELETE FROM metrics WHERE run_id = ? AND step >= ?", (self._id, step))
        self._rows = self._count()
        self.note(described.notes, step)
        return step

    def write(self, row: TrackedRow) -> None:
        """Take a row."""
        image = self._library.Image
        picture = {} if row.picture is None else {"sample": image(row.picture, caption=row.caption)}
        self._log({**row.numbers, **picture}, row.step)

    def note(self, text: str, step: int) -> None:
        """Take the notes."""
        if text:
            self._log({"notes": self._library.Markdown(text)}, step)

    def settle(self) -> None:
        """Wait until the database has every row."""
        give_up, found = time.monotonic() + WRITE_SECONDS, -1
        while (count := self._count()) < self._rows:
            if count > found:
                give_up, found = time.monotonic() + WRITE_SECONDS, count
            elif time.monotonic() > give_up:
                raise RunError(f"trackio does not write to {printable(str(self._path))} any more.")
            time.sleep(0.05)

    def close(self) -> None:
        """Finish the run."""
        if self._run is not None:
            with contextlib.redirect_stdout(io.StringIO()):
                self._library.finish()

    def _open(self, step: int, described: Description) -> int:
        """Find the run that an earlier mirror made, or make one; then every row is needed."""
        os.environ["TRACKIO_STORAGE_MODE"] = "sqlite"  # the other keeps rows where nothing can be taken back
        utils: Any = importlib.import_module("trackio.utils")
        folder: Path = utils.TRACKIO_DIR
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "Permission denied", str(folder))
        self._library: Any = importlib.import_module("trackio")
        storage: Any = importlib.import_module("trackio.sqlite_storage")
        self._path: Path = storage.SQLiteStorage.init_db(self._project)
        known = self._kept.read_text() if is_file(self._kept) else ""
        newest: Any = storage.SQLiteStorage.get_latest_run_record_by_name(self._project, self._name) or {}
        ours = known != "" and newest.get("id") == known
        with contextlib.redirect_stdout(io.StringIO()):
            self._run = self._library.init(
                project=self._project,
                name=self._name,
                config=dict(described.config),
                resume="must" if ours else "never",
                auto_log_gpu=False,
                auto_log_cpu=False,
                embed=False,
            )
        self._id = str(self._run.id)
        self._kept.write_text(self._id)
        return step if ours else 0

    def _log(self, values: dict[str, Any], step: int) -> None:
        self._run.log(values, step=step)
        self._rows += 1

    def _count(self) -> int:
        with self._database() as database:
            asked = "SELECT count(*) FROM metrics WHERE run_id = ?"
            return database.execute(asked, (self._id,)).fetchone()[0]

    @contextlib.contextmanager
    def _database(self):
        with contextlib.closing(sqlite3.connect(self._path, timeout=30)) as database, database:
            yield database
