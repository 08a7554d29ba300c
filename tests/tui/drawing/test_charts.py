"""Charts as rows of characters: lines, envelopes, axes, marks and the cursor."""

import itertools
import math
import re

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from raw_events import typed

from arc_tui.drawing import axes, braille, charts
from arc_tui.drawing.charts import GUTTER, Curve, Plot
from arc_tui.drawing.readout import Reading, readout
from arc_tui.drawing.rows import plain, width
from arc_tui.looks.themes import load_theme
from arc_tui.runs.history import History
from arc_tui.runs.marks import GLYPHS, PLAIN_GLYPHS, Mark, MarkKind

LOSS = "loss.combined"
WIDTH, HEIGHT = GUTTER + 40, 12
LINES = HEIGHT - charts.BELOW


def _history(values: list) -> History:
    history = History()
    history.add(
        typed(
            {
                "type": "step",
                "seq": n,
                "time": 1.0 * n,
                "step": n,
                "loss": {"combined": value},
                "nonfinite": [],
            }
            | ({"nonfinite": [LOSS]} if value is None else {})
            for n, value in enumerate(values, 1)
        )
    )
    return history


def _plot(values: list, *, smooth: bool = False, raw: str = "raw", **parts: object) -> Plot:
    history = _history(values)
    first, last = history.first_step, history.last_step
    window = history.window(LOSS, first, last, 2 * (WIDTH - GUTTER))
    line = history.smoothed(LOSS, window, 3.0) if smooth else None
    parts = {"marks": history.mark_steps(first, last)} | parts
    return Plot(first, last, [Curve("combined", window, line, "ema", raw)], **parts)


def _text(plot: Plot, cells: int = WIDTH, lines: int = HEIGHT) -> list[str]:
    return [plain(row) for row in charts.draw(plot, cells, lines)]


def _dots(rows: list[str]) -> np.ndarray:
    """The dots of braille characters, independently of how they were made."""
    bits = {0: (0, 0), 1: (1, 0), 2: (2, 0), 3: (0, 1), 4: (1, 1), 5: (2, 1), 6: (3, 0), 7: (3, 1)}
    dots = np.zeros((4 * len(rows), 2 * len(rows[0])), bool)
    for y, row in enumerate(rows):
        for x, character in enumerate(row):
            code = ord(character) - 0x2800
            for bit, (down, right) in bits.items():
                if 0 <= code < 256 and code >> bit & 1:
                    dots[4 * y + down, 2 * x + right] = True
    return dots


def _plot_area(rows: list[str]) -> list[str]:
    return [row[GUTTER:].ljust(WIDTH - GUTTER) for row in rows[:LINES]]


def _lettered(plain: bool = False, count: int = 3, steps: int = 200) -> Plot:
    """Level lines, the first one uppermost and solid, each with its letter."""
    curves: list[Curve] = []
    for place in range(count):
        history = _history([float(count - place)] * steps)
        window = history.window(LOSS, 1, steps, 2 * (WIDTH - GUTTER))
        sign, dash = "ABCDEFGHIJKLMNOPQRST"[place], 0 if place == 0 else 1
        curves.append(Curve(f"run {place}", window, None, f"series.{place % 8}", sign=sign, dash=dash))
    return Plot(1, steps, curves, plain=plain)


@pytest.mark.parametrize("count", [3, 8, 20])
def test_every_line_has_its_letter_on_it_and_none_hides_another(count: int):
    rows = _plot_area(_text(_lettered(count=count)))
    found = {char: (x, y) for y, row in enumerate(rows) for x, char in enumerate(row) if char.isalpha()}
    assert sorted(found) == sorted("ABCDEFGHIJKLMNOPQRST"[:count])
    assert len({x for x, _ in found.values()}) == count
    assert [y for _, (_, y) in sorted(found.items())] == sorted(y for _, y in found.values())


