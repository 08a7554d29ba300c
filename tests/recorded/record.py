"""Records console_run.jsonl and console_run.json: a real run, steered, killed and resumed while it trains.

    PYTHONPATH=tests .venv/bin/python tests/recorded/record.py

What happens in it, all of it real but for the last point:

- steps 1 to 10, then a pause; while paused a checkpoint, a validation, a new learning rate and a second
  pause, which is rejected; then training goes on;
- a checkpoint every ten steps after that, by a new checkpoint interval;
- `kill -9` some steps after the checkpoint at step 30; a resume, which takes those steps back;
- epochs of 20 steps with their validations and warnings, up to the end after step 60.

No real run does the following on demand, so it is put in afterwards, in the form that the training process
gives it: step 44 is not finite (as an overflow in float16 makes it) and is counted as skipped from there on,
and a checkpoint after step 55 fails.

Paths and names of this machine are taken out.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from raw_events import PIPELINE, LogReader, read_lines

from arc_core.run.commands import send
from arc_core.run.directory import RunDirectory, lock_holder
from arc_core.run.event_lines import validate_event

HERE = Path(__file__).parent
ARC_TUI = Path(sys.executable).with_name("arc-tui")
NAME = "recorded"
NONFINITE_STEP = 44
NONFINITE_MESSAGE = f"Step {NONFINITE_STEP} was skipped: not finite in risk, efe_total, combined, agent."
NONFINITE_ADVICE = "One after a lowered AMP scale is normal; if it goes on, lower agent_lr and qwen_lr."
FAILED_CHECKPOINT_STEP = 55
NO_SPACE = "No space left on device"
FAILED_MESSAGE = f"The checkpoint at step {FAILED_CHECKPOINT_STEP} could not be written: {NO_SPACE}."
FAILED_ADVICE = "Make room on the disk; training goes on, and the next checkpoint is tried as usual."
OPTIONS = [
    *("--device", "cpu", "--epochs", "3", "--max-batches", "20", "--dataset", "arcagi1"),
    *("--set", "hidden_dim=64", "--set", "validation_inputs=12", "--set", "sample_every=3"),
    *("--checkpoint-every", "1000"),
]
PATIENCE_SECONDS = 300


def record(folder: Path) -> RunDirectory:
    """Train and steer the run; its directory is left in `folder`."""
    run = RunDirectory(folder / "runs" / NAME)
    _arc_tui(folder, "train", "--detach", "--headless", *OPTIONS, "--name", NAME)
    seen = LogReader(run.events)
    _until(seen, lambda event: event["type"] == "step" and event["step"] >= 10)
    send(run.commands, "pause")
    _until(seen, lambda event: event["type"] == "paused")
    send(run.commands, "checkpoint")
    _until(seen, lambda event: event["type"] == "checkpoint" and event["phase"] == "verified")
    send(run.commands, "validate")
    _until(seen, lambda event: event["type"] == "validation")
    send(run.commands, "set", {"agent_lr": 5e-4})
    send(run.commands, "pause")
    _until(seen, lambda event: event["type"] == "command_rejected")
    send(run.commands, "resume")
    _until(seen, lambda event: event["type"] == "step" and event["step"] >= 16)
    send(run.commands, "set", {"checkpoint_every": 10})
    _until(seen, lambda event: event["type"] == "checkpoint" and event["step"] == 30)
    _until(seen, lambda event: event["type"] == "step" and event["step"] >= 34)
    engine = lock_holder(run)
    assert engine is not None
    os.kill(engine, signal.SIGKILL)
    _arc_tui(folder, "train", "--resume", NAME, "--detach", "--headless")
    _until(seen, lambda event: event["type"] == "step" and event["step"] >= 50)
    send(run.commands, "set", {"qwen_lr": 5e-5})
    _until(seen, lambda event: event["type"] == "run_finished")
    return run


def with_mishaps(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Make one step nonfinite and one checkpoint fail; numbers and ids are made to rise by one again."""
    result: list[dict[str, Any]] = []
    skipped = failed = last_id = 0
    for event in events:
        if event["type"] == "step":
            event = event | {"amp": event["amp"] | {"skipped_steps": skipped}}
        elif event["type"] == "checkpoint":
            event = event | {"id": event["id"] + failed}
            last_id = event["id"]
        result.append(event)
        if event["type"] == "step" and event["step"] == NONFINITE_STEP:
            skipped = 1
            result[-1] = _nonfinite(event)
            result.append(_warning(event, "nonfinite", NONFINITE_MESSAGE, NONFINITE_ADVICE))
        elif event["type"] == "step" and event["step"] == FAILED_CHECKPOINT_STEP:
            failed = 1
            for phase, reason in (("requested", "interval"), ("failed", NO_SPACE)):
                result.append(_checkpoint(event, last_id + 1, phase, reason))
            result.append(_warning(event, "checkpoint_failed", FAILED_MESSAGE, FAILED_ADVICE))
    return _renumbered(result)


def _nonfinite(step: dict[str, Any]) -> dict[str, Any]:
    return step | {
        "loss": step["loss"] | {"risk": None, "efe_total": None, "combined": None},
        "grad_norm": step["grad_norm"] | {"agent": None},
        "nonfinite": ["loss.risk", "loss.efe_total", "loss.combined", "grad_norm.agent"],
    }


def _warning(after: dict[str, Any], code: str, message: str, advice: str) -> dict[str, Any]:
    common = {"type": "warning", "seq": after["seq"], "time": after["time"]}
    return common | {"code": code, "message": message, "advice": advice}


def _checkpoint(after: dict[str, Any], identity: int, phase: str, reason: str) -> dict[str, Any]:
    common = {"type": "checkpoint", "seq": after["seq"], "time": after["time"], "id": identity}
    return common | {
        "step": after["step"],
        "phase": phase,
        "reason": reason,
        "bytes": None,
        "seconds": None,
    }


def _renumbered(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Number the events by one; `supersedes` names the last event that counts by its new number."""
    numbers = {event["seq"]: seq for seq, event in enumerate(events, start=1)}
    result = [event | {"seq": seq} for seq, event in enumerate(events, start=1)]
    for event in result:
        if event["type"] == "resumed":
            event["supersedes"] = numbers[event["supersedes"]]
    return result


def described(run: RunDirectory) -> dict[str, Any]:
    """Return run.json without what is of this machine."""
    content = run.read()
    content["argv"] = ["arc-tui", "train", *OPTIONS, "--name", NAME]
    content["git"] = {"revision": None, "modified": None}
    content["config"]["runs_dir"] = "runs"
    content["language_model"]["name"] = content["config"]["lm"]
    return content


def main() -> None:
    """Record and write both files."""
    with tempfile.TemporaryDirectory() as folder:
        run = record(Path(folder))
        events = with_mishaps(read_lines(run.events))
        problems = [problem for event in events for problem in validate_event(event, PIPELINE)]
        assert not problems, problems
        lines = [json.dumps(event, separators=(",", ":")) + "\n" for event in events]
        (HERE / "console_run.jsonl").write_text("".join(lines), encoding="ascii")
        (HERE / "console_run.json").write_text(json.dumps(described(run), indent=2) + "\n", encoding="utf-8")


def _arc_tui(folder: Path, *words: str) -> None:
    subprocess.run(
        [ARC_TUI, *words],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
        stdout=subprocess.DEVNULL,
    )


def _until(seen: LogReader, wanted: Callable[[dict[str, Any]], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        if any(wanted(event) for event in seen.poll()):
            return
        time.sleep(0.01)
    raise TimeoutError("the run does not do what it is to be recorded for")


if __name__ == "__main__":
    main()
