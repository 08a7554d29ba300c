"""Padding: few canvases, and numbers that do not depend on them."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import small_run
import torch
from hypothesis import given
from hypothesis import strategies as st

from arc_core.data.dataset import ARCDataset, Example, plan_batches
from arc_core.data.grids import MAX_SIDE
from arc_core.pipeline.batch import DEMONSTRATIONS_TOGETHER, collate
from arc_core.pipeline.padding import ANY_SIDE, FEW_SIDES, GridBatch, padded_canvas
from arc_core.pipeline.step import training_step
from arc_core.pipeline.system import ArcSystem

MakeExamples = Callable[..., list[Example]]
MakeSystem = Callable[..., ArcSystem]

sides = st.integers(1, MAX_SIDE)


@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=8))
def test_a_canvas_is_the_smallest_of_its_sides_that_holds_all_grids(sizes: list[tuple[int, int]]) -> None:
    longest = np.array(sizes).max(axis=0)
    for allowed in (ANY_SIDE, FEW_SIDES):
        canvas = padded_canvas(np.array(sizes), allowed)
        assert canvas == tuple(min(side for side in allowed if side >= own) for own in longest)
    assert padded_canvas(np.array(sizes), ANY_SIDE) == tuple(longest)


def test_what_is_padded_holds_each_grid_and_nothing_else() -> None:
    grids = [np.full((2, 6), 3), np.full((9, 1), 4)]
    batch = GridBatch.pad(grids, FEW_SIDES)
    assert batch.canvas == (10, 7)
    for cells, mask, grid in zip(batch.cells, batch.mask, grids, strict=True):
        height, width = grid.shape
        assert (cells[:height, :width].numpy() == grid).all()
        assert cells.sum() == grid.sum()
        assert mask.sum() == grid.size == mask[:height, :width].sum()


def test_an_epoch_meets_few_shapes_and_later_ones_hardly_any_new_one() -> None:
    dataset = ARCDataset()
    met: list[set[tuple[int, ...]]] = []
    for epoch in (0, 1):
        shapes = set[tuple[int, ...]]()
        for indices in plan_batches(dataset, 8, seed=42, epoch=epoch)[::4]:
            batch = collate([dataset.example(index, epoch) for index in indices], FEW_SIDES)
            assert batch.targets is not None
            together = [some.inputs.cells for some in batch.prompt_inputs.demonstrations]
            shapes |= {tuple(cells.shape) for cells in (batch.inputs.cells, batch.targets.cells, *together)}
        met.append(shapes)
    assert all(side in FEW_SIDES for shapes in met for shape in shapes for side in shape[1:])
    assert {shape[0] for shapes in met for shape in shapes} == {8} == {DEMONSTRATIONS_TOGETHER}
    assert len(met[1] - met[0]) < 0.4 * len(met[0]) < 0.4 * len(FEW_SIDES) ** 2


def test_training_and_validation_pad_to_few_canvases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canvases: list[tuple[int, int]] = []
    onto = GridBatch.onto

    def watched(grids: Sequence[np.ndarray], canvas: tuple[int, int]) -> GridBatch:
        canvases.append(canvas)
        return onto(grids, canvas)

    monkeypatch.setattr(GridBatch, "onto", watched)
    small_run.train(small_run.new_run(tmp_path, max_batches=2, validate_on="training"))
    assert len(canvases) > 3 * 4  # inputs, targets, and both sides of demonstrations
    assert set(canvases) == {(5, 5)}  # its grids are 3 by 3


def test_demonstrations_alike_in_size_share_a_canvas_and_none_is_lost(make_examples: MakeExamples) -> None:
    examples = make_examples(7, context=3)
    batch = collate(examples, FEW_SIDES)
    seen: list[tuple[int, bytes, bytes]] = []
    for some in batch.prompt_inputs.demonstrations:
        real = len(some.owner)
        assert len(some.inputs.cells) == len(some.outputs.cells) == DEMONSTRATIONS_TOGETHER
        assert some.inputs.canvas == some.outputs.canvas
        assert not some.inputs.mask[real:].any()
        assert not some.outputs.mask[real:].any()
        for row, owner in enumerate(some.owner.tolist()):
            cut = [
                grids.cells[row, : grids.sizes[row, 0], : grids.sizes[row, 1]].numpy().astype(np.int8)
                for grids in (some.inputs, some.outputs)
            ]
            seen.append((owner, cut[0].tobytes(), cut[1].tobytes()))
    wanted = [
        (owner, pair.input.astype(np.int8).tobytes(), pair.output.astype(np.int8).tobytes())
        for owner, example in enumerate(examples)
        for pair in example.context
        if pair.output is not None
    ]
    assert sorted(seen) == sorted(wanted)


@pytest.mark.parametrize("changes", [{}, {"backward": "flip"}, {"lambda_amb": 0.3}])
def test_a_steps_numbers_do_not_depend_on_the_canvases(
    make_system: MakeSystem, make_examples: MakeExamples, changes: dict[str, Any]
) -> None:
    results = []
    for allowed in (ANY_SIDE, FEW_SIDES):
        torch.manual_seed(7)
        system = make_system(**changes)
        for step in (1, 2):
            result = training_step(system, collate(make_examples(4, seed=step), allowed), epoch=0, step=step)
        results.append(result)
    exact, roomy = results
    for name in ("loss", "reward", "grad_norm"):
        assert getattr(roomy, name) == pytest.approx(getattr(exact, name), rel=2e-4, abs=2e-5)
    assert roomy.cell_accuracy == pytest.approx(exact.cell_accuracy, abs=1e-6)