def test_letter_of_a_line_that_ends_early_stands_at_its_end():
    whole, short = _lettered(count=2), _history([0.5] * 4)
    window = short.window(LOSS, 1, 200, 2 * (WIDTH - GUTTER))
    plot = Plot(1, 200, [*whole.curves, Curve("short", window, None, "series.2", sign="Z")])
    assert {row.index("Z") for row in _plot_area(_text(plot)) if "Z" in row} == {0}


def test_lettered_lines_are_solid_or_broken_as_they_are_told_wherever_they_lie():
    plot = _lettered(count=2)
    turned = Plot(1, 200, plot.curves[::-1])
    for each in (plot, turned):
        dots = _dots(_plot_area(_text(each)))
        lines = sorted(dots.sum(axis=1), reverse=True)[:2]
        letters = 2 * 2  # a letter takes the dots of its cell
        assert lines[0] >= 2 * (WIDTH - GUTTER) - letters
        assert lines[1] <= 0.75 * 2 * (WIDTH - GUTTER)


def test_lettered_lines_are_drawn_in_letters_where_all_is_plain():
    rows = [
        row for row in _plot_area(_text(_lettered(plain=True))) if "AA" in row or "BB" in row or "CC" in row
    ]
    assert ["".join(sorted(set(row.replace(".", "")))).strip() for row in rows] == ["A", "B", "C"]


@given(rows=st.integers(1, 4), cells=st.integers(1, 6), data=st.data())
def test_braille_shows_exactly_the_dots(rows: int, cells: int, data: st.DataObject):
    flat = data.draw(st.lists(st.booleans(), min_size=8 * rows * cells, max_size=8 * rows * cells))
    dots = np.array(flat).reshape(4 * rows, 2 * cells)
    text = [braille.text_of(row) for row in braille.braille(dots)]
    np.testing.assert_array_equal(_dots(text), dots)


def test_line_has_a_dot_in_every_column_and_no_hole_where_it_is_steep():
    dots = braille.line(np.array([0.0, 15.0, 3.0, 3.0]), 16)
    assert dots.any(axis=0).all()
    for left, right in itertools.pairwise(dots.T):
        one, other = np.flatnonzero(left), np.flatnonzero(right)
        assert max(one[0], other[0]) - min(one[-1], other[-1]) <= 1


def test_rising_line_goes_from_the_lower_left_to_the_upper_right():
    dots = _dots(_plot_area(_text(_plot([float(n) for n in range(80)], raw=""))))
    heights = [np.flatnonzero(column).mean() for column in dots.T if column.any()]
    assert len(heights) == 80
    assert all(after <= before for before, after in itertools.pairwise(heights))
    assert heights[0] > 4 * LINES * 0.9
    assert heights[-1] < 4 * LINES * 0.1


def test_spike_of_one_step_among_many_reaches_the_top():
    values = [1.0] * 5000
    values[2500] = 9.0
    dots = _dots(_plot_area(_text(_plot(values, smooth=True))))
    (column,) = np.flatnonzero(dots[: 2 * LINES].any(axis=0))
    assert column == 40


def test_few_steps_are_joined_and_a_number_that_was_not_finite_leaves_a_hole():
    whole = _dots(_plot_area(_text(_plot([1.0, 2.0, 1.0, 2.0, 1.0], raw="", marks={}))))
    assert whole.any(axis=0).all()
    holed = _dots(_plot_area(_text(_plot([1.0, 2.0, None, 2.0, 1.0], raw="", marks={}))))
    assert not holed.any(axis=0)[25:55].any()
    assert holed.any(axis=0)[:20].all()
    assert holed.any(axis=0)[60:].all()


def test_number_that_was_not_finite_is_pinned_with_its_step():
    rows = charts.draw(_plot([1.0] * 60 + [None] + [1.0] * 39), WIDTH, HEIGHT)
    (run,) = [text for text, style in rows[0] if style == "mark.nan"]
    assert run == "×61"
    assert plain(rows[0]).index("×") == plain(rows[-2]).index("×") == GUTTER + 24


