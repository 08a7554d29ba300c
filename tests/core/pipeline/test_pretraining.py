"""Pretraining is the pipeline on other data: what it is trained on and validated on, and that it resumes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from generated_pairs import make_zip
from raw_events import read_lines
from small_run import give, measured, stop_after, told, train, warned

from arc_core.base.errors import CheckpointError, ConfigError, DataError
from arc_core.data.seen import SeenTasks
from arc_core.data.tasks import Pair, load_tasks
from arc_core.pipeline import batch as batches
from arc_core.pipeline import startup
from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.startup import ENOUGH, KEPT_FRESH, MOST_OF_TASK, RunData, load_data
from arc_core.run.checkpoint_index import list_checkpoints
from arc_core.run.directory import RunDirectory, create_run
from arc_core.run.provenance import describe_run
from arc_core.run.resolving import resolve
from arc_core.training.diagnostics import Finding
from arc_core.training.loop import TrainingLoop
from arc_core.training.progress import Progress
from arc_core.training.recipe import Step

SETTINGS: dict[str, Any] = {
    **{"preset": "solver", "device": "cpu", "threads": 1, "amp": "off", "epochs": 2, "batch_size": 4},
    **{"hidden_dim": 16, "prompt_dim": 16, "max_steps": 2, "schedule": "constant", "warmup_steps": 0},
}
IDS = tuple("abcd")
GENERATED = {"a": 8, "b": ENOUGH - 1, "c": 40}


def square(number: int, factor: int) -> list[list[int]]:
    return [[(number + factor * row + column) % 10 for column in range(3)] for row in range(3)]


def write_tasks(folder: Path) -> Path:
    """Write a folder of tasks of three demonstrations and a test, all grids 3 by 3."""
    folder.mkdir(exist_ok=True)
    for number, name in enumerate(IDS):
        pairs = [{"input": square(number, i), "output": square(number, i + 1)} for i in range(4)]
        (folder / f"{name}.json").write_text(json.dumps({"train": pairs[:3], "test": pairs[3:]}))
    return folder


def write_generated(path: Path) -> Path:
    """Write generated pairs, no two alike, of some of the tasks and of one that is none."""
    files = {
        f"re_arc/tasks/{name}.json": [
            {"input": [[i % 10, i // 10], [5, 6]], "output": [[i // 10, i % 10]]} for i in range(count)
        ]
        for name, count in (GENERATED | {"z": 9}).items()
    }
    return make_zip(path, files)


def config(folder: Path, **settings: Any) -> PipelineConfig:
    own = {"dataset": str(write_tasks(folder / "tasks")), "runs_dir": str(folder / "runs")}
    made = resolve(SETTINGS | own | settings)
    assert isinstance(made, PipelineConfig)
    return made


def data(folder: Path, **settings: Any) -> tuple[RunData, list[Finding]]:
    findings: list[Finding] = []
    return load_data(config(folder, **settings), findings.append), findings


def with_pairs(folder: Path, **settings: Any) -> RunData:
    return data(folder, extra_data=str(write_generated(folder / "x.zip")), **settings)[0]


def new_run(folder: Path, name: str = "a", **settings: Any) -> RunDirectory:
    extra = {"extra_data": str(write_generated(folder / "x.zip")), "name": name}
    return create_run(
        folder / "runs", name, describe_run(config(folder, **extra | settings), ["arc-tui", "train"])
    )


def trained_inputs(loaded: RunData) -> list[tuple[str, list[list[int]]]]:
    return [(example.task_id, example.input.tolist()) for example in loaded.dataset if not example.symmetry]


def test_the_presets_settings_are_the_default_runs_but_for_data_and_policy():
    pretraining, default = (resolve({"preset": preset}).to_dict() for preset in ("solver", "tiny"))
    assert {name for name, value in pretraining.items() if value != default[name]} == {
        *("preset", "dataset", "keep_away", "validate_on", "epochs", "batch_size", "warmup_steps"),
        *("lm_train", "vector_dropout", "refine", "policy_pairs", "judged_draws", "reward_weight"),
        *("hidden_dim", "answer_views"),
        *("validate_every", "checkpoint_every"),
    }


def test_fresh_pairs_are_answered_and_never_trained_on(tmp_path: Path):
    loaded = with_pairs(tmp_path, augment=False)
    fresh = [(example.task_id, example.input.tolist()) for example in loaded.answered]
    assert sorted({task for task, _ in fresh}) == ["a", "c"], "of b there are too few"
    assert len(fresh) == 2 * KEPT_FRESH
    trained = trained_inputs(loaded)
    assert not [one for one in fresh if one in trained]
    assert len(trained) == 4 * len(IDS) + sum(GENERATED.values()) - len(fresh)
    for example in loaded.answered:
        task = next(task for task in loaded.dataset.tasks.tasks if task.id == example.task_id)
        assert [pair.input.tolist() for pair in example.context] == [p.input.tolist() for p in task.train]


def test_they_are_kept_from_training_whatever_is_validated_on(tmp_path: Path):
    every = [trained_inputs(with_pairs(tmp_path, augment=False, validate_on=on)) for on in ("fresh", "none")]
    assert every[0] == every[1]


def test_test_pairs_are_trained_on_with_keep_away_alone(tmp_path: Path):
    tests = [(name, square(number, 3)) for number, name in enumerate(IDS)]
    assert [one for one in tests if one in trained_inputs(data(tmp_path, augment=False)[0])] == tests
    plain = data(tmp_path, augment=False, keep_away=False, validate_on="training")[0]
    assert not [one for one in tests if one in trained_inputs(plain)]
    assert [(example.task_id, example.input.tolist()) for example in plain.answered] == tests


@pytest.mark.parametrize("on", ["training", "evaluation"])
def test_what_is_trained_on_or_kept_for_evaluations_is_not_validated_on(tmp_path: Path, on: str):
    with pytest.raises(ConfigError, match=f"validate_on is {on}, but must be fresh or none with keep_away"):
        config(tmp_path, validate_on=on)


def test_nothing_of_a_task_that_is_kept_away_is_trained_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    kept = load_tasks("arcagi1", "evaluation").tasks[3]
    pair = max(kept.train, key=lambda pair: pair.input.size)
    disguised = [np.rot90(grid).tolist() for grid in (pair.input, pair.output)]
    content = [{"input": disguised[0], "output": disguised[1]}, {"input": [[1]], "output": [[2]]}]
    extra = make_zip(tmp_path / "x.zip", {"re_arc/tasks/a.json": content})
    loaded, _ = data(tmp_path, extra_data=str(extra))
    assert [pair.input.tolist() for pair in loaded.generated["a"]] == [[[1]]]
    (tmp_path / "tasks" / f"{kept.id}.json").write_text(
        json.dumps({part: [{"input": [[1]], "output": [[2]]}] for part in ("train", "test")})
    )
    (tmp_path / "tasks" / "other.json").write_text(json.dumps({"train": content[:1], "test": content[1:]}))
    loaded, _ = data(tmp_path, extra_data=str(extra))
    assert [task.id for task in loaded.dataset.tasks.tasks] == list(IDS)
    seen = SeenTasks.of(loaded.dataset.tasks.tasks)
    for dataset in ("arcagi1", "arcagi2"):
        assert seen.overlap(load_tasks(dataset, "evaluation").tasks) == []
    monkeypatch.setattr(startup, "without_kept_away", lambda tasks: ())
    with pytest.raises(DataError, match="every training task is one that keep_away leaves out"):
        data(tmp_path)


def test_without_generated_pairs_there_is_nothing_fresh_and_that_is_said(tmp_path: Path):
    loaded, (finding,) = data(tmp_path)
    assert loaded.answered == []
    assert (finding.code, finding.message.split(":")[0]) == (
        "no_validation",
        "There are no generated pairs to validate on",
    )


def test_a_limit_of_cells_holds_for_all_pairs(tmp_path: Path):
    loaded = with_pairs(tmp_path, small_cells=4)
    assert loaded.dataset.task_ids == list("abc")
    assert all(max(example.input.size, example.target.size) <= 4 for example in loaded.dataset)


def test_an_epoch_has_no_more_of_a_task_than_its_share(tmp_path: Path):
    assert with_pairs(tmp_path).dataset.most_of_task == MOST_OF_TASK
    assert data(tmp_path)[0].dataset.most_of_task is None


def test_a_run_that_is_stopped_and_resumed_is_exact(tmp_path: Path):
    whole, parts = (new_run(tmp_path, name) for name in ("whole", "parts"))
    train(whole)
    train(parts, lambda trainer: stop_after(trainer, 5))
    train(parts)
    assert measured(read_lines(parts.events)) == measured(read_lines(whole.events))
    assert told(parts, "warning") == []
    marks = [[{k: e[k] for k in ("exact", "cell_accuracy")} for e in told(run, "validation")]
             for run in (whole, parts)]  # fmt: skip
    assert marks[0] == marks[1] != []
    last = [list_checkpoints(run.checkpoints)[-1] for run in (parts, whole)]
    for name in ("agent", "task_prompts", "mean", "optimizer"):
        assert (last[0] / f"{name}.safetensors").read_bytes() == (
            last[1] / f"{name}.safetensors"
        ).read_bytes()


@pytest.mark.parametrize("size", [3, 8])
def test_another_batch_size_in_mid_epoch_trains_each_pair_once(tmp_path: Path, size: int):
    run = new_run(tmp_path)
    train(run, lambda trainer: stop_after(trainer, 5))
    give(run, batch_size=size, epochs=1)
    keys: list[tuple[str, int]] = []

    def watch(trainer: TrainingLoop) -> None:
        assert trainer.progress.trained is not None
        keys.extend(trainer.progress.trained.before | trainer.progress.trained.since)
        step = trainer.recipe.step

        def watched(batch: Any, at: Progress) -> Step:
            keys.extend(trainer.recipe.keys_of(batch))
            return step(batch, at)

        vars(trainer.recipe)["step"] = watched

    assert train(run, watch) == "completed"
    assert len(set(keys)) == len(keys)
    counts = {name: sum(task == name for task, _ in keys) for name in IDS}
    assert counts == {"a": 4 + 6, "b": 4 + 5, "c": MOST_OF_TASK, "d": 4}


def test_a_task_in_the_place_of_another_does_not_inherit_its_prompt(tmp_path: Path):
    run = new_run(tmp_path)
    train(run, lambda trainer: stop_after(trainer, 2))
    (tmp_path / "tasks" / "b.json").rename(tmp_path / "tasks" / "x.json")
    with pytest.raises(CheckpointError, match=r"1 are gone from the data \(b\); 1 are new in it \(x\)"):
        train(run)


def test_other_generated_pairs_on_resuming_are_told(tmp_path: Path):
    run = new_run(tmp_path)
    train(run, lambda trainer: stop_after(trainer, 2))
    pairs = [{"input": [[i % 10]], "output": [[i // 10]]} for i in range(20)]
    make_zip(tmp_path / "x.zip", {f"re_arc/tasks/{name}.json": pairs for name in "ac"})
    train(run, lambda trainer: stop_after(trainer, 3))
    (message,) = warned(run, "data_changed")
    assert message.startswith("The extra_data is not what the run was trained on before")


def test_its_batches_are_padded_to_few_canvases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    seen: set[tuple[int, ...]] = set()
    collate = batches.collate

    def watched(*arguments: Any) -> batches.Batch:
        made = collate(*arguments)
        seen.update((made.inputs.canvas, tuple(made.laid.targets.shape[1:])))
        return made

    monkeypatch.setattr("arc_core.pipeline.recipe.collate", watched)
    train(new_run(tmp_path, validate_on="none"), lambda trainer: stop_after(trainer, 6))
    assert seen <= {(side, other) for side in (2, 3, 5) for other in (2, 3, 5)}
    assert seen


def test_no_pair_is_a_stranger_to_its_task(tmp_path: Path):
    loaded = with_pairs(tmp_path)
    assert {name: len(pairs) for name, pairs in loaded.generated.items()} == GENERATED
    assert all(isinstance(pair, Pair) for pairs in loaded.further.values() for pair in pairs)
    assert [len(loaded.further[name]) for name in IDS] == [1 + 6, 1 + 5, 1 + 38, 1]
