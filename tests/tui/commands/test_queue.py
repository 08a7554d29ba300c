"""The queue: what is added, in which order it is trained, and what becomes of it however that ends."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import fake_engine
import pytest
from raw_events import read_lines

from arc_core.run.directory import RunDirectory, create_run, is_alive
from arc_core.run.events import EventWriter
from arc_tui import cli
from arc_tui.commands.queue_run import MOST_KILLS, QueueRunner
from arc_tui.runs.queue import Queue, QueuedRun, QueueState
from arc_tui.runs.sweep import sweep

RUNS = Path("runs")
PATIENCE_SECONDS = 30.0


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def _main(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    assert isinstance(caught.value.code, int)
    return caught.value.code


def _command(behaviour: str, run: RunDirectory) -> Sequence[str]:
    return [sys.executable, fake_engine.__file__, behaviour, str(run.path)]


def _run(behaviours: Callable[[RunDirectory], str], *, again: bool = False) -> int:
    engine = lambda run: _command(behaviours(run), run)  # noqa: E731
    return QueueRunner(Queue(RUNS), again=again, engine=engine).run()


def _add(*names: str) -> None:
    for name in names:
        assert _main("queue", "add", "--name", name, "--epochs", "1") == 0


def _states() -> dict[str, str]:
    return {entry.name: entry.state.value for entry in Queue(RUNS).look()}


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"not so within {PATIENCE_SECONDS} s"
        time.sleep(0.01)


def _finish(run: RunDirectory, reason: str = "completed") -> None:
    with EventWriter(run.events) as writer:
        writer.emit("run_started", step=0)
        writer.emit("run_finished", reason=reason)


# What is added


def test_grid_and_seeds_make_a_run_for_each_combination(capsys: pytest.CaptureFixture[str]):
    grid = ["--grid", "agent_lr=1e-4,3e-4", "--grid", "hidden-dim=32,64", "--seeds", "3", "--seed", "7"]
    assert _main("queue", "add", "--name", "s", *grid) == 0
    assert "Added s-01: agent_lr 1e-4, hidden_dim 32, seed 7" in capsys.readouterr().out
    entries = Queue(RUNS).entries()
    found = [
        (entry.config["agent_lr"], entry.config["hidden_dim"], entry.config["seed"]) for entry in entries
    ]
    assert found == [(lr, dim, seed) for lr in (1e-4, 3e-4) for dim in (32, 64) for seed in (7, 8, 9)]
    assert [entry.name for entry in entries] == [f"s-{number:02d}" for number in range(1, 13)]
    assert not RUNS.exists(), "runs are made when their turn comes"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--grid", "agent_lr"], "--grid takes key=value, not agent_lr."),
        (["--grid", "agent_lr=1,,2"], "The grid takes values with commas between, each once, not agent_lr="),
        (["--grid", "agent_lr=1e-4,5"], "agent_lr is 5.0, but must be a number from 0 to 1."),
        (["--grid", "agent_rl=1e-4"], "There is no setting agent_rl; did you mean agent_lr?"),
        (
            ["--grid", "agent_lr=0,1", "--agent-lr", "1"],
            "agent_lr is given twice, by the grid and by itself.",
        ),
        (["--grid", "seed=1,2", "--seeds", "2"], "The seeds are given twice"),
        (["--grid", "name=a,b"], "name says how a run is started: a grid cannot vary it."),
        (
            ["--grid", "seed=1,2,3", "--grid", "epochs=" + ",".join(map(str, range(1, 400)))],
            "makes 1,197 runs",
        ),
        (["--set", "resume=a"], "leave resume out"),
        (["--name", "a/b"], "path separators are not allowed"),
    ],
)
def test_what_cannot_be_added_is_refused_in_a_sentence_and_nothing_is_added(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
):
    assert _main("queue", "add", *arguments) == 2
    assert sentence in capsys.readouterr().err
    assert Queue(RUNS).entries() == []


def test_names_that_are_taken_are_refused_and_nothing_of_the_sweep_is_added(
    capsys: pytest.CaptureFixture[str],
):
    create_run(RUNS, "s-2", {})
    _add("t-2")
    for name, told in (("s", "s-2 exists already in "), ("t", "t-2 is in the queue already")):
        assert _main("queue", "add", "--name", name, "--seeds", "3") == 2
        assert told in capsys.readouterr().err
    assert _states() == {"t-2": "waiting"}


def test_sweep_without_a_name_is_named_after_the_time():
    names = [str(config.name) for _, config in sweep({}, None, {}, 2)]
    assert all(name.startswith("queued_2") for name in names)
    assert [name[-2:] for name in names] == ["-1", "-2"]


# How it is trained


def test_runs_are_trained_in_their_order_and_one_that_fails_does_not_hold_up_the_rest(
    capsys: pytest.CaptureFixture[str],
):
    _add("a", "b", "c", "d")
    trained: list[str] = []

    def behaviour(run: RunDirectory) -> str:
        trained.append(run.name)
        return {"a": "whole", "b": "refuse", "c": "crash", "d": "whole"}[run.name]

    assert _run(behaviour) == 1
    assert trained == ["a", "b", "c", "d"]
    assert _states() == {"a": "done", "b": "failed", "c": "failed", "d": "done"}
    capsys.readouterr()
    assert _main("queue", "list") == 0
    shown = capsys.readouterr().out
    assert "✗ failed  The dataset nowhere is neither a name\\x1b[2J nor a folder." in shown
    assert "its process ended with exit code 3" in shown
    assert "\x1b" not in shown
    assert RunDirectory(RUNS / "a").read()["config"]["epochs"] == 1
    assert not (RUNS / "b").exists(), "a run that was refused before its first step leaves nothing"

    assert _run(lambda run: "whole") == 0
    assert _states()["b"] == "failed", "it is tried again only when that is asked for"
    assert _run(lambda run: "whole", again=True) == 0
    assert set(_states().values()) == {"done"}
    assert [e["type"] for e in read_lines(RUNS / "c" / "events.jsonl")].count("run_started") == 2


def test_run_whose_process_is_killed_is_gone_on_with_and_given_up_if_it_gets_no_further():
    _add("a", "b")
    trained: list[str] = []

    def behaviour(run: RunDirectory) -> str:
        trained.append(run.name)
        return "killed" if run.name == "b" or len(trained) == 1 else "whole"

    assert _run(behaviour) == 1
    assert trained == ["a", "a", *["b"] * MOST_KILLS]
    assert _states() == {"a": "done", "b": "failed"}
    assert "killed 3 times without getting any further" in str(Queue(RUNS).entries()[1].reason)


def test_run_that_is_stopped_by_a_command_is_left_alone_and_the_rest_goes_on():
    _add("a", "b")
    runner = QueueRunner(
        Queue(RUNS), engine=lambda run: _command("obey" if run.name == "a" else "whole", run)
    )
    stopping = threading.Thread(target=_stop_when_alive, args=(RunDirectory(RUNS / "a"),))
    stopping.start()
    assert runner.run() == 0
    stopping.join()
    assert _states() == {"a": "stopped", "b": "done"}


def _stop_when_alive(run: RunDirectory) -> None:
    _until(lambda: run.events.exists() and '"step"' in run.events.read_text())
    assert _main("stop", run.name, "--no-wait") == 0


def test_queue_that_is_asked_to_stop_ends_after_saving_and_the_next_goes_on_with_the_run():
    _add("a", "b")
    run = RunDirectory(RUNS / "a")

    def interrupt() -> None:
        _until(lambda: run.events.exists() and '"step"' in run.events.read_text())
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt).start()
    assert _run(lambda run: "obey") == 0
    assert _states() == {"a": "waiting", "b": "waiting"}
    assert not is_alive(run)
    assert _run(lambda run: "whole") == 0
    assert _states() == {"a": "done", "b": "done"}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_run_that_outlived_its_queue_is_waited_for_and_gone_on_with_if_it_was_ended(number: signal.Signals):
    _add("a")
    entry = Queue(RUNS).entries()[0]
    run = create_run(RUNS, "a", {"config": entry.config, "created": time.time(), "queued": entry.token})
    Queue(RUNS).keep(QueuedRun(**{**vars(entry), "begun": True}))
    process = subprocess.Popen(_command("obey", run))
    _until(lambda: run.events.exists() and '"step"' in run.events.read_text())

    def end() -> None:
        _until(lambda: _states() == {"a": "running"})
        process.send_signal(number)

    ending = threading.Thread(target=end)
    ending.start()
    started: list[bool] = []
    assert _run(lambda run: started.append(is_alive(run)) or "whole") == 0
    ending.join()
    assert process.wait(PATIENCE_SECONDS) in (0, -signal.SIGKILL)
    assert started == [False], "it is gone on with once, when its first process has ended"
    assert _states() == {"a": "done"}


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        ("completed", "done"),
        ("stopped after 3 minutes of training (max_minutes)", "done"),
        ("stopped by a command", "stopped"),
        ("The loss was not finite for 10 steps.", "failed"),
    ],
)
def test_run_that_ended_while_no_queue_watched_is_judged_by_its_log(reason: str, state: str):
    _add("a")
    entry = Queue(RUNS).entries()[0]
    run = create_run(RUNS, "a", {"config": entry.config, "created": time.time(), "queued": entry.token})
    _finish(run, reason)
    Queue(RUNS).keep(QueuedRun(**{**vars(entry), "begun": True}))
    assert _run(lambda run: pytest.fail("it is not started")) == (1 if state == "failed" else 0)
    assert _states() == {"a": state}


def test_what_a_kill_left_of_a_run_being_made_is_made_anew():
    _add("a")
    entry = Queue(RUNS).entries()[0]
    Queue(RUNS).keep(QueuedRun(**{**vars(entry), "begun": True}))
    (RUNS / "a" / "commands").mkdir(parents=True)
    (RUNS / "a" / ".tmp-7-run.json").write_text("{")
    assert _run(lambda run: "whole") == 0
    assert _states() == {"a": "done"}


@pytest.mark.parametrize("begun", [False, True])
def test_run_of_the_same_name_that_the_queue_has_not_made_is_never_touched(begun: bool):
    _add("a", "b")
    entry = Queue(RUNS).entries()[0]
    Queue(RUNS).keep(QueuedRun(**{**vars(entry), "begun": begun}))
    own = create_run(RUNS, "a", {"config": entry.config, "created": time.time()})
    _finish(own, "stopped by a signal")
    before = own.events.read_bytes(), own.run_json.read_bytes()
    assert _run(lambda run: "whole") == 1
    assert _states() == {"a": "failed", "b": "done"}
    assert (own.events.read_bytes(), own.run_json.read_bytes()) == before


# Several at once


def test_two_queues_share_the_entries_and_never_take_the_same():
    _add(*"abcdef")
    trained: list[str] = []

    def train() -> None:
        queue = Queue(RUNS)
        while True:
            with queue.claimed(lambda entry: entry.state is QueueState.WAITING) as entry:
                if entry is None:
                    return
                trained.append(entry.name)
                queue.keep(QueuedRun(**{**vars(entry), "state": QueueState.DONE}))

    threads = [threading.Thread(target=train) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(trained) == [*"abcdef"]


def test_entry_that_another_process_finishes_while_it_is_listed_is_not_taken(monkeypatch: pytest.MonkeyPatch):
    _add("a")
    queue = Queue(RUNS)
    (waiting,) = queue.entries()
    queue.keep(dataclasses.replace(waiting, state=QueueState.DONE))
    monkeypatch.setattr(Queue, "entries", lambda self: [waiting])
    with queue.claimed(lambda entry: entry.state is QueueState.WAITING) as entry:
        assert entry is None
    assert _states() == {"a": "done"}


def test_claimed_entry_is_running_is_not_removed_and_is_free_once_its_process_is_killed(
    capsys: pytest.CaptureFixture[str],
):
    _add("a", "b")
    hold = (
        "import sys, time\nfrom pathlib import Path\nfrom arc_tui.runs.queue import Queue\n"
        "with Queue(Path('runs')).claimed(lambda entry: True) as entry:\n"
        "    print(entry.name, flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", hold], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "a\n"
        assert _states() == {"a": "running", "b": "waiting"}
        assert _main("queue", "remove", "b", "a") == 2
        assert "a is being trained from the queue: stop it first." in capsys.readouterr().err
        assert _states() == {"a": "running", "b": "waiting"}, "all that are named are removed, or none"
        holder.kill()
    assert _states() == {"a": "waiting", "b": "waiting"}


# Listing and removing


def test_entries_are_removed_by_their_names_and_what_is_done_at_once(capsys: pytest.CaptureFixture[str]):
    _add("alpha", "beta", "gamma")
    assert _main("queue", "remove", "al") == 0
    assert _run(lambda run: "whole") == 0
    _add("delta")
    assert _main("queue", "remove", "--done") == 0
    assert _states() == {"delta": "waiting"}
    assert (RUNS / "beta" / "run.json").is_file()
    for arguments, told in (
        ([], "remove needs the name"),
        (["x"], "There is no queued run x."),
        (["a", "--runs-dir", "elsewhere"], "There is no queue beside elsewhere."),
    ):
        assert _main("queue", "remove", *arguments) == 2
        assert told in capsys.readouterr().err.replace(str(Path.cwd()) + "/", "")


def test_list_is_json_for_programs_and_says_where_it_is_empty(capsys: pytest.CaptureFixture[str]):
    assert _main("queue", "list") == 0
    assert capsys.readouterr().out == "The queue beside runs is empty.\n"
    assert _main("queue", "run") == 0
    assert "nothing waits" in capsys.readouterr().out
    assert not Path("runs.queue").exists(), "looking makes nothing"
    _add("a")
    capsys.readouterr()
    assert _main("queue", "list", "--json") == 0
    (entry,) = json.loads(capsys.readouterr().out)
    assert (entry["name"], entry["state"], entry["given"]) == ("a", "waiting", {"epochs": "1"})
    assert entry["config"]["epochs"] == 1


def test_damaged_entry_says_so_is_passed_over_and_can_be_removed(capsys: pytest.CaptureFixture[str]):
    _add("a", "b", "c")
    Path("runs.queue/00001.json").write_text("{")
    Path("runs.queue/00002.json").write_text('{"name": "../b", "token": "x", "state": "waiting"}')
    capsys.readouterr()
    assert _run(lambda run: "whole") == 0
    capsys.readouterr()
    assert _states() == {"00001": "damaged", "00002": "damaged", "c": "done"}
    assert _main("queue", "list") == 0
    assert "00001.json is damaged: it is not JSON." in capsys.readouterr().out
    assert _main("queue", "remove", "00001", "00002") == 0
    assert _states() == {"c": "done"}


def test_queue_that_cannot_be_used_is_told_in_a_sentence(capsys: pytest.CaptureFixture[str]):
    Path("runs.queue").write_text("")
    for arguments in (["add"], ["list"], ["run"]):
        assert _main("queue", *arguments) == 2
        error = capsys.readouterr().err
        assert "Cannot use the queue" in error
        assert error.count("\n") == 1
