"""The benchmark for a GPU keeps to its time, goes on after a failure, and counts and compares rightly."""

import json
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from arc_core.base.errors import RunError
from arc_core.data.kaggle import Attempts
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.folder import Assignment, EvalFolder, InputAnswer, TaskAnswer
from benchmarks import batch_sizes, gpu
from benchmarks.gpu_session import SMALL, Session

SLEEP = ("timeit", "-n1", "-r1", "__import__('time').sleep(60)")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    made = Session(tmp_path, "cpu", SMALL, None, tmp_path / "kept.safetensors")
    made.until = time.monotonic() + 60
    return made


def report_of(monkeypatch, folder: Path, minutes: str = "10") -> dict:
    file = folder / "gpu.json"
    monkeypatch.setattr("sys.argv", ["gpu", "--device", "cpu", "--minutes", minutes, "--file", str(file)])
    assert gpu.main() == 0
    return json.loads(file.read_text())


def test_parts_without_time_are_told_as_cut(monkeypatch, tmp_path, capsys):
    parts = report_of(monkeypatch, tmp_path, minutes="0.01")["parts"]
    assert list(parts) == list(gpu.PARTS)
    assert all(told["cut"][0].startswith("not begun: 0.") for told in parts.values())
    assert all(told["figures"] == {} and told["failed"] is None for told in parts.values())
    assert capsys.readouterr().out.count("| cut | not begun: ") == len(parts)


def test_a_part_that_fails_keeps_its_figures_and_its_sentence_and_the_rest_goes_on(
    monkeypatch, tmp_path, capsys
):
    def failing(session, figures):
        figures["steps"] = 3
        raise RunError("It crashed.")

    def working(session, figures):
        assert "steps" in (tmp_path / "gpu.json").read_text(), "what was measured before is on the disk"
        figures["best"] = {"pairs_per_second": 12.3456}

    monkeypatch.setattr(gpu, "PARTS", {"one": (1.0, failing), "two": (1.0, working)})
    parts = report_of(monkeypatch, tmp_path)["parts"]
    assert (parts["one"]["failed"], parts["one"]["figures"]) == ("It crashed", {"steps": 3})
    assert (parts["two"]["failed"], parts["two"]["cut"]) == (None, [])
    printed = capsys.readouterr().out
    assert "| one | failed | It crashed |" in printed
    assert "| two | best | pairs per second 12.35 |" in printed


def test_what_a_part_leaves_goes_to_those_after_it(monkeypatch, tmp_path):
    given = []
    quick = (1.0, lambda session, figures: given.append(session.left))
    monkeypatch.setattr(gpu, "PARTS", {"one": quick, "two": quick, "three": (2.0, quick[1])})
    report_of(monkeypatch, tmp_path, minutes="4")
    assert given == pytest.approx([60, 80, 240], abs=2)


