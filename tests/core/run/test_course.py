"""A run that was sent back to an older checkpoint stays on its new course, whatever happens then."""

import json
from pathlib import Path
from typing import Any

import pytest
from raw_events import counting, read_lines
from small_run import measured, new_run, opened, stop_after, told, train

from arc_core.base.errors import CheckpointError, RunError
from arc_core.checkpoints.persistence import CheckpointFolder
from arc_core.run.checkpoint_index import list_checkpoints, read_state
from arc_core.run.course import GIVEN_UP, GO_ON_FROM, Timeline, give_up_what_follows
from arc_core.run.directory import RunDirectory
from arc_core.training.loop import TrainingLoop

RATE = 7e-3


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run of 12 steps with checkpoints 0 to 3 at steps 3, 6, 9 and 12; its rate was set after step 4."""
    made = new_run(tmp_path, checkpoint_every=3, epochs=2, agent_lr=1e-4)
    train(made, set_rate_after_step_4)
    assert positions(made) == {0: 3, 1: 6, 2: 9, 3: 12}
    return made


def set_rate_after_step_4(trainer: TrainingLoop) -> None:
    """As the command `set` would."""
    is_due = trainer.saver.is_due

    def watched(progress: Any) -> bool:
        if progress.step == 4:
            trainer.system.set_base_rate("agent_lr", RATE)
            values = {"id": "x", "command": "set", "old": {"agent_lr": 1e-4}, "new": {"agent_lr": RATE}}
            trainer.events.emit("command_applied", **values)
        return is_due(progress)

    vars(trainer.saver)["is_due"] = watched


def positions(run: RunDirectory) -> dict[int, int]:
    """Step of each checkpoint by its id."""
    states = [read_state(path) for path in list_checkpoints(run.checkpoints)]
    return {state["id"]: state["position"]["step"] for state in states}


def go_back(run: RunDirectory, number: int) -> None:
    """Ask for a checkpoint, as `--checkpoint` does."""
    run.update(**{GO_ON_FROM: number})


def start_and_crash(run: RunDirectory, step: int = 0) -> int | None:
    """Resume, train up to a step and end without saving; return the checkpoint that was taken."""
    with opened(run) as trainer:
        vars(trainer)["_save"] = lambda *_, **__: None
        vars(trainer.saver)["is_due"] = lambda progress: False
        if step:
            stop_after(trainer, step)
            trainer.train()
    return told(run, "resumed")[-1]["checkpoint"]


def agent_rates(run: RunDirectory) -> dict[int, float]:
    """The agent's rate in each step that still counts."""
    steps = [event for event in counting(read_lines(run.events)) if event["type"] == "step"]
    return {step["step"]: step["learning_rate"]["agent"] for step in steps}


def test_without_being_sent_back_the_newest_is_taken_and_nothing_noted(run: RunDirectory) -> None:
    assert start_and_crash(run) == 3
    assert GIVEN_UP not in run.read()
    assert Timeline.of(run) == Timeline()


def test_a_crash_before_the_first_new_checkpoint_does_not_bring_the_old_course_back(
    run: RunDirectory,
) -> None:
    go_back(run, 0)
    assert start_and_crash(run, step=5) == 0
    assert GO_ON_FROM not in run.read()
    assert start_and_crash(run) == 0, "a plain resume goes on from there, not from the newest"
    assert start_and_crash(run, step=4) == 0
    assert train(run) == "completed"
    assert positions(run)[max(positions(run))] == 12
    assert start_and_crash(run) == max(positions(run)) > 3
    steps = [event["step"] for event in counting(read_lines(run.events)) if event["type"] == "step"]
    assert steps == list(range(1, 13))


def test_settings_of_the_course_that_was_given_up_are_not_replayed(run: RunDirectory) -> None:
    assert agent_rates(run)[5] == RATE
    go_back(run, 0)
    start_and_crash(run, step=5)
    train(run)
    assert set(agent_rates(run).values()) == {1e-4}


