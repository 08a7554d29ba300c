"""`arc-tui inspect results` on answers that others have published, alone and beside evaluations of ours."""

import json
from pathlib import Path

import pytest
from eval_files import FAILED, PARTLY, SECOND, SIZE, SOLVED, dataset, make_finished, truths
from published_answers import write_benchmarking, write_varc

from arc_tui import cli

WRONG = [[9]]


@pytest.fixture(autouse=True)
def tasks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder of tasks, an evaluation of ours over them, and the answers of two others."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")
    make_finished(Path("evals"), "ours", {SOLVED, SECOND, SIZE})
    known = {name: [grid.tolist() for grid in truths(name)] for name in (SOLVED, SECOND, FAILED, PARTLY)}
    attempts = {name: [[WRONG, grid] for grid in grids] for name, grids in known.items()}
    attempts[FAILED] = [["no idea", None] for _ in known[FAILED]]
    write_benchmarking(Path("o3"), attempts)
    draws = {name: [[WRONG, grid, grid] for grid in grids] for name, grids in known.items()}
    draws[SOLVED] = [[WRONG] for _ in known[SOLVED]]
    write_varc(Path("varc/attempt_0"), draws)
    return dataset(Path("evals"))


def run(capsys: pytest.CaptureFixture[str], *arguments: str, code: int = 0) -> str:
    with pytest.raises(SystemExit) as caught:
        cli.main(["inspect", "results", *arguments])
    captured = capsys.readouterr()
    assert caught.value.code == code, captured.err
    return captured.out if code != 2 else captured.err


def test_a_folder_of_answers_is_shown_as_an_evaluation(capsys, tasks: str):
    out = run(capsys, "o3", "--dataset", tasks, "--split", "training")
    assert "training, answers in the layout of arc-agi-benchmarking" in out
    assert "4 of 4 tasks done, 3 solved, 1 failed." in out
    assert "3 of 7 tasks of tasks training are not answered" in out
    assert "no ARC grid" in out
    assert "(ARC Prize)" in out
    assert "To go on" not in out
    found = json.loads(run(capsys, "o3", "--dataset", tasks, "--split", "training", "--json"))
    assert found["layout"] == "arc-agi-benchmarking"
    by_id = {one["task"]: one for one in found["list"]}
    assert by_id[SECOND]["solved_by"] == [2]
    assert by_id[SECOND]["steps"] is None
    assert by_id[SECOND]["confidence"] == [[None, None]]
    assert by_id[FAILED]["state"] == "failed"


def test_votes_of_varc_are_told(capsys, tasks: str):
    found = json.loads(run(capsys, "varc", "--dataset", tasks, "--split", "training", "--json"))
    by_id = {one["task"]: one for one in found["list"]}
    assert by_id[SECOND]["solved_by"] == [1]
    assert by_id[SECOND]["confidence"] == [[2 / 3, 1 / 3]]
    assert by_id[SOLVED]["state"] == "failed"


def test_a_blank_attempt_is_drawn_beside_the_output(capsys, tasks: str):
    out = run(capsys, "o3", "--dataset", tasks, "--split", "training", "--task", FAILED)
    assert "attempt 1 0x0" in out
    assert "✗ not solved" in out


def test_answers_to_hidden_outputs_are_unknown_and_drawn(capsys, tasks: str):
    folder = Path("hidden")
    folder.mkdir()
    for path in Path(tasks).glob("*.json"):
        content = json.loads(path.read_text())
        for pair in content["test"]:
            pair.pop("output", None)
        (folder / path.name).write_text(json.dumps(content))
    asked = ("o3", "--dataset", "hidden", "--split", "training")
    assert "4 unknown" in run(capsys, *asked)
    assert "attempt 1 0x0" in run(capsys, *asked, "--task", FAILED)
    error = run(capsys, "o3", "varc", "ours", "--dataset", "hidden", "--split", "training", code=2)
    assert error == "Error: o3 has no task that can be scored.\n"


def test_ours_and_anothers_are_compared_over_the_tasks_of_both(capsys, tasks: str):
    asked = ("ours", "varc", "--dataset", tasks, "--split", "training")
    found = json.loads(run(capsys, *asked, "--json"))
    assert found["outcomes"] == {"first": 1, "second": 1, "both": 1, "neither": 0, "open": 0}
    assert found["mcnemar_p"] == 1.0
    assert found["different"] == []
    assert "by ours alone 1, by varc alone 1" in run(capsys, *asked)


def test_three_and_more_are_a_table_with_a_test_of_each_two(capsys, tasks: str):
    asked = ("ours", "varc", "o3", "--dataset", tasks, "--split", "training")
    lines = [line.split() for line in run(capsys, *asked).splitlines()]
    assert ["ours", "varc", "3", "1", "1", "1", "0", "1"] in lines
    assert ["varc", "o3", "4", "2", "1", "1", "0", "1"] in lines
    found = json.loads(run(capsys, *asked, "--json"))
    assert [one["name"] for one in found["evaluations"]] == ["ours", "varc", "o3"]
    assert [(pair["first"], pair["second"]) for pair in found["pairs"]] == [
        ("ours", "varc"), ("ours", "o3"), ("varc", "o3")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("o3", "of 4 answered tasks none"),
        ("empty", "empty holds no answers"),
        ("bad.json", "bad.json is not JSON"),
        ("o3 --dataset nowhere", "There is no dataset 'nowhere'"),
        ("o3 --split test", '--split is "test"'),
        ("o3 varc ours --only solved", "choose among tasks, which one evaluation or two have"),
    ],
)
def test_bad_input_is_one_sentence(capsys, arguments: str, sentence: str):
    Path("empty").mkdir()
    Path("bad.json").write_text("{")
    error = run(capsys, *arguments.split(), code=2)
    assert sentence in error
    assert error.count("\n") == 1


def test_answers_of_another_number_of_test_inputs_are_damaged(capsys, tasks: str):
    write_benchmarking(Path("odd"), {SOLVED: [[WRONG]] * 3, SECOND: [[WRONG]]})
    out = run(capsys, "odd", "--dataset", tasks, "--split", "training")
    assert f"{SOLVED}: It has 3 answers to 1 test inputs." in out
