"""A branch goes on from a checkpoint of another run, and leaves that run as it was."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from raw_events import counting, read_lines
from small_run import content_of, measured, new_run, opened, small_config, stop_after, told, train

from arc_core.base.errors import CheckpointError, RunError
from arc_core.run import branch
from arc_core.run.branch import BranchSource, find_source, make_branch
from arc_core.run.checkpoint_index import list_checkpoints, problems_of, read_state
from arc_core.run.course import GO_ON_FROM
from arc_core.run.directory import RunDirectory, is_alive
from arc_core.run.provenance import describe_run


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of 12 steps with checkpoints 0 to 3 at steps 3, 6, 9 and 12; not to be changed."""
    made = new_run(tmp_path_factory.mktemp("original"), "old", checkpoint_every=3, epochs=2, agent_lr=1e-4)
    train(made)
    assert [read_state(path)["position"]["step"] for path in list_checkpoints(made.checkpoints)] == [
        3,
        6,
        9,
        12,
    ]
    return made


@pytest.fixture
def old(original: RunDirectory, tmp_path: Path) -> Iterator[RunDirectory]:
    """A copy of it, which must be the same afterwards, bytes and times, unless the test says otherwise."""
    run = RunDirectory(tmp_path / "runs" / "old")
    shutil.copytree(original.path, run.path)
    before = content_of(run.path)
    yield run
    assert content_of(run.path) == before


def described(run: RunDirectory, **settings: Any) -> dict[str, Any]:
    """run.json of a branch, as the command line makes it."""
    config = small_config(run.path.parent.parent, **run.read()["config"] | settings)
    return describe_run(config, ["arc-tui", "train", "--resume", run.name])


def branched(
    run: RunDirectory, number: int | None = None, name: str = "new", **settings: Any
) -> RunDirectory:
    """Branch off a run, with flags given over its configuration."""
    source = find_source(run, number)
    own = run.read()["config"]
    changes = [
        {"time": 0.0, "key": key, "old": own[key], "new": value, "seq": source.last_seq + 1}
        for key, value in settings.items()
    ]
    return make_branch(run, source, run.path.parent, name, described(run, **settings) | {"changes": changes})


def test_a_branch_has_the_checkpoint_and_the_events_up_to_it(old: RunDirectory) -> None:
    new = branched(old, 1)
    assert [path.name for path in list_checkpoints(new.checkpoints)] == ["checkpoint_00001"]
    assert problems_of(new.checkpoints / "checkpoint_00001") == []
    events, state = read_lines(new.events), read_state(new.checkpoints / "checkpoint_00001")
    assert events == read_lines(old.events)[: state["last_seq"]]
    assert old.events.read_bytes().startswith(new.events.read_bytes())
    assert max(event["step"] for event in events if event["type"] == "step") == 6
    assert new.read()["branched_from"] == {"run": "old", "checkpoint": 1, "step": 6}
    assert new.path.stat().st_mode & 0o777 == 0o700
    assert new.events.stat().st_mode & 0o777 == 0o600


def test_a_branchs_steps_equal_the_originals_to_the_bit(old: RunDirectory) -> None:
    new = branched(old, 1)
    assert train(new) == "completed"
    assert told(new, "resumed")[-1]["checkpoint"] == 1
    steps = [event["step"] for event in told(new, "step")]
    assert steps == list(range(1, 13))
    assert measured(read_lines(new.events)) == measured(read_lines(old.events))
    assert [event["seq"] for event in read_lines(new.events)] == list(
        range(1, len(read_lines(new.events)) + 1)
    )


def test_without_a_number_the_newest_is_taken(old: RunDirectory) -> None:
    assert find_source(old).number == 3
    assert find_source(old) == BranchSource(
        old.checkpoints / "checkpoint_00003", 3, 12, find_source(old).last_seq
    )


def test_a_setting_given_with_the_branch_counts_from_its_first_step(old: RunDirectory) -> None:
    new = branched(old, 1, agent_lr=5e-3)
    train(new)
    rates = {event["step"]: event["learning_rate"]["agent"] for event in told(new, "step")}
    assert {step for step, rate in rates.items() if rate == 5e-3} == set(range(7, 13))
    (change,) = new.read()["changes"]
    assert (change["key"], change["old"], change["new"]) == ("agent_lr", 1e-4, 5e-3)
    assert new.read()["config"]["agent_lr"] == 5e-3
    before, after = measured(read_lines(old.events)), measured(read_lines(new.events))
    assert [step for step in after if after[step] != before[step]] == list(range(7, 13))


