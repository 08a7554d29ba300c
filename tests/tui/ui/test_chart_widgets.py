"""Charts and grids as widgets: cursor, zoom, mouse, scrolling, and what is painted again."""

from collections.abc import Iterable

import numpy as np
import pytest
from raw_events import typed
from recordings import console_events
from rich.segment import Segment
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.widget import Widget

from arc_tui.drawing import axes
from arc_tui.drawing.bars import signed_bar, sparkline
from arc_tui.drawing.charts import GUTTER, plot_cells
from arc_tui.drawing.rows import plain
from arc_tui.looks.themes import Theme, load_theme
from arc_tui.runs.history import History
from arc_tui.runs.samples import Sample, SampleGrid
from arc_tui.ui.chart import CLOSEST, Chart, ChartSeries
from arc_tui.ui.grid import GridView
from arc_tui.ui.rows_view import RowsView

SIZE = (GUTTER + 80, 20)
LOSS = ChartSeries("loss.combined", "combined", "ema", "raw")


class ChartApp(App[None]):
    """One widget, and the cursor's messages."""

    def __init__(self, widget: Widget, looks: Theme | None = None) -> None:
        super().__init__()
        self.widget = widget
        self.looks = looks or load_theme()
        self.moves: list[int | None] = []

    def compose(self) -> ComposeResult:
        yield self.widget

    def on_chart_cursor_moved(self, message: Chart.CursorMoved) -> None:
        assert message.control is self.widget
        self.moves.append(message.step)


def _history(steps: int = 800) -> History:
    history = History()
    history.add(typed(_steps(1, steps)))
    return history


def _steps(first: int, last: int) -> list[dict]:
    return [
        {
            "type": "step",
            "seq": n,
            "time": 1.0,
            "step": n,
            "loss": {"combined": float(n % 17)},
            "nonfinite": [],
        }
        for n in range(first, last + 1)
    ]


def _text(widget: Chart | GridView) -> list[str]:
    return [plain(row) for row in widget.rows]


def _painted(widget: Widget) -> list[str]:
    return ["".join(segment.text for segment in widget.render_line(y)) for y in range(widget.size.height)]


async def test_chart_fills_its_space_and_follows_the_newest_step():
    chart = Chart()
    async with ChartApp(chart).run_test(size=SIZE) as pilot:
        history = History()
        chart.show_curves([(history, LOSS)])
        assert "waits for the first step" in "".join(_text(chart))
        history.add(typed(_steps(1, 800)))
        chart.show_curves([(history, LOSS)])
        assert chart.stretch == (1, 800)
        assert len(_text(chart)) == SIZE[1]
        assert _text(chart)[0].startswith("━ combined 1.0000")
        history.add(typed(_steps(801, 900)))
        chart.show_curves([(history, LOSS)])
        assert chart.stretch == (1, 900)
        await pilot.resize_terminal(60, 10)
        await pilot.pause()
        assert len(_text(chart)) == 10
        assert [len(line) for line in _painted(chart)] == [60] * 10


async def test_keys_move_the_cursor_cell_by_cell_and_back_to_live():
    chart = Chart()
    app = ChartApp(chart)
    async with app.run_test(size=SIZE) as pilot:
        history = _history()
        chart.show_curves([(history, LOSS)])
        chart.action_cursor_right()
        assert chart.cursor is None
        chart.action_cursor_left()
        assert chart.cursor == 800
        chart.action_cursor_left()
        chart.action_cursor_left()
        assert chart.cursor == 780
        assert axes.cell_of(780, 1, 800, 80) == 77
        chart.action_cursor_home()
        assert chart.cursor == 1
        chart.action_cursor_left()
        assert chart.cursor == 1
        chart.action_cursor_end()
        assert chart.cursor == 800
        chart.action_cursor_right()
        assert chart.cursor is None
        await pilot.pause()
        assert app.moves == [800, 790, 780, 1, 1, 800, None]


async def test_readout_tells_the_step_under_the_cursor_and_its_own_value():
    chart = Chart()
    async with ChartApp(chart).run_test(size=SIZE):
        chart.show_curves([(_history(), LOSS)], cursor=33)
        assert _text(chart)[0].startswith("step 33  ━ combined 16.000")
        chart.show_curves([(_history(), LOSS)], cursor=None)
        assert "step" not in _text(chart)[0]


async def test_zoom_halves_the_stretch_around_the_cursor_or_up_to_the_newest():
    chart = Chart()
    async with ChartApp(chart).run_test(size=SIZE):
        history = _history()
        chart.show_curves([(history, LOSS)])
        chart.action_zoom_in()
        assert chart.stretch == (401, 800)
        history.add(typed(_steps(801, 850)))
        chart.show_curves([(history, LOSS)])
        assert chart.stretch == (451, 850)
        for _ in range(9):
            chart.action_zoom_in()
        assert chart.stretch == (851 - CLOSEST, 850)
        for _ in range(9):
            chart.action_zoom_out()
        assert chart.stretch == (1, 850)
        chart.show_curves([(history, LOSS)], cursor=100)
        chart.action_zoom_in()
        chart.action_zoom_in()
        first, last = chart.stretch
        assert first <= 100 <= last
        assert last - first + 1 == pytest.approx(850 / 4, abs=2)


async def test_window_moves_along_only_when_the_cursor_leaves_it():
    chart = Chart()
    async with ChartApp(chart).run_test(size=SIZE):
        chart.show_curves([(_history(), LOSS)], cursor=400)
        chart.action_zoom_in()
        chart.action_zoom_in()
        first, last = chart.stretch
        chart.action_cursor_left()
        assert chart.stretch == (first, last)
        chart.action_cursor_home()
        assert (chart.cursor, chart.stretch) == (first, (first, last))
        chart.action_cursor_left()
        assert chart.stretch[0] == chart.cursor < first
        assert chart.stretch[1] - chart.stretch[0] == last - first


