"""Data sets of others at the command line: `inspect dataset`, `inspect task`, `eval` and what trains."""

import json

import published_sets as sets
import pytest
from rich.cells import cell_len

from arc_core.pipeline.config import PipelineConfig
from arc_core.pipeline.startup import load_split
from arc_tui import cli
from arc_tui.commands.evaluation import Asked, chosen_tasks


@pytest.fixture(autouse=True)
def _folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(capsys, *arguments, code=0):
    with pytest.raises(SystemExit) as caught:
        cli.main(["inspect", *arguments])
    captured = capsys.readouterr()
    assert caught.value.code == code, captured.err
    if code == 2:
        assert captured.err.count("\n") == 1
    return captured.out if code != 2 else captured.err


def test_a_dataset_is_listed_by_its_groups(capsys, tmp_path):
    folder = str(sets.concept_arc(tmp_path))
    assert "Groups: AboveBelow 3, Center 3, Copy 3" in run(capsys, "dataset", folder)
    found = json.loads(run(capsys, "dataset", folder, "--groups", "Center,Copy", "--json"))
    assert found["groups"] == {"Center": 3, "Copy": 3}
    assert found["tasks"] == 6
    assert {tuple(one["groups"]) for one in found["list"]} == {("Center",), ("Copy",)}
    assert "no group Centre" in run(capsys, "dataset", folder, "--groups", "Centre", code=2)
    assert "arcagi1 has no groups" in run(capsys, "dataset", "arcagi1", "--groups", "x", code=2)


def test_a_sentence_as_a_name_is_listed_whole_and_shown_by_its_start(capsys, tmp_path):
    folder = str(sets.mini_arc(tmp_path))
    listed = run(capsys, "dataset", folder)
    assert all(name in listed for name in sets.MINI_NAMES)
    assert all(cell_len(line) < 400 for line in listed.splitlines())
    assert sets.MINI_NAMES[2] in run(capsys, "task", "Eunji", "--dataset", folder)


def test_generated_pairs_are_listed_and_drawn(capsys, tmp_path):
    archive = str(sets.re_arc(tmp_path / "re_arc.zip"))
    listed = run(capsys, "dataset", archive, "--pairs", "6")
    assert "Skipped: " in listed
    assert listed.endswith("2 tasks of " + archive + ", the first 6 generated pairs of each\n")
    drawn = run(capsys, "task", "007", "--dataset", archive, "--pairs", "4")
    assert "Demonstration 2" in drawn
    assert "Demonstration 3" not in drawn
    one = sets.write(tmp_path / "a.json", [{"input": [[n]], "output": [[n]]} for n in range(12)])
    assert "Demonstration 8" in run(capsys, "task", str(one))


def test_barcs_lines_are_listed_and_drawn(capsys, tmp_path):
    lines = str(sets.barc(tmp_path / "data_100k.jsonl"))
    assert "3 tasks of " in run(capsys, "dataset", lines)
    assert "data_100k_task1" in run(capsys, "task", "data_100k_task1", "--dataset", lines)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("[]", "has no two pairs"),
        ("[", "is not JSON"),
        ('[{"input": 1}]', "must be an object with an input"),
    ],
)
def test_a_bad_file_of_pairs_is_one_sentence(capsys, tmp_path, content, sentence):
    assert sentence in run(capsys, "task", str(sets.write(tmp_path / "a.json", content)), code=2)


def test_an_evaluation_asks_the_tasks_of_the_groups(tmp_path):
    folder = str(sets.concept_arc(tmp_path))
    asked = Asked(folder, "training", 1.0, None, 0, "cpu", "none", {}, groups=("Copy",))
    assert [task.id for task in chosen_tasks(asked)] == ["Copy1", "Copy10", "Copy2"]


def test_a_run_is_trained_on_the_tasks_of_the_groups(tmp_path):
    config = PipelineConfig(dataset=str(sets.concept_arc(tmp_path)), groups="Copy,Center")
    assert len(load_split(config, "training", lambda finding: None)) == 6
