"""What `arc-tui train` starts from: a run made, reopened or branched, and the words for how it ended."""

from __future__ import annotations

import dataclasses
import shlex
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from arc_core.base.errors import ConfigError, RunError
from arc_core.base.extras import require
from arc_core.base.options import Value, settings_of
from arc_core.base.paths import full_path
from arc_core.base.text import cause, printable
from arc_core.run.branch import find_source, make_branch
from arc_core.run.checkpoint_index import checkpoint_id, find_checkpoint, list_checkpoints
from arc_core.run.commands import changeable
from arc_core.run.config import LAUNCH_OPTIONS, TrainConfig
from arc_core.run.course import GO_ON_FROM, settings_then
from arc_core.run.declared import Declared
from arc_core.run.directory import (
    RunDirectory,
    config_of,
    create_run,
    open_run,
    refuse_if_alive,
    refuse_if_gone,
)
from arc_core.run.event_forms import StepEvent
from arc_core.run.events import EventReader, next_seq
from arc_core.run.outlined import outlined
from arc_core.run.provenance import describe_run
from arc_core.run.recipes import declaration_of
from arc_core.run.resolving import explicit_values, launch_options, resolve
from arc_tui.runs.engine import Outcome, last_lines

DYING_HOLDER_SECONDS = 10.0


@dataclasses.dataclass(frozen=True)
class Begin:
    """Training that is to begin at a checkpoint.

    Attributes:
        run: Name of the run.
        checkpoint: Id of the checkpoint.
        branch: Name of the new run; None where the run itself goes on.
    """

    run: str
    checkpoint: int
    branch: str | None = None

    def flags(self) -> dict[str, object]:
        """Return it as `prepare` takes options."""
        branch = {"branch": self.branch} if self.branch is not None else {}
        return {"resume": self.run, "checkpoint": str(self.checkpoint), **branch}


@dataclasses.dataclass
class Launch:
    """A run that is ready to be started, and how to put back what was before if its input is refused."""

    run: RunDirectory
    config: TrainConfig
    resumed: bool
    put_back: Callable[[], None]

    def __post_init__(self) -> None:
        self._since = EventReader(self.run.events, from_end=True)

    def undo(self) -> None:
        """Put back what was before, unless the run has been trained since: of that nothing may be lost."""
        if not any(isinstance(event, StepEvent) for event in outlined(self._since)):
            self.put_back()


def configuration(flags: Mapping[str, object], file: Path | None) -> TrainConfig:
    """Resolve the configuration as `train` would take it: a resumed run's own, with what was given over it.

    Raises:
        ConfigError: If a value is refused.
        RunError: If the run to resume cannot be found.
    """
    asked = launch_options(flags, file)
    return resolve(flags, file) if asked.resume is None else _reopened(flags, file, asked)[1]


def planned_batches(run: RunDirectory) -> int | None:
    """Return the batches of an epoch: `plan.batches_per_epoch`, noted in run.json by the training process."""
    batches = plan_of(run).get("batches_per_epoch")
    return batches if isinstance(batches, int) and batches > 0 else None


def declared_by(run: RunDirectory) -> Declared:
    """Return what a run's steps carry, as run.json says by now.

    Raises:
        RunError: If the run is gone, or its run.json is damaged.
    """
    refuse_if_gone(run)
    return declaration_of(run.read())


def plan_of(run: RunDirectory) -> dict[str, object]:
    """Return what the training process noted of the work ahead; empty before it has.

    Raises:
        RunError: If the run is gone, or its run.json is damaged.
    """
    refuse_if_gone(run)
    plan: object = run.read().get("plan")
    return cast("dict[str, object]", plan) if isinstance(plan, dict) else {}


def prepare(flags: Mapping[str, object], file: Path | None, argv: Sequence[str]) -> Launch:
    """Make the directory of a new run or of a branch, or reopen that of the one to resume.

    Args:
        flags: The options given on the command line.
        file: The config file, if one was given.
        argv: The command line, for run.json.

    Raises:
        ArcError: If anything about the input is refused; nothing has changed then.
    """
    asked = launch_options(flags, file)
    if not asked.prepare:  # which another machine may train
        require("Training", "train")
    if asked.resume is None:
        for name in ("checkpoint", "branch"):
            if getattr(asked, name) is not None:
                raise ConfigError(f"{name} goes with resume: name the run by --resume RUN.")
        return _create(resolve(flags, file), argv)
    if asked.branch is not None:
        return _branch(asked, flags, file, argv)
    return _reopen(asked, flags, file)


def _create(config: TrainConfig, argv: Sequence[str]) -> Launch:
    run = create_run(Path(config.runs_dir), config.name, describe_run(_placed(config), argv))
    return Launch(run, config, resumed=False, put_back=run.remove)


def _placed(config: TrainConfig) -> TrainConfig:
    """Say in full where the folder of runs is, as run.json keeps it."""
    return dataclasses.replace(config, runs_dir=str(full_path(config.runs_dir)))


def _reopen(asked: TrainConfig, flags: Mapping[str, object], file: Path | None) -> Launch:
    run, config, changes = _reopened(flags, file, asked)
    refuse_if_alive(run, DYING_HOLDER_SECONDS)
    before = run.read()
    after = {key: value for key, value in before.items() if key != GO_ON_FROM}
    if asked.checkpoint is not None:
        after[GO_ON_FROM] = checkpoint_id(find_checkpoint(run.checkpoints, asked.checkpoint))
    if changes:
        numbered = _numbered(changes, next_seq(run.events))
        after |= {"config": _placed(config).to_dict(), "changes": [*before.get("changes", []), *numbered]}
    if after != before:
        run.write(after)
    return Launch(run, config, resumed=True, put_back=lambda: run.write(before))


