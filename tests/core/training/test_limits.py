"""Limits that end a run early: minutes of training, and validations without a new best."""

import json
from pathlib import Path

import pytest
from small_run import give, new_run, seal, stop_after, told, train, warned

from arc_core.base.errors import ConfigError
from arc_core.run.checkpoint_index import STATE, list_checkpoints
from arc_core.training.loop import TrainingLoop


def at_step(trainer: TrainingLoop, step: int, minutes: float) -> None:
    """Let the clock say, from a step on, that so many minutes have been trained."""
    emit = trainer.events.emit

    def watched(kind: str, /, **values):
        if kind == "step" and values["step"] == step:
            trainer.pace._started -= 60 * minutes
        return emit(kind, **values)

    vars(trainer.events)["emit"] = watched


def never_better(trainer: TrainingLoop) -> None:
    trainer.progress.best = (10**6, 1.0)


def steps_of(run) -> list[int]:
    return [event["step"] for event in told(run, "step")]


def test_a_run_ends_saved_at_the_step_where_its_minutes_are_trained(tmp_path: Path):
    run = new_run(tmp_path, epochs=3, max_minutes=30)
    assert train(run, lambda trainer: at_step(trainer, 4, 31)) == (
        "stopped after 30 minutes of training (max_minutes)"
    )
    assert steps_of(run) == [1, 2, 3, 4]
    assert told(run, "checkpoint")[-1]["step"] == 4


def test_minutes_count_over_resumes_and_a_larger_limit_goes_on_without_a_warning(tmp_path: Path):
    run = new_run(tmp_path, epochs=1, max_minutes=30)
    train(run, lambda trainer: at_step(trainer, 2, 31))
    assert train(run) == "stopped after 30 minutes of training (max_minutes)"
    assert steps_of(run) == [1, 2], "the minutes of the first process count in the second"
    give(run, max_minutes=60)
    assert train(run) == "completed"
    assert steps_of(run) == [1, 2, 3, 4, 5, 6]
    assert warned(run, "options_changed") == []


def test_a_run_whose_minutes_are_over_after_its_last_step_is_completed(tmp_path: Path):
    run = new_run(tmp_path, epochs=1, max_minutes=30, validate_on="training")
    assert train(run, lambda trainer: at_step(trainer, 6, 31)) == "completed"
    assert len(told(run, "validation")) == 1


def test_patience_ends_a_run_after_so_many_validations_without_a_new_best(tmp_path: Path):
    run = new_run(tmp_path, epochs=9, patience=2, validate_on="training")
    assert train(run, never_better) == "stopped after 2 validations without a new best (patience)"
    assert [event["step"] for event in told(run, "validation")] == [6, 12]


def test_patience_is_kept_by_a_resume(tmp_path: Path):
    run = new_run(tmp_path, epochs=9, patience=2, validate_on="training")

    def stopped(trainer: TrainingLoop) -> None:
        never_better(trainer)
        stop_after(trainer, 8)

    train(run, stopped)
    assert train(run) == "stopped after 2 validations without a new best (patience)"
    assert [event["step"] for event in told(run, "validation")] == [6, 12]


def test_a_new_best_makes_patience_count_anew(tmp_path: Path):
    run = new_run(tmp_path, epochs=5, patience=2, validate_on="training")

    def turns(trainer: TrainingLoop) -> None:
        validate = trainer.recipe.validate

        def beaten(go_on):
            found = validate(go_on)
            trainer.progress.best = (0.0, -1.0) if trainer.progress.epoch == 1 else (10**6, 1.0)
            return found

        vars(trainer.recipe)["validate"] = beaten

    assert train(run, turns) == "stopped after 2 validations without a new best (patience)"
    assert len(told(run, "validation")) == 4, "worse, best, worse, worse"


def test_patience_without_validations_is_refused(tmp_path: Path):
    run = new_run(tmp_path, patience=2)
    with pytest.raises(ConfigError, match="patience counts validations, and this run has none"):
        train(run)


def test_a_checkpoint_of_before_patience_begins_to_count(tmp_path: Path):
    run = new_run(tmp_path, epochs=2, patience=1, validate_on="training")
    train(run, lambda trainer: stop_after(trainer, 3))
    (checkpoint,) = list_checkpoints(run.checkpoints)
    state = json.loads((checkpoint / STATE).read_text())
    state["validated_at"] = state["validated_at"][0]
    (checkpoint / STATE).write_text(json.dumps(state))
    seal(checkpoint)
    assert train(run, never_better) == "stopped after a validation without a new best (patience)"
