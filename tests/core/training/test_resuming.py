"""A run goes on from what its checkpoint holds, trains each pair once an epoch, and says what differs."""

import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hub_cache import COMMIT, QWEN, qwen_in_hub_cache  # noqa: F401
from raw_events import read_lines
from safetensors.torch import load_file, save_file
from small_run import give, measured, new_run, opened, seal, stop_after, told, train, warned, write_tasks

from arc_core.base.errors import ArcError
from arc_core.pipeline.language_model import LanguageModel
from arc_core.run.branch import find_source, make_branch
from arc_core.run.checkpoint_index import STATE, list_checkpoints, read_state
from arc_core.run.directory import RunDirectory
from arc_core.run.events import next_seq
from arc_core.training.loop import TrainingLoop
from arc_core.training.progress import LATER, Progress
from arc_core.training.recipe import Step

EPOCH = {(task, pair) for task in "abcdef" for pair in (0, 1)}


def trained_pairs(run: RunDirectory, until: int | None = None) -> tuple[list[tuple[str, int]], list[int]]:
    """Train to the end or to a step; the pairs in the order of their training, and the batches' numbers."""
    pairs: list[tuple[str, int]] = []

    def watch(trainer: TrainingLoop) -> None:
        step = trainer.recipe.step

        def watched(batch: list[int], at: Progress) -> Step:
            pairs.extend(trainer.recipe.keys_of(batch))
            return step(batch, at)

        vars(trainer.recipe)["step"] = watched
        if until is not None:
            stop_after(trainer, until)

    before = next_seq(run.events)
    train(run, watch)
    return pairs, [event["batch"] for event in told(run, "step") if event["seq"] >= before]


def make_older(run: RunDirectory) -> None:
    """Take out of the newest checkpoint what earlier versions did not write."""
    checkpoint = list_checkpoints(run.checkpoints)[-1]
    state = {name: part for name, part in read_state(checkpoint).items() if name not in LATER}
    (checkpoint / STATE).write_text(json.dumps(state))
    seal(checkpoint)


@pytest.mark.parametrize("lm_train", ["full", "lora", "frozen"])
@pytest.mark.parametrize("gone", ["moved", "another model", "no tokenizer"])
def test_a_run_goes_on_bit_for_bit_with_the_language_model_that_its_checkpoint_holds(
    tmp_path: Path, lm_train: str, gone: str
):
    lm = tmp_path / "lm"
    LanguageModel.load("tiny").save(lm)
    whole = new_run(tmp_path, "whole", lm=str(lm), lm_train=lm_train, max_batches=4)
    train(whole)
    parts = new_run(tmp_path, "parts", lm=str(lm), lm_train=lm_train, max_batches=4)
    train(parts, lambda trainer: stop_after(trainer, 2))
    if gone == "moved":
        lm.rename(tmp_path / "elsewhere")
    elif gone == "no tokenizer":
        (lm / "tokenizer.json").unlink()
    else:
        weights = load_file(lm / "model.safetensors")
        save_file({k: 0 * v for k, v in weights.items()}, lm / "model.safetensors", {"format": "pt"})
    train(parts)
    assert measured(read_lines(parts.events)) == measured(read_lines(whole.events))
    assert parts.read()["language_model"] == whole.read()["language_model"]
    assert warned(parts, "options_changed") == []


def test_a_run_without_a_checkpoint_still_needs_its_language_model(tmp_path: Path):
    run = new_run(tmp_path, lm=str(tmp_path / "lm"))
    with pytest.raises(ArcError, match="there is no language model"), opened(run):
        pass


