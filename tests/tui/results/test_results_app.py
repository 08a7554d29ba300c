"""The browser of results as it is used: keys pressed, and what is on the screen then."""

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from eval_files import (
    DAMAGED,
    FAILED,
    PARTLY,
    PENDING,
    SECOND,
    SIZE,
    SOLVED,
    TASKS,
    answer,
    make_eval,
    make_finished,
    truths,
)  # fmt: skip
from published_answers import write_benchmarking
from test_inspect_app import chosen, press, seen
from textual.pilot import Pilot
from textual.widgets import Input

from arc_core.evaluation.folder import find_eval
from arc_tui.results.app import ResultsApp
from arc_tui.results.choice import Chosen
from arc_tui.results.evals_screen import EvalsScreen
from arc_tui.results.evaluation_screen import PairScreen, ResultsScreen
from arc_tui.results.evaluations import open_results
from arc_tui.results.task_screen import ResultTaskScreen
from arc_tui.ui.actions import ACTIONS, RESULTS
from arc_tui.ui.dialog import Notice, Prompt
from arc_tui.ui.grid import GroupsView
from arc_tui.ui.help import HelpScreen
from arc_tui.ui.list import LazyList

SIZES = [(80, 24), (120, 40), (200, 60)]


@contextlib.asynccontextmanager
async def browsing(
    evals: Path, *names: str, size: tuple[int, int] = (120, 40), chosen: Chosen | None = None
) -> AsyncIterator[tuple[ResultsApp, Pilot]]:
    app = ResultsApp([open_results(find_eval(name, evals)) for name in names], evals, chosen)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot


@pytest.fixture
def evals(tmp_path: Path) -> Path:
    folder = tmp_path / "evals"
    make_eval(folder)
    make_finished(folder, "second", {SOLVED, FAILED}, seed=7)
    make_finished(folder, "third", {SOLVED, SECOND, SIZE})
    return folder


def listed(app: ResultsApp) -> list[str]:
    return [found.id for found in app.screen.shown]  # type: ignore[attr-defined]


async def choose(app: ResultsApp, pilot: Pilot, task: str) -> None:
    app.screen.query_one(LazyList).choose(listed(app).index(task))
    await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
async def test_every_task_shows_its_answers_beside_the_output(evals: Path, size: tuple[int, int]):
    async with browsing(evals, "first", size=size) as (app, pilot):
        await choose(app, pilot, SOLVED)
        assert chosen(app).startswith(f"✓ {SOLVED}")
        for expected in (
            "2 solved of 6 tasks done of 7",
            "✓ solved by attempt 1",
            "votes 90% and 5%",
            "output",
        ):
            assert expected in seen(app)
        await choose(app, pilot, FAILED)
        assert "✗ not solved" in seen(app)
        assert "×" in seen(app) or "ˣ" in seen(app)
        await choose(app, pilot, PENDING)
        assert "no answer yet" in seen(app)
        await choose(app, pilot, DAMAGED)
        assert "answers/017c7c7b.json" in seen(app)


async def test_filters_narrow_the_list_and_escape_takes_them_off(evals: Path):
    async with browsing(evals, "first") as (app, pilot):
        await press(pilot, "f")
        assert listed(app) == sorted([SOLVED, SECOND])
        assert "2 shown: solved" in seen(app)
        await press(pilot, "f", "z")
        assert listed(app) == [PARTLY]
        assert "1 shown: failed, constant" in seen(app)
        await press(pilot, "z")
        assert listed(app) == [SIZE]
        await press(pilot, "f")
        assert listed(app) == []
        assert "no task is so" in seen(app)
        await press(pilot, "escape")
        assert listed(app) == TASKS


async def test_the_chosen_task_stays_chosen_when_the_list_changes(evals: Path):
    async with browsing(evals, "first") as (app, pilot):
        await choose(app, pilot, SIZE)
        await press(pilot, "f", "f")
        assert chosen(app).startswith(f"✗ {SIZE}")
        await choose(app, pilot, FAILED)
        await press(pilot, "escape")
        assert chosen(app).startswith(f"✗ {FAILED}")


