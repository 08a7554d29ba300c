"""What is under the cursor, or selected by the mouse, reaches the terminal's clipboard, and as text alone."""

import base64
import json
from pathlib import Path

import pytest
from eval_files import FAILED, SOLVED, make_finished
from hostile import hostile_run, hostile_texts, obeyed
from inspect_files import arc_run
from piloting import console, text_of, until
from raw_events import read_lines, typed
from recordings import RECORDED, make_run
from test_inspect_app import browsing, press, seen
from textual.app import App
from textual.pilot import Pilot

from arc_core.data.seen import choose_tasks
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.folder import TaskAnswer, find_eval
from arc_tui.console.timeline import TimelineScreen
from arc_tui.drawing.rows import marked, place_at, plain
from arc_tui.inspect.tensors.source import open_checkpoint
from arc_tui.results.app import ResultsApp
from arc_tui.results.evaluations import open_results
from arc_tui.solve.app import SolveApp
from arc_tui.ui.rows_view import RowsView


async def copied(app: App[object], pilot: Pilot[object]) -> str:
    """Press the key, and return what the terminal is sent."""
    await pilot.press("C")
    await pilot.pause()
    return app.clipboard


async def test_console_copies_values_at_the_cursor_a_grid_as_json_and_what_a_panel_says(tmp_path: Path):
    async with console(make_run(tmp_path), (200, 60)) as (app, pilot):
        app.main.point_at(20)
        values = json.loads(await copied(app, pilot))
        assert values["step"] == 20
        assert values["loss.combined"] == pytest.approx(app.session.history.at("loss.combined", 20).mean[0])
        await pilot.press("3")
        grids = json.loads(await copied(app, pilot))
        sample = app.session.history.sample_at(20)
        assert sample is not None
        assert grids["task"] == sample.task
        target = [[int(cell) for cell in row] for row in sample.target or ()]
        assert grids["target"] == target
        await pilot.press("8")
        lines = (await copied(app, pilot)).splitlines()
        assert len(lines) > 3
        assert all(line in text_of(app) for line in lines)


async def test_runs_copy_the_command_that_goes_on_with_them(tmp_path: Path):
    run = make_run(tmp_path, name="recorded")
    async with console(run, (160, 46)) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: getattr(app.screen, "described", None) == "recorded")
        command = f"arc-tui train --resume recorded --runs-dir {tmp_path}"
        assert await copied(app, pilot) == command


async def test_checkpoint_whose_files_are_gone_has_nothing_to_copy(tmp_path: Path):
    async with console(make_run(tmp_path), (160, 46)) as (app, pilot):
        await pilot.press("k")
        await until(pilot, lambda: isinstance(app.screen, TimelineScreen) and app.screen.chosen is not None)
        assert await copied(app, pilot) == ""
        assert "Nothing here to copy" in text_of(app)


async def test_browser_copies_a_name_the_value_under_the_cursor_and_the_command_that_goes_on(tmp_path: Path):
    run = arc_run(tmp_path / "runs")
    newest = max((run / "checkpoints").glob("checkpoint_*"))
    async with browsing(newest, runs=tmp_path / "runs") as (app, pilot):
        await press(pilot, "v")
        name = await copied(app, pilot)
        assert name in open_checkpoint(str(newest), tmp_path).table.names
        await press(pilot, "enter", "right")
        assert f"= {await copied(app, pilot)} " in seen(app)
        await press(pilot, "escape", "k")
        told = f"--resume {run.name} --checkpoint {int(newest.name[-5:])} --runs-dir {tmp_path / 'runs'}"
        assert await copied(app, pilot) == f"arc-tui train {told}"


