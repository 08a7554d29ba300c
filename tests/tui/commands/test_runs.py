"""Commands that look at runs: runs, status, logs, delete, note, export."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from raw_events import read_lines, typed

from arc_core.pipeline.config import PipelineConfig
from arc_core.run.directory import RunDirectory, RunLock, create_run
from arc_core.run.events import EventReader, EventWriter, read_tail
from arc_tui import cli
from arc_tui.commands.export import export_csv
from arc_tui.commands.runs import table
from arc_tui.runs.listing import age, disk_usage, list_rows

RECORDED = Path(__file__).parents[2] / "recorded" / "short_run.jsonl"


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)


def _main(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    assert isinstance(caught.value.code, int)
    return caught.value.code


def _recorded(name: str = "demo", created: float = 1000.0) -> RunDirectory:
    content = {"config": PipelineConfig(name=name).to_dict(), "created": created}
    run = create_run(Path("runs"), name, content)
    shutil.copyfile(RECORDED, run.events)
    return run


def test_runs_are_listed_newest_first_with_what_they_are_doing(capsys: pytest.CaptureFixture[str]):
    _recorded("old", 1000.0)
    new = _recorded("new", 2000.0)
    create_run(Path("runs"), "fresh", {"config": {}, "created": time.time()})
    with RunLock(new):
        assert _main("runs", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["state"]) for row in rows] == [
        ("fresh", "starting"),
        ("new", "starting"),
        ("old", "stopped"),
    ]
    assert (rows[2]["epoch"], rows[2]["step"], rows[2]["best_inputs"]) == (2, 9, 6)
    assert rows[2]["bytes"] == disk_usage(Path("runs/old"))


def _with_config(name: str, **options: object) -> RunDirectory:
    run = _recorded(name)
    run.update(config=run.read()["config"] | options)
    return run


def _listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert _main("runs", "--json", *arguments) == 0
    return [row["name"] for row in json.loads(capsys.readouterr().out)]


def test_runs_are_filtered_by_options_however_a_value_is_spelled(capsys: pytest.CaptureFixture[str]):
    _with_config("a", agent_lr=3e-4, seed=42)
    _with_config("b", agent_lr=3e-4, seed=43, validation_inputs=6)
    _with_config("c", agent_lr=1e-4, depth="deep")
    (Path("runs") / "stray").mkdir()
    assert _listed(capsys, "--filter", "agent_lr=3e-4") == ["a", "b"]
    assert _listed(capsys, "--filter", "agent-lr=0.0003", "--filter", "seed=43") == ["b"]
    assert _listed(capsys, "--filter", "validation_inputs=none") == ["a", "c"]
    assert _listed(capsys, "--filter", "skip_bad_tasks=False", "--filter", "depth=deep") == ["c"]
    assert _listed(capsys, "--filter", "state=stopped") == ["a", "b", "c"]
    assert _listed(capsys, "--filter", "agent_lr=fast") == []
    assert _main("runs", "--filter", "agent_lr=fast") == 0
    assert capsys.readouterr().out == "There is no run with agent_lr=fast in runs.\n"


def test_best_run_is_listed_first_and_what_is_no_run_last(capsys: pytest.CaptureFixture[str]):
    for name, best in (("low", [1.0, 0.9]), ("high", [5.0, 0.3]), ("higher", [5.0, 0.4])):
        run = _recorded(name)
        run.events.unlink()
        folder = run.checkpoints / "checkpoint_00001"
        folder.mkdir()
        (folder / "state.json").write_text(json.dumps({"best": best}))
    _recorded("none").events.unlink()
    (Path("runs") / "a stray").mkdir()
    assert _listed(capsys, "--sort", "best") == ["higher", "high", "low", "none", "a stray"]
    assert _listed(capsys, "--sort", "name") == ["high", "higher", "low", "none", "a stray"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--sort", "worst"], '--sort is "worst", but must be newest or best or name or step or size.'),
        (["--filter", "agent_lr"], "--filter takes key=value, not agent_lr."),
        (["--filter", "agent_rl=1"], "There is no setting agent_rl; did you mean agent_lr?"),
    ],
)
def test_orders_and_filters_that_are_none_are_refused(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
):
    _recorded()
    assert _main("runs", *arguments) == 2
    assert sentence in capsys.readouterr().err


def test_table_is_aligned_and_shows_no_control_character(capsys: pytest.CaptureFixture[str]):
    _recorded()
    (Path("runs") / "odd\x1b[2J").mkdir()
    assert _main("runs") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "STATE", "EPOCH", "STEP", "BEST", "VALIDATION", "SIZE", "AGE"]
    assert lines[1].startswith("demo")
    assert lines[1].index("stopped") == lines[0].index("STATE")
    assert "odd\\x1b[2J" in lines[2]
    assert "\x1b" not in "".join(lines)


def test_damaged_and_foreign_directories_are_rows_that_say_so(tmp_path: Path):
    _recorded("damaged").run_json.write_text("{")
    _recorded("piped")
    (tmp_path / "runs" / "piped" / "events.jsonl").unlink()
    os.mkfifo(tmp_path / "runs" / "piped" / "events.jsonl")
    (tmp_path / "runs" / "foreign").mkdir()
    (tmp_path / "runs" / "file.txt").touch()
    (tmp_path / "runs" / "link").symlink_to(tmp_path)
    rows = {row.name: row for row in list_rows(Path("runs"))}
    assert {name: row.state for name, row in rows.items()} == {
        "damaged": "damaged",
        "piped": "damaged",
        "foreign": "no run",
        "file.txt": "not read",
        "link": "not read",
    }
    assert "is not JSON" in str(rows["damaged"].problem)
    assert len(table(list(rows.values()))) == 6


def test_only_the_end_of_a_long_log_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    log = tmp_path / "events.jsonl"
    with EventWriter(log) as writer:
        for number in range(1, 2001):
            writer.emit("epoch", epoch=number, padding="x" * 100)
    whole = read_lines(log)
    for limit in (5000, 5001, 5137, log.stat().st_size, 10**9):
        tail = read_tail(log, limit)
        lines = whole[-len(tail) :]
        assert tail == typed(lines)
        size = sum(len(json.dumps(line, separators=(",", ":"))) + 1 for line in lines)
        assert limit - 200 <= size or lines == whole
    assert read_tail(tmp_path / "none.jsonl", 100) == []

    run = _recorded("long")
    with EventWriter(run.events, 100) as writer:
        for number in range(3000):
            writer.emit("command_rejected", id=str(number), reason="x" * 100)
    read: list[int] = []
    next_block = EventReader._next_block
    monkeypatch.setattr(
        EventReader, "_next_block", lambda self: read.append(len(found := next_block(self))) or found
    )
    assert list_rows(Path("runs"))[0].name == "long"
    assert (256 << 10) - 200 <= sum(read) <= 256 << 10


def test_best_validation_before_the_tail_is_taken_from_the_newest_checkpoint():
    run = _recorded()
    run.events.unlink()
    folder = run.checkpoints / "checkpoint_00004"
    folder.mkdir()
    (folder / "state.json").write_text(json.dumps({"best": [5.0, 0.75]}))
    row = list_rows(Path("runs"))[0]
    assert (row.best_exact, row.best_inputs, row.best_cell_accuracy) == (5, None, 0.75)
    (folder / "state.json").write_text(json.dumps({"best": [1.0, 0.0, 1.0]}))  # a score, as the third says
    row = list_rows(Path("runs"))[0]
    assert (row.best_exact, row.best_score) == (None, 1.0)


def test_hard_links_count_once_on_disk(tmp_path: Path):
    (tmp_path / "a").write_bytes(b"x" * 1000)
    (tmp_path / "b").hardlink_to(tmp_path / "a")
    assert disk_usage(tmp_path) == 1000


def test_age_is_written_by_its_largest_unit():
    assert [age(s) for s in (0, 59.9, 60, 3600, 86_400 * 3)] == ["0 s", "59 s", "1 min", "1 h", "3 d"]


def test_status_tells_the_reduced_state(capsys: pytest.CaptureFixture[str]):
    _recorded()
    assert _main("note", "demo", "first \x1b[2J try") == 0
    capsys.readouterr()
    assert _main("status", "--json") == 0
    known = json.loads(capsys.readouterr().out)
    assert (known["state"], known["alive"], known["epoch"], known["step"]) == ("stopped", False, 2, 9)
    assert known["last_step"]["learning_rate"]["agent"] == 5e-5
    assert (known["last_checkpoint"]["step"], known["settings"]["agent_lr"]) == (9, 5e-5)
    assert len(known["warnings"]) == 3
    assert _main("status", "de") == 0
    output = capsys.readouterr().out
    assert "Run demo: stopped (stopped by a command)\nEpoch 2, step 9\nLoss: risk 0." in output
    assert "Learning rates: agent 5e-05" in output
    assert re.search(r"^Memory: ema 0\.\d{4}, threshold 0\.\d{4}, entries \d+, stored \d+$", output, re.M)
    assert "Note: first \\x1b[2J try" in output


def test_status_tells_how_many_processes_train_a_run(capsys: pytest.CaptureFixture[str]):
    run = _recorded()
    for count, told in ((1, "Epoch 2, step 9\n"), (2, "Epoch 2, step 9, in 2 processes\n")):
        run.update(plan={"processes": count})
        assert _main("status", "demo") == 0
        assert told in capsys.readouterr().out
    assert _main("status", "--json") == 0
    assert json.loads(capsys.readouterr().out)["processes"] == 2


def test_status_json_is_json_whatever_the_log_holds(capsys: pytest.CaptureFixture[str]):
    run = _recorded()
    with EventWriter(run.events, 100) as writer:
        writer.emit("validation", step=10, exact=99, inputs=100, cell_accuracy=float("nan"))
        writer.emit("warning", code="c", message="\x7f\x1b‮", advice="")
    assert _main("status", "--json") == 0
    output = capsys.readouterr().out
    assert json.loads(output)["best_validation"]["cell_accuracy"] is None
    assert output.replace("\n", "").isprintable()
    assert output.isascii()


def test_logs_show_the_headless_lines_without_superseded_steps(capsys: pytest.CaptureFixture[str]):
    run = _recorded()
    with run.events.open("ab") as file:
        file.write(b"torn\n")
    assert _main("logs") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Training started"
    assert "Paused at step 3" in lines
    assert [line for line in lines if line.startswith("Resumed")] == [
        "Resumed at step 6 from checkpoint 00001"
    ]
    assert "Finished: stopped by a command" in lines
    assert lines[-1] == "1 damaged lines of the log are left out."


def test_crashed_run_shows_the_end_of_its_engine_log_and_how_to_go_on(capsys: pytest.CaptureFixture[str]):
    run = _recorded()
    ended = [
        line for line in run.events.read_bytes().splitlines(keepends=True) if b"run_finished" not in line
    ]
    run.events.write_bytes(b"".join(ended))
    run.engine_log.write_text("early\n" + "line\n" * 20 + "Segmentation fault\x1b[2J\n")
    for command in ("status", "logs"):
        assert _main(command) == 0
        said = capsys.readouterr().out.splitlines()
        assert said[-2:] == ["  Segmentation fault\\x1b[2J", "To go on: arc-tui train --resume demo"]
        assert any("ended without saying why" in line for line in said)
        assert "  early" not in said


def test_engine_log_is_shown_escaped(capsys: pytest.CaptureFixture[str]):
    run = _recorded()
    assert _main("logs", "--engine") == 0
    assert capsys.readouterr().out == ""
    run.engine_log.write_bytes("a\tb\r\n\x1b]0;x\x07 é\n".encode() + b"\xff end")
    assert _main("logs", "--engine", "--follow") == 0
    assert capsys.readouterr().out == "a       b\n\\x1b]0;x\\x07 é\n\ufffd end\n"


def test_delete_asks_and_follows_no_link(tmp_path: Path):
    run = _recorded()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    (run.path / "link").symlink_to(outside)
    (tmp_path / "runs" / "alias").symlink_to(outside)
    command = [sys.executable, "-m", "arc_tui.cli", "delete"]
    no = subprocess.run([*command, "demo"], input="n\n", capture_output=True, text=True, check=True)
    assert "Delete the run demo with all its checkpoints" in no.stdout
    assert run.path.is_dir()
    assert _main("delete", "alias", "--yes") == 2
    assert _main("delete", "demo", "--yes") == 0
    assert not run.path.exists()
    assert (outside / "kept").is_file()
    assert _main("delete") == 2, "the run to delete is always named"


def test_notes_are_kept_with_their_times(capsys: pytest.CaptureFixture[str]):
    run = _recorded()
    assert _main("note", "demo", "one") == _main("note", "demo", "two") == 0
    notes = run.read()["notes"]
    assert [entry["text"] for entry in notes] == ["one", "two"]
    assert all(abs(entry["time"] - time.time()) < 60 for entry in notes)
    assert _main("note", "demo", " ") == 2
    run.update(notes="x")
    assert _main("note", "demo", "three") == 2
    assert "its notes are no list" in capsys.readouterr().err


@pytest.mark.parametrize("first", [1000, 4], ids=["columns at once", "a column that comes late"])
def test_csv_has_every_number_of_every_step_that_counts(
    first: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("arc_tui.commands.export.FIRST_STEPS", first)
    run = _recorded()
    with EventWriter(run.events, 1000) as writer:
        writer.emit("step", step=10, loss={"risk": float("inf"), "new": 2})
    assert _main("export", "--csv", "out.csv") == 0
    assert capsys.readouterr().out == "10 steps written to out.csv\n"
    with Path("out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == [str(step) for step in range(1, 11)]
    last = next(e for e in reversed(read_lines(run.events)[:-1]) if e["type"] == "step")
    assert float(rows[8]["loss.efe_total"]) == last["loss"]["efe_total"]
    assert float(rows[8]["grad_norm.lm"]) == last["grad_norm"]["lm"]
    assert (rows[9]["loss.risk"], rows[9]["loss.new"], rows[8]["loss.new"]) == ("", "2", "")
    assert not {"rule", "seq", "amp.dtype"} & rows[0].keys()


def test_csv_into_a_pipe_is_that_of_a_file(monkeypatch: pytest.MonkeyPatch):
    run = _recorded()
    with EventWriter(run.events, 1000) as writer:
        writer.emit("step", step=10, loss={"new": 2})
    export_csv(run.events, Path("out.csv"))
    monkeypatch.setattr("arc_tui.commands.export.FIRST_STEPS", 4)
    os.mkfifo("pipe")
    with ThreadPoolExecutor() as threads:
        text = threads.submit(Path("pipe").read_text)
        assert export_csv(run.events, Path("pipe")) == 10
    assert text.result() == Path("out.csv").read_text()


def test_export_needs_a_target_that_can_be_written(capsys: pytest.CaptureFixture[str]):
    _recorded()
    assert _main("export") == 2
    assert _main("export", "--csv", "no/such/folder.csv") == 2
    assert "Cannot write no/such/folder.csv: No such file or directory." in capsys.readouterr().err


def test_missing_tensorboard_library_names_the_extra(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    _recorded()
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    assert _main("export", "--tensorboard", "board") == 2
    error = capsys.readouterr().err
    assert "pip install 'arc-tui[tensorboard]'" in error
    assert error.count("\n") == 1
    assert not Path("board").exists()


def test_tensorboard_files_hold_every_step_and_no_torch_is_imported():
    pytest.importorskip("tensorboardX", exc_type=ImportError)
    _recorded()
    code = (
        "import sys\nfrom arc_tui import cli\n"
        "try:\n    cli.main(['export', '--tensorboard', 'board'])\nexcept SystemExit as end:\n"
        "    assert end.code == 0\n"
        "assert 'torch' not in sys.modules\n"
        "from pathlib import Path\n"
        "from tensorboardX.proto.event_pb2 import Event\n"
        "(path,) = Path('board').iterdir()\n"
        "data, steps = path.read_bytes(), {}\n"
        "while data:\n"
        "    length = int.from_bytes(data[:8], 'little')\n"
        "    event, data = Event.FromString(data[12:12 + length]), data[16 + length:]\n"
        "    for value in event.summary.value:\n"
        "        steps.setdefault(value.tag, []).append(event.step)\n"
        "assert steps['loss/efe_total'] == list(range(1, 10)), steps\n"
        "assert steps['validation/cell_accuracy'] == [3, 6, 9]\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "9 steps written to board\n"
