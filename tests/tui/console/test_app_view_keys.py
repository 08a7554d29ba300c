"""Keys and mouse that change what is shown, and the layout at every size."""

from pathlib import Path

import pytest
from live_run import living
from piloting import console, text_of, until
from recordings import events_until_step, make_run
from textual.command import CommandPalette
from textual.widgets import Input

from arc_tui.console.app import ConsoleApp
from arc_tui.console.main import MainScreen
from arc_tui.console.panels.board import GRIDS, LOG, MACHINE, PARTS, PLANS
from arc_tui.console.panels.chart_panel import PartsPanel
from arc_tui.console.panels.layout import Panels
from arc_tui.console.panels.log import LogPanel
from arc_tui.console.panels.panel import Panel
from arc_tui.console.runs import RunsScreen
from arc_tui.console.timeline import TimelineScreen
from arc_tui.runs.state import Phase
from arc_tui.ui.actions import ACTIONS, CONSOLE, PANEL_NAMES
from arc_tui.ui.grid import GridView
from arc_tui.ui.help import HelpScreen
from arc_tui.ui.keys import shown
from arc_tui.ui.settings import Settings


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory):
    return make_run(tmp_path_factory.mktemp("runs"))


def shows(app: ConsoleApp, text: str) -> bool:
    return text in text_of(app)


def focused(app: ConsoleApp) -> int | None:
    """Digit of the panel that has the focus."""
    return next((p.DIGIT for p in app.main.query(Panel) if p.has_focus or p.has_focus_within), None)


def on_screen(app: ConsoleApp) -> list[int]:
    """Digits of the panels whose frames are drawn."""
    text = text_of(app)
    return [digit for digit, name in PANEL_NAMES.items() if f"╭{digit} {name}" in text]


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)])
async def test_every_digit_shows_and_focuses_its_panel(run, size: tuple[int, int]):
    async with console(run, size) as (app, pilot):
        for digit in PANEL_NAMES:
            await pilot.press(str(digit))
            await until(pilot, lambda digit=digit: focused(app) == digit and digit in on_screen(app))


async def test_narrow_screen_has_one_panel_and_the_strip_of_fixes(run):
    async with console(run, (80, 24)) as (app, pilot):
        await until(pilot, lambda: on_screen(app) == [PARTS] and shows(app, "1●lm"))
        await pilot.press("5")
        await until(pilot, lambda: on_screen(app) == [5] and not shows(app, "1●lm"))


async def test_two_columns_keep_the_log_behind_its_digit(run):
    async with console(run, (120, 40)) as (app, pilot):
        await until(pilot, lambda: PLANS in on_screen(app))
        await pilot.press(str(LOG))
        await until(pilot, lambda: LOG in on_screen(app) and PLANS not in on_screen(app))


async def test_three_columns_show_all_panels(run):
    async with console(run, (160, 46)) as (app, pilot):
        await until(pilot, lambda: on_screen(app) == list(PANEL_NAMES))


@pytest.mark.parametrize("key", ["+", "enter"])
async def test_panel_fills_the_screen_and_shrinks_again(run, key: str):
    async with console(run, (120, 40)) as (app, pilot):
        await pilot.press("2", key)
        await until(pilot, lambda: on_screen(app) == [2])
        await pilot.press("5")
        await until(pilot, lambda: on_screen(app) == [5])
        await pilot.press("escape")
        await until(pilot, lambda: len(on_screen(app)) > 1)
        assert focused(app) == 5


async def test_tab_goes_round_the_panels_that_are_shown(run):
    async with console(run, (120, 40)) as (app, pilot):
        await until(pilot, lambda: len(on_screen(app)) == 6)
        seen = [focused(app)]
        for _ in on_screen(app):
            await pilot.press("tab")
            await pilot.pause()
            seen.append(focused(app))
        assert seen == [*on_screen(app), PARTS]
        await pilot.press("shift+tab")
        await pilot.pause()
        assert focused(app) == on_screen(app)[-1]


