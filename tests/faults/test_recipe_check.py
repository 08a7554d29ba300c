"""What every run promises, checked by the same code for each recipe: ours, the example's, and any other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from small_run import write_tasks

from arc_core import check_recipe
from arc_core.base.errors import RecipeError

TESTS = Path(__file__).parents[1]
EXAMPLE = TESTS.parent / "docs" / "examples" / "recursive_planner"

SMALL: dict[str, dict[str, Any]] = {
    "pipeline": {
        **{"hidden_dim": 16, "prompt_dim": 16, "memory_capacity": 16, "max_steps": 2, "batch_size": 2},
        "small_cells": 20,
    },
    "pipeline on the outputs' canvas": {
        **{"planner": "canvas", "optimizer": "muon", "hidden_dim": 16, "prompt_dim": 16, "max_steps": 2},
        **{"memory_capacity": 16, "batch_size": 2, "small_cells": 20, "schedule": "cosine"},
    },
    "pipeline as it pretrains": {
        **{"planner": "canvas", "optimizer": "muon", "hidden_dim": 16, "prompt_dim": 16, "max_steps": 2},
        **{"keep_away": True, "validate_on": "none", "ema": 0.9, "refine": False, "memory": False},
        **{"batch_size": 4, "dataset": "arcagi1", "small_cells": 20},
    },
    "recursive_planner:RecursivePlanner": {"width": 8, "prompt": 8, "batch_size": 2},
}

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recipes can be imported here and in every process that is started."""
    for folder in (TESTS, EXAMPLE):
        monkeypatch.syspath_prepend(folder)
    monkeypatch.setenv("PYTHONPATH", f"{TESTS}:{EXAMPLE}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.mark.parametrize("recipe", SMALL)
def test_a_recipe_keeps_what_every_run_promises(tmp_path: Path, recipe: str) -> None:
    options = dict(SMALL[recipe])
    options.setdefault("dataset", str(write_tasks(tmp_path / "tasks")))
    found = check_recipe(recipe.partition(" ")[0], tmp_path / "runs", options)
    assert found.steps >= 6
    assert len(found.kept) == 6, found.kept


def test_a_recipe_that_keeps_its_state_to_itself_is_found_out(tmp_path: Path) -> None:
    options = {"dataset": str(write_tasks(tmp_path / "tasks")), "batch_size": 3}
    found = check_recipe("tiny_recipes:Tiny", tmp_path / "good", options)
    assert found.steps == 8
    with pytest.raises(RecipeError, match=r"after a stop after step 4 .*model.safetensors is not that of"):
        check_recipe("tiny_recipes:Forgetful", tmp_path / "bad", options)
