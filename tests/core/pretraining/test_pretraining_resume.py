"""A pretraining run is resumed by the same code as any other, and tells as much."""

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from raw_events import read_lines
from small_run import give, measured, seal, told, warned

from arc_core.base.errors import CheckpointError
from arc_core.pipeline.canvas import CanvasBatch, pack
from arc_core.pretraining.config import PretrainConfig
from arc_core.pretraining.recipe import PretrainingRecipe
from arc_core.run.checkpoint_index import STATE, list_checkpoints, read_state
from arc_core.run.directory import RunDirectory, RunLock, create_run
from arc_core.run.events import EventWriter, next_seq
from arc_core.run.provenance import describe_run
from arc_core.run.resolving import resolve
from arc_core.training.loop import TrainingLoop
from arc_core.training.progress import Progress
from arc_core.training.recipe import Step

SETTINGS: dict[str, Any] = {
    **{"preset": "solver", "device": "cpu", "threads": 1, "amp": "off", "epochs": 2, "batch_size": 4},
    **{"hidden_dim": 16, "prompt_dim": 16, "max_steps": 2, "schedule": "constant", "warmup_steps": 0},
}
IDS = tuple("abcd")


def write_tasks(folder: Path, ids: tuple[str, ...] = IDS) -> Path:
    """Write a folder of tasks of three demonstrations and a test, all grids 3 by 3."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(ids):
        grids = [
            [[(number + i * row + column) % 10 for column in range(3)] for row in range(3)] for i in range(5)
        ]
        pairs = [{"input": grids[i], "output": grids[i + 1]} for i in range(4)]
        (folder / f"{name}.json").write_text(json.dumps({"train": pairs[:3], "test": pairs[3:]}))
    return folder


def new_run(folder: Path, name: str = "a", **settings: Any) -> RunDirectory:
    tasks = write_tasks(folder / "tasks")
    config = resolve(SETTINGS | {"dataset": str(tasks), "name": name} | settings)
    return create_run(folder / "runs", name, describe_run(config, ["arc-tui", "train"]))


@contextlib.contextmanager
def opened(run: RunDirectory) -> Iterator[TrainingLoop]:
    config = PretrainConfig.from_mapping(run.read()["config"])
    with RunLock(run), EventWriter(run.events, next_seq(run.events)) as events:
        trainer = TrainingLoop(run, config, events, PretrainingRecipe)
        try:
            yield trainer
        finally:
            trainer.saver.close()


def train(run: RunDirectory, prepare: Callable[[TrainingLoop], object] = lambda trainer: None) -> str:
    with opened(run) as trainer:
        prepare(trainer)
        return trainer.train()


def stop_after(last: int) -> Callable[[TrainingLoop], None]:
    def prepare(trainer: TrainingLoop) -> None:
        step = trainer.recipe.step

        def watched(batch: Any, at: Progress) -> Step:
            if at.step == last - 1:
                trainer.control.ask_to_stop("enough")
            return step(batch, at)

        vars(trainer.recipe)["step"] = watched

    return prepare


@pytest.fixture
def stopped(tmp_path: Path) -> RunDirectory:
    """A run of 4 batches of 4 pairs an epoch, stopped after its second step."""
    run = new_run(tmp_path)
    assert train(run, stop_after(2)) == "enough"
    return run


def edit_state(run: RunDirectory, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the newest checkpoint's state.json."""
    checkpoint = list_checkpoints(run.checkpoints)[-1]
    state = read_state(checkpoint)
    change(state)
    (checkpoint / STATE).write_text(json.dumps(state))
    seal(checkpoint)


def test_its_batches_are_padded_to_few_canvases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[int, ...]] = []

    def watched(*arguments: Any) -> CanvasBatch:
        packed = pack(*arguments)
        seen.extend((packed.inputs.canvas, tuple(packed.targets.shape[1:])))
        return packed

    monkeypatch.setattr("arc_core.pretraining.recipe.pack", watched)
    train(new_run(tmp_path), stop_after(2))
    assert set(seen) == {(5, 5)}  # its grids are 3 by 3


def test_it_is_exact(tmp_path: Path, stopped: RunDirectory):
    whole = new_run(tmp_path, "whole")
    train(whole)
    train(stopped)
    assert measured(read_lines(stopped.events)) == measured(read_lines(whole.events))
    assert told(stopped, "warning") == []


def test_a_missing_entry_is_named(stopped: RunDirectory):
    edit_state(stopped, lambda state: state.pop("system"))
    with pytest.raises(CheckpointError, match=r"00000 cannot be used: state\.json: system is missing"):
        train(stopped)


def test_it_goes_on_in_float16_with_a_scale_of_its_own(stopped: RunDirectory):
    edit_state(stopped, lambda state: state["system"].pop("amp_dtype"))  # as earlier versions wrote it
    give(stopped, amp="float16")
    assert train(stopped, stop_after(3)) == "enough"
    assert told(stopped, "step")[-1]["amp"]["dtype"] == "float16"
    (message,) = warned(stopped, "options_changed")
    assert message.endswith("amp off is now float16.")


def test_a_stop_before_the_next_step_saves_nothing_again(stopped: RunDirectory):
    assert train(stopped, lambda trainer: trainer.control.ask_to_stop("at once")) == "at once"
    assert len(list_checkpoints(stopped.checkpoints)) == 1


def test_a_run_at_step_0_that_goes_on_from_a_checkpoint_holds_it(tmp_path: Path):
    run = new_run(tmp_path)
    train(run, lambda trainer: trainer.control.ask_to_stop("at once"))
    assert len(list_checkpoints(run.checkpoints)) == 1
    train(run, lambda trainer: trainer.control.ask_to_stop("at once"))
    assert len(list_checkpoints(run.checkpoints)) == 1


def test_a_skipped_step_is_told(stopped: RunDirectory):
    def spoil(trainer: TrainingLoop) -> None:
        stop_after(3)(trainer)
        with torch.no_grad():
            next(trainer.recipe.models.net.parameters()).fill_(torch.nan)

    train(stopped, spoil)
    (message,) = warned(stopped, "nonfinite")
    assert message.startswith("Step 3 was skipped: not finite in consistency")


@pytest.mark.parametrize("size", [1, 6])
def test_another_batch_size_in_mid_epoch_trains_each_pair_once(stopped: RunDirectory, size: int):
    give(stopped, batch_size=size, epochs=1)
    keys: list[tuple[str, int]] = []

    def watch(trainer: TrainingLoop) -> None:
        assert trainer.progress.trained is not None
        keys.extend(trainer.progress.trained.before | trainer.progress.trained.since)
        step = trainer.recipe.step

        def watched(batch: Any, at: Progress) -> Step:
            keys.extend(trainer.recipe.keys_of(batch))
            return step(batch, at)

        vars(trainer.recipe)["step"] = watched

    assert train(stopped, watch) == "completed"
    assert sorted(keys) == [(task, pair) for task in IDS for pair in range(4)]


def test_a_task_in_the_place_of_another_does_not_inherit_its_prompt(tmp_path: Path, stopped: RunDirectory):
    (tmp_path / "tasks" / "b.json").rename(tmp_path / "tasks" / "x.json")
    with pytest.raises(CheckpointError, match=r"1 are gone from the data \(b\); 1 are new in it \(x\)"):
        train(stopped)


def test_another_architecture_is_named(stopped: RunDirectory):
    give(stopped, agent_options="context_dim=8")
    with pytest.raises(CheckpointError, match="its architecture has context_dim 16, the run now 8"):
        train(stopped)
