"""ARC grids as rows of characters."""

import itertools

import pytest
from foreign_run import FOREIGN
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_events import typed

from arc_core.run.declared import Declared
from arc_tui.drawing.grids import (
    HALF,
    LOWER_WRONG,
    MISSING,
    SCALED,
    SINGLE,
    UPPER_WRONG,
    WRONG,
    GridPicture,
    caption,
    draw,
    lay_out,
    picture_rows,
    pictures_of,
)
from arc_tui.drawing.rows import Row, plain, width
from arc_tui.looks.themes import load_theme
from arc_tui.runs.samples import Grid, Sample, SampleGrid, sample_of

SQUARE = SCALED[-1]
grids = st.integers(1, 30).flatmap(
    lambda columns: st.lists(
        st.text("0123456789", min_size=columns, max_size=columns), min_size=1, max_size=30
    ).map(tuple)
)


def _sample(given: Grid, before: Grid, after: Grid, target: Grid) -> Sample:
    grids = (
        SampleGrid("input", "input", given),
        SampleGrid("before", "before", before, judged=True),
        SampleGrid("after", "after", after, judged=True),
        SampleGrid("target", "target", target),
    )
    return Sample(5, 1, 0.0, "3c9b0459", 0, "mirror", grids, target)


def _square(side: int, digit: str = "3") -> Grid:
    return (digit * side,) * side


def _cells(row: Row) -> list[tuple[str, str]]:
    return [(character, style) for text, style in row for character in text]


@pytest.mark.parametrize(
    ("cell", "digits"), [(SQUARE, False), (SQUARE, True), (SINGLE, True), (SCALED[1], True)]
)
def test_every_cell_has_its_colour_and_its_digit_where_asked(cell: object, digits: bool):
    grid = ("0123", "4567", "8901")
    rows = picture_rows(GridPicture("input", grid), cell, digits=digits)[1:]
    for y, row in enumerate(grid):
        for x, digit in enumerate(row):
            block = [
                character
                for line in rows[y * cell.rows : (y + 1) * cell.rows]
                for character in _cells(line)[x * cell.columns : (x + 1) * cell.columns]
            ]
            assert {style for _, style in block} == {f"grid.{digit}"}
            assert "".join(text for text, _ in block).split() == ([digit] if digits else [])


def test_half_blocks_show_two_cells_above_each_other():
    rows = picture_rows(GridPicture("input", ("12", "34", "56")), HALF, digits=True)[1:]
    assert [_cells(row)[:2] for row in rows] == [
        [("▀", "pair.1.3"), ("▀", "pair.2.4")],
        [("▀", "half.5"), ("▀", "half.6")],
    ]


def test_cell_that_is_wrong_keeps_its_colour_in_half_blocks():
    target = ("11", "11", "11")
    picture = GridPicture("after", ("12", "31", "41"), target)
    rows = picture_rows(picture, HALF, digits=False)[1:]
    assert [_cells(row) for row in rows] == [
        [(LOWER_WRONG, "grid.3"), (UPPER_WRONG, "grid.2")],
        [(UPPER_WRONG, "grid.4"), ("▀", "half.1")],
    ]


