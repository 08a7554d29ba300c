"""More than two runs compared: how they are marked, what is one line, what the list tells, what keys do."""

import json
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hostile import hostile_texts, obeyed
from piloting import console, text_of, until
from sweep_runs import LOSS, RATES, SEEDS, STEPS, cells_of, loss_of, make_sweep
from textual.pilot import Pilot

from arc_core.run.directory import RunDirectory
from arc_tui.console.app import ConsoleApp
from arc_tui.console.compare import CompareRuns
from arc_tui.console.runs import RunsScreen
from arc_tui.drawing.rows import plain
from arc_tui.ui.chart import Chart
from arc_tui.ui.list import LazyList
from arc_tui.ui.rows_view import RowsView

SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.fixture
def sweep(tmp_path: Path) -> list[RunDirectory]:
    return make_sweep(tmp_path / "runs")


@asynccontextmanager
async def comparing(
    runs: list[RunDirectory], size: tuple[int, int] = (120, 40), steps: int = STEPS
) -> AsyncIterator[tuple[ConsoleApp, Pilot[None], CompareRuns]]:
    """Open the screen on runs and wait until all are read."""
    async with console(runs[0], size) as (app, pilot):
        screen = CompareRuns(*runs)
        app.push_screen(screen)
        await until(pilot, lambda: all(run.history.last_step == steps for run in screen.runs))
        screen.redraw()
        await pilot.pause()
        yield app, pilot, screen


def row_of(app: ConsoleApp, start: str) -> str:
    return next(line for line in text_of(app).splitlines() if line.startswith(start))


def curves(screen: CompareRuns) -> list[tuple[str, str, str]]:
    """Letter, line and envelope of each curve, the one on top first."""
    return [(series.sign, series.line, series.raw) for _, series in screen.query_one(Chart)._curves]


async def open_runs(app: ConsoleApp, pilot: Pilot[None], count: int) -> RunsScreen:
    await pilot.press("r")
    await until(pilot, lambda: isinstance(app.screen, RunsScreen) and len(app.screen._shown) == count)
    assert isinstance(app.screen, RunsScreen)
    return app.screen


async def test_marked_runs_are_compared_in_the_order_of_their_marks(sweep: list[RunDirectory]):
    async with console(sweep[0]) as (app, pilot):
        runs = await open_runs(app, pilot, 6)
        await pilot.press("home", "space", "down", "down", "space", "down", "space")
        assert runs._marked == ["lr-6", "lr-4", "lr-3"]
        assert [line.split()[:2] for line in text_of(app).splitlines() if " ◆ " in line][:4] == [
            ["1", "lr-6"],
            ["lr-5", "◆"],
            ["2", "lr-4"],
            ["3", "lr-3"],
        ]
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, CompareRuns))
        assert isinstance(app.screen, CompareRuns)
        assert [run.name for run in app.screen.runs] == ["lr-6", "lr-4", "lr-3"]


async def test_a_marks_all_that_the_filter_shows_and_takes_their_marks_off(sweep: list[RunDirectory]):
    make_sweep(sweep[0].path.parent.parent / "others")
    async with console(sweep[0]) as (app, pilot):
        runs = await open_runs(app, pilot, 6)
        await pilot.press("slash", *"lr-2", "enter", "a", "escape")
        await until(pilot, lambda: len(runs._shown) == 6)
        assert runs._marked == ["lr-2"]
        await pilot.press("a")
        assert runs._marked == ["lr-2", "lr-1", "lr-3", "lr-4", "lr-5", "lr-6"]
        await pilot.press("a")
        assert runs._marked == []


