"""`arc-tui score`: what it reads, prints and refuses, without torch."""

import json
import subprocess
import sys

import pytest

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