def test_number_that_was_not_finite_is_pinned_even_when_its_mark_is_no_longer_kept():
    rows = _text(_plot([1.0] * 60 + [None] + [1.0] * 39, marks={}))
    assert rows[0][GUTTER + 24] == "×"


@pytest.mark.parametrize(("is_plain", "glyphs"), [(False, GLYPHS), (True, PLAIN_GLYPHS)])
def test_each_kind_of_mark_has_a_glyph_and_a_style_of_its_own(is_plain: bool, glyphs: dict):
    assert len({*glyphs.values()}) == len(MarkKind)
    marks = {kind: np.array([5 + 10 * at]) for at, kind in enumerate(MarkKind)}
    rows = charts.draw(_plot([1.0] * 80, marks=marks, plain=is_plain), WIDTH, HEIGHT)
    found = {style: text for text, style in rows[-2] if style.startswith("mark.")}
    assert found == {f"mark.{kind}": glyphs[kind] for kind in MarkKind}
    assert set(found) <= set(load_theme().style_names)


def test_of_marks_at_one_step_the_worst_is_in_its_cell_and_the_next_two_beside_it():
    marks = {kind: np.array([41]) for kind in MarkKind}
    row = _text(_plot([1.0] * 80, marks=marks))[-2]
    cell = GUTTER + axes.cell_of(41, 1, 80, WIDTH - GUTTER)
    worst = (MarkKind.CHECKPOINT_FAILED, MarkKind.NAN, MarkKind.RESUME)
    assert row[cell - 1 : cell + 2] == "".join(GLYPHS[kind] for kind in worst)
    assert not any(GLYPHS[kind] in row for kind in MarkKind if kind not in worst)


def test_marks_that_are_everywhere_are_left_out_but_not_those_that_warn_of_numbers():
    everywhere = np.arange(1, 81)
    row = _text(_plot([1.0] * 80, marks={MarkKind.CHECKPOINT: everywhere}))[-2]
    assert GLYPHS[MarkKind.CHECKPOINT] not in row
    row = _text(_plot([1.0] * 80, marks={MarkKind.NAN: everywhere}))[-2]
    assert row.count(GLYPHS[MarkKind.NAN]) == WIDTH - GUTTER


def test_log_scale_gives_equal_ratios_equal_heights_and_marks_what_it_cannot_show():
    values = [10.0 ** (n / 20) for n in range(80)]
    dots = _dots(_plot_area(_text(_plot(values, raw="", log=True))))
    heights = [np.flatnonzero(column).mean() for column in dots.T]
    slopes = np.diff(heights)
    assert slopes.min() >= -1.5
    assert abs(np.mean(slopes[:40]) - np.mean(slopes[39:])) < 0.1
    plot = _plot([*values[:40], 0.0, -3.0, *values[42:]], log=True)
    assert _text(plot)[LINES - 1].count("▾") >= 1
    assert charts.clipped_columns(plot.curves[0]) == 2
    assert "▾" not in "".join(_text(_plot(values, log=True)))


def test_log_scale_of_nothing_above_zero_falls_back_to_a_linear_one():
    assert not charts.scale_of(_plot([-1.0, -2.0, 0.0], log=True)).log
    assert len(_text(_plot([-1.0, -2.0, 0.0], log=True))) == HEIGHT


def test_cursor_stands_at_its_step_and_lets_the_line_through():
    plot = _plot([1.0] * 80, cursor=41)
    rows = charts.draw(plot, WIDTH, HEIGHT)
    cell = axes.cell_of(41, 1, 80, WIDTH - GUTTER)
    column = [plain(row)[GUTTER + cell] for row in rows[:LINES]]
    assert column.count("│") == LINES - 1
    assert _text(_plot([1.0] * 80, cursor=900)) == _text(_plot([1.0] * 80))