def test_settings_made_before_the_checkpoint_gone_back_to_stay(run: RunDirectory) -> None:
    go_back(run, 1)
    train(run)
    rates = agent_rates(run)
    assert {step for step, rate in rates.items() if rate == RATE} == set(range(5, 13))


def test_a_setting_on_the_new_course_is_replayed_after_a_crash(run: RunDirectory) -> None:
    go_back(run, 0)
    start_and_crash(run)
    with opened(run) as trainer:
        new = {"agent_lr": 3e-3}
        trainer.events.emit("command_applied", id="y", command="set", old={"agent_lr": 1e-4}, new=new)
    train(run)
    assert {agent_rates(run)[step] for step in range(4, 13)} == {3e-3}


def test_the_new_course_repeats_the_old_one_to_the_bit_where_nothing_was_set(tmp_path: Path) -> None:
    run = new_run(tmp_path, checkpoint_every=3)
    train(run)
    before = measured(read_lines(run.events))
    go_back(run, 0)
    train(run)
    assert measured(counting(read_lines(run.events))) == before


def test_a_run_can_be_sent_back_again_also_to_a_course_it_had_given_up(run: RunDirectory) -> None:
    go_back(run, 0)
    start_and_crash(run)
    go_back(run, 2)
    assert start_and_crash(run) == 2, "who asks for it gets it"
    assert len(run.read()[GIVEN_UP]) == 2
    go_back(run, 1)
    assert train(run) == "completed"
    assert start_and_crash(run) == max(positions(run))


def test_a_checkpoint_that_is_not_there_is_refused_and_the_wish_stays(run: RunDirectory) -> None:
    go_back(run, 17)
    with pytest.raises(CheckpointError, match="There is no checkpoint 17; there is 0, 1, 2, 3"):
        start_and_crash(run)
    assert run.read()[GO_ON_FROM] == 17
    assert GIVEN_UP not in run.read()


def test_what_was_given_up_takes_no_place_of_what_counts_when_pruning(run: RunDirectory) -> None:
    run.update(config=run.read()["config"] | {"keep_checkpoints": 2})
    go_back(run, 0)
    with opened(run) as trainer:
        stop_after(trainer, 6)
        trainer.train()
    assert positions(run) == {0: 3, 3: 12, 4: 6}, "0 is what a damaged 4 would be replaced by"
    assert train(run) == "completed"
    assert set(positions(run)) == {5, 6}
    assert CheckpointFolder(run.checkpoints, keep=1).prune() == [run.checkpoints / "checkpoint_00005"]


@pytest.mark.parametrize(
    "content",
    [
        {GO_ON_FROM: "x"},
        {GO_ON_FROM: [1]},
        {GIVEN_UP: "all"},
        {GIVEN_UP: [{"checkpoints": [1, 2]}]},
        {GIVEN_UP: [{"checkpoints": [1], "seqs": [1, 2]}]},
        {GIVEN_UP: [{"checkpoints": ["a", "b"], "seqs": [1, 2]}]},
        {GIVEN_UP: [7]},
        {GIVEN_UP: 7},
        {GIVEN_UP: None},
    ],
    ids=json.dumps,
)
def test_a_damaged_note_is_refused_by_name(tmp_path: Path, content: dict[str, Any]) -> None:
    run = new_run(tmp_path)
    run.update(**content)
    with pytest.raises(RunError, match=r"run\.json is damaged: go_on_from or given_up"):
        Timeline.of(run)


def test_nothing_is_given_up_where_nothing_follows(run: RunDirectory) -> None:
    newest = list_checkpoints(run.checkpoints)[-1]
    go_back(run, 3)
    give_up_what_follows(run, newest, last_that_counts=50, last_seq=50)
    assert run.read().keys().isdisjoint({GO_ON_FROM, GIVEN_UP})