async def test_brackets_step_through_samples_and_live_follows_again(run):
    async with console(run, (160, 50)) as (app, pilot):
        history = app.session.history
        steps = history.sample_steps
        await until(pilot, lambda: shows(app, f"step {steps[-1]} ● live"))
        await pilot.press("[")
        await until(pilot, lambda: shows(app, f"step {steps[-2]} ‖ past"))
        assert app.main.cursor == app.main.query_one(PartsPanel).chart.cursor == steps[-2]
        await pilot.press("[", "[", "]")
        await until(pilot, lambda: shows(app, f"step {steps[-3]} ‖ past"))
        await pilot.press("l")
        await until(pilot, lambda: shows(app, f"step {steps[-1]} ● live"))
        assert app.main.cursor is None


async def test_newest_sample_follows_live_and_the_oldest_says_so(run):
    async with console(run) as (app, pilot):
        for _ in app.session.history.sample_steps:
            await pilot.press("[")
        await until(pilot, lambda: shows(app, "No older sample is kept"))
        for _ in app.session.history.sample_steps:
            await pilot.press("]")
        await until(pilot, lambda: app.main.cursor is None)


async def test_charts_cursor_moves_by_keys_and_the_grids_follow(run):
    async with console(run, (160, 50)) as (app, pilot):
        chart = app.main.query_one(PartsPanel).chart
        await until(pilot, lambda: chart.stretch == (1, 60))
        await pilot.press("left")
        await until(pilot, lambda: app.main.cursor == 60)
        await pilot.press("home")
        await until(pilot, lambda: app.main.cursor == 1)
        await until(pilot, lambda: shows(app, "step 1 ‖ past"))
        await pilot.press("right")
        await until(pilot, lambda: (app.main.cursor or 0) > 1)
        await pilot.press("end")
        await until(pilot, lambda: app.main.cursor == 60)
        await pilot.press(".")
        await until(pilot, lambda: chart.stretch[0] > 1)
        await pilot.press(",")
        await until(pilot, lambda: chart.stretch == (1, 60))
        await pilot.press("escape")
        await until(pilot, lambda: app.main.cursor is None)


async def test_mouse_points_into_the_chart(run):
    async with console(run, (160, 50)) as (app, pilot):
        await pilot.click(app.main.query_one(PartsPanel).chart, offset=(20, 5))
        await until(pilot, lambda: app.main.cursor is not None)
        step = app.main.cursor
        assert step is not None
        assert 1 < step < 60


async def test_log_scale_by_key_and_by_setting(run):
    async with console(run) as (app, pilot):
        await until(pilot, lambda: shows(app, " linear "))
        await pilot.press("y")
        await until(pilot, lambda: shows(app, " log ") and not shows(app, " linear "))
    async with console(run, settings=Settings(log_scale=True)) as (app, pilot):
        await until(pilot, lambda: shows(app, " log "))


async def test_digits_in_grids_by_key_and_by_setting(run):
    async with console(run, (160, 50)) as (app, pilot):
        grid = app.main.query_one(GridView)
        first = app.session.history.last_sample.grids[0].grid[0]
        await until(pilot, lambda: len(grid.rows) > 1)
        assert first[0] not in "".join(text for text, _ in grid.rows[1])
        await pilot.press("g")
        await until(pilot, lambda: any(first[0] in text for row in grid.rows[1:4] for text, _ in row))
    async with console(run, (160, 50), settings=Settings(grid_digits=True)) as (app, pilot):
        await until(
            pilot, lambda: any(first[0] in t for row in app.main.query_one(GridView).rows for t, _ in row)
        )


async def test_log_is_filtered_while_a_word_is_typed(run):
    async with console(run, (120, 40)) as (app, pilot):
        await pilot.press("/", *"verified")
        log = app.main.query_one(LogPanel)
        await until(pilot, lambda: log.filter_text == "verified")
        await pilot.press("enter")
        body = [line for line in text_of(app).splitlines() if "│" in line]
        await until(pilot, lambda: focused(app) == LOG)
        assert any("verified at step" in line for line in body)
        assert not any("Epoch 0" in line for line in body)
        await pilot.press("escape")
        await until(pilot, lambda: log.filter_text == "")


