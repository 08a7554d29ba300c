"""Groups of grids laid out for a place."""

from hypothesis import given, settings
from hypothesis import strategies as st

from arc_tui.drawing.grids import HALF, SCALED, GridPicture
from arc_tui.drawing.groups import GROUP_GAP, Group, group_rows, scrolled_rows
from arc_tui.drawing.rows import plain, width
from arc_tui.looks.themes import load_theme
from arc_tui.runs.samples import Grid

grids = st.integers(1, 30).flatmap(
    lambda columns: st.lists(
        st.text("0123456789", min_size=columns, max_size=columns), min_size=1, max_size=30
    ).map(tuple)
)
pictures = st.builds(GridPicture, st.sampled_from(["input", "attempt 1"]), grids, st.none() | grids)
groups = st.builds(
    lambda title, drawn, rank: Group(((title, "title"),), tuple(drawn), rank),
    st.sampled_from(["test 0", "demonstration 10  fits"]),
    st.lists(pictures, max_size=4),
    st.integers(0, 1),
)


def square(side: int, digit: str = "3") -> Grid:
    return (digit * side,) * side


def group(name: str, *sides: int, rank: int = 0) -> Group:
    return Group(((name, "title"),), tuple(GridPicture("g", square(side)) for side in sides), rank)


def cells_drawn(rows, digit: str = "3") -> int:
    """Terminal cells in a grid's colour, half blocks counted as what they show of it."""
    found = 0
    for row in rows:
        for text, style in row:
            parts = style.split(".")
            if parts[0] == "grid" and parts[-1] == digit:
                found += 2 * len(text)
            elif parts[0] in ("half", "pair"):
                found += len(text) * parts[1:].count(digit)
    return found


@settings(deadline=None, max_examples=40)
@given(
    given=st.lists(groups, min_size=1, max_size=5),
    cells=st.integers(20, 220),
    lines=st.integers(3, 70),
    digits=st.booleans(),
    ascii_only=st.booleans(),
)
def test_what_fits_stays_within_the_place_and_nothing_is_left_out(given, cells, lines, digits, ascii_only):
    rows = group_rows([given], cells, lines, digits=digits, plain=ascii_only)
    text = "\n".join(map(plain, rows))
    if cells >= 40 and not ascii_only:  # no picture is wider, with its caption
        assert max(map(width, rows)) <= cells
    assert sum(text.count(name) for name in ("input ", "attempt 1 ")) == sum(
        len(one.pictures) for one in given
    )
    assert {style for row in rows for _, style in row} <= {"", *load_theme().style_names}
    if ascii_only:
        assert text.isascii()


def test_every_line_of_a_groups_pictures_fits_not_its_first_alone():
    pictures = tuple(GridPicture("input", ("0" * columns,)) for columns in (1, 1, 19, 20))
    rows = group_rows([[Group((("test 0", "title"),), pictures)]], 40, 3)
    assert max(map(width, rows)) <= 40


def test_cells_are_as_large_as_the_room_allows():
    one = [group("a", 5)]
    for size in SCALED:
        lines = 2 + 5 * size.rows
        assert cells_drawn(group_rows([one], 200, lines)) == 2 * 25 * size.rows * size.columns
    assert cells_drawn(group_rows([one], 200, 5)) == 25  # in half blocks


def test_groups_stand_beside_each_other_as_far_as_they_fit():
    three = [group(name, 4) for name in "abc"]
    heads = [plain(row).split() for row in group_rows([three], 3 * 5 + 2 * GROUP_GAP, 4)]
    assert heads[0] == ["a", "b", "c"]
    heads = [plain(row).split() for row in group_rows([three], 3 * 5 + 2 * GROUP_GAP - 1, 9)]
    assert [row for row in heads if row and row[0] in "abc"] == [["a", "b"], ["c"]]


def test_pictures_of_a_group_that_is_too_wide_stand_below_each_other():
    rows = [plain(row) for row in group_rows([[group("a", 20, 20, 20)]], 45, 40)]
    assert [row.count("20x20") for row in rows if "20x20" in row] == [2, 1]


def test_less_is_shown_before_anything_is_scrolled():
    everything, less = [group("all", 20), group("more", 20)], [group("less", 20)]
    assert plain(group_rows([everything, less], 30, 13)[0]).strip() == "less"
    assert plain(group_rows([everything, less], 60, 13)[0]).startswith("all")


def test_where_nothing_fits_the_last_is_drawn_small_to_be_scrolled():
    rows = group_rows([[group("first", 30, 30)], [group("last", 30)]], 40, 10)
    assert plain(rows[0]).strip() == "last"
    assert len(rows) == 1 + HALF.area(GridPicture("g", square(30)))[0]


def test_room_that_is_left_goes_to_the_lower_rank():
    tests, trained = group("test", 10), [group(f"d{n}", 10, rank=1) for n in range(4)]
    rows = group_rows([[tests, *trained]], 60, 24)
    digits = [Group(tests.title, (GridPicture("g", square(10, "7")),)), *trained]
    rows = group_rows([digits], 60, 24)
    assert cells_drawn(rows, "7") == 2 * 100 * 2  # two terminal cells for each
    assert cells_drawn(rows, "3") == 4 * 100  # half a terminal cell for each
    same = [Group(one.title, one.pictures) for one in digits]
    rows = group_rows([same], 60, 24)
    assert cells_drawn(rows, "7") == 100


def test_printed_groups_keep_square_cells_while_they_are_not_too_wide():
    assert cells_drawn(scrolled_rows([group("a", 10)], 80)) == 4 * 100
    assert cells_drawn(scrolled_rows([group("a", 30)], 50)) == 900
    shown = scrolled_rows([Group((), (GridPicture("g", ("12", "34"), ("12", "39")),))], 80, digits=True)
    assert [plain(row) for row in shown][-2:] == ["1 2      ", "3 4×     "]