def test_a_setting_made_after_the_checkpoint_is_not_taken_along(old: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory(tmp_path / "runs" / "other")
    shutil.copytree(old.path, other.path)
    with opened(other) as trainer:
        values = {"id": "x", "command": "set", "old": {"agent_lr": 1e-4}, "new": {"agent_lr": 9e-3}}
        trainer.events.emit("command_applied", **values)
    new = branched(other, 2)
    assert told(new, "command_applied") == []
    train(new)
    assert {event["learning_rate"]["agent"] for event in told(new, "step")} == {1e-4}


def test_files_are_shared_and_pruning_the_one_leaves_the_other(old: RunDirectory) -> None:
    new = branched(old, 0, keep_checkpoints=1)
    for path in (old.checkpoints / "checkpoint_00000").rglob("*.safetensors"):
        twin = new.checkpoints / "checkpoint_00000" / path.relative_to(old.checkpoints / "checkpoint_00000")
        assert path.stat().st_ino == twin.stat().st_ino
    train(new)
    assert [path.name for path in list_checkpoints(new.checkpoints)] == ["checkpoint_00003"]
    assert [problems_of(path) for path in list_checkpoints(old.checkpoints)] == [[]] * 4


def test_where_the_file_system_has_no_links_files_are_copied(
    old: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(branch, "link_file", lambda source, target: False)
    new = branched(old, 2)
    source, target = old.checkpoints / "checkpoint_00002", new.checkpoints / "checkpoint_00002"
    assert {n: c[0] for n, c in content_of(source).items()} == {
        n: c[0] for n, c in content_of(target).items()
    }
    assert (source / "state.json").stat().st_ino != (target / "state.json").stat().st_ino
    assert train(new) == "completed"


def test_a_branch_can_be_made_while_the_run_is_trained_and_both_go_on(tmp_path: Path) -> None:
    run = new_run(tmp_path, "living", checkpoint_every=2)
    with opened(run) as trainer:
        stop_after(trainer, 4)
        trainer.train()
        trainer.events.emit("warning", code="x", message="after the checkpoint", advice="")
        assert is_alive(run)
        new = branched(run)
    assert train(run) == train(new) == "completed"
    assert measured(told(run, "step")) == measured(told(new, "step"))


def test_a_branch_of_a_branch_goes_on_too(old: RunDirectory) -> None:
    first = branched(old, 0, "first")
    train(first)
    second = branched(first, 2, "second")
    assert train(second) == "completed"
    assert measured(read_lines(second.events)) == measured(read_lines(old.events))
    assert second.read()["branched_from"]["run"] == "first"


def test_a_torn_and_a_damaged_line_are_left_out(old: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory(tmp_path / "runs" / "other")
    shutil.copytree(old.path, other.path)
    lines = other.events.read_bytes().splitlines(keepends=True)
    damaged = [
        lines[0],
        b"\xff\x00 no event\n",
        b'"text"\n',
        b'{"seq": "seven"}\n',
        *lines[1:3],
        lines[3][:20],
    ]
    other.events.write_bytes(b"".join(damaged))
    new = branched(other, 3)
    kept = new.events.read_bytes()
    assert b"no event" not in kept
    assert kept.endswith(b"\n")
    assert read_lines(new.events) == read_lines(old.events)[:3]


# Refusals: the old run stays as it was, and no new one is left


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("old", "exists already"),
        ("../new", "path separators are not allowed"),
        (".new", "starts with neither"),
        ("latest", "stands for the newest run"),
        ("a\x1b[2Jb", "control characters"),
        ("a\u202eb", "control characters"),
        ("x" * 101, "at most 100 bytes"),
        ("", "at least one character"),
    ],
)
def test_a_taken_or_bad_name_is_refused(old: RunDirectory, name: str, said: str) -> None:
    with pytest.raises(RunError, match=said) as refused:
        branched(old, 1, name)
    assert "\x1b" not in str(refused.value)
    assert [path.name for path in old.path.parent.iterdir()] == ["old"]


def test_a_checkpoint_that_is_not_there_is_refused_naming_those_that_are(old: RunDirectory) -> None:
    with pytest.raises(CheckpointError, match="There is no checkpoint 4; there is 0, 1, 2, 3"):
        find_source(old, 4)


def test_a_run_without_checkpoints_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"fresh has no checkpoint to branch from \(it has none\)"):
        find_source(new_run(tmp_path, "fresh"))


