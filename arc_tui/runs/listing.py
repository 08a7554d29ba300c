"""The runs of a folder and what each is doing, cheaply: of each log only the end is read."""

from __future__ import annotations

import dataclasses
import math
import os
import stat
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from arc_core.base.errors import ArcError, RunError
from arc_core.base.loose import number
from arc_core.base.paths import Stamp, entries, is_taken, modified, refusal, stamp
from arc_core.base.text import printable
from arc_core.run.checkpoint_index import list_checkpoints, read_state
from arc_core.run.directory import RunDirectory, is_alive
from arc_core.run.events import EventReader
from arc_core.run.outlined import outlined
from arc_tui.runs.sentences import validation_words
from arc_tui.runs.state import Phase, RunState, ValidationResult, initial, observed, reduce

TAIL_BYTES = 256 << 10
"""How much of a log is read to find what a run is doing."""

STARTING_SECONDS = 60.0
"""A run made so lately that has no events yet is taken to be starting."""

_WITHOUT_PROCESS = frozenset({Phase.FINISHED, Phase.STOPPED, Phase.CRASHED})
"""States that hold until a file of the run changes: a new process writes its name into the lock."""

CLOSED = "closed"
"""State of what this user may not look into."""


@dataclass(frozen=True)
class Row:
    """A run in the list; `problem` says why it cannot be read, and the rest is empty then."""

    name: str
    state: str
    problem: str | None = None
    epoch: int | None = None
    step: int | None = None
    best_exact: int | None = None
    best_inputs: int | None = None
    best_cell_accuracy: float | None = None
    best_score: float | None = None
    bytes: int | None = None
    created: float | None = None
    age_seconds: float | None = None

    @property
    def best(self) -> ValidationResult | None:
        """Its best validation; None where there is none yet."""
        if self.best_score is not None:
            return ValidationResult(0, 0, 0, math.nan, score=self.best_score)
        if self.best_exact is None or self.best_cell_accuracy is None:
            return None
        return ValidationResult(0, self.best_exact, self.best_inputs or 0, self.best_cell_accuracy)


def read_run(run: RunDirectory, run_json: dict[str, Any], *, whole_log: bool, now: float) -> RunState:
    """Return what a run is doing.

    Args:
        run: The run.
        run_json: What its run.json holds.
        whole_log: Whether to read all of its log; else its end, which tells all but old validations.
        now: Seconds since the epoch.
    """
    alive = is_alive(run)  # before the log, so that the end of a run that just ended is in it
    reader = EventReader(run.events)
    if not whole_log:
        reader.skip_to_tail(TAIL_BYTES)
    state = reduce(outlined(reader), initial(run_json))
    if not state.seq and not alive and now - number(run_json, "created") < STARTING_SECONDS:
        return state
    return observed(state, alive=alive)


class RunLister:
    """Lists a folder of runs again and again; only what has changed since is read again.

    Args:
        runs_dir: The folder.
    """

    def __init__(self, runs_dir: Path) -> None:
        self._runs_dir = runs_dir
        self._kept: dict[str, tuple[list[Stamp | None], Row]] = {}

    def rows(self, now: float | None = None) -> list[Row]:
        """List everything in the folder, the newest first, what is no run or closed to this user last.

        Args:
            now: Seconds since the epoch; None asks the clock.

        Raises:
            RunError: If the folder itself is closed to this user.
        """
        at = time.time() if now is None else now
        if reason := refusal(self._runs_dir):
            shown = printable(str(self._runs_dir))
            raise RunError(f"The folder of runs {shown} cannot be looked at: {reason}.")
        known, self._kept = self._kept, {}
        for path in entries(self._runs_dir):
            if not path.name.startswith("."):
                self._kept[path.name] = _looked_at(path, known.get(path.name), at)
        rows = [row for _, row in self._kept.values()]
        return sorted(rows, key=lambda row: (row.problem is not None, -(row.created or 0.0), row.name))


def list_rows(runs_dir: Path, now: float | None = None) -> list[Row]:
    """List a folder of runs once, as `RunLister.rows` does."""
    return RunLister(runs_dir).rows(now)