def _branch(
    asked: TrainConfig, flags: Mapping[str, object], file: Path | None, argv: Sequence[str]
) -> Launch:
    old, config, changes = _reopened(flags, file, asked)
    source = find_source(old, asked.checkpoint)
    then = settings_then(old, config_of(old), source.last_seq)
    given = {change["key"] for change in changes}
    # Rates and intervals are the checkpoint's, as its optimizers hold them, unless they are given.
    kept = {key: getattr(then, key) for key in changeable(then.to_dict()) if key not in given}
    config = dataclasses.replace(
        config, **cast("dict[str, Any]", kept), name=asked.branch, resume=None, checkpoint=None, branch=None
    )
    differ = {*given, *(key for key in then.to_dict() if getattr(then, key) != getattr(config, key))}
    changes = _changes(then, config, sorted(differ - set(LAUNCH_OPTIONS)))
    made = describe_run(_placed(config), argv) | {"changes": _numbered(changes, source.last_seq + 1)}
    run = make_branch(old, source, Path(config.runs_dir), cast(str, asked.branch), made)
    return Launch(run, config, resumed=True, put_back=run.remove)


def _numbered(changes: list[dict[str, Any]], seq: int) -> list[dict[str, Any]]:
    """Give changes the number of the event that will follow them, which orders them among the events."""
    return [change | {"seq": seq} for change in changes]


def _reopened(
    flags: Mapping[str, object], file: Path | None, asked: TrainConfig
) -> tuple[RunDirectory, TrainConfig, list[dict[str, Any]]]:
    """Return a run with its own configuration and what was given over it, and the list of changes."""
    run = open_run(Path(asked.runs_dir), cast(str, asked.resume))
    old = config_of(run)
    given = explicit_values(flags, file, old.recipe)
    for key, own in (("recipe", old.recipe), ("preset", old.preset), ("name", run.name)):
        if given.get(key, own) != own:
            raise ConfigError(f"The resumed run has the {key} {own}; it cannot become {given[key]}.")
    if list_checkpoints(run.checkpoints):
        _refuse_what_is_held(run, old, given)
    # A command may have changed a setting meanwhile, of which the configuration does not say.
    live = changeable(old.to_dict())
    new: dict[str, Value] = {
        key: value
        for key, value in given.items()
        if key not in LAUNCH_OPTIONS and (key in live or value != getattr(old, key))
    }
    config = type(old).from_mapping(old.to_dict() | new | {"runs_dir": asked.runs_dir})
    return run, config, _changes(old, config, new)


def _changes(old: TrainConfig, new: TrainConfig, keys: Iterable[str]) -> list[dict[str, Any]]:
    """List changes of settings for run.json."""
    now = time.time()
    return [{"time": now, "key": k, "old": getattr(old, k), "new": getattr(new, k)} for k in keys]


def _refuse_what_is_held(run: RunDirectory, old: TrainConfig, given: dict[str, Value]) -> None:
    """Refuse settings that do not fit what a run's checkpoints hold."""
    for key, setting in settings_of(type(old)).items():
        own = getattr(old, key)
        asked = given.get(key, own)
        # As it was typed for the first time, whether or not it is still there.
        is_path = setting.path and asked not in setting.names
        if is_path and isinstance(asked, str) and str(full_path(asked)) == own:
            given[key] = asked = own
        if setting.held and asked != own:
            raise ConfigError(
                f"The checkpoints of {printable(run.name)} were trained with {key} {printable(str(own))} and "
                f"cannot go on with {printable(str(asked))}: leave {key} out, or begin a new run."
            )


def conclude(launch: Launch, outcome: Outcome, show_error: Callable[[str], None]) -> int:
    """Tell how a training process has ended, and return the exit code for it.

    Raises:
        RunError: If the process refused its input, or to go on; a new run without a step is gone again then.
    """
    refuse_if_gone(launch.run)
    if outcome.refusal is not None:
        launch.undo()
        raise RunError(outcome.refusal)
    if not outcome.crashed:
        return 0
    again = f"To go on: {_resume_command(launch)}"
    if outcome.stop_requests and outcome.returncode == -signal.SIGTERM:
        show_error("The run was stopped before it could save its state.")
        show_error(again)
        return 1
    show_error(f"Error: The training process ended unexpectedly, {cause(outcome.returncode)}.")
    lines = last_lines(launch.run)
    if lines:
        show_error(f"The last lines of {printable(str(launch.run.engine_log))}:")
    for line in lines:
        show_error(f"  {line}")
    show_error(again)
    return 1


def _resume_command(launch: Launch) -> str:
    return command_line(launch.config.runs_dir, "train", "--resume", launch.run.name)


def how_to_go_on(run: RunDirectory, runs_dir: str) -> list[str]:
    """Write what the user can do with a run that goes on without this process."""
    return [
        f"Run {printable(run.name)} goes on in the background.",
        f"To watch it: {command_line(runs_dir, 'attach', run.name)}",
        f"To stop it: {command_line(runs_dir, 'stop', run.name)}",
    ]


def command_line(runs_dir: str, *words: str) -> str:
    """Return a command of arc-tui as the user would type it, safe to print."""
    at_home = full_path(runs_dir) == full_path(TrainConfig().runs_dir)
    place = [] if at_home else ["--runs-dir", runs_dir]
    return printable(shlex.join(["arc-tui", *words, *place]))


def resuming(run: RunDirectory, checkpoint: int) -> str:
    """Return the command that goes on with a run from one of its checkpoints, safe to print."""
    words = ("train", "--resume", run.name, "--checkpoint", str(checkpoint))
    return command_line(str(run.path.parent), *words)