async def test_results_copy_the_grids_of_a_task_and_the_command_of_an_evaluation(tmp_path: Path):
    make_finished(tmp_path, "second", {SOLVED, FAILED})
    async with (app := ResultsApp([], tmp_path)).run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        assert await copied(app, pilot) == f"arc-tui eval --resume second --evals-dir {tmp_path}"
    results = [open_results(find_eval("second", tmp_path))]
    async with (app := ResultsApp(results, tmp_path)).run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        grids = json.loads(await copied(app, pilot))
        assert {*grids["test 0"]} >= {"input", "attempt 1", "attempt 2"}
        await pilot.press("enter")
        await pilot.pause()
        assert json.loads(await copied(app, pilot)) == grids


async def test_solve_copies_the_pairs_that_are_shown():
    answer = TaskAnswer.from_json(json.loads((RECORDED / "solve_answer.json").read_text()), "recorded")
    (task,) = choose_tasks(load_tasks("arcagi1").tasks, ids=[answer.task])
    events = typed(read_lines(RECORDED / "solve.jsonl"))
    app = SolveApp(task, "arcagi1 training", lambda: (events, answer))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        app.look()
        assert {"demonstration 0", "test 0"} <= json.loads(await copied(app, pilot)).keys()
        await pilot.press("]")
        assert [*json.loads(await copied(app, pilot))] == ["demonstration 0"]


async def test_mouse_selects_text_of_rows_which_ctrl_c_copies_instead_of_leaving(tmp_path: Path):
    async with console(make_run(tmp_path), (200, 60)) as (app, pilot):
        await pilot.press("8")
        body = app.screen.query_one("#panel-8").query_one(RowsView)
        lines = [plain(body.line(y)).rstrip() for y in range(3)]
        await pilot.mouse_down(body, offset=(9, 0))
        await pilot.hover(body, offset=(4, 2))
        await pilot.mouse_up(body, offset=(4, 2))
        assert {style for _, style in body.selected_line(1)} == {"marked"}
        await pilot.press("ctrl+c")
        await pilot.pause()
        assert app.clipboard == f"{lines[0][9:]}\n{lines[1]}\n{lines[2][:5]}"
        assert app.is_running
        assert app.screen.selections == {}
        await pilot.press("ctrl+c")
        await until(pilot, lambda: not app.is_running)


async def test_escape_lets_go_of_what_is_selected(tmp_path: Path):
    async with console(make_run(tmp_path), (200, 60)) as (app, pilot):
        app.screen.text_select_all()
        assert app.screen.selections
        await pilot.press("escape")
        assert app.screen.selections == {}


async def test_mouse_on_a_chart_moves_its_cursor_and_selects_nothing(tmp_path: Path):
    async with console(make_run(tmp_path), (200, 60)) as (app, pilot):
        chart = app.screen.query_one("#panel-1 Chart")
        await pilot.mouse_down(chart, offset=(30, 5))
        await pilot.hover(chart, offset=(40, 6))
        await pilot.mouse_up(chart, offset=(40, 6))
        assert app.screen.selections == {}
        assert app.main.cursor is not None


async def test_hostile_texts_are_copied_as_text_and_sent_as_base64(tmp_path: Path):
    run = hostile_run(tmp_path, hostile_texts())
    async with console(run, (200, 60)) as (app, pilot):
        sent: list[str] = []
        assert app._driver is not None
        app._driver.write = sent.append  # type: ignore[method-assign]
        await pilot.press("8")
        app.screen.text_select_all()
        text = await copied(app, pilot)
        assert "\\x1b]52;c;" in text
        assert obeyed(text) == set()
        (sequence,) = [part for part in sent if part.startswith("\x1b]52;c;")]
        assert base64.b64decode(sequence.removeprefix("\x1b]52;c;").removesuffix("\a")).decode() == text


def test_place_in_a_row_counts_characters_not_cells():
    row = [("漢", "a"), ("bc", "")]
    assert [place_at(row, x) for x in range(6)] == [0, 0, 1, 2, 3, 3]
    assert marked(row, 1, 2) == [("漢", "a"), ("b", "marked"), ("c", "")]
    assert marked(row, 0, -1) == [("漢", "marked"), ("bc", "marked")]