def test_a_damaged_checkpoint_is_refused_by_name_and_passed_over_when_none_is_asked_for(
    old: RunDirectory, tmp_path: Path
) -> None:
    other = RunDirectory(tmp_path / "runs" / "other")
    shutil.copytree(old.path, other.path)
    (other.checkpoints / "checkpoint_00003" / "agent.safetensors").write_bytes(b"")
    with pytest.raises(CheckpointError, match=r"checkpoint_00003 cannot be used: agent\.safetensors has 0"):
        find_source(other, 3)
    assert find_source(other).number == 2
    for path in list_checkpoints(other.checkpoints):
        (path / "state.json").unlink()
    with pytest.raises(CheckpointError, match=r"\(checkpoint_00003: "):
        find_source(other)


def test_a_checkpoint_that_was_given_up_is_no_newest_one(old: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory(tmp_path / "runs" / "other")
    shutil.copytree(old.path, other.path)
    other.update(**{GO_ON_FROM: 1})
    with opened(other):
        pass
    assert find_source(other).number == 1
    assert find_source(other, 3).number == 3, "who asks for it gets it"


def test_a_checkpoint_that_is_pruned_meanwhile_leaves_no_branch(
    old: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = RunDirectory(tmp_path / "runs" / "other")
    shutil.copytree(old.path, other.path)
    link = branch.link_file

    def pruned(source: Path, target: Path) -> bool:
        if source.name == "optimizer.safetensors":
            shutil.rmtree(source.parent)
        return link(source, target)

    monkeypatch.setattr(branch, "link_file", pruned)
    with pytest.raises(CheckpointError, match="checkpoint_00001 of other went away meanwhile: try again"):
        branched(other, 1)
    assert sorted(path.name for path in old.path.parent.iterdir()) == ["old", "other"]


def test_a_file_that_is_damaged_meanwhile_leaves_no_branch(
    old: RunDirectory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = RunDirectory(tmp_path / "runs" / "other")
    shutil.copytree(old.path, other.path)
    link = branch.link_file

    def damaged(source: Path, target: Path) -> bool:
        if source.name == "agent.safetensors":
            source.write_bytes(source.read_bytes()[::-1])
        return link(source, target)

    monkeypatch.setattr(branch, "link_file", damaged)
    with pytest.raises(CheckpointError, match=r"cannot be used: agent\.safetensors is damaged"):
        branched(other, 1)
    assert sorted(path.name for path in old.path.parent.iterdir()) == ["old", "other"]


def test_a_state_that_does_not_say_where_it_was_taken_is_refused(old: RunDirectory, tmp_path: Path) -> None:
    other = RunDirectory(tmp_path / "runs" / "other")
    shutil.copytree(old.path, other.path)
    folder = other.checkpoints / "checkpoint_00003"
    state = read_state(folder)
    for wrong in ({"position": None}, {"position": {}}, {"position": {"step": "x"}}, {"last_seq": []}):
        (folder / "state.json").write_text(json.dumps(state | wrong))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("arc_core.run.checkpoint_index.problems_of", lambda folder: [])
            with pytest.raises(CheckpointError, match="does not say where it was taken"):
                find_source(other, 3)


def test_superseded_steps_before_the_checkpoint_are_copied_with_what_supersedes_them(
    old: RunDirectory, tmp_path: Path
) -> None:
    other = RunDirectory(tmp_path / "runs" / "other")
    shutil.copytree(old.path, other.path)
    other.update(**{GO_ON_FROM: 0})
    train(other)
    new = branched(other)
    assert [e["step"] for e in told(new, "step")] == [*range(1, 13), *range(4, 13)]
    kept = counting(read_lines(new.events))
    assert [event["step"] for event in kept if event["type"] == "step"] == list(range(1, 13))