async def test_sorting_goes_through_id_confidence_and_cells(evals: Path):
    async with browsing(evals, "first") as (app, pilot):
        await press(pilot, "s")
        assert listed(app)[0] == SOLVED
        assert "VOTES▼" in seen(app)
        await press(pilot, "r")
        assert listed(app)[0] == SIZE
        assert "VOTES▲" in seen(app)
        await press(pilot, "s")
        assert "CELLS▼" in seen(app)
        assert listed(app)[-3:] == [PARTLY, *sorted([DAMAGED, PENDING])]
        await press(pilot, "s")
        assert listed(app) == TASKS


async def test_search_takes_letters_that_are_keys_elsewhere(evals: Path):
    async with browsing(evals, "first") as (app, pilot):
        await press(pilot, "slash", *"ddb", "enter")
        assert listed(app) == [SOLVED]
        await press(pilot, "escape")
        assert listed(app) == TASKS
        assert not app.screen.query_one(Input).display


async def test_enter_fills_the_screen_and_goes_through_the_list(evals: Path):
    async with browsing(evals, "first", chosen=Chosen(only="failed")) as (app, pilot):
        await press(pilot, "enter")
        assert isinstance(app.screen, ResultTaskScreen)
        assert "1 of 3" in seen(app)
        assert SIZE in seen(app)
        assert "demonstration 4" in seen(app)
        await press(pilot, "d")
        assert "demonstration" not in seen(app).replace("demonstrations", "")
        await press(pilot, "right_square_bracket", "right_square_bracket", "right_square_bracket")
        assert "3 of 3" in seen(app)
        await press(pilot, "left_square_bracket", "escape")
        assert isinstance(app.screen, ResultsScreen)
        assert chosen(app).startswith(f"✗ {PARTLY}")


async def test_digits_are_written_into_the_cells(evals: Path):
    async with browsing(evals, "first") as (app, pilot):
        await choose(app, pilot, FAILED)
        (right,) = truths(FAILED)
        row = "".join(map(str, right[-1].tolist()))
        digits = ["".join(line.split()) for line in seen(app).splitlines()]
        assert not any(line.endswith(row) for line in digits)
        await press(pilot, "g")
        assert any(row in "".join(line.split()) for line in seen(app).splitlines())


async def test_tab_goes_to_the_grids_and_back(evals: Path):
    async with browsing(evals, "first", size=(80, 24)) as (app, pilot):
        await press(pilot, "tab")
        assert app.screen.query_one(GroupsView).has_focus
        await press(pilot, "tab")
        assert app.screen.query_one(LazyList).has_focus


async def test_answers_that_come_in_the_meantime_are_shown(evals: Path):
    async with browsing(evals, "first") as (app, pilot):
        screen = app.screen
        assert isinstance(screen, ResultsScreen)
        assert "to go on: arc-tui eval --resume first" in seen(app)
        await choose(app, pilot, PENDING)
        (right,) = truths(PENDING)
        screen.results.folder.write_answer(answer(PENDING, [(right, right)]))
        screen.look_again()
        await pilot.pause()
        assert "3 solved of 7 tasks" in seen(app)
        assert chosen(app).startswith(f"✓ {PENDING}")


async def test_scores_and_all_keys_are_told(evals: Path):
    async with browsing(evals, "first", size=(200, 60)) as (app, pilot):
        await press(pilot, "i")
        assert isinstance(app.screen, Notice)
        assert "Tasks solved         2/5 = 40.0%" in seen(app)
        assert "ratio              0/1" in seen(app)
        await press(pilot, "escape", "question_mark")
        assert isinstance(app.screen, HelpScreen)
        shown = " ".join(seen(app).split())
        here = [action for action in ACTIONS if not set(RESULTS).isdisjoint(action.places)]
        assert all(action.help.split(":")[0][:20] in shown for action in here)


