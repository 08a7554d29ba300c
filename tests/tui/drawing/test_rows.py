"""Rows of styled text keep their widths in terminal cells."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from arc_tui.drawing.bars import share_bar, signed_bar, sparkline
from arc_tui.drawing.rows import beside, cut, fill, plain, spread, width, wrap

TEXTS = st.text(st.sampled_from("ab é世界·━"), max_size=12)
ROWS = st.lists(st.tuples(TEXTS, st.sampled_from(["", "muted"])), max_size=6)


@given(ROWS, st.integers(0, 40))
def test_filled_row_is_exactly_as_wide_as_asked(row: list[tuple[str, str]], cells: int):
    assert width(fill(row, cells)) == cells


@given(ROWS, st.integers(0, 40))
def test_cut_row_is_never_wider_and_shows_that_it_was_cut(row: list[tuple[str, str]], cells: int):
    short = cut(row, cells)
    assert width(short) <= cells
    if width(row) <= cells:
        assert short == row
    elif cells:
        assert plain(short).endswith("…")


@given(ROWS, ROWS, st.integers(1, 60))
def test_spread_keeps_the_right_part(left: list[tuple[str, str]], right: list[tuple[str, str]], cells: int):
    row = spread(left, right, cells)
    assert width(row) <= cells
    if width(right) < cells:
        assert plain(row).endswith(plain(right))


@given(st.text(st.sampled_from("ab 世é"), max_size=80), st.integers(2, 20))
def test_wrapped_text_keeps_its_letters_within_the_width(text: str, cells: int):
    rows = wrap(text, cells)
    assert all(width(row) <= cells for row in rows)
    assert "".join(plain(row) for row in rows).replace(" ", "") == text.replace(" ", "")


def test_wrapped_text_ends_in_an_ellipsis_where_rows_run_out():
    assert [plain(row) for row in wrap("one two three four", 9, most=1)] == ["one two…"]


def test_blocks_stand_beside_each_other():
    rows = beside([([[("a", "")], [("b", "")]], 3), ([[("c", "")]], 2)], gap=1)
    assert [plain(row) for row in rows] == ["a   c ", "b     "]


@given(st.lists(st.floats(allow_nan=True, allow_infinity=True, width=32), max_size=30), st.integers(0, 30))
def test_sparkline_has_its_width_and_blanks_what_is_not_finite(values: list[float], cells: int):
    drawn = sparkline(np.array(values[:cells], dtype=np.float64), cells)
    assert cell_len(drawn) == cells
    assert [c == " " for c in drawn[: len(values)]] == [not np.isfinite(v) for v in values[:cells]]


def test_sparkline_rises_with_its_values():
    assert sparkline(np.arange(7.0), 7) == "▁▂▃▄▅▆▇"


@given(st.floats(-10, 10), st.integers(3, 60))
def test_signed_bar_has_zero_in_the_middle_and_its_length_on_the_right_side(value: float, cells: int):
    row = signed_bar(value, 10.0, cells)
    side = (cells - 1) // 2
    text = plain(row)
    left, _, right = text.partition("│")
    assert width(row) == cells
    assert len(left) == side
    lit = left if value < 0 else right
    length = sum({"━": 1.0, "╸": 0.5, "╺": 0.5}.get(c, 0.0) for c in lit)
    assert abs(length - abs(value) / 10 * side) <= 0.25 + 1e-9
    assert not (right if value < 0 else left).strip()


def test_share_bar_grows_by_half_cells():
    assert [share_bar(share, 4) for share in (0, 0.125, 0.5, 1, 7)] == [
        "    ",
        "╸   ",
        "━━  ",
        "━━━━",
        "━━━━",
    ]
