"""The browser as it is used: keys pressed, and what is on the screen then."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from inspect_files import arc_checkpoint, arc_run, tensor_file
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from arc_core.run.directory import RunDirectory, RunLock
from arc_tui.drawing.rows import plain
from arc_tui.inspect import browser
from arc_tui.inspect.app import InspectApp
from arc_tui.inspect.browser import BrowserScreen
from arc_tui.inspect.compare_screen import CompareCheckpoints
from arc_tui.inspect.heat_map import HeatMap
from arc_tui.inspect.tensor_screen import TensorScreen
from arc_tui.inspect.tensors.source import open_checkpoint
from arc_tui.inspect.timeline_screen import DriftScreen
from arc_tui.inspect.training_screen import TrainingScreen
from arc_tui.runs.starting import Begin
from arc_tui.ui.dialog import Notice, Prompt
from arc_tui.ui.help import HelpScreen
from arc_tui.ui.list import LazyList
from arc_tui.ui.rows_view import RowsView
from arc_tui.ui.screen import JobScreen

WIDE, NARROW = (160, 50), (80, 24)


@contextlib.asynccontextmanager
async def browsing(
    path: Path,
    size: tuple[int, int] = WIDE,
    runs: Path = Path("runs"),
    theme: str = "arc-dark",
    *,
    read_only: bool = False,
) -> AsyncIterator[tuple[InspectApp, Pilot]]:
    app = InspectApp(open_checkpoint(str(path), runs), runs, theme, read_only=read_only)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        yield app, pilot


async def press(pilot: Pilot, *keys: str) -> None:
    """Press keys and wait until everything that they began is over."""
    await pilot.press(*keys)
    await pilot.pause()
    screen = pilot.app.screen
    while isinstance(screen, JobScreen) and screen.job is not None:
        await asyncio.wait_for(pilot.app.workers.wait_for_complete(), 30)
        await pilot.pause()
    await pilot.pause()


def seen(app: InspectApp) -> str:
    """The text on the screen, line by line."""
    size = app.screen.size
    lines = app.screen._compositor.render_strips(size)
    return "\n".join("".join(segment.text for segment in strip) for strip in lines)


def chosen(app: InspectApp) -> str:
    listed = app.screen.query_one(LazyList)
    at = listed.cursor
    return "" if at is None else plain(listed._draw(at, 100)).strip()


def model(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    tensors = {"model.norm.weight": np.ones(4, np.float32), "odd": np.array([1, np.nan, 3], np.float32)}
    for layer in range(4):
        for name in ("attn", "mlp"):
            tensors[f"model.layers.{layer}.{name}.weight"] = rng.standard_normal((6, 5)).astype(np.float32)
    return tensor_file(folder / "model.safetensors", tensors)


async def test_tree_opens_closes_and_shows_where_the_bytes_are(tmp_path: Path):
    async with browsing(model(tmp_path)) as (app, pilot):
        assert "10 tensors, 247 parameters" in seen(app)
        assert "layers.0..3" in seen(app)
        await press(pilot, "down")
        assert chosen(app).startswith("▸ layers.0..3")
        assert "4 layers that are alike; in each of them" in seen(app)
        assert "a:attn.weight" in seen(app)
        await press(pilot, "right", "down", "enter")
        assert "▾ 0" in chosen(app)
        assert "· attn.weight float32 [6, 5]" in seen(app)
        await press(pilot, "down", "left")
        assert "▾ 0" in chosen(app)
        await press(pilot, "left")
        assert "attn.weight float32" not in seen(app)


async def test_keys_typed_fast_do_not_overtake_each_other(tmp_path: Path):
    async with browsing(model(tmp_path)) as (app, pilot):
        for key in ("down", "enter", "down", "enter", "down", "down", "up"):
            app.post_message(events.Key(key, None))
        await press(pilot)
        assert "· attn.weight" in chosen(app)
        assert "layers.0." in str(app.browser and app.browser.chosen_module)


async def test_statistics_of_the_chosen_tensor_come_by_themselves(tmp_path: Path):
    async with browsing(model(tmp_path)) as (app, pilot):
        await press(pilot, "end")
        assert chosen(app).startswith("· odd")
        shown = app.browser
        assert shown is not None
        while not shown.browsed.statistics:
            await pilot.pause(0.02)
        await pilot.pause()
        assert "NaN 1" in seen(app)
        assert "first NaN at [1]" in seen(app)


async def test_search_filters_by_words_and_conditions_and_escape_ends_it(tmp_path: Path):
    async with browsing(model(tmp_path)) as (app, pilot):
        await press(pilot, "slash", *"attn", "space", *"2", "enter")
        assert "1 of 10 tensors" in seen(app)
        assert "model.layers.2.attn.weight" in chosen(app)
        await press(pilot, "slash", "ctrl+a", *"type:i8")
        assert "no tensor matches" in seen(app)
        await press(pilot, "ctrl+a", *"type:f99")
        assert "There is no type f99" in seen(app)
        await press(pilot, "escape")
        assert "10 tensors" in seen(app)
        assert not app.screen.query_one(Input).display


async def test_table_sorts_by_any_column_and_finds_what_has_nan(tmp_path: Path):
    async with browsing(model(tmp_path)) as (app, pilot):
        await press(pilot, "v")
        assert chosen(app).startswith("model.layers.0.attn.weight")
        await press(pilot, "a")
        assert "✓ statistics of 10 tensors" in seen(app)
        for _ in range(7):
            await press(pilot, "s")
        assert "NAN/INF▼" in seen(app)
        assert chosen(app).startswith("odd")
        await press(pilot, "r")
        assert not chosen(app).startswith("odd")
        await press(pilot, "slash", *"has:nan", "enter")
        assert "1 of 10 tensors" in seen(app)


async def test_tensor_shows_values_under_the_cursor_and_goes_to_nan(tmp_path: Path):
    path = model(tmp_path)
    async with browsing(path) as (app, pilot):
        await press(pilot, "end", "enter")
        assert isinstance(app.screen, TensorScreen)
        assert "[0] = 1 " in seen(app)
        await press(pilot, "right")
        assert "[1] = NaN" in seen(app)
        assert "NN" not in seen(app), "the cursor stands on it"
        await press(pilot, "home")
        assert "NN" in seen(app)
        await press(pilot, "n")
        assert "[1] = NaN" in seen(app)
        await press(pilot, "end", "right", "down")
        assert "[2] = 3 " in seen(app)
        await press(pilot, "escape")
        assert isinstance(app.screen, BrowserScreen)


async def test_heat_map_scrolls_through_a_tensor_larger_than_the_screen(tmp_path: Path):
    values = np.arange(300 * 400, dtype=np.float32).reshape(300, 4, 100)
    async with browsing(tensor_file(tmp_path / "x.safetensors", {"w": values}), NARROW) as (app, pilot):
        await press(pilot, "enter")
        for _ in range(40):
            await press(pilot, "pagedown")
        for _ in range(3):
            await press(pilot, "full_stop")
        heat = app.screen.query_one(HeatMap)
        while heat.value is None:
            await pilot.pause(0.02)
        at = np.unravel_index(heat.element, values.shape)
        assert at[0] == 299
        assert heat.value == values[at]
        await press(pilot, "end")
        while heat.value is None:
            await pilot.pause(0.02)
        assert heat.value == values[-1, -1, -1]


async def test_training_state_is_shown_section_by_section(tmp_path: Path):
    run = arc_run(tmp_path / "runs")
    async with browsing(run) as (app, pilot):
        await press(pilot, "i")
        assert isinstance(app.screen, TrainingScreen)
        for expected in ("GradScaler scale", "loss", "main/agent"):
            assert expected in seen(app)
            await press(pilot, "down")
        while "agent.layer.weight" not in seen(app):
            await pilot.pause(0.02)
        await press(pilot, "down")
        assert "threshold" in seen(app)
        assert "0ca9ddb6" in seen(app)
        await press(pilot, "tab", "end")
        assert "0ca9ddb6 pair 1: 75.00% of cells right" in seen(app)
        assert " 1 2 3" in seen(app)
        await press(pilot, "tab", "down")
        assert "black" in seen(app)
        assert "0.1818" in seen(app)
        await press(pilot, "down", "down")
        assert '"tiny"' in seen(app)
        await press(pilot, "down")
        assert "a_later_key" in seen(app)


async def test_other_files_say_that_they_have_no_training_state(tmp_path: Path):
    async with browsing(model(tmp_path)) as (app, pilot):
        await press(pilot, "i")
        assert "no checkpoint of a run" in seen(app)
        await press(pilot, "k")
        assert "belongs to no run" in seen(app)


async def test_timeline_follows_the_chosen_layer_and_opens_and_compares(tmp_path: Path):
    run = arc_run(tmp_path / "runs")
    async with browsing(run) as (app, pilot):
        await press(pilot, "k")
        assert isinstance(app.screen, DriftScreen)
        while "3.00e+00" not in seen(app):
            await pilot.pause(0.02)
        assert "agent.layer: change since the first checkpoint" in seen(app)
        assert "00001 best" in seen(app)
        await press(pilot, "home", "c")
        assert isinstance(app.screen, CompareCheckpoints)
        assert "demo/checkpoint_00003" in seen(app)
        assert "≠ 1 changed" in seen(app)
        assert "agent.layer.weight" in chosen(app)
        await press(pilot, "w", "r")
        assert "agent.layer.weight" not in chosen(app)
        await press(pilot, "escape")
        await press(pilot, "enter")
        assert isinstance(app.screen, BrowserScreen)
        assert "demo/checkpoint_00001" in seen(app)
        await press(pilot, "escape")
        assert isinstance(app.screen, DriftScreen)


async def test_training_begins_where_it_was_chosen_once_the_browser_is_left(tmp_path: Path):
    run = arc_run(tmp_path / "runs")
    async with browsing(run, runs=tmp_path / "runs") as (app, pilot):
        await press(pilot, "k")
        await press(pilot, "home", "b")
        assert isinstance(app.screen, Prompt)
        await press(pilot, *"demo", "enter")
        assert "exists already" in seen(app)
        await press(pilot, "2", "enter")
    assert app.return_value == Begin("demo", 1, "demo2")
    async with browsing(run, runs=tmp_path / "runs") as (app, pilot):
        await press(pilot, "k")
        await press(pilot, "home", "o")
        assert "Go on with demo?" in seen(app)
        assert "given up" in seen(app)
        await press(pilot, "y")
    assert app.return_value == Begin("demo", 1, None)


async def test_a_run_in_training_is_not_resumed_from_the_browser(tmp_path: Path):
    run = arc_run(tmp_path / "runs")
    with RunLock(RunDirectory(run)):
        async with browsing(run) as (app, pilot):
            await press(pilot, "k")
            await press(pilot, "o")
            assert "is being trained: stop it first" in seen(app)


async def test_comparison_asks_for_the_other_and_says_what_is_wrong_with_it(tmp_path: Path):
    one = arc_checkpoint(tmp_path, 1)
    other = arc_checkpoint(tmp_path, 2, scale=3.0)
    async with browsing(one) as (app, pilot):
        await press(pilot, "d")
        await press(pilot, *"nothing.pt", "enter")
        assert "There is no nothing.pt." in seen(app)
        field = app.screen.query_one(Input)
        field.value = str(other)
        await press(pilot, "enter")
        assert isinstance(app.screen, CompareCheckpoints)
        assert "2.00e+00" in chosen(app)


async def test_verifying_tells_which_file_is_damaged(tmp_path: Path):
    path = arc_checkpoint(tmp_path)
    async with browsing(path) as (app, pilot):
        await press(pilot, "V")
        assert isinstance(app.screen, Notice)
        assert "All 8 files are as their manifest says." in seen(app)
        await press(pilot, "escape")
        (path / "rng.safetensors").unlink()
        await press(pilot, "V")
        assert "1 of 8 files are not as they should be" in seen(app)


async def test_files_without_tensors_and_metadata_have_lines_of_their_own(tmp_path: Path):
    tensor_file(tmp_path / "model.safetensors", {"w": np.ones(2, np.float32)}, {"ss_steps": "1600"})
    (tmp_path / "cut.safetensors").write_bytes(b"12345678")
    (tmp_path / "optimizer.pt").write_bytes(b"\x80\x02" + bytes(9))
    async with browsing(tmp_path) as (app, pilot):
        text = seen(app)
        assert "✗ cut.safetensors  damaged" in text
        assert "○ optimizer.pt  not read: pickle" in text
        assert "◇ __metadata__  of 1 file" in text
        await press(pilot, "end")
        assert "ss_steps: 1600" in seen(app)
        await press(pilot, "enter")
        assert isinstance(app.screen, Notice)
        await press(pilot, "escape")
        await press(pilot, "V")
        assert "1 of 2 files are not as they should be; 1 more are not read." in seen(app)


async def test_export_copies_what_is_chosen(tmp_path: Path):
    async with browsing(arc_checkpoint(tmp_path)) as (app, pilot):
        await press(pilot, "home", "x")
        field = app.screen.query_one(Input)
        assert field.value.endswith("_export")
        field.value = str(tmp_path / "out")
        await press(pilot, "enter")
        assert [file.suffix for file in (tmp_path / "out").iterdir()] == [".safetensors"]


async def test_a_copy_that_fails_is_not_told_as_done(tmp_path: Path):
    async with browsing(arc_checkpoint(tmp_path)) as (app, pilot):
        await press(pilot, "home", "x")
        app.screen.query_one(Input).value = str(tmp_path)
        await press(pilot, "enter")
        assert "is there already and not an empty folder: choose another." in seen(app)
        assert "✓" not in seen(app)


async def test_reader_writes_no_file_and_begins_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    run = arc_run(tmp_path / "runs")
    before = sorted(tmp_path.rglob("*"))
    async with browsing(run, runs=tmp_path / "runs", read_only=True) as (app, pilot):
        assert "x export" not in seen(app)
        for keys in (["x"], ["ctrl+s"], ["k", "home", "b"], ["o"]):
            await press(pilot, *keys)
            assert "▲ Opened for reading only" in seen(app), keys
            assert isinstance(app.screen, BrowserScreen | DriftScreen)
        assert "o go on" not in seen(app)
        await press(pilot, "enter", "k", "home", "b")
        assert "▲ Opened for reading only" in seen(app), "nor from a browser opened from there"
    assert app.return_value is None
    assert sorted(tmp_path.rglob("*")) == before


async def test_damaged_part_stands_in_its_place(tmp_path: Path):
    path = arc_checkpoint(tmp_path)
    os.truncate(path / "memory.safetensors", 100)
    async with browsing(path) as (app, pilot):
        lines = seen(app).splitlines()
        tops = [line.split()[1] for line in lines if line[1:2] in "▸▾✗·" and line[1:2].strip()]
        assert tops == sorted(tops)
        assert any("✗ memory.safetensors  damaged" in line for line in lines)
        at = next(n for n, line in enumerate(app.screen._outline.lines) if line.part is not None)
        app.screen.query_one(LazyList).choose(at)
        await pilot.pause()
        assert "is truncated" in seen(app)


async def test_hostile_names_are_shown_as_text(tmp_path: Path):
    names = ["\x1b[2J", "[red]a[/red]", "\u202eb", "c" * 10_000, "[/]"]
    path = tensor_file(tmp_path / "x.safetensors", {name: np.zeros(3, np.float32) for name in names})
    async with browsing(path) as (app, pilot):
        text = seen(app)
        assert "\\x1b[2J" in text
        assert "[red]a[/red]" in text
        assert "\\u202eb" in text
        for _ in names:
            await press(pilot, "enter")
            await press(pilot, "escape", "down")
        await press(pilot, "v", "a")
        assert "All statistics have been computed" in seen(app)


async def test_nothing_is_told_by_colour_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    values = np.array([[-1, -0.5, 0, 0.5, 1]], np.float32)
    path = tensor_file(tmp_path / "x.safetensors", {"w": np.repeat(values, 3, axis=0)})
    async with browsing(path) as (app, pilot):
        await press(pilot, "enter", "end")
        assert "-█-▒  +▒+█" in seen(app)


async def test_help_theme_and_leaving_have_keys_everywhere(tmp_path: Path):
    run = arc_run(tmp_path / "runs")
    async with browsing(run) as (app, pilot):
        await press(pilot, "question_mark")
        assert isinstance(app.screen, HelpScreen)
        await press(pilot, "escape", "t")
        assert "Theme" in plain(app.screen.query_one(".told", RowsView).rows[0])
        await press(pilot, "q")
    assert app.return_value is None
    assert not app.is_running


async def test_what_is_computed_can_be_called_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def endless(checkpoint, places, *, progress):
        while True:
            progress(1, 2)
        yield

    monkeypatch.setattr(browser, "statistics", endless)
    async with browsing(model(tmp_path)) as (app, pilot):
        await pilot.press("v", "a")
        while "50%" not in seen(app):
            await pilot.pause(0.05)
        await press(pilot, "escape")
        assert "Called off: statistics of 10 tensors" in seen(app)
        assert isinstance(app.screen, BrowserScreen)


@pytest.mark.parametrize("size", [WIDE, NARROW, (40, 10), (20, 5), (250, 80)])
async def test_every_screen_draws_at_every_size(tmp_path: Path, size: tuple[int, int]):
    run = arc_run(tmp_path / "runs")
    async with browsing(run, size) as (app, pilot):
        for keys in (
            ["i", "escape"],
            ["k", "escape"],
            ["v", "v"],
            ["end", "enter", "y", "escape"],
            ["question_mark"],
        ):
            for key in keys:
                await press(pilot, key)
                assert len(seen(app).splitlines()) == size[1]