async def test_marks_have_room_for_two_digits_and_go_with_their_runs(tmp_path: Path):
    runs_dir = tmp_path / "runs"
    many = make_sweep(runs_dir, seeds=range(6), steps=1)
    async with console(many[0]) as (app, pilot):
        runs = await open_runs(app, pilot, 12)
        await pilot.press("a")
        shown = [
            line[:3].split() + line[3:].split()[:1] for line in text_of(app).splitlines() if " ◆ " in line
        ]
        assert shown[:12] == [["›1" if n == 1 else f"{n}", f"lr-{n}"] for n in range(12, 0, -1)]
        many[3].remove()
        await until(pilot, lambda: len(runs._shown) == 11)
        assert "lr-4" not in runs._marked
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, CompareRuns))
        assert len(app.screen.runs) == 11  # type: ignore[attr-defined]


@pytest.mark.parametrize("size", SIZES)
async def test_runs_that_differ_in_their_seed_alone_are_one_line_with_mean_and_range(
    sweep: list[RunDirectory], size: tuple[int, int]
):
    async with comparing(sweep, size) as (app, _, screen):
        assert "loss.combined of 6 runs, mean and range over seeds" in text_of(app)
        assert curves(screen) == [("A", "series.0", "muted"), ("B", "series.1", "")]
        for letter, name, rate in (("A", "lr-1 +2", RATES[0]), ("B", "lr-4 +2", RATES[1])):
            row = row_of(app, f" {letter}  {name}")
            losses = [loss_of(rate, seed, STEPS) for seed in SEEDS]
            cells = [cells_of(rate, seed, STEPS) for seed in SEEDS]
            told = [f"{statistics.fmean(losses):.4g}", f"{statistics.fmean(cells):.4f}", "3 seeds", f"{rate}"]
            if size[0] >= 100:
                told += [f"({min(losses):.4g} – {max(losses):.4g})", f"({min(cells):.4f} – {max(cells):.4f})"]
            for words in told:
                assert words in row
            assert ("exact" in row) == (size[0] >= 150)
        heads = row_of(app, "    NAME").split()
        assert heads[-1] == "agent_lr"
        assert ("STEP" in heads) == (size[0] >= 100)
        assert "lr-1, lr-2, lr-3; seed 42, 43, 44" in text_of(app)


async def test_m_draws_each_run_and_their_mean_again_and_stays_at_the_chosen(sweep: list[RunDirectory]):
    async with comparing(sweep) as (app, pilot, screen):
        await pilot.press("down", "m")
        assert [sign for sign, *_ in curves(screen)] == ["D", "A", "B", "C", "E", "F"]
        assert {raw for *_, raw in curves(screen)} == {""}
        assert "mean" not in text_of(app).splitlines()[0]
        assert row_of(app, " D  lr-4").split()[-2:] == ["0.0003", "42"]
        await pilot.press("down", "m")
        assert [sign for sign, *_ in curves(screen)] == ["B", "A"]
        assert screen.query_one(LazyList).cursor == 1


async def test_m_says_so_where_no_two_runs_differ_in_their_seed_alone(sweep: list[RunDirectory]):
    async with comparing([sweep[0], sweep[3]]) as (app, pilot, screen):
        await pilot.press("m")
        await until(pilot, lambda: "No two of these runs differ in their seed alone" in text_of(app))
        assert len(screen.lines) == 2


async def test_two_runs_keep_a_line_each_until_m_is_pressed(sweep: list[RunDirectory]):
    async with comparing(sweep[:2]) as (app, pilot, screen):
        assert curves(screen) == [("", "loss", "raw"), ("", "efe", "raw.efe")]
        assert "difference" in text_of(app)
        assert row_of(app, " seed").split() == ["seed", "42", "43"]
        await pilot.press("m")
        assert curves(screen) == [("", "loss", "raw")]
        assert "mean and range over seeds" in text_of(app)
        readout = text_of(app).splitlines()[1]
        losses = [loss_of(RATES[0], seed, STEPS) for seed in SEEDS[:2]]
        assert f"lr-1 +1 {statistics.fmean(losses):.4f}" in readout
        assert f"({min(losses):.4f} – {max(losses):.4f})" in readout


