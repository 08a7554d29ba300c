"""docs/examples/recursive_planner is short, learns, sizes its answers and resumes."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from small_run import measured, stop_after, told, train, write_tasks

from arc_core.base.errors import ConfigError
from arc_core.data.dataset import Example
from arc_core.data.grids import from_rows
from arc_core.data.tasks import Pair
from arc_core.run.directory import RunDirectory, create_run
from arc_core.run.provenance import describe_run
from arc_core.run.recipes import declaration_of
from arc_core.run.resolving import resolve

EXAMPLE = Path(__file__).parents[3] / "docs" / "examples" / "recursive_planner"
sys.path.insert(0, str(EXAMPLE))

from recursive_planner import RecursivePlanner
from recursive_planner.net import OUTSIDE, Planner
from recursive_planner.recipe import drafts, grid_of

SMALL: dict[str, Any] = {
    **{"recipe": "recursive_planner:RecursivePlanner", "device": "cpu", "threads": 1, "amp": "off"},
    **{"width": 16, "prompt": 8, "batch_size": 4, "agent_lr": 0.01},
}


def new_run(folder: Path, name: str = "a", **settings: Any) -> RunDirectory:
    tasks = folder / "tasks"
    if not tasks.exists():
        write_tasks(tasks)
    config = resolve(SMALL | {"dataset": str(tasks), "name": name} | settings)
    return create_run(folder / "runs", name, describe_run(config, ["arc-tui", "train"]))


def test_the_example_has_at_most_250_lines() -> None:
    files = [*EXAMPLE.rglob("*.py"), *EXAMPLE.rglob("*.toml")]
    assert {"pyproject.toml", "net.py", "recipe.py"} <= {file.name for file in files}
    assert sum(len(file.read_text().splitlines()) for file in files) <= 250


def test_it_learns_its_demonstrations(tmp_path: Path) -> None:
    run = new_run(tmp_path, epochs=30, validate_on="none", checkpoint_every=1000)
    assert train(run) == "completed"
    means = [epoch["loss"]["total"] for epoch in told(run, "epoch")]
    assert means[-1] < 0.5 * means[0]


def test_its_steps_and_samples_carry_what_it_declares(tmp_path: Path) -> None:
    run = new_run(tmp_path, epochs=1, answers=3)
    train(run)
    declared = declaration_of(run.read())
    step, sample = told(run, "step")[0], told(run, "sample")[0]
    assert list(step["loss"]) == ["answer_1", "answer_2", "answer_3", "total"]
    assert sum(list(step["loss"].values())[:3]) == pytest.approx(step["loss"]["total"])
    assert all(group in step for group in declared.by_name)
    assert all(from_rows(sample[grid.name]).shape for grid in declared.grids)


def test_it_validates_on_every_test_input(tmp_path: Path) -> None:
    run = new_run(tmp_path, epochs=1)
    train(run)
    (found,) = told(run, "validation")
    assert (found["inputs"], found["tasks"]) == (6, 6)
    assert 0 < found["cell_accuracy"] < 1


def test_solutions_of_test_inputs_change_no_answer(tmp_path: Path) -> None:
    write_tasks(tmp_path / "tasks")
    kinds = (np.zeros((3, 3), np.int8), np.full((5, 9), 7, np.int8))
    first, second = (answers_where_tests_become(tmp_path / "tasks", output) for output in kinds)
    assert all(np.array_equal(one, two) for one, two in zip(first, second, strict=True))


def answers_where_tests_become(tasks: Path, output: np.ndarray) -> list[np.ndarray]:
    """What a fresh planner answers where every test's output is the one given."""
    for file in tasks.iterdir():
        task = json.loads(file.read_text())
        task["test"] = [{"input": pair["input"], "output": output.tolist()} for pair in task["test"]]
        file.write_text(json.dumps(task))
    config = resolve(SMALL | {"dataset": str(tasks)})
    recipe = RecursivePlanner(config, torch.device("cpu"), lambda finding: None)
    recipe.load()
    torch.manual_seed(0)
    recipe.models = recipe.build(None)
    found: list[np.ndarray] = []
    recipe.mean.register_forward_hook(lambda *call: found.extend(map(grid_of, call[-1][-1])))
    assert recipe.validate(lambda: True) is not None
    return found


def test_a_resumed_run_is_bitwise_equal(tmp_path: Path) -> None:
    whole, cut = new_run(tmp_path, "whole", epochs=3), new_run(tmp_path, "cut", epochs=3, checkpoint_every=1)

    train(whole)
    train(cut, lambda trainer: stop_after(trainer, 4))
    train(cut)
    assert len(measured(told(whole, "step"))) == 9
    assert measured(told(cut, "step")) == measured(told(whole, "step"))


def test_an_answer_has_the_size_that_is_inside_its_scores() -> None:
    scores = torch.full((6, 7, OUTSIDE + 1), -5.0)
    scores[..., OUTSIDE] = 3.0
    scores[:2, :5, OUTSIDE] = -3.0
    scores[:2, :5, 4] = 2.0
    scores[1, 2, OUTSIDE] = 4.0  # one cell that is in doubt does not cut a grid
    grid = grid_of(scores)
    assert grid.shape == (2, 5)
    assert (grid == 4).all()


def test_drafts_have_the_size_of_the_rule_that_the_demonstrations_follow() -> None:
    given = from_rows(["12", "34"])
    twice = Pair(from_rows(["5"]), from_rows(["55", "55"]))
    also = Pair(from_rows(["12"]), from_rows(["1122", "1122"]))
    _, laid, stretched = drafts(Example("a", 0, "test", (twice, also), given, None))
    assert np.array_equal(laid, from_rows(["1200", "3400", "0000", "0000"]))
    assert np.array_equal(stretched, from_rows(["1122", "1122", "3344", "3344"]))


def test_no_gradient_flows_from_an_answer_into_the_one_before() -> None:
    net, grids = Planner(2, 8, 4, recursions=1), torch.randint(0, 10, (2, 3, 4, 4))
    states: list[torch.Tensor] = []
    net.colors.register_forward_hook(lambda _, given, out: states.append(given[0]))
    scores = net(grids, torch.tensor([0, 1]), 0, answers=2)
    (flow,) = torch.autograd.grad(scores[1].sum(), states[0], allow_unused=True)
    assert flow is None


def test_it_refuses_tasks_that_it_has_not_learned() -> None:
    with pytest.raises(ConfigError, match=r"validate_on is .*evaluation.*training or none"):
        resolve(SMALL | {"validate_on": "evaluation"})
