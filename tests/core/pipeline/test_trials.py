"""The trials of the seed's terms: what is scored, what is trained alike, and what the table says of it."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from arc_core.data.dataset import ARCDataset
from arc_core.pipeline.batch import collate
from arc_core.pipeline.canvas_flow import canvas_flow
from arc_core.pipeline.recipe import PipelineRecipe
from benchmarks import trials
from benchmarks.trials import VARIANTS, Size, chosen_tasks, held_out_losses, trial
from benchmarks.trials_report import clustered_error, power, report, verdict

SMALL = Size(tasks=4, epochs=1, max_cells=36)


@pytest.fixture(scope="module")
def trained() -> PipelineRecipe:
    """A system that has seen four tasks once, in float32, so that a batch's padding leaves no trace."""
    return trials.train(chosen_tasks(SMALL), {"amp": "off"}, 0, 1)[0]


def losses(*values, tasks="abc"):
    """Scores of as many inputs, one for each of these tasks in turn."""
    return {
        f"{task}/{place}": {"loss": value, "cells": 1 - value / 10, "exact": value < 1}
        for place, (task, value) in enumerate(zip(tasks, values, strict=True))
    }


def rows(text):
    return {
        cells[0]: cells[1:]
        for cells in ([cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:])
        if cells
    }


def test_tasks_are_spread_over_the_list_and_none_is_too_large():
    tasks = chosen_tasks(Size(tasks=50, epochs=1, max_cells=100))
    everything = [task.id for task in chosen_tasks(Size(tasks=10_000, epochs=1, max_cells=900))]
    places = [everything.index(task.id) for task in tasks]
    assert len(set(places)) == 50
    assert len(everything) == 1000
    assert places == sorted(places)
    assert places[-1] > 900
    assert all(
        grid.size <= 100
        for task in tasks
        for pair in (*task.train, *task.test)
        for grid in vars(pair).values()
    )


@torch.inference_mode()
def test_the_log_loss_is_that_of_each_input_alone_with_probabilities_summed_by_hand(trained):
    examples = list(ARCDataset(tasks=trained.dataset.tasks, part="test"))
    found = held_out_losses(trained.models, trained.layouts, examples)
    for example, (loss, cells) in zip(examples, found, strict=True):
        size = example.target.shape
        told = None if trained.layouts.known_size(example) == size else size
        batch = collate([example], canvas=trained.layouts.lay([example], [told]))
        logits = canvas_flow(trained.models, batch).planned.logits[0, -1].double().numpy()
        chances = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        of_target = [chances[row, column, color] for (row, column), color in np.ndenumerate(example.target)]
        assert loss == pytest.approx(-np.log(of_target).mean(), rel=1e-4)
        answer = chances.argmax(axis=-1)[: size[0], : size[1]]
        assert cells == pytest.approx((answer == example.target).mean())


def test_a_target_changes_nothing_but_its_score(trained):
    example = ARCDataset(tasks=trained.dataset.tasks, part="test")[0]
    of_each = [
        held_out_losses(
            trained.models, trained.layouts, [replace(example, target=np.full_like(example.target, color))]
        )[0]
        for color in range(10)
    ]
    assert sum(cells for _, cells in of_each) == pytest.approx(1.0, abs=1e-5)  # each cell has one answer


def test_a_term_without_a_gradient_leaves_every_score_as_it_is_and_another_does_not():
    tasks = chosen_tasks(SMALL)
    default, step, risk = (
        trial(tasks, VARIANTS[name], 3, 1)["inputs"] for name in ("default", "step 0.1", "risk 1")
    )
    assert step == default
    assert risk.keys() == default.keys()
    assert all(risk[key]["loss"] != default[key]["loss"] for key in risk)


def test_what_is_in_the_file_is_not_trained_again(tmp_path, monkeypatch, capsys):
    file = tmp_path / "trials.jsonl"

    def run(*words):
        size = ["--tasks", "2", "--epochs", "1", "--max-cells", "36", "--file", str(file)]
        monkeypatch.setattr(sys, "argv", ["trials", *words, *size])
        trials.main()
        return capsys.readouterr().out

    with pytest.raises(SystemExit, match="no training of the default"):
        run("report")
    run("run", "default")
    before = file.read_text()
    run("run", "--seeds", "0", "default", "memory on")
    first, second = map(json.loads, file.read_text().splitlines())
    assert file.read_text().startswith(before)
    assert (first["variant"], second["variant"]) == ("default", "memory on")
    means = [np.mean([one["loss"] for one in line["inputs"].values()]) for line in (first, second)]
    said = rows(run("report"))["memory on"]
    assert said[1:3] == [f"{means[1]:.4f}", f"{means[1] - means[0]:+.4f}"]


def test_the_table_pairs_seeds_and_inputs_and_leaves_out_what_the_default_lacks():
    results = {
        "default": {0: losses(1.0, 2.0, 3.0), 1: losses(1.2, 2.2, 3.2)},
        "memory on": {0: losses(0.5, 1.5, 2.5), 1: losses(0.9, 1.9, 2.9), 2: losses(9.0, 9.0, 9.0)},
        "risk 1": {1: losses(1.2, 2.5, 3.8)},
    }
    found = rows(report(results))
    assert found["default"][:2] == ["2", "2.1000"]
    seeds, loss, difference, over_tasks, over_seeds, relative, cells, exact, _ = found["memory on"]
    assert (seeds, loss, difference, relative) == ("2", "1.7000", "-0.4000", "-19.0%")
    assert over_tasks == "0.0000"
    # 2 * (0.1² + 0.1²) of the default's means 2.0 and 2.2, and 0.1² + 0.1² of the differences -0.5 and -0.3,
    # over a degree of freedom each.
    assert over_seeds == f"{np.sqrt((0.04 + 0.02) / 2 / 2):.4f}"
    assert (cells, exact) == ("83.0%", "1.0")
    assert found["risk 1"][:4] == ["1", "2.5000", "+0.3000", f"{np.std([0, 0.3, 0.6], ddof=1) / 3**0.5:.4f}"]


def test_inputs_of_one_task_count_as_one_where_they_are_alike():
    values = np.array([0.1, -0.4, 0.7])
    alone = clustered_error(values, "abc")
    assert alone == pytest.approx(values.std(ddof=1) / np.sqrt(3))
    assert clustered_error(np.repeat(values, 4), "aaaabbbbcccc") == pytest.approx(alone)


def test_the_power_names_the_tasks_and_seeds_that_a_tenth_takes():
    default = {0: losses(1.0, 2.0, 3.0), 1: losses(1.2, 2.0, 2.7)}
    error = np.std([0.2, 0.0, -0.3], ddof=1) / np.sqrt(3)
    text = " ".join(power(default, 0.15))
    assert f"takes {int(np.ceil(3 * (2 * error / 0.1983) ** 2))} tasks with one seed, and 3 seeds" in text
    assert "needs a second seed" in " ".join(power({0: default[0]}, float("nan")))


@pytest.mark.parametrize(
    ("difference", "error", "said"),
    [
        (-0.31, 0.1, "better"),
        (0.31, 0.1, "worse"),
        (-0.25, 0.1, "perhaps better"),
        (0.25, 0.1, "perhaps worse"),
        (0.15, 0.1, "not told"),
        (0.05, 0.02, "less than 10% apart"),
        (-0.05, float("nan"), "not told"),
    ],
)
def test_a_verdict_takes_three_standard_errors(difference, error, said):
    assert verdict(difference, error, 1.0) == said