@pytest.mark.parametrize(("size", "numbers"), [(6, [3]), (1, [20, 21, 22, 23]), (2, [10, 11])])
def test_another_batch_size_in_mid_epoch_trains_each_pair_once_and_counts_to_the_epochs_last_batch(
    tmp_path: Path, size: int, numbers: list[int]
):
    tasks = write_tasks(tmp_path / "tasks", tuple("abcdefghijkl"))
    run = new_run(tmp_path, dataset=str(tasks))
    before, _ = trained_pairs(run, until=10)
    give(run, batch_size=size)
    rest, batches = trained_pairs(run)
    assert len(before) == 20
    assert Counter(before + rest) == Counter((task, pair) for task in "abcdefghijkl" for pair in (0, 1))
    assert batches == numbers
    plan = run.read()["plan"]
    assert (plan["batches_per_epoch"], plan["total_steps"]) == (24 // size, 10 + len(numbers))


def test_batch_sizes_may_change_as_often_as_the_run_is_resumed(tmp_path: Path):
    run = new_run(tmp_path, epochs=2)
    pairs: list[tuple[str, int]] = []
    for step, size in ((1, 2), (3, 1), (4, 5), (4, 3), (5, 3)):
        give(run, batch_size=size)
        pairs += trained_pairs(run, until=step)[0] if step > len(measured(read_lines(run.events))) else []
    give(run, batch_size=4)
    pairs += trained_pairs(run)[0]
    assert Counter(pairs[:12]) == Counter(EPOCH)
    assert Counter(pairs[12:]) == Counter(EPOCH)


def test_what_is_left_of_an_epoch_is_planned_once_so_that_a_second_resume_repeats_it(tmp_path: Path):
    runs = [new_run(tmp_path, name, epochs=2) for name in ("whole", "parts")]
    for run in runs:
        train(run, lambda trainer: stop_after(trainer, 2))
        give(run, batch_size=1)
    train(runs[0])
    train(runs[1], lambda trainer: stop_after(trainer, 5))
    train(runs[1])
    assert measured(read_lines(runs[0].events)) == measured(read_lines(runs[1].events))
    assert len(measured(read_lines(runs[0].events))) == 2 + 8 + 12


@pytest.mark.parametrize(("most", "left"), [(5, 3), (2, 0), (None, 4)])
def test_a_limit_of_batches_given_in_mid_epoch_counts_those_that_were_trained(
    tmp_path: Path, most: int | None, left: int
):
    run = new_run(tmp_path, max_batches=4)
    before, _ = trained_pairs(run, until=2)
    give(run, max_batches=most)
    rest, batches = trained_pairs(run)
    assert batches == list(range(2, 2 + left))
    assert len({*before, *rest}) == len(before) + len(rest) == 4 + 2 * left


@pytest.mark.parametrize("size", [2, 3])
def test_a_checkpoint_of_an_earlier_version_knows_its_place_by_the_batch(tmp_path: Path, size: int):
    run = new_run(tmp_path)
    before, _ = trained_pairs(run, until=2)
    make_older(run)
    give(run, batch_size=size)
    rest, _ = trained_pairs(run)
    assert Counter(before + rest) == Counter(EPOCH)


@pytest.mark.parametrize("setting", [{"seed": 7}, {"augment": False}])
def test_an_epoch_goes_on_with_the_pairs_that_are_left_under_another_order(
    tmp_path: Path, setting: dict[str, Any]
):
    run = new_run(tmp_path)
    before, _ = trained_pairs(run, until=4)
    give(run, **setting)
    rest, _ = trained_pairs(run)
    assert Counter(before + rest) == Counter(EPOCH)
    ((name, value),) = setting.items()
    (message,) = warned(run, "options_changed")
    old = {"seed": 42, "augment": True}[name]
    assert message.endswith(f"than its checkpoint's: {name} {old} is now {value}.")


def test_changed_data_is_told_with_what_differs_and_its_pairs_are_still_trained_once(tmp_path: Path):
    tasks = write_tasks(tmp_path / "tasks")
    run = new_run(tmp_path, dataset=str(tasks))
    before, _ = trained_pairs(run, until=5)
    content = json.loads((tasks / "b.json").read_text())
    content["train"][0]["output"][0][0] = 9
    (tasks / "b.json").write_text(json.dumps(content))
    shutil.copy(tasks / "c.json", tasks / "c2.json")
    rest, _ = trained_pairs(run)
    (message,) = warned(run, "data_changed")
    assert message.endswith("trained on before: of its tasks 1 added (c2), 1 changed (b).")
    assert Counter(before + rest) == Counter(EPOCH | {("c2", 0), ("c2", 1)})


def test_data_that_was_moved_is_asked_for_by_its_option_and_is_the_same_in_its_new_place(tmp_path: Path):
    tasks = write_tasks(tmp_path / "tasks")
    run = new_run(tmp_path, dataset=str(tasks))
    train(run, lambda trainer: stop_after(trainer, 3))
    tasks.rename(tmp_path / "moved")
    with pytest.raises(ArcError, match=r"tasks does not exist, .* --dataset PLACE\.$"), opened(run):
        pass
    give(run, dataset=str(tmp_path / "moved"))
    assert train(run) == "completed"
    assert warned(run, "data_changed") == []
    assert len(measured(read_lines(run.events))) == 6


@pytest.mark.parametrize("older", [False, True])
def test_the_best_mark_does_not_stand_against_other_validation_inputs(tmp_path: Path, older: bool):
    run = new_run(tmp_path, epochs=2, validate_on="training")
    train(run, lambda trainer: stop_after(trainer, 8))
    state = read_state(list_checkpoints(run.checkpoints)[-1])
    assert state["best"] != []
    if older:
        make_older(run)
    with opened(run) as trainer:
        assert list(trainer.progress.best) == state["best"]
    give(run, validation_inputs=2)
    with opened(run) as trainer:
        assert trainer.progress.best == ()
    (message,) = warned(run, "best_reset")
    assert "was on other inputs" in message


def test_a_schedule_that_jumps_is_told_with_both_rates(tmp_path: Path):
    run = new_run(tmp_path, epochs=2, schedule="cosine", agent_lr=1e-3)
    assert train(run) == "completed"
    give(run, epochs=6)
    with opened(run):
        pass
    (message,) = warned(run, "schedule_jumps")
    # Of 36 steps 12 are a third: cos(pi / 3) leaves three quarters, and the next step a little less.
    assert "agent_lr was 0 at step 12 (cosine, warm-up 0, over 12 steps)" in message
    assert "is 0.000711 at step 13 (cosine, warm-up 0, over 36 steps)" in message


def test_a_schedule_that_goes_on_is_not_told(tmp_path: Path):
    run = new_run(tmp_path, epochs=2, schedule="cosine", warmup_steps=3)
    train(run, lambda trainer: stop_after(trainer, 7))
    train(run)
    assert [event["code"] for event in told(run, "warning")] == []


def test_weight_decay_given_on_resuming_holds(tmp_path: Path):
    run = new_run(tmp_path)
    train(run, lambda trainer: stop_after(trainer, 3))
    give(run, weight_decay=0.5)
    with opened(run) as trainer:
        assert {group["weight_decay"] for group in trainer.system.optimizer.param_groups} == {0.5}
    (message,) = warned(run, "options_changed")
    assert "weight_decay 1e-06 is now 0.5" in message


def test_a_rate_that_is_given_is_told_as_what_it_was_and_is(tmp_path: Path):
    run = new_run(tmp_path, agent_lr=1e-3)
    train(run, lambda trainer: stop_after(trainer, 3))
    give(run, agent_lr=2e-3)
    with opened(run) as trainer:
        assert trainer.system.base_rates()["agent_lr"] == 2e-3
    (message,) = warned(run, "options_changed")
    assert "agent_lr 0.001 is now 0.002" in message


def test_a_branch_goes_on_without_the_language_model_and_knows_its_data(tmp_path: Path):
    lm = tmp_path / "lm"
    LanguageModel.load("tiny").save(lm)
    old = new_run(tmp_path, "old", lm=str(lm), max_batches=4)
    train(old, lambda trainer: stop_after(trainer, 2))
    shutil.rmtree(lm)
    made = {"config": old.read()["config"]}
    branch = make_branch(old, find_source(old), tmp_path / "runs", "new", made)
    assert branch.read()["dataset"] == old.read()["dataset"]
    assert train(branch) == "completed"
    assert branch.read()["language_model"] == old.read()["language_model"]
    assert told(branch, "warning") == []


def test_a_hub_model_whose_cache_was_emptied_is_not_asked_for_again(tmp_path: Path, qwen_in_hub_cache: Path):  # noqa: F811
    run = new_run(tmp_path, lm=QWEN, lm_train="frozen", max_batches=4)
    train(run, lambda trainer: stop_after(trainer, 2))
    before = run.read()["language_model"]
    shutil.rmtree(qwen_in_hub_cache.parents[2])
    assert train(run) == "completed"
    assert run.read()["language_model"] == before
    assert before["commit"] == COMMIT


def test_a_new_run_says_what_it_was_trained_on_before_its_first_checkpoint_and_not_sooner(tmp_path: Path):
    run, found = new_run(tmp_path, checkpoint_every=2), dict[int, list[bool]]()

    def watch(trainer: TrainingLoop) -> None:
        save, step = trainer.saver.save, trainer.recipe.step

        def saved(*args: Any, **kwargs: Any) -> None:
            found.setdefault(trainer.progress.step, []).append("seen" in run.read())
            save(*args, **kwargs)

        def stepped(batch: list[int], at: Progress) -> Step:
            found[at.step] = ["seen" in run.read()]
            return step(batch, at)

        vars(trainer.saver)["save"] = saved
        vars(trainer.recipe)["step"] = stepped

    train(run, watch)
    assert [found[step] for step in range(4)] == [[False], [False], [True], [True]]
    assert run.read()["seen"]["ids"] == list("abcdef")


def test_a_run_that_is_killed_before_its_first_checkpoint_says_what_it_went_on_with(tmp_path: Path):
    run = new_run(tmp_path)
    with opened(run):
        assert "seen" not in run.read()
    give(run, dataset=str(write_tasks(tmp_path / "others", ("x", "y"))))
    train(run)
    assert run.read()["seen"]["ids"] == ["x", "y"]