def test_a_device_that_is_not_here_is_refused_in_a_sentence(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("sys.argv", ["gpu", "--device", "cuda:77", "--file", str(tmp_path / "gpu.json")])
    assert gpu.main() == 2
    assert "cuda:77" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_command_is_stopped_when_its_time_is_up_and_when_there_is_enough(session):
    assert not session.run(*SLEEP, until=time.monotonic() + 0.2)
    assert len(session.cut) == 1
    assert not session.run(*SLEEP, enough=lambda: True)
    assert len(session.cut) == 1, "what was enough is not cut"


def test_a_command_that_fails_is_told_with_its_last_line(session):
    with pytest.raises(RunError, match=r"arc_tui.cli train: .*nosuch"):
        session.run("arc_tui.cli", "train", "--headless", "--preset", "nosuch")


def test_a_command_finds_this_checkout_and_what_the_caller_finds(session, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(session.folder))
    assert session.run("site")
    assert str(session.folder) in session.printed()
    assert f"'{gpu.HERE}'" in session.printed()


def test_tensors_that_differ_are_counted_wherever_they_lie(tmp_path):
    tensors = {"a": torch.zeros(2), "b": torch.ones(3)}
    for name, changed in (("one", {}), ("same", {}), ("other", {"b": torch.tensor([1.0, 1.5, 1.0])})):
        (tmp_path / name / "language_model").mkdir(parents=True)
        save_file(tensors, tmp_path / name / "agent.safetensors")
        save_file(tensors | changed, tmp_path / name / "language_model" / "model.safetensors")
    same, other = (gpu.compare(tmp_path / "one", tmp_path / name) for name in ("same", "other"))
    assert same == {"bit_equal": True, "tensors": 4, "tensors_that_differ": 0, "largest_difference": 0.0}
    assert other == {"bit_equal": False, "tensors": 4, "tensors_that_differ": 1, "largest_difference": 0.5}


def test_an_evaluation_that_was_cut_is_scored_on_what_was_answered(tmp_path):
    first, second = load_tasks("arcagi1", "evaluation").tasks[:2]
    folder = EvalFolder(tmp_path / "eval")
    asked = Assignment(
        "arcagi1", "evaluation", (first.id, second.id), 1.0, None, 0, "cpu", {}, None, None, ()
    )
    folder.make(asked)
    assert gpu.scored(folder) == {"tasks": 2, "answered": 0}
    right = [
        InputAnswer(Attempts(pair.input, pair.output), (0.6, 0.4), pair.input, "same") for pair in first.test
    ]
    folder.write_answer(TaskAnswer(first.id, tuple(right), 7, 1.5, 3, 3))
    found = gpu.scored(folder)
    assert (found["tasks"], found["answered"], found["solved"], found["fit"]) == (2, 1, 1, 1)
    assert (found["steps_a_task"], found["seconds_a_task"]) == (7, 1.5)
    assert found["inputs_solved"] == found["inputs"] == len(first.test)


class Recipe:
    class config:
        batch_size = 4
        compile = False

    dataset = range(100)


@pytest.mark.parametrize(
    ("rates", "ended"),
    [
        ((10, 15, 15.2), "batches of 16 bring less than 5%"),
        ((10, 20, None), "no memory for batches of 16"),
        ((10, 20, 40, 80, 160), "there are 100 pairs"),
    ],
)
def test_batch_sizes_double_while_that_pays(monkeypatch, rates, ended):
    left = iter(rates)

    def measure(recipe, size, steps):
        rate = next(left)
        if rate is None:
            raise torch.OutOfMemoryError("no memory")
        return {"pairs_per_second": rate, "memory_gb": 1.0}

    monkeypatch.setattr(batch_sizes, "measure", measure)
    *sizes, last = batch_sizes.search(Recipe, 1, time.monotonic() + 60)
    assert [line["batch_size"] for line in sizes] == [4, 8, 16, 32, 64][: len(sizes)]
    assert [line["pairs_per_second"] for line in sizes] == [rate for rate in rates if rate is not None]
    assert last == {"ended": ended}


def test_compiled_steps_are_measured_at_the_one_size_that_they_are_compiled_for(monkeypatch):
    monkeypatch.setattr(batch_sizes, "measure", lambda *_: {"pairs_per_second": 10.0})
    monkeypatch.setattr(Recipe.config, "compile", True)
    found = [*batch_sizes.search(Recipe, 1, time.monotonic() + 60)]
    assert found == [
        {"batch_size": 4, "pairs_per_second": 10.0},
        {"ended": "compiled for batches of 4 alone"},
    ]


def test_a_batch_size_that_would_take_too_long_is_not_begun(monkeypatch):
    monkeypatch.setattr(batch_sizes, "measure", lambda *_: {"pairs_per_second": 1.0, "memory_gb": 1.0})
    *sizes, last = batch_sizes.search(Recipe, 1, time.monotonic() - 1)
    assert (len(sizes), last) == (1, {"ended": "no time for batches of 8"})
