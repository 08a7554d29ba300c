"""`arc-tui score`: what it reads, prints and refuses, without torch."""

import json
import subprocess
import sys

import pytest
from published_answers import write_benchmarking, write_varc

from arc_core.data.kaggle import challenges, solutions
from arc_core.data.tasks import load_tasks
from arc_tui import cli


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A perfect submission for two tasks, their solutions and challenges."""
    monkeypatch.chdir(tmp_path)
    tasks = load_tasks("arcagi1", "evaluation").tasks[:2]
    (tmp_path / "x_challenges.json").write_text(json.dumps(challenges(tasks)))
    (tmp_path / "x_solutions.json").write_text(json.dumps(solutions(tasks)))
    answers = {
        name: [{"attempt_1": [[0]], "attempt_2": grid} for grid in grids]
        for name, grids in solutions(tasks).items()
    }
    (tmp_path / "submission.json").write_text(json.dumps(answers))
    return tmp_path


def run(*arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(["score", *arguments])
    return caught.value.code


def test_a_kaggle_solutions_file_is_scored_with_the_challenges_beside_it(folder, capsys):
    assert run("submission.json", "x_solutions.json") == 0
    out = capsys.readouterr().out
    assert "Test inputs solved   2/2 = 100.0% (34.2% to 100.0%)   first attempt 0/2 = 0.0%" in out
    assert "ratio" in out
    assert "same" in out
    (folder / "x_challenges.json").unlink()
    assert run("submission.json", "x_solutions.json") == 0
    assert "unknown" in capsys.readouterr().out


def test_a_dataset_is_scored_in_part_only_when_told(folder, capsys):
    assert run("submission.json", "arcagi1") == 2
    assert "lacks 398 of 400 tasks" in capsys.readouterr().err
    assert run("submission.json", "arcagi1", "--partial", "--json") == 0
    report = json.loads(capsys.readouterr().out)
    assert report["tasks_solved"]["pass_2"]["count"] == 2
    assert report["cell_accuracy"]["best"] == 1.0
    assert run("submission.json", "arcagi1", "--split", "test") == 2
    assert '--split is "test"' in capsys.readouterr().err


def test_scoring_imports_no_torch(folder):
    code = (
        "import sys\nfrom arc_tui import cli\n"
        "try:\n    cli.main(['score', 'submission.json', 'x_solutions.json'])\n"
        "except SystemExit as end:\n    sys.exit(end.code or bool({'torch', 'textual'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, cwd=folder, check=False)
    assert done.returncode == 0, done.stderr


def others(folder):
    """Three systems' answers to the two tasks: one solves both, one the first, one none."""
    truths = solutions(load_tasks("arcagi1", "evaluation").tasks[:2])
    first, second = truths
    write_benchmarking(folder / "o3", {task: [[[[0]], grid] for grid in truths[task]] for task in truths})
    write_varc(
        folder / "varc",
        {
            first: [[grid, grid, [[0]]] for grid in truths[first]],
            second: [[[[1]], [[11]]]] * len(truths[second]),
        },
    )
    write_benchmarking(folder / "random", {task: [[[[0]], None] for _ in truths[task]] for task in truths})


def test_every_layout_is_scored_and_arc_prizes_mean_is_told(folder, capsys):
    others(folder)
    for name, mean in (("o3", "100.0%"), ("varc", "50.0%"), ("random", "0.0%")):
        assert run(name, "x_solutions.json") == 0
        assert f"Mean over tasks      {mean} (ARC Prize)   first attempt" in capsys.readouterr().out
    assert run("varc", "x_solutions.json", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert found["layout"] == "VARC"
    assert found["mean_over_tasks"] == {"pass_1": 0.5, "pass_2": 0.5}
    assert len(found["unusable"]) == 1


def test_several_submissions_stand_beside_each_other_with_mcnemars_test(folder, capsys):
    others(folder)
    assert run("o3", "varc", "random", "submission.json", "x_solutions.json") == 0
    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert ["o3", "varc", "2", "1", "1", "0", "0", "1"] in lines
    assert ["o3", "random", "2", "0", "2", "0", "0", "0.5"] in lines
    assert "not corrected for 6 comparisons" in out
    assert "varc: 1 of 4 attempts is no ARC grid" in out
    assert run("o3", "varc", "x_solutions.json", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in found["submissions"]] == ["o3", "varc"]
    assert found["pairs"][0]["only_first"] == 1


def test_submissions_of_one_name_are_told_by_their_paths(folder, capsys):
    for place in ("a", "b"):
        write_varc(folder / place / "attempt_0", {"x": [[[[0]]]]})
    assert run("a/attempt_0", "b/attempt_0", "x_solutions.json") == 2
    assert "Error: a/attempt_0: The submission answers task x" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "told"), [("", "is empty"), ("{", "is not JSON"), ("3", "is no submission")]
)
def test_a_damaged_submission_beside_others_is_one_sentence(folder, capsys, content, told):
    others(folder)
    (folder / "bad.json").write_text(content)
    assert run("o3", "bad.json", "x_solutions.json") == 2
    error = capsys.readouterr().err
    assert error.startswith("Error: bad.json")
    assert told in error
    assert error.count("\n") == 1


def test_names_that_would_steer_a_terminal_are_escaped(folder, capsys):
    evil = "x\x1b]0;owned\x07"
    truths = solutions(load_tasks("arcagi1", "evaluation").tasks[:2])
    for place in (evil, "other"):
        write_benchmarking(
            folder / place, {task: [[["\x1b[2J"], None] for _ in truths[task]] for task in truths}
        )
    assert run(evil, "other", "x_solutions.json") == 0
    out = capsys.readouterr().out
    assert all(line.isprintable() for line in out.splitlines())
    assert "owned" in out
    (folder / evil / "bad.json").write_text("{")
    assert run(evil, "x_solutions.json") == 2
    assert "\x1b" not in capsys.readouterr().err
