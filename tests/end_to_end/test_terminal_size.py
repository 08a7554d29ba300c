"""Terminals that nobody has told their size: 0 rows or columns, as docker exec and serial lines have them."""

import importlib
import pkgutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from eval_files import make_eval
from inspect_files import tensor_file
from recordings import make_run
from terminal import Terminal, terminal
from textual.app import App

import arc_tui
from arc_tui.ui.app import BaseApp

SETTING_UP = 400
"""Bytes that an app sends beside what it draws: the modes of the terminal, and its title."""

WATCHED_SECONDS = 1.5


def console(folder: Path) -> list[str]:
    make_run(folder / "runs", name="mine")
    return ["attach", "mine", "--replay", "1"]  # so slow that there is something new to draw all the time


def checkpoint_browser(folder: Path) -> list[str]:
    tensor_file(folder / "one.safetensors", {"weight": np.ones((2, 3), np.float32)})
    return ["inspect", "checkpoint", "one.safetensors"]


def results_browser(folder: Path) -> list[str]:
    make_eval(folder / "evals")
    return ["inspect", "results", "first"]


def solve_screen(folder: Path) -> list[str]:
    del folder
    return ["solve", "00576224", "--weights", "none", "--set", "width=8", "--seconds", "60"]


APPS: dict[Callable[[Path], list[str]], str] = {
    console: "RUNNING",
    checkpoint_browser: "weight",
    results_browser: "0ca9ddb6",
    solve_screen: "00576224",
}
"""Each app with something that it shows."""

NO_SIZES = [
    (console, (0, 0)),
    (console, (80, 0)),
    (console, (0, 24)),
    *((app, (0, 0)) for app in [*APPS][1:]),
]
SMALL = [(console, (3, 2)), (console, (1, 24)), (console, (80, 1)), *((app, (1, 1)) for app in APPS)]


def code_of(app: Callable[[Path], list[str]]) -> int:
    """What an app ends with when it is left: solving stops then, and has not answered."""
    return 130 if app is solve_screen else 0


def drawn_while_watched(opened: Terminal) -> int:
    """Bytes that arrive in a while."""
    before, end = len(opened.output), time.monotonic() + WATCHED_SECONDS
    while time.monotonic() < end:
        opened.look()
    return len(opened.output) - before


def test_every_app_has_the_base_that_knows_a_terminal_without_size():
    for module in pkgutil.walk_packages(arc_tui.__path__, "arc_tui."):
        importlib.import_module(module.name)

    def kinds(kind: type) -> set[type]:
        return {kind, *(found for child in kind.__subclasses__() for found in kinds(child))}

    apps = {kind for kind in kinds(App) if kind.__module__.startswith("arc_tui.")}
    assert {kind.__name__ for kind in apps} >= {"ConsoleApp", "InspectApp", "ResultsApp", "SolveApp"}
    assert {kind for kind in apps if not issubclass(kind, BaseApp)} == set()


@pytest.mark.slow
@pytest.mark.parametrize("key", ["q", "\x03"], ids=["q", "ctrl+c"])
@pytest.mark.parametrize(("app", "size"), NO_SIZES)
def test_nothing_is_drawn_without_a_size_and_a_key_leaves(
    app: Callable[[Path], list[str]], size: tuple[int, int], key: str, tmp_path: Path
):
    with terminal(tmp_path, *app(tmp_path), size=size) as opened:
        opened.until_it_listens()
        drawn_while_watched(opened)
        assert len(opened.output) < SETTING_UP
        opened.press(key)
        assert opened.ended() == code_of(app)
        assert opened.is_sane()


@pytest.mark.slow
@pytest.mark.parametrize(("app", "size"), NO_SIZES)
def test_first_size_brings_an_app_up(app: Callable[[Path], list[str]], size: tuple[int, int], tmp_path: Path):
    with terminal(tmp_path, *app(tmp_path), size=size) as opened:
        opened.until_it_listens()
        opened.resize(80, 24)
        opened.until(APPS[app])
        opened.press("q")
        assert opened.ended() == code_of(app)
        assert opened.is_sane()


@pytest.mark.slow
@pytest.mark.parametrize("size", [(0, 0), (80, 0), (0, 24)])
def test_an_app_stops_drawing_while_its_terminal_has_no_size(size: tuple[int, int], tmp_path: Path):
    with terminal(tmp_path, *console(tmp_path), size=(80, 24)) as opened:
        opened.until("RUNNING")
        opened.resize(*size)
        opened.look(1.0)  # what was on its way
        assert drawn_while_watched(opened) < SETTING_UP
        opened.screen.reset()
        opened.resize(80, 24)
        opened.until("RUNNING")
        opened.press("q")
        assert opened.ended() == 0
        assert opened.is_sane()


@pytest.mark.slow
@pytest.mark.parametrize(("app", "size"), SMALL)
def test_any_size_is_enough_to_leave(app: Callable[[Path], list[str]], size: tuple[int, int], tmp_path: Path):
    with terminal(tmp_path, *app(tmp_path), size=size) as opened:
        opened.until_it_listens()
        opened.settle() if app is not console else opened.look(1.0)
        opened.press("q")
        assert opened.ended() == code_of(app)
        assert opened.is_sane()


@pytest.mark.slow
def test_signal_ends_an_app_without_a_size(tmp_path: Path):
    with terminal(tmp_path, *console(tmp_path), size=(0, 0)) as opened:
        opened.until_it_listens()
        drawn_while_watched(opened)
        opened.kill(signal.SIGTERM)
        assert opened.ended() == 128 + signal.SIGTERM
        assert opened.is_sane()


@pytest.mark.slow
@pytest.mark.parametrize("given", ["0", "-5", "abc", "²", "99999999999", ""])
def test_columns_and_lines_that_are_no_size_are_passed_over(given: str, tmp_path: Path):
    variables = {"COLUMNS": given, "LINES": given}
    with terminal(tmp_path, *console(tmp_path), size=(80, 24), variables=variables) as opened:
        opened.until("RUNNING")
        opened.press("q")
        assert opened.ended() == 0
        assert opened.is_sane()


@pytest.mark.slow
def test_columns_and_lines_count_where_the_terminal_tells_no_size(tmp_path: Path):
    variables = {"COLUMNS": "90", "LINES": "30"}
    with terminal(tmp_path, *console(tmp_path), size=(0, 0), variables=variables) as opened:
        opened.until("RUNNING")
        assert b"\x1b[30;" in opened.output, "the last line is drawn"
        assert b"\x1b[31;" not in opened.output
        opened.resize(80, 24)
        opened.look(1.0)
        before = len(opened.output)
        drawn_while_watched(opened)
        assert b"\x1b[25;" not in opened.output[before:], "a size that the terminal tells goes first"
        opened.press("q")
        assert opened.ended() == 0


@pytest.mark.slow
@pytest.mark.parametrize("words", [["--help"], ["runs"], ["status"], ["logs"], ["themes"]])
@pytest.mark.parametrize("size", [(0, 0), (1, 1)])
def test_lines_are_whole_whatever_the_size(words: list[str], size: tuple[int, int], tmp_path: Path):
    make_run(tmp_path / "runs", name="mine")
    with terminal(tmp_path, *words, size=size) as opened:
        assert opened.ended() == 0
        assert b"Traceback" not in opened.output
        longest = max(len(line) for line in opened.output.decode().splitlines())
    assert longest > 30
