"""Every command that reads tasks can go on without the bad ones, says what it left out, and hints only at
flags that it has."""

import json
import re
from pathlib import Path

import pytest
from typer.main import get_command

from arc_core.data.finding import find_task
from arc_core.data.kaggle import challenges, solutions
from arc_core.data.seen import choose_tasks
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.outcome import conclude
from arc_tui import cli
from arc_tui.commands import evaluation as eval_command
from arc_tui.commands.eval import task_list
from arc_tui.results.evaluations import list_evals

GOOD = {"train": [{"input": [[1, 2]], "output": [[2], [1]]}], "test": [{"input": [[3]], "output": [[4]]}]}
HIDDEN = {"train": GOOD["train"], "test": [{"input": [[3]], "output": None}]}
WIDE = {"train": [{"input": [[0] * 33], "output": [[1]]}], "test": GOOD["test"]}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A folder `mixed` with a task of 33 columns, one that is torn, and two that are good."""
    monkeypatch.chdir(tmp_path)
    Path("mixed").mkdir()
    for name, content in {"good": GOOD, "other": GOOD, "wide": WIDE}.items():
        Path(f"mixed/{name}.json").write_text(json.dumps(content))
    Path("mixed/torn.json").write_text('{"train"')
    return tmp_path


def run(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as caught:
        cli.main(arguments)
    captured = capsys.readouterr()
    assert caught.value.code == code, captured.err
    return captured.out, captured.err


READERS = {
    "inspect dataset": ("inspect", "dataset", "mixed"),
    "inspect task": ("inspect", "task", "good", "--dataset", "mixed"),
    "score": ("score", "submission.json", "mixed", "--split", "training"),
    "solve": ("solve", "good", "--dataset", "mixed", "--steps", "0", "--weights", "none"),
    "eval": (
        "eval", "--dataset", "mixed", "--split", "training", "--steps-per-task", "0", "--weights", "none",
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", READERS)
def test_without_the_flag_bad_tasks_are_refused_with_a_hint_that_the_command_understands(command, capsys):
    Path("submission.json").write_text("{}")
    _, error = run(capsys, *READERS[command], code=2)
    assert re.match(r"Error: \S*mixed/torn.json is not JSON", error)
    assert "1 more of 4 tasks is bad too. --skip-bad-tasks goes on with the other 2." in error
    assert not list(Path.cwd().glob("evals/*"))
    for flag in re.findall(r"--[a-z-]+", error):
        assert flag in run(capsys, *command.split(), "--help")[0]


@pytest.mark.parametrize("command", ["inspect dataset", "inspect task", "score"])
def test_with_the_flag_a_command_goes_on_and_lists_what_it_left_out(command, capsys):
    attempts = {"attempt_1": [[4]], "attempt_2": [[1]]}
    Path("submission.json").write_text(json.dumps({x: [attempts] for x in ("good", "other", "wide")}))
    out, error = run(capsys, *READERS[command], "--skip-bad-tasks")
    for bad in ("mixed/torn.json is not JSON", "mixed/wide.json: task wide"):
        assert bad in out + error
    assert {"inspect dataset": "2 tasks of mixed", "inspect task": "good of mixed", "score": "2/2 = 100.0%"}[
        command
    ] in out
    if command == "score":
        assert "Not scored, as their outputs are not known: 1 tasks, wide" in out
        report = json.loads(run(capsys, *READERS[command], "--skip-bad-tasks", "--json")[0])
        assert (len(report["skipped"]), report["not_scored"]) == (2, ["wide"])


def test_solve_and_eval_find_their_tasks_beside_bad_ones(capsys):
    told = []
    found = find_task("good", "mixed", skip_bad_tasks=True, show=told.append)
    assert (found.task.id, found.split) == ("good", "training")
    assert told[0].startswith("2 bad tasks are left out: mixed/torn.json")
    asked = eval_command.Asked(
        dataset="mixed", split="training", limit=None, tasks=None, held_out=False, seconds_per_task=1.0,
        steps_per_task=None, seed=0, device="cpu", weights="none", settings={}, allow_seen=False, name="a",
        skip_bad_tasks=True,
    )  # fmt: skip
    folder, tasks = eval_command.begin(asked, Path("evals"))
    assert [task.id for task in tasks] == ["good", "other"]
    assert capsys.readouterr().out == told[0] + "\n"
    again, tasks = eval_command.reopen("a", Path("evals"))
    assert (again, [task.id for task in tasks]) == (folder, ["good", "other"])


def test_a_task_of_an_evaluation_that_has_become_bad_is_named_with_what_is_wrong(capsys):
    Path("mixed/torn.json").unlink()
    arguments = (
        "--dataset",
        "mixed",
        "--split",
        "training",
        "--skip-bad-tasks",
        "--weights",
        "none",
        "--name",
        "a",
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(eval_command, "run", lambda *_, **__: 0)
        run(capsys, "eval", *arguments)
    Path("mixed/good.json").write_text("[]")
    _, error = run(capsys, "eval", "--resume", "a", code=2)
    place = Path("mixed").absolute()
    assert f"There is no task good among the 1 tasks. 2 bad tasks are left out: {place}/good.json" in error
    assert list_evals(Path("evals"))[0].tasks == 2


def test_an_evaluation_with_a_hidden_output_is_scored_without_it(monkeypatch, capsys):
    Path("some").mkdir()
    for name, content in {"a": GOOD, "b": HIDDEN}.items():
        Path(f"some/{name}.json").write_text(json.dumps(content))
    tasks = load_tasks("some").tasks
    from test_eval import answer, asked

    folder, _ = eval_command.begin(asked(dataset="some", split="training", limit=None), Path("evals"))
    for task in tasks:
        folder.write_answer(answer(task.id))
    report = conclude(folder, tasks)
    assert [x.task for x in report.inputs] == ["a"]
    content = json.loads(folder.results.read_text())
    assert content["not_scored"] == ["b"]
    assert [content["tasks"][name]["solved"] for name in "ab"] == [False, None]
    assert set(json.loads(folder.submission.read_text())) == {"a", "b"}
    assert eval_command.run(folder, tasks, ["cpu"]) == 0
    assert "Not scored, as their outputs are not known: 1 tasks, b" in capsys.readouterr().out.splitlines()


def test_a_submission_is_scored_beside_tasks_whose_outputs_are_hidden(capsys):
    for name, content in {"a": GOOD, "b": HIDDEN}.items():
        Path("some").mkdir(exist_ok=True)
        Path(f"some/{name}.json").write_text(json.dumps(content))
    Path("s.json").write_text(json.dumps({x: [{"attempt_1": [[4]]}] for x in "ab"}))
    out, _ = run(capsys, "score", "s.json", "some", "--split", "training")
    assert "Test inputs solved   1/1 = 100.0%" in out
    assert "Not scored, as their outputs are not known: 1 tasks, b" in out
    assert "Blank attempts       1 of 2; each counts as a wrong one" in out


def test_a_bad_solution_is_skipped_like_a_bad_task(capsys):
    Path("x_solutions.json").write_text(json.dumps({"a": [[[4]]], "b": [[[0] * 31]]}))
    Path("s.json").write_text(json.dumps({x: [{"attempt_1": [[4]], "attempt_2": [[4]]}] for x in "ab"}))
    _, error = run(capsys, "score", "s.json", "x_solutions.json", code=2)
    assert "task b, solution 0 (zero-based) is 1x31" in error
    assert "--skip-bad-tasks goes on without it" in error
    out, _ = run(capsys, "score", "s.json", "x_solutions.json", "--skip-bad-tasks")
    assert "Skipped: x_solutions.json: task b, solution 0 (zero-based) is 1x31" in out
    assert "1/1 = 100.0%" in out


def test_a_file_of_many_tasks_is_listed_where_one_task_is_expected(capsys):
    tasks = load_tasks("arcagi1").tasks[:3]
    Path("x_challenges.json").write_text(json.dumps(challenges(tasks)))
    Path("x_solutions.json").write_text(json.dumps(solutions(tasks)))
    out, error = run(capsys, "inspect", "task", "x_challenges.json")
    for task in tasks:
        assert task.id in out
    assert "x_challenges.json holds 3 tasks; to see one: " in error
    assert "arc-tui inspect task ID --dataset x_challenges.json" in error
    assert json.loads(run(capsys, "inspect", "task", "x_challenges.json", "--json")[0])["tasks"] == 3
    assert tasks[1].id in run(capsys, "inspect", "task", tasks[1].id, "--dataset", "x_challenges.json")[0]
    _, error = run(capsys, "solve", "x_challenges.json", "--weights", "none", code=2)
    assert f"holds 3 tasks: name one of {tasks[0].id}, " in error


def test_nested_folders_are_listed_whole_and_a_task_of_them_is_shown(capsys):
    for name in ("Above/1", "Below/1", "Below/2"):
        path = Path("corpus", f"{name}.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(GOOD))
    found = json.loads(run(capsys, "inspect", "dataset", "corpus", "--json")[0])
    assert [task["id"] for task in found["list"]] == ["2", "Above/1", "Below/1"]
    assert "Below/1 of corpus" in run(capsys, "inspect", "task", "Below/1", "--dataset", "corpus")[0]


class TestTaskLists:
    def test_a_long_list_of_ids_is_no_file_name(self):
        chosen = [task.id for task in load_tasks("arcagi1").tasks[:40]]
        assert len(",".join(chosen)) > 255
        assert task_list(",".join(chosen)) == chosen
        assert task_list(", ".join(chosen) + ",") == chosen

    def test_files_and_ids_may_be_mixed(self):
        Path("list.txt").write_bytes("\ufeffb\r\n\r\n c \r\n".encode())
        assert task_list("list.txt") == ["b", "c"]
        assert task_list("a, list.txt,d") == ["a", "b", "c", "d"]

    def test_an_id_with_a_comma_is_listed_in_a_file(self, capsys):
        Path("odd.json").write_text(json.dumps({"a,b": GOOD, "c": GOOD}))
        Path("list.txt").write_text("a,b\n")
        tasks = load_tasks("odd.json").tasks
        assert [task.id for task in choose_tasks(tasks, ids=task_list("list.txt"))] == ["a,b"]
        of_odd = ("eval", "--dataset", "odd.json", "--split", "training", "--weights", "none", "--tasks")
        _, error = run(capsys, *of_odd, "a,b", code=2)
        assert (
            "There is no task a among the 2 tasks: an id with a comma in it can only be listed in a file"
            in error
        )
        Path("list.txt").write_text("c, d\n")
        _, error = run(capsys, *of_odd, "list.txt", code=2)
        assert "There is no task c, d among the 2 tasks: a file of tasks has one id a line" in error

    def test_an_id_listed_twice_is_named(self, capsys):
        _, error = run(capsys, "eval", "--weights", "none", "--tasks", "00576224,009d5c81,00576224", code=2)
        assert "A task is listed twice: 00576224." in error


@pytest.mark.parametrize(
    "command", ["runs", "inspect checkpoint", "inspect results", "solve", "eval", "themes"]
)
@pytest.mark.parametrize("flag", ["--skip-bad-task", "--lambda-risk", "--epochs", "--headles"])
def test_a_hint_names_no_flag_that_the_command_lacks(command, flag, capsys):
    _, error = run(capsys, *command.split(), flag, "3", code=2)
    assert error.startswith(f"Error: There is no flag {flag}")
    named = set(re.findall(r"--[a-z-]+", error)) - {flag, "--help"}
    found = get_command(cli.app)
    for word in command.split():
        found = found.commands[word]
    assert named <= {name for parameter in found.params for name in parameter.opts}