async def test_mouse_reads_where_it_hovers_and_sets_the_cursor_where_it_is_pressed_or_dragged():
    chart = Chart()
    app = ChartApp(chart)
    async with app.run_test(size=SIZE) as pilot:
        chart.show_curves([(_history(), LOSS)])
        await pilot.hover(chart, offset=(GUTTER + 20, 8))
        step = axes.step_of(20, 1, 800, plot_cells(SIZE[0]))
        assert _text(chart)[0].startswith(f"step {step:,} ")
        assert chart.cursor is None
        assert app.moves == []
        await pilot.mouse_down(chart, offset=(GUTTER + 30, 8))
        await pilot.hover(chart, offset=(GUTTER + 40, 8))
        await pilot.mouse_up(chart, offset=(GUTTER + 40, 8))
        steps = [axes.step_of(cell, 1, 800, plot_cells(SIZE[0])) for cell in (30, 40)]
        assert chart.cursor == steps[1]
        assert app.moves == steps
        await pilot.hover(chart, offset=(GUTTER + 50, 8))
        assert chart.cursor == steps[1]
        await pilot.mouse_down(chart, offset=(2, 8))  # beside the plot
        assert chart.cursor == steps[1]


async def test_only_lines_that_changed_are_painted_again(monkeypatch: pytest.MonkeyPatch):
    chart = Chart()
    async with ChartApp(chart).run_test(size=SIZE):
        history = _history()
        chart.show_curves([(history, LOSS)])
        drawn, painted = chart.rows, list[Region]()
        monkeypatch.setattr(chart, "refresh", lambda *regions, **_: painted.extend(regions))
        chart.show_curves([(history, LOSS)])
        assert painted == []
        assert chart.rows is drawn
        chart.show_curves([(history, LOSS)], cursor=400)
        assert 0 < len(painted) <= SIZE[1]
        chart.show_curves([(history, LOSS)], cursor=400)
        count = len(painted)
        chart.show_curves([(history, LOSS)], cursor=400)
        assert len(painted) == count


async def test_two_runs_are_drawn_in_one_chart():
    chart = Chart()
    async with ChartApp(chart).run_test(size=SIZE):
        short, long = _history(100), _history(800)
        other = ChartSeries("loss.combined", "other", "series.1")
        chart.show_curves([(short, LOSS), (long, other)])
        assert chart.stretch == (1, 800)
        assert "━ combined" in _text(chart)[0]
        assert "╍ other" in _text(chart)[0]
        dots = [line[GUTTER:] for line in _text(chart)]
        assert sum(any(0x2800 < ord(c) < 0x2900 for c in line[60:]) for line in dots) > 0


async def test_recorded_run_is_charted_with_its_marks():
    chart = Chart()
    async with ChartApp(chart).run_test(size=SIZE):
        history = History()
        history.add(typed(console_events()))
        chart.show_curves([(history, LOSS)])
        styles = {style for row in chart.rows for _, style in row}
        assert {"mark.nan", "mark.rate", "mark.validation", "mark.checkpoint"} <= styles


GRIDS = ("input", "before", "after", "target")


def _sample(side: int) -> Sample:
    grid = ("".join(str(n % 10) for n in range(side)),) * side
    grids = tuple(SampleGrid(name, name, grid, name in ("before", "after")) for name in GRIDS)
    return Sample(7, 1, 0.0, "t", 0, None, grids, grid)


def _colours(lines: Iterable[Segment]) -> set:
    return {segment.style.bgcolor for segment in lines if segment.style is not None}


async def test_grids_are_shown_in_the_themes_colours_and_drawn_again_only_when_they_change():
    view = GridView()
    theme = load_theme()
    async with ChartApp(view, theme).run_test(size=(100, 30)):
        view.show_sample(None)
        assert _text(view) == ["waits for the first sample"]
        view.show_sample(_sample(5))
        drawn = view.rows
        assert _text(view)[0].startswith("input 5x5")
        view.show_sample(_sample(5))
        assert view.rows is drawn
        view.show_sample(_sample(5), digits=True)
        assert view.rows is not drawn
        found = {colour.get_truecolor().hex for colour in _colours(view.render_line(1)) if colour}
        assert set(theme.grid[:5]) <= found


async def test_grids_without_colours_show_their_digits():
    view = GridView()
    async with ChartApp(view, load_theme().without_colour()).run_test(size=(100, 30)):
        view.show_sample(_sample(5))
        assert set("01234") <= set("".join(_text(view)[1:]))


async def test_theme_of_plain_letters_has_no_blocks_in_sparklines_and_bars():
    view = RowsView()
    async with ChartApp(view, load_theme("plain")).run_test(size=(60, 3)):
        bar = signed_bar(-0.7, 1.0, 20) + signed_bar(0.45, 1.0, 20)
        view.show([[(sparkline(np.arange(20.0), 20), "series.0")], bar])
        text = "".join(_painted(view)).replace("│", "")
        assert text.isascii()
        assert len(set(text)) >= 8


async def test_grids_too_large_even_at_their_smallest_are_scrolled():
    view = GridView()
    async with ChartApp(view).run_test(size=(40, 10)) as pilot:
        view.show_sample(_sample(30), digits=True)
        await pilot.pause()
        assert view.max_scroll_x > 0
        assert view.max_scroll_y > 0
        before = _painted(view)
        view.scroll_to(30, 5, animate=False)
        await pilot.pause()
        after = _painted(view)
        assert after != before
        assert after[0][:9] == "".join(_text(view)[5][30:39])
