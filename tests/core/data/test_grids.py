import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from arc_core.base.errors import DataError, GridSizeError
from arc_core.data.grids import (
    DIHEDRAL_NAMES,
    dihedral,
    dihedral_view,
    from_rows,
    inverse_dihedral,
    parse_grid,
    permute_colors,
    to_rows,
)

grids = hnp.arrays(np.int8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=30), elements=st.integers(0, 9))
symmetries = st.integers(0, 7)
permutations = st.permutations(range(10))


@given(grids)
def test_parsing_keeps_every_cell(grid):
    parsed = parse_grid(grid.tolist(), "a grid")
    assert parsed.dtype == np.int8
    np.testing.assert_array_equal(parsed, grid)


def test_a_parsed_grid_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        parse_grid([[1]], "a grid")[0, 0] = 2


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        ("12", DataError, "it must be a list of rows"),
        (None, DataError, "it must be a list of rows"),
        ([1, 2], DataError, "it must be a list of rows"),
        ([[1, 2], [1]], DataError, "ragged: row 1 (zero-based) has 1 cells where row 0 has 2."),
        ([], GridSizeError, "is 0x0 (rows x columns), but both sides must be 1 to 30."),
        ([[]], GridSizeError, "is 1x0"),
        ([[0]] * 31, GridSizeError, "is 31x1"),
        ([[0] * 31], GridSizeError, "is 1x31"),
        ([[0, 1], [2, 10]], DataError, "holds 10 in row 1, column 1 (zero-based)"),
        ([[0, -1]], DataError, "holds -1 in row 0, column 1"),
        ([[0, 10**40]], DataError, "in row 0, column 1"),
        ([[0, True]], DataError, "holds true in row 0, column 1"),
        ([[None]], DataError, "holds null in row 0, column 0"),
        ([[1.0]], DataError, "holds 1.0 in row 0, column 0"),
        ([[float("nan")]], DataError, "holds nan in row 0, column 0"),
        ([["3"]], DataError, "holds '3' in row 0, column 0"),
        ([[[1]]], DataError, "holds [1] in row 0, column 0"),
    ],
)
def test_a_bad_grid_is_one_sentence_that_names_place_and_cell(rows, error, message):
    with pytest.raises(error) as caught:
        parse_grid(rows, "a.json: task a, train pair 0 (zero-based), input")
    sentence = str(caught.value)
    assert sentence.startswith("a.json: task a, train pair 0 (zero-based), input ")
    assert message in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


@given(grids, symmetries)
def test_inverse_dihedral_undoes_dihedral_on_either_side(grid, k):
    np.testing.assert_array_equal(inverse_dihedral(dihedral(grid, k), k), grid)
    np.testing.assert_array_equal(dihedral(inverse_dihedral(grid, k), k), grid)


@given(grids, symmetries, symmetries)
def test_two_dihedral_maps_in_turn_are_a_third(grid, first, second):
    both = dihedral(dihedral(grid, first), second)
    assert any(np.array_equal(both, dihedral(grid, k)) for k in range(8))


@given(grids, symmetries)
def test_dihedral_matches_numpy_rotations_and_mirrors(grid, k):
    expected = np.rot90(np.fliplr(grid) if k >= 4 else grid, k % 4)
    np.testing.assert_array_equal(dihedral(grid, k), expected)
    np.testing.assert_array_equal(dihedral_view(grid, k), expected)


def test_dihedral_maps_are_what_their_names_say():
    grid = np.array([[1, 2], [3, 4]], dtype=np.int8)
    expected = dict(
        zip(
            DIHEDRAL_NAMES,
            ["12/34", "24/13", "43/21", "31/42", "21/43", "13/24", "34/12", "42/31"],
            strict=True,
        )
    )
    assert {name: "/".join(to_rows(dihedral(grid, k))) for k, name in enumerate(DIHEDRAL_NAMES)} == expected


@given(grids, symmetries)
def test_dihedral_returns_an_array_of_its_own_in_row_order(grid, k):
    turned = dihedral(grid, k)
    assert turned.flags.c_contiguous
    assert not np.shares_memory(turned, grid)


@pytest.mark.parametrize("k", [-1, 8])
def test_a_ninth_symmetry_is_refused(k):
    with pytest.raises(ValueError, match=r"outside 0\.\.7"):
        dihedral(np.zeros((2, 2), np.int8), k)
    with pytest.raises(ValueError, match=r"outside 0\.\.7"):
        inverse_dihedral(np.zeros((2, 2), np.int8), k)


@given(grids, permutations)
def test_permuting_colors_back_restores_the_grid(grid, permutation):
    renamed = permute_colors(grid, permutation)
    assert renamed.dtype == np.int8
    np.testing.assert_array_equal(permute_colors(renamed, np.argsort(permutation)), grid)


@given(grids, symmetries, permutations)
def test_symmetries_and_color_permutations_commute(grid, k, permutation):
    np.testing.assert_array_equal(
        permute_colors(dihedral(grid, k), permutation), dihedral(permute_colors(grid, permutation), k)
    )


@pytest.mark.parametrize("permutation", [[0] * 10, list(range(9)), list(range(1, 11))])
def test_a_table_that_is_no_permutation_is_refused(permutation):
    with pytest.raises(ValueError, match="not a permutation"):
        permute_colors(np.zeros((1, 1), np.int8), permutation)


@given(grids)
def test_rows_of_digits_round_trip(grid):
    rows = to_rows(grid)
    assert [len(row) for row in rows] == [grid.shape[1]] * grid.shape[0]
    np.testing.assert_array_equal(from_rows(rows), grid)


@pytest.mark.parametrize(("rows", "cell"), [(["1x"], "'x'"), (["1٣"], "'٣'"), (["1²"], "'²'")])
def test_rows_of_anything_but_ascii_digits_are_refused(rows, cell):
    with pytest.raises(DataError, match=f"the grid holds {cell} in row 0, column 1"):
        from_rows(rows)