async def test_letters_typed_into_the_filter_do_nothing_else(run):
    async with console(run) as (app, pilot):
        await pilot.press("/", *"qps")
        await pilot.pause()
        assert app.is_running
        assert isinstance(app.screen, MainScreen)
        assert app.main.query_one(Input).value == "qps"
        assert shows(app, "no line holds that word")


async def test_log_scrolls_and_stands_still_then(run):
    async with console(run, (80, 24)) as (app, pilot):
        await pilot.press(str(LOG))
        await until(pilot, lambda: shows(app, "Finished: completed"))
        await pilot.press("home")
        await until(pilot, lambda: shows(app, "Training started"))
        await pilot.press("end")
        await until(pilot, lambda: shows(app, "Finished: completed"))


async def test_warnings_stay_until_they_are_seen(run):
    async with console(run) as (app, pilot):
        await until(pilot, lambda: shows(app, "Make room on the disk") and shows(app, "w seen"))
        await pilot.press("w")
        await until(pilot, lambda: not shows(app, "w seen"))


async def test_theme_key_takes_the_next_theme(run):
    async with console(run, theme="arc-dark") as (app, pilot):
        await pilot.press("t")
        await until(pilot, lambda: app.looks.name == "arc-light" and shows(app, "Theme arc-light"))
        assert app.theme == "arc-light"


async def test_help_lists_every_key_with_the_users_own(run):
    settings = Settings(keys={"pause": ("P",)})
    async with console(run, (200, 60), settings=settings) as (app, pilot):
        await pilot.press("?")
        await until(pilot, lambda: isinstance(app.screen, HelpScreen) and shows(app, "Pause training"))
        rows = ["".join(text for text, _ in row) for row in app.screen.query_one("#rows").rows]
        heard = [action.id for action in ACTIONS if not set(CONSOLE).isdisjoint(action.places)]
        keys = [key for name in heard for key in shown(app.keys[name]).split(", ")]
        assert "Ctrl+C" in keys
        assert [key for key in keys if not any(key in row for row in rows)] == []
        assert any(row.lstrip().startswith("P ") for row in rows)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))


async def test_palette_finds_an_action_by_its_words(run):
    async with console(run) as (app, pilot):
        await pilot.press("ctrl+p")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"logarithmic")
        await until(pilot, lambda: shows(app, "logarithmic scale"))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))
        await pilot.press("enter") if isinstance(app.screen, CommandPalette) else None
        await until(pilot, lambda: shows(app, " log "))


async def test_screens_open_by_their_keys(run):
    async with console(run) as (app, pilot):
        for key, screen in (("r", RunsScreen), ("k", TimelineScreen)):
            await pilot.press(key)
            await until(pilot, lambda screen=screen: isinstance(app.screen, screen))
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, MainScreen))


