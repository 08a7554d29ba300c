"""Views of a task and the way back, and where outputs lie under them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_core.data.grids import dihedral
from arc_core.data.sizes import Placement
from arc_core.data.tasks import Pair, Task
from arc_core.data.views import make_views

grids = st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1)).map(
    lambda drawn: np.random.default_rng(drawn[2]).integers(0, 10, drawn[:2]).astype(np.int8)
)


@given(grids, st.integers(0, 2**31))
def test_every_view_is_undone_and_black_stays_black(grid, seed):
    views = make_views(3, (seed,))
    assert len(views) == 24
    for view in views:
        there = view.apply(grid)
        assert (view.undo(there) == grid).all()
        assert int((there == 0).sum()) == int((grid == 0).sum())
        assert (there.shape == grid.shape[::-1]) == (view.turned or grid.shape[0] == grid.shape[1])


@given(grids, st.integers(0, 2**31))
def test_probabilities_are_mapped_back_as_grids_are(grid, seed):
    rng = np.random.default_rng(seed)
    for view in make_views(2, (seed,)):
        seen = view.apply(grid)
        shares = rng.random((*seen.shape, 10)).astype(np.float32)
        back = view.undo_probabilities(shares)
        assert back.shape == (*grid.shape, 10)
        assert (view.undo(shares.argmax(axis=-1).astype(np.int8)) == back.argmax(axis=-1)).all()
        one_hot = np.eye(10, dtype=np.float32)[seen]
        assert (view.undo_probabilities(one_hot).argmax(axis=-1) == grid).all()


def test_the_first_view_is_the_task_itself_and_seeds_decide_the_rest():
    grid = np.arange(6, dtype=np.int8).reshape(2, 3)
    task = Task("a", (Pair(grid, grid.T),), (Pair(grid, None),))
    first = make_views(4, (1, 2))[0].of(task)
    assert (first.train[0].input == grid).all()
    assert first.test[0].output is None
    assert make_views(4, (1, 2)) == make_views(4, (1, 2))
    assert make_views(4, (1, 2)) != make_views(4, (1, 3))
    assert [view.symmetry for view in make_views(2, (0,), symmetries=False)] == [0, 0]


@pytest.mark.parametrize("symmetry", range(8))
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    box=st.tuples(st.integers(0, 8), st.integers(0, 8), st.integers(1, 9), st.integers(1, 9)),
)
def test_a_placement_moves_with_the_grid(symmetry, size, box):
    top, left, height, width = box[0] % size[0], box[1] % size[1], box[2], box[3]
    height, width = min(height, size[0] - top), min(width, size[1] - left)
    grid = np.zeros(size, np.int8)
    grid[top : top + height, left : left + width] = 1
    placed = Placement((height, width), (top, left)).under(symmetry, size)
    rows, columns = np.nonzero(dihedral(grid, symmetry))
    assert placed.corner == (rows.min(), columns.min())
    assert placed.size == (np.ptp(rows) + 1, np.ptp(columns) + 1)