async def test_evaluations_are_listed_opened_and_marked_for_comparison(evals: Path):
    async with browsing(evals) as (app, pilot):
        assert isinstance(app.screen, EvalsScreen)
        for expected in ("first", "second", "third", "6/7", "5/5"):
            assert expected in seen(app)
        await press(pilot, "enter")
        assert isinstance(app.screen, ResultsScreen)
        assert app.screen.results.name == "first"
        await press(pilot, "escape", "c")
        assert "Mark an evaluation by Space first" in seen(app)
        await press(pilot, "down", "space", "down", "c")
        assert isinstance(app.screen, PairScreen)
        assert "A second" in seen(app)
        assert "B third" in seen(app)
        assert "A alone 1, B alone 2" in seen(app)
        assert "Asked otherwise: seed 7 and 0" in seen(app)


async def test_what_cannot_be_opened_is_told_and_the_list_stays(evals: Path):
    (evals / "first" / "eval.json").write_text("{")
    async with browsing(evals) as (app, pilot):
        at = next(n for n, one in enumerate(app.screen._evals) if one.problem)  # type: ignore[attr-defined]
        app.screen.query_one(LazyList).choose(at)
        await press(pilot, "enter")
        assert isinstance(app.screen, EvalsScreen)
        assert "is damaged" in seen(app)


async def test_evaluations_that_come_in_the_meantime_are_listed(evals: Path):
    async with browsing(evals) as (app, pilot):
        screen = app.screen
        assert isinstance(screen, EvalsScreen)
        await press(pilot, "end")
        before = screen.chosen
        make_finished(evals, "fourth", set())
        screen.look_again()
        await pilot.pause()
        assert "fourth" in seen(app)
        assert screen.chosen == before


async def test_two_evaluations_are_browsed_beside_each_other(evals: Path):
    async with browsing(evals, "second", "third") as (app, pilot):
        assert isinstance(app.screen, PairScreen)
        await press(pilot, "f")
        assert listed(app) == [FAILED]
        assert "1 shown: A alone" in seen(app)
        assert chosen(app).startswith(f"✓ ✗ {FAILED}")
        assert seen(app).count("attempt 1 3x3") == 2
        await press(pilot, "i")
        assert "McNemar's exact test, two-sided: p = 1" in seen(app)
        await press(pilot, "escape", "c")
        assert "compared already" in seen(app)


async def test_another_evaluation_is_asked_for_and_compared(evals: Path):
    async with browsing(evals, "second") as (app, pilot):
        await press(pilot, "c")
        assert isinstance(app.screen, Prompt)
        await press(pilot, *"nothing", "enter")
        assert "There is no evaluation nothing" in seen(app)
        await press(pilot, "ctrl+a", "ctrl+k", *"th", "enter")
        assert isinstance(app.screen, PairScreen)
        assert app.screen.pair.second.name == "third"


async def test_answers_of_others_are_asked_for_and_compared(evals: Path):
    answered = {name: [[grid.tolist(), None] for grid in truths(name)] for name in (SOLVED, FAILED)}
    write_benchmarking(evals.parent / "o3", answered)
    async with browsing(evals, "third") as (app, pilot):
        await press(pilot, "c")
        app.screen.query_one(Input).value = str(evals.parent / "o3")
        await press(pilot, "enter")
        assert isinstance(app.screen, PairScreen)
        assert "A third" in seen(app)
        assert "B o3" in seen(app)
        await choose(app, pilot, SOLVED)
        assert "attempt 2 0x0" in seen(app)


async def test_ids_and_rules_are_text_and_never_markup(tmp_path: Path):
    folder = make_eval(tmp_path / "evals")
    content = json.loads(folder.answer_path(SOLVED).read_text())
    content["inputs"][0]["size_rule"] = "[red]\x1b[2J"
    folder.answer_path(SOLVED).write_text(json.dumps(content))
    async with browsing(tmp_path / "evals", "first") as (app, pilot):
        await choose(app, pilot, SOLVED)
        assert r"size rule [red]\x1b[2J" in seen(app)
        assert "\x1b" not in seen(app)