async def test_the_same_seed_twice_makes_runs_of_them(sweep: list[RunDirectory]):
    content = sweep[1].read()
    content["config"]["seed"] = 42
    sweep[1].write(content)
    async with comparing(sweep) as (app, _, _screen):
        assert "3 runs " in row_of(app, " A  lr-1 +2")
        assert "3 seeds" in row_of(app, " B  lr-4 +2")


async def test_list_follows_the_cursor_of_the_chart(sweep: list[RunDirectory]):
    async with comparing(sweep) as (app, pilot, screen):
        await pilot.press("home")
        await until(pilot, lambda: "AT 1 " in text_of(app))
        mean = statistics.fmean(loss_of(RATES[1], seed, 1) for seed in SEEDS)
        assert f"{mean:.4g}" in row_of(app, " B  lr-4 +2")
        assert app.screen is screen
        copied = json.loads(screen.copied() or "")
        assert copied["step"] == 1
        assert copied["lr-4 +2"] == pytest.approx(mean, rel=1e-5)


async def test_numbers_are_turned_and_the_scale_is_changed_for_all(sweep: list[RunDirectory]):
    async with comparing(sweep) as (app, pilot, screen):
        await pilot.press("]", "y")
        assert f" {screen.numbers[1]}, logarithmic of 6 runs" in text_of(app).splitlines()[0]
        await pilot.press("[")
        assert f" {LOSS}, logarithmic" in text_of(app).splitlines()[0]


@pytest.mark.parametrize("size", SIZES)
async def test_more_runs_than_rows_are_scrolled_to(tmp_path: Path, size: tuple[int, int]):
    many = make_sweep(tmp_path / "runs", seeds=range(20), steps=3)
    async with comparing(many, size, steps=3) as (app, pilot, screen):
        await pilot.press("m")
        choices = screen.query_one(LazyList)
        assert choices.size.height < len(many)
        assert screen.query_one(Chart).size.height >= 8
        assert "lr-40" not in text_of(app)
        await pilot.press(*["pagedown"] * 12)
        await until(pilot, lambda: choices.cursor == len(many) - 1)
        assert row_of(app, " n  lr-40")
        assert curves(screen)[0][0] == "n"


async def test_options_without_a_column_are_told_of_the_chosen_run(sweep: list[RunDirectory]):
    for at, run in enumerate(sweep):
        content = run.read()
        content["config"] |= {f"option_number_{n}": f"value-{at // 3}-{n}" for n in range(8)}
        run.write(content)
    async with comparing(sweep, (80, 24)) as (app, pilot, screen):
        details = screen.query(".details").only_one(RowsView)
        assert "value-0-0" in row_of(app, " A  lr-1")
        assert "value-0-7" not in row_of(app, " A  lr-1")
        await pilot.resize_terminal(200, 60)
        await until(pilot, lambda: "value-0-7" in "".join(map(plain, details.rows)))
        await pilot.press("down")
        await until(pilot, lambda: "value-1-7" in "".join(map(plain, details.rows)))


async def test_hostile_names_of_options_and_values_stay_texts(sweep: list[RunDirectory]):
    texts = hostile_texts()
    for at, run in enumerate(sweep):
        content = run.read()
        content["config"] |= dict.fromkeys(texts[:12], texts[-at - 1])
        run.write(content)
    async with comparing(sweep, (200, 60)) as (app, pilot, _):
        assert obeyed(text_of(app)) == set()
        assert "\\x1b" in text_of(app)
        for _ in sweep:
            await pilot.press("down")
            assert obeyed(text_of(app)) == set()


async def test_run_that_is_gone_is_told_and_the_others_are_compared(sweep: list[RunDirectory]):
    sweep[1].run_json.write_text("{")
    async with console(sweep[0]) as (app, pilot):
        screen = CompareRuns(*sweep[:3])
        app.push_screen(screen)
        await until(pilot, lambda: "✗ " in text_of(app) and "damaged" in text_of(app))
        await until(pilot, lambda: [run.history.last_step for run in screen.runs] == [60, 0, 60])
        screen.redraw()
        await pilot.pause()
        assert [len(group.runs) for group in screen.lines] == [2, 1]
