"""The user's own keys in every app: the new one works, the old one does not, and both lines and help tell."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from eval_files import make_eval
from inspect_files import tensor_file
from piloting import console, text_of, until
from recordings import make_run
from textual.pilot import Pilot
from textual.widgets import Input

from arc_core.data.dataset import load_tasks
from arc_core.evaluation.folder import EvalFolder
from arc_tui.console.compare import CompareRuns
from arc_tui.console.main import MainScreen
from arc_tui.console.runs import RunsScreen
from arc_tui.console.timeline import TimelineScreen
from arc_tui.drawing.rows import plain
from arc_tui.inspect.app import InspectApp
from arc_tui.inspect.browser import BrowserScreen
from arc_tui.inspect.tensors.source import open_checkpoint
from arc_tui.results.app import ResultsApp
from arc_tui.results.evaluation_screen import ResultsScreen
from arc_tui.results.evaluations import open_results
from arc_tui.solve.app import SolveApp
from arc_tui.solve.screen import SolveScreen
from arc_tui.ui.app import BaseApp
from arc_tui.ui.dialog import Prompt
from arc_tui.ui.help import HelpScreen
from arc_tui.ui.keys import Keymap
from arc_tui.ui.rows_view import RowsView
from arc_tui.ui.settings import Settings

EVERYWHERE: dict[str, tuple[str, ...]] = {"help": ("f1",), "theme": ("f8",), "back": ("f9",)}


def inspect_app(folder: Path, keys: Keymap) -> InspectApp:
    path = tensor_file(folder / "model.safetensors", {"a.b": np.ones(4, np.float32), "a.c": np.ones(2)})
    return InspectApp(open_checkpoint(str(path), folder), folder, keys=keys)


def results_app(folder: Path, keys: Keymap) -> ResultsApp:
    make_eval(folder / "evals")
    return ResultsApp([open_results(EvalFolder(folder / "evals" / "first"))], folder / "evals", keys=keys)


def solve_app(folder: Path, keys: Keymap) -> SolveApp:
    del folder
    task = load_tasks("arcagi1").tasks[0]
    return SolveApp(task, "arcagi1 training", lambda: ([], None), keys=keys)


def is_table(app: BaseApp[Any]) -> bool:
    assert isinstance(app.screen, BrowserScreen)
    return app.screen.has_class("table")


def is_filtered(app: BaseApp[Any]) -> bool:
    assert isinstance(app.screen, ResultsScreen)
    return app.screen.chosen.narrowed


def is_enlarged(app: BaseApp[Any]) -> bool:
    assert isinstance(app.screen, SolveScreen)
    return app.screen._enlarged


async def press(pilot: Pilot[Any], *keys: str) -> None:
    await pilot.press(*keys)
    await pilot.pause()


@pytest.mark.parametrize(
    ("make", "action", "old", "done", "label"),
    [
        (inspect_app, "browser_view", "v", is_table, "table"),
        (results_app, "tasks_only", "f", is_filtered, "filter"),
        (solve_app, "solve_enlarge", "+", is_enlarged, "enlarge"),
    ],
)
async def test_own_keys_count_in_browsers_and_in_solve(
    tmp_path: Path,
    make: Callable[[Path, Keymap], BaseApp[Any]],
    action: str,
    old: str,
    done: Callable[[BaseApp[Any]], bool],
    label: str,
):
    app = make(tmp_path, {action: ("f6",), **EVERYWHERE})
    async with app.run_test(size=(120, 60)) as pilot:
        await press(pilot, old)
        assert not done(app)
        await press(pilot, "f6")
        assert done(app)
        line = text_of(app).splitlines()[-1]
        assert f" F6 {label} " in line
        assert " F9 back  F1 help  q quit" in line
        await press(pilot, "f8")
        assert app.looks.name == "arc-light"
        await press(pilot, "t", "?")
        assert app.looks.name == "arc-light"
        assert not isinstance(app.screen, HelpScreen)
        await press(pilot, "f1")
        assert isinstance(app.screen, HelpScreen)
        told = "\n".join(map(plain, app.screen.query_one("#rows", RowsView).rows))
        assert {"F1", "F6", "F8", "F9"} <= set(told.split())
        assert "On every screen" in told
        assert "The run" not in told, "the console has keys of its own"
        await press(pilot, "escape", "q")
    assert not app.is_running


async def test_own_keys_count_on_every_screen_of_the_console(tmp_path: Path):
    run = make_run(tmp_path)
    keys = EVERYWHERE | {"runs": ("f6",), "runs_mark": ("f7",), "compare_next": ("f3",)}
    async with console(run, (200, 60), settings=Settings(keys=keys)) as (app, pilot):
        await until(pilot, lambda: " F6 runs " in text_of(app))
        await press(pilot, "r")
        assert isinstance(app.screen, MainScreen)
        await press(pilot, "f6")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and app.screen.chosen is not None)
        runs = app.screen
        assert " F7 mark  c compare " in text_of(app)
        assert text_of(app).splitlines()[-1].endswith(" F9 back  F1 help")
        await press(pilot, "space", "escape")
        assert app.screen is runs
        assert runs._marked == []
        await press(pilot, "f7")
        assert runs._marked == ["recorded"]
        app.push_screen(CompareRuns(run, run))
        await until(pilot, lambda: " F3 next number " in text_of(app))
        first = app.screen.number_shown  # type: ignore[attr-defined]
        await press(pilot, "]")
        assert app.screen.number_shown == first  # type: ignore[attr-defined]
        await press(pilot, "f3")
        assert app.screen.number_shown != first  # type: ignore[attr-defined]
        await press(pilot, "f9", "f9", "k")
        await until(pilot, lambda: isinstance(app.screen, TimelineScreen))
        await press(pilot, "f1")
        assert isinstance(app.screen, HelpScreen)


async def test_keys_are_letters_while_something_is_typed_but_for_ctrl_and_the_one_that_leaves(tmp_path: Path):
    app = inspect_app(tmp_path, {"browser_verify": ("ctrl+v",), "browser_sort": ("f5",)})
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "/", "v", "t", "f5", "?")
        assert app.screen.query_one(Input).value == "vt?"
        assert (is_table(app), app.looks.name) == (False, "arc-dark")
        await press(pilot, "escape")
        assert not app.screen.query_one(Input).display


async def test_dialogs_hear_keys_with_ctrl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    app = inspect_app(tmp_path, {})
    async with app.run_test(size=(120, 40)) as pilot:
        await press(pilot, "d")
        assert isinstance(app.screen, Prompt)
        await press(pilot, "t", "ctrl+s")
        assert app.looks.name == "arc-dark"
        assert len(list(tmp_path.glob("inspect_*.svg"))) == 1
        await press(pilot, "ctrl+q")
    assert not app.is_running


async def test_keys_typed_fast_do_not_overtake_each_other(tmp_path: Path):
    app = inspect_app(tmp_path, {"browser_view": ("f6",)})
    async with app.run_test(size=(120, 40)) as pilot:
        for _ in range(10):
            await pilot.press("f6", "down", "f6", "f6", "up", "f6")
        await pilot.pause()
        assert not is_table(app)