def _marked(picture: GridPicture, cell: object) -> set[tuple[int, int]]:
    """Row and column of the cells that are marked as wrong."""
    found = set()
    for y, row in enumerate(picture_rows(picture, cell, digits=False)[1:]):
        for x, (character, _) in enumerate(_cells(row)):
            if cell.rows:
                found |= {(y // cell.rows, x // cell.columns)} if character == WRONG else set()
            else:
                found |= {(2 * y, x)} if character in (WRONG, UPPER_WRONG) else set()
                found |= {(2 * y + 1, x)} if character in (WRONG, LOWER_WRONG) else set()
    return found


@settings(deadline=None, max_examples=40)
@given(grid=grids, target=grids, cell=st.sampled_from([*SCALED, SINGLE, HALF]))
def test_exactly_the_cells_that_differ_from_the_target_are_marked_by_a_sign(
    grid: Grid, target: Grid, cell: object
):
    expected = {
        (y, x)
        for y, row in enumerate(grid)
        for x, digit in enumerate(row)
        if not (y < len(target) and x < len(target[y]) and target[y][x] == digit)
    }
    assert _marked(GridPicture("after", grid, target), cell) == expected


@pytest.mark.parametrize("cell", [SQUARE, SINGLE, HALF])
def test_what_a_prediction_lacks_of_the_target_is_drawn_as_missing(cell: object):
    picture = GridPicture("after", _square(4), ("33333333",) * 6)
    rows = picture_rows(picture, cell, digits=False)[1:]
    assert len(rows) == (6 if cell.rows else 3)
    assert MISSING in plain(rows[0])[4 * cell.columns :]
    assert set(plain(rows[-1])) == {MISSING}
    assert {style for _, style in rows[-1]} == {"grid.outside"}


def test_caption_tells_name_size_share_and_whether_the_size_is_right():
    target = ("11", "11")
    assert plain(caption(GridPicture("input", ("111",)))) == "input 1x3"
    assert plain(caption(GridPicture("after", ("11", "12"), target))) == "after 2x2 75%"
    assert plain(caption(GridPicture("after", target, target))) == "after 2x2 100% ✓"
    assert plain(caption(GridPicture("after", ("11",), target))) == "after 1x2 ≠ size 50%"


def test_only_what_is_right_in_every_cell_is_told_as_all():
    target = _square(30)
    nearly = (*target[:-1], target[0][:-1] + "4")
    assert "99%" in plain(caption(GridPicture("after", nearly, target)))


def test_four_grids_of_30_stand_beside_each_other_at_200_columns():
    sample = _sample(*(_square(30),) * 4)
    layout = lay_out(pictures_of(sample), 200, 56, digits=False)
    assert (layout.across, len(layout.pictures)) == (4, 4)
    rows = draw(layout, digits=False)
    assert max(map(width, rows)) <= 200
    head = plain(rows[0])
    assert [head.index(name) for name in ("input", "before", "after", "target")] == [0, 32, 64, 96]


def test_small_grids_are_drawn_large_and_large_ones_small():
    sizes = [
        lay_out(pictures_of(_sample(*(_square(side),) * 4)), 120, 36, digits=False).cell
        for side in (3, 7, 12, 30)
    ]
    assert sizes == [SCALED[0], SCALED[-2], SCALED[-1], HALF]


def test_where_it_is_narrow_prediction_and_target_come_first():
    sample = _sample(*(_square(30),) * 4)
    names = [picture.name for picture in lay_out(pictures_of(sample), 78, 20, digits=False).pictures]
    assert names == ["after", "target"]
    names = [picture.name for picture in lay_out(pictures_of(sample), 40, 20, digits=False).pictures]
    assert names == ["after"]


def test_digits_that_do_not_fit_are_scrolled_to_rather_than_left_out():
    layout = lay_out(pictures_of(_sample(*(_square(30),) * 4)), 40, 10, digits=True)
    assert layout.cell == SINGLE
    assert plain(draw(layout, digits=True)[1]).count("3") == 120


@settings(deadline=None, max_examples=40)
@given(
    parts=st.tuples(grids, grids, grids, grids),
    cells=st.integers(0, 250),
    lines=st.integers(0, 70),
    digits=st.booleans(),
    ascii_only=st.booleans(),
)
def test_any_sample_is_drawn_within_its_layout_in_known_styles(
    parts: tuple, cells: int, lines: int, digits: bool, ascii_only: bool
):
    layout = lay_out(pictures_of(_sample(*parts)), cells, lines, digits=digits, plain=ascii_only)
    rows = draw(layout, digits=digits, plain=ascii_only)
    assert len(rows) == layout.rows
    assert max(map(width, rows)) == layout.columns or ascii_only
    known = {"", *load_theme().style_names}
    assert {style for row in rows for _, style in row} <= known
    if ascii_only:
        assert "".join(map(plain, rows)).isascii()


def test_every_pair_of_colours_has_a_look():
    theme = load_theme()
    for upper, lower in itertools.product(range(10), repeat=2):
        style = theme.style(f"pair.{upper}.{lower}")
        assert (style.color.get_truecolor().hex, style.bgcolor.get_truecolor().hex) == (
            theme.grid[upper],
            theme.grid[lower],
        )


def test_sample_without_grids_draws_its_captions():
    layout = lay_out(pictures_of(_sample((), (), (), ())), 80, 20, digits=False)
    assert "input 0x0" in plain(draw(layout, digits=False)[0])


def _pictures(count: int, side: int) -> list[GridPicture]:
    """A target, and so many pictures around it of which all but the first are held against it."""
    target = _square(side)
    others = [GridPicture(f"g{n}", _square(side, "5"), target if n else None) for n in range(count - 1)]
    return [*others[:1], GridPicture("target", target), *others[1:]]


@pytest.mark.parametrize(("count", "across"), [(1, 1), (2, 2), (3, 3), (5, 5), (8, 8)])
def test_any_number_of_grids_stand_beside_each_other_where_there_is_room(count: int, across: int):
    layout = lay_out(_pictures(count, 10), 120, 14, digits=False)
    assert (layout.across, len(layout.pictures)) == (across, count)


@pytest.mark.parametrize(("count", "across"), [(3, 2), (5, 3), (8, 4)])
def test_grids_too_many_for_one_line_fill_their_lines_evenly(count: int, across: int):
    layout = lay_out(_pictures(count, 10), 2 + across * 12, 14 * -(-count // across), digits=False)
    assert (layout.across, len(layout.pictures)) == (across, count)
    assert len(draw(layout, digits=False)) == layout.rows


def test_of_many_grids_the_last_prediction_and_the_target_come_first():
    names = [picture.name for picture in lay_out(_pictures(6, 30), 70, 18, digits=False).pictures]
    assert names == ["g4", "target"]
    names = [picture.name for picture in lay_out(_pictures(6, 30), 40, 18, digits=False).pictures]
    assert names == ["g4"]


def test_grids_of_which_none_is_judged_show_the_last_where_it_is_narrow():
    pictures = [GridPicture(name, _square(30)) for name in ("one", "two", "three")]
    assert [p.name for p in lay_out(pictures, 70, 18, digits=False).pictures] == ["two", "three"]
    assert lay_out([], 70, 18, digits=False).pictures == ()
    assert draw(lay_out([], 70, 18, digits=False), digits=False) == []


def test_grids_of_a_sample_are_those_that_are_declared_and_told():
    event = {
        "type": "sample",
        "step": 3,
        "task": "t",
        "pair": 0,
        "guess": ["1x"],
        "target": ["10"],
        "more": ["1"],
    }
    sample = sample_of(typed([event])[0], None, FOREIGN)
    assert [(one.name, one.grid, one.judged) for one in sample.grids] == [
        ("guess", ("1?",), True),
        ("target", ("10",), False),
    ]
    assert [(p.name, p.target) for p in pictures_of(sample)] == [("guess", ("10",)), ("target", None)]
    without = sample_of(typed([{**event, "target": None}])[0], None, Declared(grids=FOREIGN.grids))
    assert {picture.target for picture in pictures_of(without)} == {None}