async def test_screenshot_is_an_svg_where_the_console_was_opened(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    async with console(run) as (app, pilot):
        await pilot.press("ctrl+s")
        await until(pilot, lambda: shows(app, "✓ Saved recorded_"))
    (saved,) = tmp_path.glob("recorded_*.svg")
    assert "<svg" in saved.read_text()[:200]


async def test_reader_saves_no_screenshot(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    async with console(run, read_only=True) as (app, pilot):
        await pilot.press("ctrl+s")
        await until(pilot, lambda: shows(app, "▲ Opened for reading only"))
    assert list(tmp_path.iterdir()) == []


async def test_click_on_a_key_in_the_footer_does_what_the_key_does(run):
    async with console(run) as (app, pilot):
        await until(pilot, lambda: shows(app, "? help"))
        footer = text_of(app).splitlines()[-1]
        await pilot.click("#footer", offset=(footer.index("? help") + 1, 0))
        await until(pilot, lambda: isinstance(app.screen, HelpScreen))


async def test_click_on_a_title_enlarges_its_panel(run):
    async with console(run) as (app, pilot):
        await until(pilot, lambda: GRIDS in on_screen(app))
        await pilot.click(f"#panel-{GRIDS}", offset=(5, 0))
        await until(pilot, lambda: on_screen(app) == [GRIDS])


@pytest.mark.parametrize("size", [(30, 8), (79, 24), (110, 37), (161, 47), (250, 80), (12, 4)])
async def test_resizing_keeps_header_and_footer_and_breaks_nothing(run, size: tuple[int, int]):
    async with console(run, (120, 40)) as (app, pilot):
        for width, height in ((80, 24), size, (200, 60), size):
            await pilot.resize_terminal(width, height)
            await until(pilot, lambda width=width, height=height: app.main.size == (width, height))
            await until(pilot, lambda: text_of(app).startswith(" recorded"[: app.size.width]))
            assert all(len(line) <= width for line in text_of(app).splitlines())


async def test_panels_that_are_out_of_sight_cost_nothing(run, monkeypatch: pytest.MonkeyPatch):
    async with console(run, (80, 24)) as (app, pilot):
        panels = app.main.query_one(Panels)
        await until(pilot, lambda: panels.panel(PARTS).size == panels.places().panels[PARTS].size)
        drawn: list[int] = []
        for panel in app.main.query(Panel):
            monkeypatch.setattr(panel, "show_view", lambda view, digit=panel.DIGIT: drawn.append(digit))
        app.main.stale()
        app.main.redraw()
        assert drawn == [PARTS]
        app.main.redraw()
        assert drawn == [PARTS]


async def test_nothing_is_painted_again_while_nothing_changes(run):
    async with console(run, (160, 50)) as (app, pilot):
        app.main.redraw()
        await pilot.pause()
        painted: list[str] = []
        for widget in app.main.walk_children():
            widget.refresh = lambda *regions, widget=widget, **options: painted.append(repr(widget))  # type: ignore[method-assign]
        app.main.query_one(Panels).stale(*[digit for digit in PANEL_NAMES if digit != MACHINE], 0)
        app.main.redraw()
        assert painted == []


async def test_unfocused_terminal_is_drawn_less_often(tmp_path: Path):
    with living(tmp_path) as live:
        async with console(live.run, settings=Settings(refresh=10, refresh_unfocused=0.1)) as (app, pilot):
            app.app_focus = False
            app._tick()
            live.step(events_until_step(40)[-1], step=41)
            await until(pilot, lambda: app.session.state.step == 41)
            app._tick()
            assert not shows(app, " 41/60")
            app.app_focus = True
            app._tick()
            await until(pilot, lambda: shows(app, " 41/60"))


async def test_console_that_starts_says_what_it_waits_for(tmp_path: Path):
    with living(tmp_path, []) as live:
        async with console(live.run, (160, 50)) as (app, pilot):
            await until(pilot, lambda: shows(app, "◌ STARTING"))
            assert shows(app, "loading libraries, data and models")
            await until(pilot, lambda: shows(app, "waits for the first step"))
            await until(pilot, lambda: shows(app, "waits for the first sample"))
            live.emit("run_started", step=0)
            await until(pilot, lambda: app.session.phase is Phase.RUNNING)


async def test_keys_pressed_in_one_breath_mean_the_panel_just_chosen(run):
    async with console(run, (120, 40)) as (app, pilot):
        await until(pilot, lambda: PARTS in on_screen(app))
        app.main.action_panel(GRIDS)
        app.main.action_enlarge()
        await until(pilot, lambda: on_screen(app) == [GRIDS] and focused(app) == GRIDS)


async def test_clicked_panel_is_the_one_that_is_enlarged(run):
    async with console(run, (120, 40)) as (app, pilot):
        await until(pilot, lambda: 5 in on_screen(app))
        await pilot.click("#panel-5", offset=(10, 3))
        await until(pilot, lambda: focused(app) == 5)
        await pilot.press("+")
        await until(pilot, lambda: on_screen(app) == [5])