def age(seconds: float) -> str:
    """Write a time span by its largest unit: 45 s, 12 min, 3 h, 5 d."""
    for limit, unit, name in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if seconds < limit:
            return f"{max(0, int(seconds // unit))} {name}"
    return f"{int(seconds // 86_400)} d"


def best_text(found: ValidationResult | None) -> str:
    """Write a validation in a few words."""
    if found is None:
        return "-"
    if found.event is not None:
        return validation_words(found.event)
    if math.isfinite(found.score):
        return f"score {found.score:.4f}"
    of_inputs = f"/{found.inputs}" if found.inputs else ""
    return f"{found.exact}{of_inputs} exact, {found.cell_accuracy:.4f} of cells"


def disk_usage(folder: Path) -> int:
    """Return the bytes of all files below a folder, linked ones once; links are not followed."""
    seen: set[tuple[int, int]] = set()
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            try:
                found = os.lstat(Path(where, name))
            except OSError:  # a checkpoint is being renamed or pruned
                continue
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                total += found.st_size
    return total


def _looked_at(
    path: Path, kept: tuple[list[Stamp | None], Row] | None, now: float
) -> tuple[list[Stamp | None], Row]:
    """The row of a run with what a change of it will be known by; the row that was kept where none is."""
    run = RunDirectory(path)
    # Taken first: what is written while the run is read shows the next time.
    stamps = [stamp(place) for place in (path, run.run_json, run.events, run.lock, run.checkpoints)]
    if kept is None or kept[0] != stamps or not _still_holds(run, kept[1]):
        return stamps, _row(path, now)
    row = kept[1]
    if row.created is None or row.age_seconds is None or age(now - row.created) == age(row.age_seconds):
        return kept
    return stamps, dataclasses.replace(row, age_seconds=max(0.0, now - row.created))


def _still_holds(run: RunDirectory, row: Row) -> bool:
    """Whether a row is right of whose files none has changed; a process that is killed changes none."""
    if row.problem is not None or row.state in _WITHOUT_PROCESS:
        return True
    try:
        return row.state != Phase.STARTING and is_alive(run)
    except (ArcError, OSError):
        return False


def _row(path: Path, now: float) -> Row:
    try:
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode):
            return Row(path.name, "not read", "a symbolic link")
        if not stat.S_ISDIR(mode):
            return Row(path.name, "not read", "no folder")
        run = RunDirectory(path.absolute())
        if reason := refusal(path) or refusal(run.run_json):
            return Row(path.name, CLOSED, reason)
        if not is_taken(run.run_json):
            return Row(path.name, "no run", "it has no run.json")
        run_json = run.read()
        created = number(run_json, "created")
        created = created if math.isfinite(created) else modified(path)
        state = read_run(run, run_json, whole_log=False, now=now)
        known = (state.best_validation, _noted_best(run))
        best = max(filter(None, known), key=lambda v: v.mark, default=None)
        return Row(
            path.name,
            state.phase.value,
            epoch=state.epoch,
            step=state.step,
            best_exact=best.exact if best and best.counted else None,
            best_inputs=best.inputs or None if best else None,
            best_cell_accuracy=best.cell_accuracy if best else None,
            best_score=best.score if best and math.isfinite(best.score) else None,
            bytes=disk_usage(path),
            created=created,
            age_seconds=max(0.0, now - created),
        )
    except ArcError as error:
        return Row(path.name, "damaged", str(error))
    except OSError as error:
        return Row(path.name, "not read", error.strerror)


def _noted_best(run: RunDirectory) -> ValidationResult | None:
    """Return the best validation that the newest checkpoint knows of; the log's end may lie after it."""
    checkpoints = list_checkpoints(run.checkpoints)
    try:
        best: object = read_state(checkpoints[-1]).get("best") if checkpoints else None
    except ArcError:
        return None
    match best:
        case [int() | float() as exact, int() | float() as cells]:
            return ValidationResult(0, int(exact), 0, float(cells))
        case [int() | float() as score, int() | float() as cells, _]:
            return ValidationResult(0, 0, 0, float(cells), score=float(score))
        case _:
            return None


def as_json(rows: list[Row]) -> list[dict[str, Any]]:
    """Return the list as JSON writes it."""
    return [dataclasses.asdict(row) for row in rows]
