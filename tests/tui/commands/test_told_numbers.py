"""What commands tell of a run whose recipe is not built in, and of the solver: what it declares, no more."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from foreign_run import FOREIGN, foreign_events, make_foreign_run
from raw_events import typed
from recordings import make_run

from arc_core.run.declared import Declared, GroupKind, NumberGroup
from arc_core.run.directory import RunDirectory
from arc_tui.cli import main
from arc_tui.runs.listing import best_text, list_rows
from arc_tui.runs.sentences import (
    batch_line,
    epoch_line,
    epoch_lines,
    validation_line,
    validation_lines,
    validation_words,
)
from arc_tui.runs.state import reduce


def told(kind: str) -> Any:
    """The first event of a kind in the foreign run."""
    (event,) = typed([next(line for line in foreign_events() if line["type"] == kind)])
    return event


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    return make_foreign_run(tmp_path)


def _main(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_line_of_a_step_is_the_one_that_is_declared():
    assert batch_line(told("step"), FOREIGN) == "[Batch    1] loss: 2.696 | cells: 13.6%"


def test_a_run_that_does_not_say_what_its_lines_tell_tells_its_headlines():
    plain = Declared(groups=FOREIGN.groups)
    assert batch_line(told("step"), plain) == (
        "[Batch    1] Loss: 2.6960 | cells right: 0.1360 | pairs exact: 0.0000 | steps until halt: 15.0000"
    )
    assert epoch_line(told("epoch"), FOREIGN).startswith("Epoch 0: Loss 1.")
    assert epoch_lines(told("epoch"), None, FOREIGN)[:5] == [
        "[Epoch 0 Summary]",
        "  Loss: 1.3492",
        "",
        "  cells right: 0.6022",
        "  pairs exact: 0.2500",
    ]
    assert batch_line(told("step"), Declared()) == "[Batch    1]"


def test_a_number_that_a_step_leaves_out_is_not_in_its_line():
    (step,) = typed([{"type": "step", "step": 3, "batch": 2, "loss": {"total": 1.5}, "nonfinite": []}])
    assert batch_line(step, FOREIGN) == "[Batch    3] loss: 1.500"


def test_a_validation_tells_what_it_has_measured():
    found = told("validation")
    assert validation_words(found) == "score 0.1000, 1/12 exact, 0.5000 of cells"
    assert validation_line(found) == (
        "Validation at step 20: score 0.1000, 1/12 exact, cells 0.5000, halted early 0.25, votes 16"
    )
    assert validation_lines(found) == [
        "  Score: 0.1000",
        "  Validation Accuracy: 0.0833 (1/12 correct)",
        "  Cell Accuracy: 0.5000",
        "  halted early: 0.25",
        "  votes: 16",
    ]
    (empty,) = typed([{"type": "validation", "step": 4, "split": "x"}])
    assert (validation_line(empty), validation_lines(empty)) == (
        "Validation at step 4: nothing measured",
        [],
    )


def test_the_best_validation_is_the_one_of_the_largest_score():
    def validated(step: int, exact: int, score: float) -> dict[str, Any]:
        return {"type": "validation", "seq": step, "step": step, "inputs": 9, "exact": exact, "score": score}

    state = reduce(typed([validated(1, 7, 0.1), validated(2, 3, 0.4), validated(3, 5, 0.4)]))
    assert state.best_validation is not None
    assert (state.best_validation.step, best_text(state.best_validation)) == (2, "score 0.4000, 3/9 exact")


def test_a_list_of_runs_shows_the_best_score(run: RunDirectory, capsys: pytest.CaptureFixture[str]):
    (row,) = list_rows(run.path.parent)
    assert (row.best_score, row.best_exact, row.state) == (0.3, 3, "finished")
    assert "score 0.3000" in _main(capsys, "runs", "--runs-dir", str(run.path.parent))


def test_a_validation_of_a_score_alone_claims_no_exact_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    scored = {"type": "validation", "seq": 900, "time": 1.0, "step": 9, "split": "x", "score": 0.25}
    make_foreign_run(tmp_path, [*foreign_events(9), scored])
    (row,) = json.loads(_main(capsys, "runs", "--json", "--runs-dir", str(tmp_path)))
    best = {name: row[name] for name in ("best_score", "best_exact", "best_inputs", "best_cell_accuracy")}
    assert best == {"best_score": 0.25} | dict.fromkeys(("best_exact", "best_inputs", "best_cell_accuracy"))
    assert "Best validation: score 0.2500\n" in _main(capsys, "status", "--runs-dir", str(tmp_path))


def test_status_has_a_line_for_each_group(run: RunDirectory, capsys: pytest.CaptureFixture[str]):
    lines = _main(capsys, "status", "--runs-dir", str(run.path.parent)).splitlines()
    assert lines[:9] == [
        "Run foreign: finished (completed)",
        "Epoch 2, step 60 of 60",
        "Loss: ce 0.1986, halt 0.2259, total 0.4245",
        "Accuracy: cells 0.9223, exact 0.7500",
        "Recursion: steps 12.0000 steps",
        "Gradients: model 3.45e-01, puzzle_embedding 5.86e-01",
        "Learning rates: model 0.0001, puzzle_embedding 0.01",
        "Speed: 40.0 pairs/s",
        "Best validation: score 0.3000, 3/12 exact, 0.9000 of cells",
    ]


def test_logs_tell_the_declared_numbers(run: RunDirectory, capsys: pytest.CaptureFixture[str]):
    output = _main(capsys, "logs", "--runs-dir", str(run.path.parent))
    assert "[Batch   10] loss: " in output
    assert "EFE" not in output
    assert "nan" not in output


def test_status_and_logs_of_a_solver_show_only_its_own(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    run = make_run(tmp_path)
    content = run.read()
    run.write(content | {"config": content["config"] | {"recipe": "solver"}})
    status = _main(capsys, "status", "--runs-dir", str(tmp_path))
    logs = _main(capsys, "logs", "--runs-dir", str(tmp_path))
    assert [line.split(":")[0] for line in status.splitlines()[2:7]] == [
        "Loss",
        "Accuracy",
        "Gradients",
        "Learning rates",
        "Speed",
    ]
    assert "Gradients: agent " in status
    told = [line for line in (status + logs).splitlines() if "Warning" not in line and "Set" not in line]
    for word in ("risk", "Reward", "Memory", "EFE", "Qwen", "policy", "LM Gradient"):
        assert word not in "".join(told)


def test_exports_follow_what_the_log_has(
    run: RunDirectory, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    table = tmp_path / "numbers.csv"
    _main(capsys, "export", "--csv", str(table), "--runs-dir", str(run.path.parent))
    with table.open() as file:
        rows = list(csv.DictReader(file))
    assert {*FOREIGN.names} <= rows[0].keys()
    assert len(rows) == 60
    assert float(rows[-1]["loss.total"]) == pytest.approx(0.4245, abs=1e-4)


def test_the_note_of_a_group_stands_in_place_of_its_numbers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    group = NumberGroup.of("loss", GroupKind.CONTRIBUTIONS, "total", note="the loss is turned off")
    make_foreign_run(tmp_path, declared=Declared(groups=(group,)))
    assert "Loss: the loss is turned off\nSpeed" in _main(capsys, "status", "--runs-dir", str(tmp_path))
