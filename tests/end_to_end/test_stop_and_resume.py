"""A run that is stopped, killed, commanded and resumed: no step is lost, repeated or changed."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

from command import SEED, SMALL, Living, train, training
from raw_events import PIPELINE, Line, counting, read_lines

from arc_core.run.checkpoint_index import list_checkpoints, problems_of, read_state
from arc_core.run.commands import send
from arc_core.run.directory import RunDirectory
from arc_core.run.event_lines import validate_event
from arc_core.run.recipes import declaration_of

MEASURED = ("loss", "reward", "hard_cells", "curriculum", "memory", "grad_norm", "learning_rate", "accuracy")
OPTIONS = [*SMALL, "--max_batches", "40", "--checkpoint_every", "20"]


def stop_the_command(living: Living) -> None:
    living.process.send_signal(signal.SIGTERM)


def interrupt_the_engine(living: Living) -> None:
    os.kill(living.engine, signal.SIGINT)


def kill_the_engine(living: Living) -> None:
    os.kill(living.engine, signal.SIGKILL)


def run_until(folder: Path, step: int, end: Callable[[Living], None], *options: str) -> tuple[int, str]:
    """Train until a step is seen, end the run in some way, and return exit code and output."""
    with training(folder, "broken", *options) as living:
        living.until_step(step)
        end(living)
        return living.end(), living.said()


def saved_last(run: RunDirectory) -> tuple[int, int]:
    """Step of the newest checkpoint, which must be intact, and the last step taken."""
    newest = list_checkpoints(run.checkpoints)[-1]
    assert problems_of(newest) == []
    steps = [event["step"] for event in read_lines(run.events) if event["type"] == "step"]
    return read_state(newest)["position"]["step"], steps[-1]


def test_interrupted_run_is_bitwise_equal_to_an_uninterrupted_one(tmp_path: Path):
    uninterrupted = train(tmp_path, "whole", *OPTIONS)
    run = RunDirectory(tmp_path / "runs" / "broken")

    code, said = run_until(tmp_path, 4, stop_the_command, *OPTIONS, "--name", "broken")
    assert code == 0, said
    saved, last = saved_last(run)
    assert saved == last < 40, "stopping saves the step it stopped at"
    assert read_lines(run.events)[-1]["type"] == "run_finished"

    code, said = run_until(tmp_path, 10, interrupt_the_engine, "--headless", "--resume", "broken")
    assert code == 0, said
    saved, last = saved_last(run)
    assert saved == last < 40

    code, said = run_until(tmp_path, 24, kill_the_engine, "--headless", "--resume", "broken")
    assert code == 1, said
    assert "arc-tui train --resume broken" in said
    saved, last = saved_last(run)
    assert saved == 20 < last < 40, "what came after the last checkpoint is lost"

    done = train(tmp_path, "broken", "--headless", "--resume", "broken")
    assert done.code == 0, done.err

    events, declared = done.events, declaration_of(done.run.read())
    assert [problem for event in events for problem in validate_event(event, declared)] == []
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    for resumed in done.of("resumed"):
        following = next(e for e in events if e["type"] == "step" and e["seq"] > resumed["seq"])
        assert following["step"] == resumed["step"] + 1
    raw = [event["step"] for event in done.of("step")]
    assert len(raw) > 40, "the killed process's steps were taken again"

    kept = counting(events)
    steps = [event for event in kept if event["type"] == "step"]
    assert [event["step"] for event in steps] == list(range(1, 41))
    whole = uninterrupted.of("step")
    for mine, theirs in zip(steps, whole, strict=True):
        assert {name: mine[name] for name in MEASURED} == {name: theirs[name] for name in MEASURED}
        assert (mine["batch"], mine["rule"], mine["amp"]) == (theirs["batch"], theirs["rule"], theirs["amp"])
    assert [told(e) for e in kept if e["type"] == "sample"] == [told(e) for e in uninterrupted.of("sample")]
    assert [told(e) for e in kept if e["type"] == "validation"] == [told(uninterrupted.of("validation")[0])]
    epoch, expected = done.of("epoch")[0], uninterrupted.of("epoch")[0]
    assert {name: epoch[name] for name in MEASURED} == {name: expected[name] for name in MEASURED}


def test_finished_run_that_is_resumed_has_nothing_left_to_do(tmp_path: Path):
    options = [*SMALL, "--max-batches", "2", "--dataset", "arcagi1"]
    first = train(tmp_path, "short", *options)
    again = train(tmp_path, "short", "--headless", "--resume", "short")
    assert (first.code, again.code) == (0, 0)
    assert len(again.of("step")) == 2
    assert [event["reason"] for event in again.of("run_finished")] == ["completed", "completed"]


def test_commands_steer_a_living_run_and_each_is_answered(tmp_path: Path):
    options = [*SMALL, *SEED, "--runs-dir", "runs", "--name", "steered", "--epochs", "1000"]
    with training(tmp_path, "steered", *options) as living:
        folder = living.run.commands

        def answer(command: str, **args: object) -> Line:
            identity = send(folder, command, args)
            return living.until(lambda e: str(e["type"]).startswith("command_") and e["id"] == identity)

        living.until_step(2)
        assert_detached(living)
        os.kill(living.engine, signal.SIGHUP)

        assert answer("pause")["type"] == "command_applied"
        paused = living.until(lambda e: e["type"] == "paused")
        assert answer("pause")["type"] == "command_rejected"
        assert answer("checkpoint")["command"] == "checkpoint"
        verified = living.until(lambda e: e["type"] == "checkpoint" and e["phase"] == "verified")
        assert verified["step"] == paused["step"]
        changed = answer("set", agent_lr=5e-4, checkpoint_every=1000)
        assert changed["old"] == {"agent_lr": 1e-5, "checkpoint_every": 50}
        assert changed["new"] == {"agent_lr": 5e-4, "checkpoint_every": 1000}
        assert answer("resume")["type"] == "command_applied"
        assert living.until(lambda e: e["type"] == "unpaused")["step"] == paused["step"]

        step = living.until(lambda e: e["type"] == "step")
        assert step["step"] == paused["step"] + 1, "nothing was trained during the pause"
        rates = step["learning_rate"]
        assert (rates["agent"], rates["memory"], rates["efe_loss"]) == (5e-4, 1e-3, 2.5e-4)
        assert (rates["lm"], rates["policy"]) == (1e-4, 5e-5)

        assert answer("validate")["type"] == "command_applied"
        assert living.until(lambda e: e["type"] == "validation")["inputs"] == 6

        (folder / "mine.json").write_text(json.dumps({"command": "dance"}), encoding="utf-8")
        assert living.until(lambda e: e["type"] == "command_rejected")["id"] == "mine"
        living.until(lambda e: e["type"] == "step")

        assert answer("stop")["type"] == "command_applied"
        assert living.end() == 0, living.said()
        saved, last = saved_last(living.run)
        assert saved == last
        assert list(folder.iterdir()) == []
        events = read_lines(living.run.events)
    assert [problem for event in events for problem in validate_event(event, PIPELINE)] == []
    assert events[-1]["type"] == "run_finished"


def assert_detached(living: Living) -> None:
    """The training process has a session of its own and no way to the terminal."""
    engine = living.engine
    assert os.getsid(engine) == engine
    assert os.getsid(engine) != os.getsid(living.process.pid)
    descriptors = Path(f"/proc/{engine}/fd")
    if descriptors.is_dir():  # Linux shows them
        streams = [str((descriptors / str(number)).readlink()) for number in (0, 1, 2)]
        assert streams == ["/dev/null", str(living.run.engine_log), str(living.run.engine_log)]


def told(event: Line) -> dict[str, object]:
    """An event without when and as which one it was written."""
    return {name: value for name, value in event.items() if name not in ("seq", "time")}
