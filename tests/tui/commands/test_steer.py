"""Commands to a living run: each waits for its answer and tells it."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from raw_events import read_lines, typed

from arc_core.base.errors import RunError
from arc_core.pipeline.config import PipelineConfig
from arc_core.run.commands import TOO_OLD
from arc_core.run.directory import RunDirectory, RunLock, create_run, is_alive
from arc_core.run.events import EventReader, EventWriter
from arc_tui import cli
from arc_tui.commands import training
from arc_tui.runs import asking
from arc_tui.runs import engine as runner
from arc_tui.runs.engine import engine_command

FAKE = str(Path(__file__).parents[1] / "fake_engine.py")


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    yield
    while runner.LEFT_RUNNING:
        assert runner.LEFT_RUNNING.pop().wait(20) == 0


def _main(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    assert isinstance(caught.value.code, int)
    return caught.value.code


def _make(name: str = "demo", **content: object) -> RunDirectory:
    config = PipelineConfig(name=name).to_dict()
    return create_run(Path("runs"), name, {"config": config, "created": time.time(), **content})


@contextlib.contextmanager
def _living(behaviour: str = "obey", run: RunDirectory | None = None) -> Iterator[RunDirectory]:
    """A run whose (fake) training process has begun."""
    run = run or _make()
    reader = EventReader(run.events, from_end=True)
    command = [sys.executable, FAKE, behaviour, str(run.path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            while not reader.poll():
                assert process.poll() is None
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.01)
            yield run
        finally:
            process.terminate()


def test_each_command_waits_for_its_effect_and_prints_it(capsys: pytest.CaptureFixture[str]):
    with _living() as run:
        said: dict[str, list[str]] = {}
        for command in ("pause", "checkpoint", "validate", "resume", "stop"):
            assert _main(command) == 0
            said[command] = capsys.readouterr().out.splitlines()
            assert said[command][0] == f"Command {command} applied"
        assert said["pause"][1].startswith("Paused at step ")
        assert said["checkpoint"][1].startswith("Checkpoint 00003 verified at step ")
        assert "  Validation Accuracy: 0.0370 (71/1920 correct)" in said["validate"]
        assert said["resume"][1].startswith("Going on at step ")
        assert said["stop"][1] == "Finished: stopped by a command"
        assert not is_alive(run), "stop returns once the lock is free"


def test_set_prints_old_and_new_values_and_takes_a_run_or_none(capsys: pytest.CaptureFixture[str]):
    with _living():
        assert _main("set", "dem", "agent_lr=5e-5", "checkpoint-every=100") == 0
        expected = "agent_lr: 0.5 is now 5e-05\ncheckpoint_every: 0.5 is now 100\n"
        assert capsys.readouterr().out == expected
        assert _main("set", "qwen_lr=1e-3") == 0
        assert capsys.readouterr().out == "qwen_lr: 0.5 is now 0.001\n"


def test_a_run_whose_recipes_package_is_gone_is_steered_all_the_same(capsys: pytest.CaptureFixture[str]):
    config = {"recipe": "planner", "preset": "tiny", "ema_lr": 0.01, "checkpoint_every": 5}
    with _living(run=_make(config=config)):
        assert _main("set", "ema_lr=0.5") == 0
        assert capsys.readouterr().out == "ema_lr: 0.5 is now 0.5\n"
        assert _main("set", "qwen_lr=0.5") == 2
        sentence = "Error: There is no setting that can change during a run: qwen_lr; did you mean ema_lr?\n"
        assert capsys.readouterr().err == sentence
        assert _main("pause") == 0


def test_rejection_is_the_reason_with_exit_code_2(capsys: pytest.CaptureFixture[str]):
    with _living():
        assert _main("pause") == 0
        assert _main("pause", "demo") == 2
        assert capsys.readouterr().err == "Error: demo rejects pause: Paused\\x1b[2J already.\n"


def test_failed_checkpoint_is_told_with_exit_code_2(capsys: pytest.CaptureFixture[str]):
    with _living("obey-full-disk"):
        assert _main("checkpoint") == 2
        assert capsys.readouterr().err == "Error: Checkpoint 00003 failed: No space left.\n"


def test_process_that_dies_unanswering_is_told_and_its_command_withdrawn(capsys: pytest.CaptureFixture[str]):
    with _living("obey-not") as run:
        assert _main("pause") == 2
        assert capsys.readouterr().err == (
            "Error: The training process of demo ended before it answered."
            " To start it again: arc-tui resume demo.\n"
        )
        assert list(run.commands.iterdir()) == []


@pytest.mark.parametrize("command", ["pause", "checkpoint", "validate", "stop", "set"])
def test_dead_run_is_one_sentence_that_says_how_to_resume(command: str, capsys: pytest.CaptureFixture[str]):
    run = _make()
    with EventWriter(run.events) as writer:
        writer.emit("run_started", step=0)
    assert _main(command, "demo", *(["agent_lr=1"] if command == "set" else [])) == 2
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == (
        "",
        "Error: The run demo is crashed: no process trains it. To start it again: arc-tui resume demo.\n",
    )
    assert list(run.commands.iterdir()) == []


def test_no_wait_only_sends(capsys: pytest.CaptureFixture[str]):
    run = _make()
    with RunLock(run):
        assert _main("pause", "--no-wait") == 0
    assert capsys.readouterr().out == "Sent pause to demo.\n"
    assert len(list(run.commands.iterdir())) == 1


def test_command_to_a_process_that_is_starting_is_sent_once_it_listens(capsys: pytest.CaptureFixture[str]):
    run = _make()
    answers = iter(["begins", TOO_OLD, None])

    def events(run: RunDirectory, reader: EventReader):
        for answer in answers:
            if answer == "begins":
                assert not list(run.commands.iterdir()), "nothing is sent before it listens"
                yield from typed([{"type": "run_started", "step": 0}])
                return
        raise AssertionError

    def then(run: RunDirectory, reader: EventReader):
        for number in range(2):
            (sent,) = run.commands.iterdir()
            sent.unlink()
            kind = "command_rejected" if number == 0 else "command_applied"
            yield from typed([{"type": kind, "id": sent.stem, "reason": TOO_OLD, "command": "checkpoint"}])
        saved = {"type": "checkpoint", "id": 1, "step": 4, "bytes": 5, "seconds": 0.0}
        yield from typed(saved | {"phase": phase} for phase in ("requested", "verified"))

    calls = iter([events, then])
    with RunLock(run), pytest.MonkeyPatch.context() as patch:
        patch.setattr(asking, "_events", lambda *given: next(calls)(*given))
        assert _main("checkpoint") == 0
    assert capsys.readouterr().out.splitlines() == [
        "The run demo is starting.",
        "Command checkpoint applied",
        "Checkpoint 00001 verified at step 4 (5 B, 0.00 s)",
    ]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("set demo", "set needs at least one KEY=VALUE, such as agent_lr=5e-5."),
        ("set demo agent_lr", "set takes key=value, not agent_lr."),
        ("set agent_rl=3", "did you mean agent_lr?"),
        ("set agent_lr=7", "agent_lr is 7.0, but must be a number from 0 to 1."),
        ("set agent_lr=0.1 agent-lr=0.2", "agent_lr is given twice on the command line."),
        ("pause nosuch", "There is no run nosuch in runs; there are demo."),
        ("pause --runs-dir elsewhere", "There is no run in elsewhere."),
        ("status ../demo", "is not in runs"),
    ],
)
def test_bad_input_is_one_sentence_and_nothing_is_sent(
    arguments: str, sentence: str, capsys: pytest.CaptureFixture[str]
):
    run = _make()
    assert _main(*arguments.split()) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count("\n") == 1
    assert list(run.commands.iterdir()) == []


def test_release_ends_the_process_and_resume_starts_another(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    with _living() as run:
        assert _main("pause", "--release") == 0
        assert capsys.readouterr().out.endswith("To go on: arc-tui resume demo\n")
        assert not is_alive(run)
    monkeypatch.setattr(training, "engine_command", lambda run: [sys.executable, FAKE, "obey", str(run.path)])
    assert _main("resume") == 0
    output = capsys.readouterr().out
    assert "Resumed at step 0" in output
    assert "To stop it: arc-tui stop demo" in output
    assert is_alive(run)
    assert _main("stop") == 0


def test_detached_run_goes_on_alone(capsys: pytest.CaptureFixture[str]):
    def engine(run: RunDirectory) -> list[str]:
        return [sys.executable, FAKE, "obey", str(run.path)]

    flags = {"name": "demo", "detach": True, "runs_dir": "my runs"}
    assert training.train_here(flags, None, engine) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-3:] == [
        "Run demo goes on in the background.",
        "To watch it: arc-tui attach demo --runs-dir 'my runs'",
        "To stop it: arc-tui stop demo --runs-dir 'my runs'",
    ]
    assert _main("stop", "--runs-dir", "my runs") == 0
    events = read_lines(Path("my runs/demo/events.jsonl"))
    assert events[-1]["reason"] == "stopped by a command"


def test_detached_run_that_is_refused_is_refused_as_ever():
    def engine(run: RunDirectory) -> list[str]:
        return [sys.executable, FAKE, "refuse", str(run.path)]

    with pytest.raises(RunError, match=r"^The dataset nowhere"):
        training.train_here({"name": "demo", "detach": True}, None, engine)
    assert list(Path("runs").iterdir()) == []


def test_living_run_is_not_deleted(capsys: pytest.CaptureFixture[str]):
    run = _make()
    with RunLock(run):
        assert _main("delete", "demo", "--yes") == 2
    assert capsys.readouterr().err == f"Error: The run demo is in use by process {os.getpid()}.\n"
    assert run.run_json.is_file()


def test_followed_log_ends_with_the_run(capsys: pytest.CaptureFixture[str]):
    with _living() as run:
        pid = int(run.lock.read_text())
        os.kill(pid, signal.SIGTERM)
        assert _main("logs", "--follow") == 0
    lines = capsys.readouterr().out.splitlines()
    assert (lines[0], lines[-1]) == ("Training started", "Finished: stopped by a signal")


def test_engine_command_is_the_real_one():
    run = _make()
    assert engine_command(run)[1:3] == ["-m", "arc_core"]