def test_curves_are_told_apart_without_colour():
    history = _history([1.0] * 80)
    window = history.window(LOSS, 1, 80, 2 * (WIDTH - GUTTER))
    shifted = history.window(LOSS, 1, 80, 2 * (WIDTH - GUTTER))
    shifted.mean[:] = shifted.low[:] = shifted.high[:] = 2.0
    curves = [Curve("a", window, None, "ema"), Curve("b", shifted, None, "ema.efe")]
    rows = _plot_area([plain(row) for row in charts.draw(Plot(1, 80, curves), WIDTH, HEIGHT)])
    dots = _dots(rows)
    solid, dashed = dots[2 * LINES :].any(axis=0), dots[: 2 * LINES].any(axis=0)
    assert solid.all()
    assert 0.3 < dashed.mean() < 0.9
    ascii_rows = _plot_area(
        [plain(row) for row in charts.draw(Plot(1, 80, curves, plain=True), WIDTH, HEIGHT)]
    )
    upper, lower = "".join(ascii_rows[: LINES // 2]), "".join(ascii_rows[LINES // 2 :])
    assert "*" in upper
    assert "*" not in lower


def test_plain_chart_is_ascii():
    values = [float(n % 7) for n in range(200)] + [None, 0.0]
    for log in (False, True):
        text = "".join(_text(_plot(values, smooth=True, plain=True, log=log, cursor=50)))
        assert text.isascii()


@settings(deadline=None, max_examples=80)
@given(
    values=st.lists(
        st.floats(-1e30, 1e30) | st.floats(-1, 1) | st.sampled_from([0.0, 1e-30, 3e38, 5e-324]) | st.none(),
        min_size=1,
        max_size=60,
    ),
    cells=st.integers(0, 60),
    lines=st.integers(0, 20),
    log=st.booleans(),
    cursor=st.none() | st.integers(-5, 100),
)
@example(values=[1.0, 5e-324], cells=40, lines=12, log=True, cursor=None)
@example(values=[5e-324], cells=40, lines=12, log=False, cursor=None)
def test_any_numbers_at_any_size_fill_exactly_the_space_given(
    values: list, cells: int, lines: int, log: bool, cursor: int | None
):
    history = _history(values)
    columns = 2 * charts.plot_cells(cells)
    window = history.window(LOSS, history.first_step, history.last_step, columns)
    curve = Curve("x", window, history.smoothed(LOSS, window, 3.0), "ema", "raw")
    plot = Plot(history.first_step, history.last_step, [curve], history.mark_steps(1, 100), log, cursor)
    rows = charts.draw(plot, cells, lines)
    assert len(rows) == lines
    assert all(width(row) <= cells for row in rows)


def test_chart_without_numbers_says_what_it_waits_for():
    history = History()
    window = history.window(LOSS, 0, 0, 80)
    plot = Plot(0, 0, [Curve("x", window, None, "ema")], empty="waits for the first step")
    assert "waits for the first step" in "".join(_text(plot))


def test_every_style_of_a_chart_is_one_that_themes_know():
    theme = load_theme()
    values = [float(n % 7) for n in range(200)] + [None, 0.0]
    for log in (False, True):
        for row in charts.draw(_plot(values, smooth=True, log=log, cursor=50), WIDTH, HEIGHT):
            for _, style in row:
                assert not style or theme.style(style) is not None


@given(
    low=st.floats(-1e6, 1e6),
    span=st.floats(1e-6, 1e6),
    lines=st.integers(4, 50),
)
def test_ticks_are_round_within_the_scale_and_at_least_two(low: float, span: float, lines: int):
    scale = axes.scale_of([np.array([low, low + span])], log=False)
    ticks = axes.ticks_of(scale, lines)
    assert 2 <= len(ticks) <= lines
    assert all(scale.low <= tick <= scale.high for tick in ticks)
    steps = np.diff(ticks)
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)


def test_ticks_of_decades_are_powers_of_ten():
    scale = axes.Scale(3e-4, 2e3, log=True)
    assert axes.ticks_of(scale, 28) == pytest.approx([1e-3, 1e-2, 1e-1, 1, 10, 100, 1000])
    assert len(axes.ticks_of(axes.Scale(1e-30, 1e30, log=True), 20)) <= 8


def test_tick_stands_in_the_row_in_which_its_value_is_drawn():
    plot = _plot([float(n) for n in range(80)], raw="")
    rows = _text(plot)
    scale = charts.scale_of(plot)
    labels = {
        float(match[1]): y
        for y, row in enumerate(rows[:LINES])
        if (match := re.match(r"\s*(\d+)┤", row)) is not None
    }
    assert len(labels) >= 2
    for value, row in labels.items():
        at = scale.rows(np.array([value]), 4 * LINES)[0]
        assert abs((at + 0.5) / 4 - (row + 0.5)) <= 0.63


@pytest.mark.parametrize(("first", "last"), [(1, 50), (3, 1_000_000), (500_000, 500_400), (7, 7)])
def test_steps_below_the_chart_stand_under_their_columns(first: int, last: int):
    for cell, text in axes.step_labels(first, last, 100).items():
        step = int(text.replace(",", ""))
        assert first <= step <= last
        assert axes.cell_of(step, first, last, 100) == cell


@given(first=st.integers(1, 10**6), span=st.integers(1, 10**6), cells=st.integers(2, 200), data=st.data())
def test_step_of_a_cell_lies_in_that_cell(first: int, span: int, cells: int, data: st.DataObject):
    last = first + span
    cell = data.draw(st.integers(0, cells - 1))
    step = axes.step_of(cell, first, last, cells)
    assert first <= step <= last
    if span >= 4 * cells:
        assert axes.cell_of(step, first, last, cells) == cell


@pytest.mark.parametrize("value", [1e-12, -2.5e-12, 123456.0, -98765.4321, 1e30, 0.0, -0.001])
def test_label_of_any_tick_fits_beside_the_chart(value: float):
    scale = axes.scale_of([np.array([value, value * 3 + 1e-15])], log=False)
    labels = axes.value_labels(scale, 20)
    assert labels
    assert all(len(text) <= axes.LABEL_CELLS for text in labels.values())


def _reading(**values: float) -> Reading:
    return Reading("combined", "ema", **({"low": 1.0, "high": 1.0, "mean": 1.0, "smooth": math.nan} | values))


def test_readout_tells_step_values_and_what_happened_there():
    marks = [
        Mark(MarkKind.CHECKPOINT, 5, 1, 0.0, "checkpoint 00002"),
        Mark(MarkKind.NAN, 5, 2, 0.0, "not finite: loss.risk"),
    ]
    row = readout([_reading(low=0.5, high=2.25, smooth=1.5)], 120, step=11_108, marks=marks)
    text = plain(row)
    assert text.startswith("step 11,108  ━ combined 1.0000")
    assert "(0.5000 – 2.2500)" in text
    assert "EMA 1.5000" in text
    assert text.index("× not finite: loss.risk") < text.index("◆ checkpoint 00002")


def test_readout_says_that_a_number_was_not_finite():
    row = readout([_reading(low=math.nan, high=math.nan, mean=math.nan, bad=1)], 80, step=3)
    assert ("not finite", "mark.nan") in row


def test_readout_counts_what_a_log_scale_cannot_show_and_is_ascii_where_asked():
    text = plain(readout([_reading(low=0.5)], 120, step=None, clipped=3, plain=True))
    assert "v at or below 0 in 3 columns" in text
    assert text.isascii()


@given(mean=st.floats(-1e8, 1e8), cells=st.integers(0, 200))
def test_readout_never_exceeds_its_width(mean: float, cells: int):
    marks = [Mark(MarkKind.WARNING, 1, 1, 0.0, "x" * 100)]
    assert width(readout([_reading(mean=mean)] * 3, cells, step=5, marks=marks)) <= cells
