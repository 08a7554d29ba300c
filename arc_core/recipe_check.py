"""Whether a recipe's runs keep what every run promises: a check for the tests of whoever writes one.

It trains a small run to its end, and others of the same settings that are stopped, killed with -9 in
mid-step and while a checkpoint is written, and that find the disk full or a checkpoint damaged. Each is
resumed, and must come to the same bits: weights, moments, random generators, and every number of every step.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from arc_core.base.environment import prepare
from arc_core.base.errors import RecipeError
from arc_core.base.paths import bytes_of, matching
from arc_core.run.checkpoint_index import STATE, list_checkpoints, problems_of, read_state
from arc_core.run.directory import RunDirectory, create_run
from arc_core.run.event_lines import content_of, validate_event
from arc_core.run.events import EventReader, drop_superseded
from arc_core.run.provenance import describe_run
from arc_core.run.recipes import declaration_of
from arc_core.run.resolving import resolve

SMALL: Mapping[str, object] = {
    **{"epochs": 2, "max_batches": 4, "threads": 1, "device": "cpu", "amp": "off", "validation_inputs": 2},
    **{"checkpoint_every": 2, "keep_checkpoints": 3, "sample_every": 3},
}
"""What the runs are trained with where nothing else is said: eight steps."""

MOST_SECONDS = 300.0
"""What one process may take."""

_TIMES = frozenset({"seq", "time", "pairs_per_second", "elapsed_seconds", "seconds"})
_OF_TRAINING = ("step", "epoch", "sample", "validation", "evidence")
_STATE_OF_TRAINING = ("position", "best", "trained", "optimizer", "system", "checkpoint_every", "schedule")


_AS_PROCESS = (
    "import sys; from pathlib import Path; from arc_core.recipe_check import train_under; "
    "sys.exit(train_under(sys.argv[2], Path(sys.argv[1])))"
)


@dataclass
class RecipeCheck:
    """What a check has found to hold.

    Attributes:
        recipe: Its name.
        steps: How many steps its runs have.
        kept: What was tried and kept its promise, a sentence each.
    """

    recipe: str
    steps: int = 0
    kept: list[str] = field(default_factory=list[str])


def check_recipe(recipe: str, folder: Path, options: Mapping[str, object] | None = None) -> RecipeCheck:
    """Train a recipe's runs in processes of their own and hold what comes of them against each other.

    Args:
        recipe: Its name, or package.module:Class; it must be importable in a new process.
        folder: An empty folder for the runs.
        options: Settings over `SMALL`, as `--set` takes them; the run needs at least six steps.

    Returns:
        What was tried; every promise held.

    Raises:
        ArcError: If a setting is refused.
        RecipeError: At the first promise that is not kept; says which, and what came of the process.
    """
    return _Checking(recipe, folder, {**SMALL, **(options or {})}).all()


class _Checking:
    def __init__(self, recipe: str, folder: Path, options: Mapping[str, object]) -> None:
        self._found = RecipeCheck(recipe)
        self._folder = folder
        flags = {"recipe": recipe, "runs_dir": str(folder), **options}
        self._config = resolve({name: str(value) for name, value in flags.items()})

    def all(self) -> RecipeCheck:
        """Try everything."""
        whole = self._whole()
        last = self._found.steps
        middle, late = last // 2, last - 1
        self._stopped(whole, middle)
        self._killed(whole, [f"moved:{middle - 1}", "writing:1", f"told:{late}", f"moved:{last}"])
        self._full(whole)
        self._damaged(whole, middle)
        return self._found

    def _whole(self) -> RunDirectory:
        run = self._new("whole")
        self._train(run, "none", 0)
        events = _lines(run)
        declared = declaration_of(run.read())
        for event in events:
            problems = [p for p in validate_event(event, declared) if not p.endswith(": missing")]
            if problems:
                self._fail(run, f"the {event.get('type')} event is not of its form: {problems[0]}")
        steps = [event for event in events if event["type"] == "step"]
        self._found.steps = len(steps)
        if len(steps) < 6:
            self._fail(run, f"the run has {len(steps)} steps; the check needs at least 6")
        if events[-1].get("reason") != "completed":
            self._fail(run, f"it ended with {events[-1].get('reason')!r}")
        self._found.kept.append(f"a whole run of {len(steps)} steps, every event of its form")
        return run

    def _stopped(self, whole: RunDirectory, middle: int) -> None:
        """Stop a run, have its state refused where it does not fit, and let it go on."""
        run = self._new("stopped")
        self._train(run, f"stop:{middle}", 0)
        self._train(run, "foreign", 2)
        reason = str(_lines(run)[-1].get("reason", ""))
        if "cannot be used" not in reason or "Traceback" in run.engine_log.read_text(errors="replace"):
            self._fail(run, f"a state that does not fit is told as {reason!r}")
        self._found.kept.append(f"a state that does not fit is refused: {reason}")
        self._train(run, "none", 0)
        self._hold(run, whole, f"a stop after step {middle}")

    def _killed(self, whole: RunDirectory, plans: list[str]) -> None:
        """Kill one run again and again: its weights moved, a checkpoint half written, a step just told."""
        run = self._new("killed")
        for plan in plans:
            self._train(run, plan, -signal.SIGKILL)
            checkpoints = list_checkpoints(run.checkpoints)
            if broken := [problem for path in checkpoints for problem in problems_of(path)]:
                self._fail(run, f"after a kill at {plan} a checkpoint is broken: {broken[0]}")
        self._train(run, "none", 0)
        self._hold(run, whole, f"kills at {', '.join(plans)}")

    def _full(self, whole: RunDirectory) -> None:
        run = self._new("full")
        self._train(run, "full:1", 0)
        if not any(line["type"] == "checkpoint" and line["phase"] == "failed" for line in _lines(run)):
            self._fail(run, "a checkpoint that could not be written is not told")
        self._hold(run, whole, "a disk that was full at the first checkpoint")

    def _damaged(self, whole: RunDirectory, middle: int) -> None:
        run, what = self._new("damaged"), "a damaged newest checkpoint"
        self._train(run, f"stop:{middle}", 0)
        newest = list_checkpoints(run.checkpoints)[-1]
        file = max(matching(newest, "*.safetensors"), key=lambda path: bytes_of(path) or 0)
        content = bytearray(file.read_bytes())
        content[-1] ^= 1
        file.write_bytes(content)
        self._train(run, "none", 0)
        self._hold(run, whole, what)

    def _hold(self, run: RunDirectory, whole: RunDirectory, what: str) -> None:
        """Hold a run against the uninterrupted one, bit for bit."""
        mine, theirs = (list_checkpoints(each.checkpoints)[-1] for each in (run, whole))
        files = [{path.relative_to(at) for path in matching(at, "**/*.safetensors")} for at in (mine, theirs)]
        if files[0] != files[1]:
            self._fail(run, f"after {what} its checkpoint has other files")
        for file in sorted(files[0]):
            if (mine / file).read_bytes() != (theirs / file).read_bytes():
                self._fail(run, f"after {what} {file} is not that of the uninterrupted run")
        states = [read_state(at) for at in (mine, theirs)]
        for name in _STATE_OF_TRAINING:
            if states[0].get(name) != states[1].get(name):
                self._fail(run, f"after {what} {name} in {STATE} is not that of the uninterrupted run")
        told, expected = (_told(each) for each in (run, whole))
        for one, other in zip(told, expected, strict=False):
            if one != other:
                different = [name for name in other if one.get(name) != other[name]]
                at = f"{other['type']} {other.get('step', other.get('epoch'))}"
                self._fail(run, f"after {what} {at} tells another {', '.join(different) or 'event'}")
        if len(told) != len(expected):
            self._fail(run, f"after {what} it tells {len(told)} events of training, not {len(expected)}")
        self._found.kept.append(what)

    def _new(self, name: str) -> RunDirectory:
        return create_run(self._folder, name, describe_run(self._config, ["check_recipe"]))

    def _train(self, run: RunDirectory, plan: str, code: int) -> None:
        """Be its training process once, under a plan, and expect an exit code."""
        with run.engine_log.open("ab") as log:
            done = subprocess.run(
                [sys.executable, "-c", _AS_PROCESS, run.path, plan],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                timeout=MOST_SECONDS, check=False,
            )  # fmt: skip
        if done.returncode != code:
            self._fail(run, f"its process ended with {done.returncode}, not {code}, under the plan {plan}")

    def _fail(self, run: RunDirectory, what: str) -> None:
        said = run.engine_log.read_text(encoding="utf-8", errors="replace")[-2000:].strip()
        told = f" Its process said:\n{said}" if said else ""
        raise RecipeError(
            f"The recipe {self._found.recipe} does not keep its promise: {what} ({run.path}).{told}"
        )


def _lines(run: RunDirectory) -> list[dict[str, Any]]:
    """Return the lines of a log, which the process that wrote them has ended."""
    return [json.loads(line) for line in run.events.read_bytes().splitlines()]


def _told(run: RunDirectory) -> list[dict[str, object]]:
    """Return what a run tells of its training, without times."""
    counting = map(content_of, drop_superseded(list(EventReader(run.events))))
    return [
        {name: value for name, value in event.items() if name not in _TIMES}
        for event in counting
        if event["type"] in _OF_TRAINING
    ]


# The process that is interrupted


def _interrupt(plan: str) -> None:
    """Have this process interrupted as a plan says, once it trains."""
    from arc_core.checkpoints.persistence import CheckpointFolder
    from arc_core.training.loop import TrainingLoop
    from arc_core.training.recipe import Step

    kind, _, number = plan.partition(":")
    tell = TrainingLoop._tell_step
    fill = CheckpointFolder._fill
    calls = 0

    def told(loop: TrainingLoop, step: Step) -> None:
        at = loop.progress.step + 1 == int(number)
        if at and kind == "moved":
            os.kill(os.getpid(), signal.SIGKILL)
        tell(loop, step)
        if at and kind == "told":
            os.kill(os.getpid(), signal.SIGKILL)
        if at and kind == "stop":
            loop.control.ask_to_stop("stopped by the check")

    def filled(folder: CheckpointFolder, at: Path, snapshot: Any, linked: Any) -> frozenset[str]:
        nonlocal calls
        calls += 1
        if calls == int(number) and kind == "full":
            raise OSError(28, "No space left on device")
        if calls == int(number) and kind == "writing":
            halves = dict(list(snapshot.files.items())[: len(snapshot.files) // 2])
            for path in halves:
                (at / path).parent.mkdir(exist_ok=True)
                (at / path).write_bytes(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
        return fill(folder, at, snapshot, linked)

    if kind in ("moved", "told", "stop"):
        vars_of: Any = TrainingLoop
        vars_of._tell_step = told
    elif kind in ("writing", "full"):
        vars_of = CheckpointFolder
        vars_of._fill = filled
    elif kind == "foreign":
        _forget_a_tensor()


def _forget_a_tensor() -> None:
    """Have every file of tensors read without its first one, as one of another architecture is."""
    from arc_core.checkpoints import restoring

    read: Callable[[Path], Any] = restoring.read_tensors

    def lacking(path: Path) -> Any:
        tensors, aliases = read(path)
        return dict(list(tensors.items())[1:]), aliases

    where: Any = restoring
    where.read_tensors = lacking


def train_under(plan: str, run: Path) -> int:
    """Be the training process of a run, interrupted as a plan says; returns its exit code."""
    prepare()
    _interrupt(plan)
    from arc_core.process import main

    return main(run)
