"""Folders that are closed to this user, and names that no file can have, on the command line."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from unprivileged import unprivileged

from arc_core.pipeline.config import PipelineConfig
from arc_core.run.directory import create_run, list_runs, open_run
from arc_tui import cli

RECORDED = Path(__file__).parents[2] / "recorded" / "short_run.jsonl"
TASK = {"train": [{"input": [[1]], "output": [[2]]}], "test": [{"input": [[3]], "output": [[4]]}]}
LONG = "x" * 300

ON_OWN_RUN = [
    ["status", "mine"],
    ["status"],
    ["status", "min"],
    ["logs", "mine"],
    ["logs", "mine", "--engine"],
    ["note", "mine", "a word"],
    ["report", "mine", "-o", "report.html"],
    ["export", "mine", "--csv", "numbers.csv"],
    ["delete", "mine", "--yes"],
    ["runs"],
    ["runs", "--json"],
]


@pytest.fixture
def shared_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A run, `mine`, beside a closed one, `theirs`, and one of which run.json alone is closed, `sealed`."""
    monkeypatch.chdir(tmp_path)
    for name, created in (("mine", 1000.0), ("theirs", 2000.0), ("sealed", 3000.0)):
        content = {"config": PipelineConfig(name=name).to_dict(), "created": created}
        run = create_run(Path("runs"), name, content)
        shutil.copyfile(RECORDED, run.events)
        run.engine_log.touch()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "00000001.json").write_text(json.dumps(TASK))
    runs = tmp_path / "runs"
    (runs / "sealed" / "run.json").chmod(0)
    (runs / "theirs").chmod(0)
    yield runs
    (runs / "theirs").chmod(0o700)


def _main(*arguments: str) -> int:
    with unprivileged(), pytest.raises(SystemExit) as caught:
        cli.main(list(arguments))
    assert isinstance(caught.value.code, int)
    return caught.value.code


@pytest.mark.parametrize("arguments", ON_OWN_RUN, ids=" ".join)
@pytest.mark.usefixtures("shared_runs")
def test_closed_neighbours_are_in_nobodys_way(arguments: list[str], capsys: pytest.CaptureFixture[str]):
    assert _main(*arguments) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.usefixtures("shared_runs")
def test_newest_run_is_the_newest_that_may_be_read(shared_runs: Path):
    with unprivileged():
        assert [run.name for run in list_runs(shared_runs)] == ["mine"]
        assert open_run(shared_runs).name == "mine"


@pytest.mark.usefixtures("shared_runs")
def test_list_says_which_runs_are_closed(capsys: pytest.CaptureFixture[str]):
    assert _main("runs", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    assert [(row["name"], row["state"], row["problem"]) for row in rows] == [
        ("mine", "stopped", None),
        ("sealed", "closed", "Permission denied"),
        ("theirs", "closed", "Permission denied"),
    ]


@pytest.mark.parametrize("name", ["theirs", "sealed"])
@pytest.mark.parametrize(
    "command",
    [
        *("status", "logs", "attach", "pause", "resume", "stop", "delete --yes", "report"),
        *("export --csv out.csv", "inspect checkpoint", "train --headless --resume", "set"),
        "export-weights out.safetensors --run",
        "eval --system pipeline --limit 1 --weights",
    ],
)
def test_naming_a_closed_run_is_refused_in_one_sentence(
    command: str, name: str, shared_runs: Path, capsys: pytest.CaptureFixture[str]
):
    words = [*command.split(), name, *(["agent_lr=0.1"] if command == "set" else [])]
    assert _main(*words) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Permission denied" in error
    assert str(shared_runs / name).removeprefix(f"{Path.cwd()}/") in error


CLOSED = [
    "inspect dataset {}",
    "inspect checkpoint {}",
    "inspect task {}/t.json",
    "inspect task 00000001 --dataset {}",
    "inspect results {}",
    "inspect results --evals-dir {}",
    "config --config {}/c.toml",
    "train --headless --config {}/c.toml",
    "train --headless --dataset data --runs-dir {}/runs",
    "solve {}/t.json",
    "solve 00000001 --dataset {}",
    "eval --dataset {} --limit 1",
    "eval --dataset data --split training --weights {}/w.safetensors",
    "eval --dataset data --split training --evals-dir {}/evals",
    "eval --resume latest --evals-dir {}",
    "eval --resume some --evals-dir {}",
    "score {}/submission.json arcagi1",
    "status --runs-dir {}",
    "runs --runs-dir {}",
    "report mine -o {}/report.html",
    "export mine --csv {}/out.csv",
    "export mine --tensorboard {}/board",
    "themes --check {}/t.toml",
    *(
        pytest.param(f"train --headless --dataset {words}", marks=pytest.mark.slow)
        for words in ("{}", "data --lm {}", "data --preset solver --extra-data {}", "c.json --solutions {}/s")
    ),
]


@pytest.mark.parametrize(
    ("place", "reason"),
    [("runs/theirs", "Permission denied"), (LONG, "File name too long")],
    ids=["closed", "long"],
)
@pytest.mark.parametrize("command", CLOSED)
@pytest.mark.usefixtures("shared_runs")
def test_closed_and_impossible_paths_are_refused_in_one_sentence(
    command: str, place: str, reason: str, capsys: pytest.CaptureFixture[str]
):
    Path("c.json").write_text(json.dumps({"00000001": TASK}))
    assert _main(*command.format(place).split()) == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: ")
    assert error.count("\n") == 1
    assert place in error
    assert reason in error
