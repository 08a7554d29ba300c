"""A whole run of a few quick steps in the test's own process, for tests of what surrounds the steps."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from raw_events import Line, read_lines

from arc_core.pipeline.config import PipelineConfig
from arc_core.run.checkpoint_index import MANIFEST, FileEntry, digest, manifest_text
from arc_core.run.directory import RunDirectory, RunLock, config_of, create_run
from arc_core.run.events import EventWriter, next_seq
from arc_core.run.provenance import describe_run
from arc_core.run.recipes import recipe_class
from arc_core.training.loop import TrainingLoop
from arc_core.training.progress import Progress

SMALL: dict[str, Any] = {
    **{"hidden_dim": 16, "prompt_dim": 16, "memory_capacity": 8, "max_steps": 2, "batch_size": 2},
    **{"device": "cpu", "amp": "off", "threads": 1, "validate_on": "none"},
}
"""12 pairs in batches of 2, so 6 steps an epoch of about 30 ms each; 2 MB a checkpoint."""

NOT_MEASURED = {"type", "seq", "time", "pairs_per_second", "elapsed_seconds"}
"""What two runs that are the same need not agree on in a step."""


def write_tasks(folder: Path, ids: tuple[str, ...] = ("a", "b", "c", "d", "e", "f")) -> Path:
    """Write a folder of tasks of two demonstrations and a test, all grids 3 by 3."""
    folder.mkdir()
    for number, name in enumerate(ids):
        one = [[(number + row + column) % 10 for column in range(3)] for row in range(3)]
        two = [[(number + 2 * row + column) % 10 for column in range(3)] for row in range(3)]
        pairs = [{"input": one, "output": two}, {"input": two, "output": one}]
        (folder / f"{name}.json").write_text(json.dumps({"train": pairs, "test": pairs[:1]}))
    return folder


def small_config(folder: Path, **settings: Any) -> PipelineConfig:
    """A configuration for `folder/tasks`, which is made if need be; runs go into `folder/runs`."""
    tasks = folder / "tasks"
    if not tasks.exists():
        write_tasks(tasks)
    chosen = SMALL | {"dataset": str(tasks), "runs_dir": str(folder / "runs"), "epochs": 1} | settings
    return PipelineConfig.from_mapping(chosen)


def new_run(folder: Path, name: str = "a", **settings: Any) -> RunDirectory:
    """A run that has not begun."""
    config = small_config(folder, name=name, **settings)
    return create_run(folder / "runs", name, describe_run(config, ["arc-tui", "train"]))


@contextlib.contextmanager
def opened(run: RunDirectory) -> Iterator[TrainingLoop]:
    """The run's trainer, at step 0 or resumed, while the lock is held.

    The steps are so quick that checkpoints would be owed; here each is written before the next step.
    """
    config = config_of(run)
    with RunLock(run), EventWriter(run.events, next_seq(run.events)) as events:
        trainer = TrainingLoop(run, config, events, recipe_class(config.recipe))
        is_due = trainer.saver.is_due

        def punctual(progress: Progress) -> bool:
            trainer.saver.wait()
            return is_due(progress)

        vars(trainer.saver)["is_due"] = punctual
        try:
            yield trainer
        finally:
            trainer.saver.close()


def train(run: RunDirectory, prepare: Callable[[TrainingLoop], object] = lambda trainer: None) -> str:
    """Train a run to its end and return the reason for it.

    Args:
        run: A new one, or one to be resumed.
        prepare: Is given the trainer before the first step.
    """
    with opened(run) as trainer:
        prepare(trainer)
        return trainer.train()


def told(run: RunDirectory, kind: str) -> list[Line]:
    """The run's events of one type, superseded ones too."""
    return [event for event in read_lines(run.events) if event["type"] == kind]


def measured(events: list[Line]) -> dict[int, dict[str, Any]]:
    """What the steps among the events measured, by step; the last one counts."""
    steps = [event for event in events if event["type"] == "step"]
    return {step["step"]: {k: v for k, v in step.items() if k not in NOT_MEASURED} for step in steps}


def stop_after(trainer: TrainingLoop, step: int) -> None:
    """End the run at the boundary after a step, as a signal would."""
    emit = trainer.events.emit

    def watched(kind: str, /, **values: Any) -> Line:
        if kind == "step" and values["step"] == step:
            trainer.control.ask_to_stop(f"stopped after step {step}")
        return emit(kind, **values)

    vars(trainer.events)["emit"] = watched


def content_of(folder: Path) -> dict[str, tuple[bytes, int]]:
    """Bytes and modification time of every file below a folder, by path."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink()
    }


def give(run: RunDirectory, **settings: Any) -> None:
    """Give settings for the next resume, as `train --resume` notes them."""
    content, seq = run.read(), next_seq(run.events)
    config = content["config"]
    changes = [
        {"time": 0.0, "key": key, "old": config.get(key), "new": value, "seq": seq}
        for key, value in settings.items()
    ]
    run.update(config=config | settings, changes=[*content.get("changes", []), *changes])


def warned(run: RunDirectory, code: str) -> list[str]:
    """The sentences of the run's warnings of one kind."""
    return [event["message"] for event in told(run, "warning") if event["code"] == code]


def seal(checkpoint: Path) -> None:
    """Write the manifest anew, so that it fits what is there."""
    files = [path for path in checkpoint.rglob("*") if path.is_file() and path.name != MANIFEST]
    entries = [
        FileEntry(path.relative_to(checkpoint).as_posix(), path.stat().st_size, digest(path))
        for path in files
    ]
    (checkpoint / MANIFEST).write_bytes(manifest_text(entries))
