"""`train --resume RUN --checkpoint ID` and `--branch NAME`, as a user types them."""

import os
from pathlib import Path

import pytest
from command import Finished, train, training
from raw_events import counting, read_lines
from small_run import content_of, measured, new_run, told
from small_run import train as train_here

from arc_core.run.checkpoint_index import list_checkpoints, problems_of, read_state
from arc_core.run.directory import RunDirectory

pytestmark = pytest.mark.slow


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    """A run of 12 steps with checkpoints 0 to 3 at steps 3, 6, 9 and 12."""
    made = new_run(tmp_path, "old", checkpoint_every=3, epochs=2, agent_lr=1e-4)
    train_here(made)
    assert len(list_checkpoints(made.checkpoints)) == 4
    return made


def command(run: RunDirectory, name: str, *options: str) -> Finished:
    return train(run.path.parent.parent, name, "--headless", "--resume", "old", *options)


def going_on(run: RunDirectory, *options: str) -> Finished:
    # The name of a resumed run may be given too, and must be its own.
    return command(run, "old", *options)


def branching(run: RunDirectory, name: str, *options: str) -> Finished:
    folder = run.path.parent.parent
    with training(folder, name, "--headless", "--resume", "old", "--branch", name, *options) as living:
        code = living.end()
        return Finished(code, living.said(), living.said(), living.run)


def test_a_run_goes_back_to_a_checkpoint_and_repeats_its_steps_to_the_bit(run: RunDirectory) -> None:
    before = measured(read_lines(run.events))
    done = going_on(run, "--checkpoint", "1")
    assert done.code == 0, done.err
    assert "Resumed at step 6 from checkpoint 00001" in done.out
    assert [event["step"] for event in done.of("step")] == [*range(1, 13), *range(7, 13)]
    assert measured(counting(done.events)) == before
    newest = list_checkpoints(run.checkpoints)[-1]
    assert read_state(newest)["position"]["step"] == 12
    assert int(newest.name.removeprefix("checkpoint_")) > 3, "ids only rise"
    assert [path for path in list_checkpoints(run.checkpoints) if problems_of(path)] == []


def test_killed_before_its_first_new_checkpoint_it_goes_on_from_where_it_was_sent_back_to(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = run.path.parent.parent
    options = ("--headless", "--resume", "old", "--checkpoint", "0", "--checkpoint-every", "1000")
    with training(folder, "old", *options, "--epochs", "1000", "--max-batches", "500") as living:
        living.until_step(5)
        os.kill(living.engine, 9)
        assert living.end() == 1
    assert [event["checkpoint"] for event in told(run, "resumed")] == [0]
    done = going_on(run, "--epochs", "2")
    assert done.code == 0, done.err
    assert [event["checkpoint"] for event in done.of("resumed")] == [0, 0]
    steps = [event["step"] for event in counting(done.events) if event["type"] == "step"]
    assert steps == list(range(1, 13))
    changed = [(change["key"], change["new"]) for change in run.read()["changes"]]
    assert changed[0] == ("epochs", 1000)
    assert changed[-1] == ("epochs", 2)


def test_a_branch_repeats_the_rest_of_the_run_to_the_bit_and_the_run_stays_as_it_was(
    run: RunDirectory,
) -> None:
    before = content_of(run.path)
    done = branching(run, "new", "--checkpoint", "1")
    assert done.code == 0, done.out
    assert content_of(run.path) == before
    assert measured(done.events) == measured(read_lines(run.events))
    assert [event["checkpoint"] for event in done.of("resumed")] == [1]
    assert done.run.read()["branched_from"] == {"run": "old", "checkpoint": 1, "step": 6}

    other = branching(run, "other", "--checkpoint", "1", "--agent-lr", "5e-3")
    assert other.code == 0, other.out
    assert content_of(run.path) == before
    (change,) = other.run.read()["changes"]
    assert (change["key"], change["old"], change["new"]) == ("agent_lr", 1e-4, 5e-3)
    rates = {event["step"]: event["learning_rate"]["agent"] for event in other.of("step")}
    assert {step for step, rate in rates.items() if rate == 5e-3} == set(range(7, 13))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--resume", "old", "--checkpoint", "9"), "There is no checkpoint 9; there is 0, 1, 2, 3"),
        (("--resume", "old", "--branch", "old"), "The run old exists already"),
        (("--resume", "old", "--branch", "../new"), "path separators are not allowed"),
        (("--resume", "old", "--branch", "new", "--checkpoint", "9"), "There is no checkpoint 9"),
        (("--branch", "new"), "branch goes with resume"),
        (("--checkpoint", "1"), "checkpoint goes with resume"),
        (("--resume", "old", "--checkpoint", "-1"), "checkpoint is -1, but must be"),
        (("--resume", "old", "--checkpoint", "one"), 'checkpoint is "one", but must be'),
    ],
    ids=" ".join,
)
def test_what_cannot_be_is_refused_in_one_sentence_and_changes_nothing(
    run: RunDirectory, options: tuple[str, ...], said: str
) -> None:
    before, folder = content_of(run.path.parent), run.path.parent.parent
    with training(folder, "old", "--headless", *options) as living:
        assert living.end() == 2
        told_user = living.said()
    assert said in told_user
    assert told_user.count("\n") == 1
    assert told_user.startswith("Error: ")
    assert content_of(run.path.parent) == before


def test_a_branch_whose_data_has_gone_is_refused_and_taken_back(run: RunDirectory) -> None:
    before, folder = content_of(run.path), run.path.parent.parent
    (folder / "tasks").rename(folder / "moved")
    done = branching(run, "new")
    assert done.code == 2, done.out
    assert "tasks does not exist" in done.out
    assert "Traceback" not in done.out
    assert [path.name for path in run.path.parent.iterdir()] == ["old"]
    assert content_of(run.path) == before
