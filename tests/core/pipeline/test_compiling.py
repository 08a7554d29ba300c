"""Steps that are compiled: they learn what others do, in few graphs, and leave the same checkpoints."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from same_training import PLANNERS, SLOW, same_training, steps_of
from small_run import give, new_run, opened, stop_after, train, warned
from torch._dynamo.utils import counters

from arc_core.base.errors import PreflightError
from arc_core.pipeline import compiling
from arc_core.run.checkpoint_index import list_checkpoints
from arc_core.run.directory import RunDirectory

MOST_GRAPHS = 15
"""Of all epochs together: each function with and without gradients, the loss at each weight of sizes."""

pytestmark = [
    # Torch hides these warnings of its compiler from those who see warnings, not from those who raise them.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf"),
    pytest.mark.filterwarnings("ignore:.*Function'> should not be instantiated:DeprecationWarning"),
]


@pytest.fixture
def on_cpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Lets the CPU compile, up to the graphs and their gradients that `inductor` would make kernels of."""
    monkeypatch.setattr(compiling, "DEVICES", ("cuda", "cpu"))
    monkeypatch.setattr(compiling, "BACKEND", "aot_eager")
    torch._dynamo.reset()
    counters.clear()
    yield
    torch._dynamo.reset()


def names_of(run: RunDirectory) -> dict[str, set[str]]:
    """The names of all tensors of the last checkpoint, by file."""
    last = list_checkpoints(run.checkpoints)[-1]
    return {path.name: set(load_file(path)) for path in last.rglob("*.safetensors")}


def trained(folder: Path, name: str, **settings: Any) -> RunDirectory:
    run = new_run(folder, name, **SLOW | {"epochs": 2} | settings)
    train(run)
    return run


@pytest.mark.slow
@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("planner", PLANNERS)
def test_a_compiled_run_learns_what_another_does_in_few_whole_graphs(tmp_path: Path, planner: str):
    expected = trained(tmp_path, "plain", **PLANNERS[planner])
    assert counters["stats"]["unique_graphs"] == 0
    found = trained(tmp_path, "compiled", compile=True, **PLANNERS[planner])
    assert 8 <= counters["stats"]["unique_graphs"] <= MOST_GRAPHS
    assert not counters["graph_break"]
    same_training(found, expected)
    assert names_of(found) == names_of(expected)


@pytest.mark.slow
@pytest.mark.usefixtures("on_cpu")
@pytest.mark.parametrize("planner", PLANNERS)
def test_a_run_goes_on_compiled_from_one_that_was_not_and_back(tmp_path: Path, planner: str):
    expected = trained(tmp_path, "plain", **PLANNERS[planner])
    run = new_run(tmp_path, "changing", **SLOW | {"epochs": 2, "compile": True} | PLANNERS[planner])
    train(run, lambda trainer: stop_after(trainer, 3))
    give(run, compile=False)
    train(run, lambda trainer: stop_after(trainer, 7))
    give(run, compile=True)
    train(run)
    same_training(run, expected)


@pytest.mark.slow
@pytest.mark.usefixtures("on_cpu")
def test_parts_of_a_batch_are_compiled_as_whole_batches_are(tmp_path: Path):
    settings: dict[str, Any] = {**PLANNERS["seed"], "batch_size": 2, "accumulate": 3}
    expected = trained(tmp_path, "plain", **settings)
    same_training(trained(tmp_path, "compiled", compile=True, **settings), expected)
    assert counters["stats"]["unique_graphs"] <= MOST_GRAPHS


@pytest.mark.slow
@pytest.mark.usefixtures("on_cpu")
def test_no_canvas_of_a_data_set_is_compiled_for_itself(tmp_path: Path):
    settings = {"dataset": "arcagi2", "batch_size": 4, "max_pairs": 120, "max_batches": 12}
    with opened(new_run(tmp_path, "various", compile=True, epochs=2, **settings)) as trainer:
        counts: list[int] = []
        for batch in trainer.recipe.plan_epoch(0)[:12]:
            trainer.recipe.step(batch, trainer.progress)
            trainer.progress.step += 1
            counts.append(counters["stats"]["unique_graphs"])
    assert counts[-1] <= MOST_GRAPHS
    assert counts[3] == counts[-1]


def test_a_run_on_a_cpu_is_told_that_nothing_is_compiled_and_trains_as_without(tmp_path: Path):
    runs = [new_run(tmp_path, str(asked), compile=asked, max_batches=2) for asked in (False, True)]
    for run in runs:
        train(run)
    assert warned(runs[1], "not_compiled") == [
        "compile is true, but this run computes on cpu: it is for GPUs, and nothing is compiled here."
    ]
    assert warned(runs[0], "not_compiled") == []
    assert steps_of(runs[0]) == steps_of(runs[1])


@pytest.mark.usefixtures("on_cpu")
def test_a_run_that_cannot_be_compiled_here_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def broken(*_: Any) -> None:
        raise RuntimeError("no compiler was found\nin 12 places")

    monkeypatch.setattr(compiling, "BACKEND", broken)
    with pytest.raises(PreflightError) as refusal, opened(new_run(tmp_path, compile=True)):
        pass
    said = str(refusal.value)
    assert said.startswith("compile is true, but torch cannot compile for cpu here (")
    assert "no compiler was found" in said
    assert said.endswith("): use --set compile=false.")
