"""A run as TensorBoard's event files, in the folder `tensorboard` of the run."""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
import time
from collections.abc import Generator
from types import ModuleType
from typing import Any, cast

from arc_core.base.extras import require
from arc_core.base.text import printable
from arc_core.run.directory import RunDirectory
from arc_tui.mirror.trackers import Description, TrackedRow


class TensorBoard:
    """Writes event files by tensorboardX.

    Its `SummaryWriter` hands events to a thread and cannot say when they are in the file, so this writes
    them by the class below that one. Going back begins a file with a session's start at that step:
    TensorBoard then forgets what earlier files hold of that step and later ones.
    """

    def __init__(self, run: RunDirectory) -> None:
        self._folder = run.path / "tensorboard"
        self._writer: Any = None

    def begin(self, step: int, described: Description) -> int:
        """Open another file."""
        self.close()
        tensorboard_library()
        files: Any = importlib.import_module("tensorboardX.event_file_writer")
        self._events: Any = importlib.import_module("tensorboardX.proto.event_pb2")
        self._protos: Any = importlib.import_module("tensorboardX.proto.summary_pb2")
        self._summary: Any = importlib.import_module("tensorboardX.summary")
        self._folder.mkdir(exist_ok=True)
        # Files are read in the order of their names, which tell only whole seconds.
        self._writer = files.EventsWriter(str(self._folder / "events"), f".{time.time_ns()}")
        log = self._events.SessionLog
        self._write(step, time.time(), session_log=log(status=log.START))
        self._text("config", json.dumps(described.config, indent=2, default=str), step)
        self.note(described.notes, step)
        self.settle()
        return step

    def write(self, row: TrackedRow) -> None:
        """Take a row, as one event."""
        value = self._protos.Summary.Value
        values = [value(tag=printable(name), simple_value=number) for name, number in row.numbers.items()]
        if row.picture is not None:
            values += self._summary.image("sample", row.picture, dataformats="HWC").value
        summary = self._protos.Summary(value=values)
        self._write(row.step, row.time if row.time == row.time else time.time(), summary=summary)

    def note(self, text: str, step: int) -> None:
        """Take the notes."""
        if text:
            self._write(step, time.time(), summary=self._summary.text("notes", text))

    def settle(self) -> None:
        """Sync the file."""
        self._writer.flush()

    def close(self) -> None:
        """Close the file."""
        if self._writer is not None:
            self._writer.close()

    def _text(self, name: str, code: str, step: int) -> None:
        lines = "\n".join(f"    {line}" for line in code.splitlines())  # Markdown's code
        self._write(step, time.time(), summary=self._summary.text(name, lines))

    def _write(self, step: int, at: float, **content: Any) -> None:
        self._writer.write_event(self._events.Event(wall_time=at, step=step, **content))


def tensorboard_library() -> ModuleType:
    """Import tensorboardX without torch."""
    require("Writing for TensorBoard", "tensorboard", ["tensorboardX"])
    with _without_torch():
        return importlib.import_module("tensorboardX")


@contextlib.contextmanager
def _without_torch() -> Generator[None]:
    """Let an import that would take torch along where it finds it find none."""
    if "torch" in sys.modules:
        yield
        return
    sys.modules["torch"] = cast(ModuleType, None)
    try:
        yield
    finally:
        sys.modules.pop("torch", None)
