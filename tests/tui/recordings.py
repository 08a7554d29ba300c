"""The recorded runs, as events and as run directories; `recorded/record.py` says what happens in them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raw_events import Line, read_lines

from arc_core.run.directory import RunDirectory, create_run

RECORDED = Path(__file__).parents[1] / "recorded"
CONSOLE_RUN = RECORDED / "console_run.jsonl"
TORN_LINE = b'{"type":"step","seq":999,"time":1795'


def console_events() -> list[Line]:
    """Every event of the recorded run, from its start to its completion after step 60."""
    return read_lines(CONSOLE_RUN)


def events_until_step(step: int) -> list[Line]:
    """The recorded run up to the first event of this step."""
    events = console_events()
    last = next(at for at, event in enumerate(events) if event["type"] == "step" and event["step"] == step)
    return events[: last + 1]


def paused_events() -> list[Line]:
    """The recorded run up to its pause after step 10 or 11."""
    events = console_events()
    return events[: next(at for at, event in enumerate(events) if event["type"] == "paused") + 1]


def killed_events() -> list[Line]:
    """The recorded run up to the moment in which its process was killed."""
    events = console_events()
    return events[: next(at for at, event in enumerate(events) if event["type"] == "resumed")]


def console_run_json() -> dict[str, Any]:
    """What the recorded run was started with."""
    return json.loads((RECORDED / "console_run.json").read_text(encoding="utf-8"))


def make_run(
    runs_dir: Path, events: list[Line] | None = None, name: str = "recorded", *, torn: bool = False
) -> RunDirectory:
    """Make a run directory of recorded events; no process holds its lock.

    Args:
        runs_dir: The folder of runs.
        events: What its log holds; None is the whole recorded run.
        name: The run's name.
        torn: Whether a line that was not finished ends the log, as a kill may leave it.
    """
    run = create_run(runs_dir, name, console_run_json())
    kept = console_events() if events is None else events
    lines = "".join(json.dumps(event, separators=(",", ":")) + "\n" for event in kept).encode("ascii")
    run.events.write_bytes(lines + (TORN_LINE if torn else b""))
    run.engine_log.write_text("training begins\nan engine speaks\n", encoding="utf-8")
    return run
