"""Output sizes from demonstrations: each family, what it needs, and what it reaches on real tasks."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from arc_core.data.sizes import RULES, fitting_rules, objects, size_guesses
from arc_core.data.tasks import Pair, load_tasks


def blank(height, width):
    return np.zeros((height, width), dtype=np.int8)


def pairs(*sizes):
    return [Pair(blank(*before), blank(*after)) for before, after in sizes]


def told(demonstrations, query):
    return [(guess.rule, guess.size) for guess in size_guesses(demonstrations, query)]


@pytest.mark.parametrize(
    ("sizes", "query", "expected"),
    [
        ([((3, 4), (3, 4)), ((5, 5), (5, 5))], (7, 2), ("same", (7, 2))),
        ([((3, 3), (9, 9)), ((2, 4), (6, 12))], (5, 5), ("ratio", (15, 15))),
        ([((6, 9), (3, 9)), ((4, 2), (2, 2))], (8, 7), ("ratio", (4, 7))),
        ([((3, 4), (5, 5)), ((8, 2), (5, 5))], (9, 9), ("constant", (5, 5))),
        ([((3, 4), (5, 6)), ((8, 2), (10, 4))], (9, 9), ("affine", (11, 11))),
        ([((3, 4), (4, 3)), ((8, 2), (2, 8))], (5, 9), ("affine", (9, 5))),
        ([((3, 7), (3, 3)), ((4, 9), (4, 4))], (5, 11), ("affine", (5, 5))),
    ],
)
def test_each_family_answers_for_the_query(sizes, query, expected):
    assert told(pairs(*sizes), blank(*query))[0] == expected


def framed(height, width, top, left, rows, columns):
    grid = blank(height, width)
    grid[top : top + rows, left : left + columns] = 3
    grid[top + 1 : top + rows - 1, left + 1 : left + columns - 1] = 0
    return grid


def test_the_box_of_what_is_not_black_and_the_inside_of_a_frame_are_measured():
    inputs = [framed(9, 9, 1, 2, 4, 5), framed(12, 7, 3, 1, 5, 3)]
    query = framed(10, 11, 0, 0, 6, 8)
    outer = [Pair(grid, blank(*size)) for grid, size in zip(inputs, [(4, 5), (5, 3)], strict=True)]
    inner = [Pair(grid, blank(*size)) for grid, size in zip(inputs, [(2, 3), (3, 1)], strict=True)]
    assert told(outer, query)[0] == ("box", (6, 8))
    assert told(inner, query)[0] == ("box", (4, 6))


def test_a_rule_counts_only_if_it_fits_every_demonstration():
    assert told(pairs(((3, 3), (3, 3)), ((4, 4), (4, 5)), ((5, 5), (5, 5))), blank(6, 6)) == []


def test_where_two_rules_disagree_both_sizes_are_offered_once():
    # All inputs 3x3, all outputs 6x6: a ratio and a constant explain that alike.
    demonstrations = pairs(((3, 3), (6, 6)), ((3, 3), (6, 6)))
    assert told(demonstrations, blank(4, 4)) == [("ratio", (8, 8)), ("constant", (6, 6))]
    assert told(demonstrations, blank(3, 3)) == [("ratio", (6, 6))]


def test_a_size_outside_the_limits_of_a_grid_is_not_offered():
    assert told(pairs(((3, 3), (9, 9)), ((2, 2), (6, 6))), blank(11, 2)) == []


def test_without_demonstrations_nothing_is_guessed():
    assert size_guesses([], blank(3, 3)) == []
    with pytest.raises(ValueError, match="no output"):
        size_guesses([Pair(blank(1, 1), None)], blank(3, 3))


def test_objects_touch_at_corners_and_may_have_many_colours():
    grid = np.array([[1, 0, 0, 0], [0, 2, 0, 3], [0, 0, 0, 3]], dtype=np.int8)
    assert [int(mask.sum()) for mask in objects(grid)] == [2, 2]
    assert objects(blank(2, 2)) == []


grids = st.tuples(st.integers(1, 12), st.integers(1, 12), st.integers(0, 2**32 - 1)).map(
    lambda drawn: np.random.default_rng(drawn[2]).integers(0, 4, drawn[:2]).astype(np.int8)
)


@given(st.lists(st.tuples(grids, grids), min_size=1, max_size=4), grids)
def test_guesses_are_distinct_valid_and_right_for_a_query_that_was_demonstrated(drawn, query):
    demonstrations = [Pair(*pair) for pair in drawn]
    sizes = [guess.size for guess in size_guesses(demonstrations, query)]
    assert len(set(sizes)) == len(sizes)
    assert all(1 <= side <= 30 for size in sizes for side in size)
    for pair in demonstrations:
        again = size_guesses(demonstrations, pair.input)
        assert {guess.size for guess in again} <= {pair.output.shape}


@given(st.lists(st.tuples(grids, grids), min_size=1, max_size=4), grids, st.permutations(range(4)))
def test_the_order_of_the_demonstrations_does_not_matter(drawn, query, order):
    demonstrations = [Pair(*pair) for pair in drawn]
    shuffled = [demonstrations[i] for i in order if i < len(demonstrations)]
    assert {g.size for g in size_guesses(shuffled, query)} == {
        g.size for g in size_guesses(demonstrations, query)
    }


@pytest.mark.parametrize(
    ("dataset", "split", "published"),
    [
        ("arcagi1", "training", 0.882),
        ("arcagi1", "evaluation", 0.888),
        ("arcagi2", "evaluation", 0.708),
    ],
)
def test_the_rules_cover_at_least_what_is_known_to_be_coverable(dataset, split, published):
    tasks = load_tasks(dataset, split).tasks
    right = same_wrong = 0
    for task in tasks:
        firsts = [size_guesses(task.train, pair.input)[:1] for pair in task.test]
        hits = [
            bool(first) and first[0].size == pair.output.shape
            for first, pair in zip(firsts, task.test, strict=True)
        ]
        right += all(hits)
        same_wrong += any(f and f[0].rule == "same" and not hit for f, hit in zip(firsts, hits, strict=True))
    assert right / len(tasks) >= published
    assert same_wrong == 0
    assert RULES[0] == "same"


def test_a_box_says_where_in_the_input_the_output_lies():
    inputs = [framed(9, 9, 1, 2, 4, 5), framed(12, 7, 3, 1, 5, 3)]
    outputs = [inputs[0][2:4, 3:6], inputs[1][4:7, 2:3]]
    guess = size_guesses([Pair(*pair) for pair in zip(inputs, outputs, strict=True)], inputs[0])[0]
    assert [guess.by.place(grid).corner for grid in inputs] == [(2, 3), (4, 2)]


@given(grids, st.integers(0, 8), st.integers(0, 8))
def test_a_placed_box_cuts_out_what_it_says(grid, row, column):
    whole = np.zeros((20, 20), np.int8)
    grid = grid + 1
    whole[row : row + grid.shape[0], column : column + grid.shape[1]] = grid
    guess = next(g for g in size_guesses([Pair(whole, grid)], whole) if g.size == grid.shape)
    boxes = [rule for rule in fitting_rules([Pair(whole, grid)]) if rule.family == "box"]
    placed = boxes[0].place(whole)
    (top, left), (height, width) = placed.corner, placed.size
    assert (whole[top : top + height, left : left + width] == grid).all()
    assert guess.size == placed.size
