"""Recipes of others, by their class's name: trained, steered, resumed and shown as ours are, or refused."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from command import ARC_TUI, Finished, environment, train
from raw_events import counting
from small_run import write_tasks

ROOT = Path(__file__).parents[1]
OPTIONS = ("--headless", "--device", "cpu", "--epochs", "2", "--batch-size", "3", "--set", "sample_every=2")


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipes' module can be imported in every process that is started."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def trained(folder: Path, recipe: str, *more: str) -> Finished:
    if not (folder / "tasks").exists():
        write_tasks(folder / "tasks")
    return train(
        folder, "a", *OPTIONS, "--recipe", f"tiny_recipes:{recipe}", "--dataset", str(folder / "tasks"), *more
    )


def said(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [ARC_TUI, *words], cwd=folder, env=environment(folder), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_recipe_of_others_trains_validates_and_shows_what_it_declares(tmp_path: Path) -> None:
    done = trained(tmp_path, "Tiny", "--set", "bend=2")
    assert done.code == 0, done.err
    steps = done.of("step")
    assert [step["step"] for step in steps] == list(range(1, 9))
    assert {name for name, part in steps[0].items() if isinstance(part, dict)} == {
        *("loss", "grad_norm", "learning_rate", "amp")
    }
    assert done.run.read()["config"]["bend"] == 2.0
    assert "shares" in done.out
    best = max(done.of("validation"), key=lambda event: event["score"])
    assert best["numbers"]["shares"] == -best["score"]
    assert [event["step"] for event in done.of("sample")] == [1, 2, 4, 6, 8]
    (line,) = done.of("evidence")[-1]["lines"]
    assert (line["name"], line["work"]) == ("it learns", "working")
    status = said(tmp_path, "status", "a")
    assert "shares" in status
    assert "Reward" not in status


def test_a_run_of_a_recipe_of_others_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    expected = trained(whole, "Tiny")
    assert trained(parts, "Tiny", "--epochs", "1").code == 0
    rest = train(parts, "a", "--resume", "a", "--epochs", "2", "--headless")
    assert rest.code == 0, rest.err
    kept = [(e["step"], e["loss"], e["grad_norm"]) for e in counting(rest.events) if e["type"] == "step"]
    assert kept == [(e["step"], e["loss"], e["grad_norm"]) for e in expected.of("step")]


@pytest.mark.parametrize(
    ("recipe", "sentence"),
    [
        (
            "NoRecipe",
            "tiny_recipes:NoRecipe is no recipe: that is a class made from arc_core.training.recipe",
        ),
        ("Nowhere", "The recipe tiny_recipes:Nowhere cannot be imported: AttributeError"),
        ("Misnamed", "No group may be called epoch: every event has a field of that name."),
        ("Undeclared", "in step 1 it tells the group mood, which is not declared; declared: amp, grad_norm"),
        ("Colourful", "the sample of step 1 cannot be shown: the grid given"),
    ],
)
def test_a_recipe_that_cannot_be_used_is_refused_in_a_sentence(
    tmp_path: Path, recipe: str, sentence: str
) -> None:
    done = trained(tmp_path, recipe)
    assert done.code == 2
    assert sentence in done.err
    assert "Traceback" not in done.err
    assert len(done.err.strip().splitlines()) == 1


def test_a_colour_that_there_is_not_is_named_with_its_cell(tmp_path: Path) -> None:
    assert "holds 12 in row 1, column 1 (zero-based)" in trained(tmp_path, "Colourful").err


def test_a_run_is_shown_without_its_recipes_package_and_only_training_needs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert trained(tmp_path, "Tiny").code == 0
    monkeypatch.delenv("PYTHONPATH")
    assert "shares" in said(tmp_path, "status", "a")
    assert "shares" in said(tmp_path, "logs", "a")
    assert "a " in said(tmp_path, "runs")
    said(tmp_path, "export", "a", "--csv", "steps.csv")
    assert "loss.shares" in (tmp_path / "steps.csv").read_text().splitlines()[0]
    said(tmp_path, "report", "a", "--output", "a.html")
    again = train(tmp_path, "a", "--resume", "a", "--epochs", "3", "--headless")
    assert again.code == 2
    assert "The recipe tiny_recipes:Tiny cannot be imported" in again.err
    assert "Traceback" not in again.err


def test_its_options_are_explained_and_those_of_others_refused(tmp_path: Path) -> None:
    told = said(tmp_path, "config", "--recipe", "tiny_recipes:Tiny", "--set", "bend=3")
    table = told.partition('["tiny_recipes:Tiny"]')[2]
    assert "bend = 3.0" in table
    refused = trained(tmp_path, "Tiny", "--set", "lambda_risk=2")
    assert refused.code == 2
    assert "lambda_risk is an option of the recipe pipeline" in refused.err
