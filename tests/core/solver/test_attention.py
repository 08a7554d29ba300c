"""Attention along rows and columns, against a loop over cells in numpy."""

import numpy as np
import torch

from arc_core.data.grids import MAX_SIDE
from arc_core.solver.attention import AxialAttention


def by_numpy(model, seen, cell, axis):
    """What the cell at (row, column) finds along an axis of a grid [h, w, D] without padding."""
    looks = seen @ model.look.weight.double().numpy().T + model.look.bias.double().numpy()
    query, key, value = np.split(
        looks[..., 3 * model.channels * axis :][..., : 3 * model.channels], 3, axis=-1
    )
    row, column = cell
    line = (slice(None) if axis else row, column if axis else slice(None))
    bias = model.distances[axis].double().numpy()
    offsets = cell[1 - axis] - np.arange(len(key[line])) + MAX_SIDE - 1
    scores = key[line] @ query[cell] / np.sqrt(model.channels) + bias[offsets]
    weights = np.exp(scores - scores.max())
    return weights @ value[line] / weights.sum()


@torch.no_grad()
def test_each_cell_attends_to_its_row_and_its_column_within_its_grid():
    torch.manual_seed(0)
    model = AxialAttention(8, 3)
    torch.nn.init.normal_(model.distances)
    seen = torch.randn(2, 5, 6, 8)
    mask = torch.zeros(2, 5, 6, 1)
    sizes = [(5, 3), (2, 6)]
    for number, (height, width) in enumerate(sizes):
        mask[number, :height, :width] = 1
    rows, columns = model(seen, mask)
    assert rows.isfinite().all()
    assert columns.isfinite().all()
    for number, (height, width) in enumerate(sizes):
        grid = seen[number, :height, :width].double().numpy()
        for cell in ((0, 0), (height - 1, width - 1), (1, 2)):
            for axis, found in enumerate((rows, columns)):
                expected = by_numpy(model, grid, cell, axis)
                np.testing.assert_allclose(found[(number, *cell)].numpy(), expected, atol=1e-5)
