"""Pictures of the console from a recorded run; `pytest --snapshot-update` accepts a wanted change."""

import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from foreign_run import make_foreign_run
from live_run import LiveRun, living
from odd_runs import make_crowded_run, make_series_run
from piloting import text_of, until
from recordings import console_run_json, events_until_step, killed_events, make_run, paused_events
from solver_run import solver_events, solver_run_json
from sweep_runs import make_sweep
from textual.pilot import Pilot
from textual.screen import Screen

from arc_core.run.directory import RunDirectory
from arc_tui.console import app as console_app
from arc_tui.console.app import ConsoleApp
from arc_tui.console.compare import CompareRuns
from arc_tui.console.dialogs import CrashScreen
from arc_tui.console.machine import Gpu, Machine, MachineSample
from arc_tui.console.options import Options
from arc_tui.console.runs import RunsScreen
from arc_tui.console.timeline import TimelineScreen
from arc_tui.ui.actions import PANEL_NAMES
from arc_tui.ui.settings import Settings

Compare = Callable[..., bool]
SIZES = [(80, 24), (120, 40), (200, 60)]
STILL = 12
"""So many looks must find the same."""

THEMES = ["arc-light", "high-contrast", "colour-blind", "plain"]

SAMPLE = MachineSample(
    cpu=0.38,
    cores=16,
    memory_used=21_000_000_000,
    memory_total=128_000_000_000,
    disk_free=1_200_000_000_000,
    process_cpu=4.2,
    process_memory=9_100_000_000,
    gpus=(Gpu(0, "NVIDIA H100 80GB HBM3", 0.71, 14_000_000_000, 80_000_000_000, 412.0, 61.0),),
)


@pytest.fixture(autouse=True)
def still_machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One machine, one time zone and no colours of the user's own: the same picture everywhere."""
    monkeypatch.setattr(Machine, "sample", lambda self: SAMPLE)
    monkeypatch.setattr(console_app, "MACHINE_SECONDS", 3600.0)  # one look, however slow this is
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """Three runs of a folder, a day later; the first of them."""
    monkeypatch.chdir(tmp_path)
    folder = Path("runs")
    make_run(folder, killed_events(), "killed", torn=True)
    make_run(folder, events_until_step(40), "half")
    first = make_run(folder, name="whole")
    at = console_run_json()["created"] + 86_400
    monkeypatch.setattr("arc_tui.runs.listing.time", SimpleNamespace(time=lambda: at))
    return RunDirectory(first.path.absolute())


@pytest.fixture
def running(tmp_path: Path) -> Iterator[LiveRun]:
    with living(tmp_path) as live:
        yield live


def console(run: RunDirectory, **options: Any) -> ConsoleApp:
    return ConsoleApp(run, Options(**options))


def after(*keys: str, seen: bool = True) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Wait for the run to be read, press keys, and wait until all is drawn."""

    async def run_before(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, ConsoleApp)
        await until(pilot, lambda: app.session.known and app.session.view().complete)
        if seen:
            app.session.mark_seen()
        await pilot.press(*keys)
        await settle(pilot, app)

    return run_before


async def settle(pilot: Pilot[None], app: ConsoleApp) -> None:
    """Draw until there is nothing left to be laid out."""
    for _ in range(3):
        app.main.stale()
        app.main.redraw()
        await pilot.pause()


@pytest.mark.parametrize("size", SIZES)
def test_training(snap_compare: Compare, running: LiveRun, size: tuple[int, int]):
    assert snap_compare(console(running.run), terminal_size=size, run_before=after())


@pytest.mark.parametrize("size", SIZES)
def test_paused_with_a_warning(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]):
    with living(tmp_path, paused_events()) as live:
        live.emit(
            "warning",
            code="reward_low",
            message="The reward has been below -0.5 for 20 steps (d_acc -0.213).",
            advice="If d_acc is negative the predictions get worse: check the prompt (its rule sentences).",
        )
        assert snap_compare(console(live.run), terminal_size=size, run_before=after(seen=False))


@pytest.mark.parametrize("digit", list(PANEL_NAMES)[1:])
def test_panel_alone_on_a_narrow_screen(snap_compare: Compare, running: LiveRun, digit: int):
    assert snap_compare(console(running.run), terminal_size=SIZES[0], run_before=after(str(digit)))


@pytest.mark.parametrize("digit", list(PANEL_NAMES))
def test_panel_enlarged(snap_compare: Compare, running: LiveRun, digit: int):
    assert snap_compare(console(running.run), terminal_size=SIZES[1], run_before=after(str(digit), "+"))


def test_grids_enlarged_at_two_hundred_columns_with_digits(snap_compare: Compare, running: LiveRun):
    assert snap_compare(console(running.run), terminal_size=SIZES[2], run_before=after("3", "+", "g"))


def test_cursor_on_a_logarithmic_chart(snap_compare: Compare, running: LiveRun):
    pressed = after("y", "+", *["left"] * 12)
    assert snap_compare(console(running.run), terminal_size=SIZES[1], run_before=pressed)


@pytest.mark.parametrize("size", SIZES)
def test_help(snap_compare: Compare, running: LiveRun, size: tuple[int, int]):
    assert snap_compare(console(running.run), terminal_size=size, run_before=after("?"))


@pytest.mark.parametrize("size", SIZES)
def test_edit(snap_compare: Compare, running: LiveRun, size: tuple[int, int]):
    app = console(running.run)
    assert snap_compare(app, terminal_size=size, run_before=after("e", "tab", "up"))


@pytest.mark.parametrize("size", SIZES)
def test_stop_is_confirmed(snap_compare: Compare, running: LiveRun, size: tuple[int, int]):
    assert snap_compare(console(running.run), terminal_size=size, run_before=after("s"))


@pytest.mark.parametrize("size", SIZES)
def test_crash(snap_compare: Compare, tmp_path: Path, size: tuple[int, int]):
    with living(tmp_path, killed_events()) as live:
        app = console(live.run)

        async def killed(pilot: Pilot[None]) -> None:
            await until(pilot, lambda: app.session.known)
            app.session.mark_seen()
            live.release()
            await until(pilot, lambda: isinstance(app.screen, CrashScreen))
            await settle(pilot, app)

        assert snap_compare(app, terminal_size=size, run_before=killed)


def test_starting(snap_compare: Compare, tmp_path: Path):
    with living(tmp_path, []) as live:
        assert snap_compare(console(live.run), terminal_size=SIZES[1], run_before=after())


def test_finished(snap_compare: Compare, tmp_path: Path):
    app = console(make_run(tmp_path), read_only=True)
    assert snap_compare(app, terminal_size=SIZES[1], run_before=after())


def solver_run(folder: Path) -> RunDirectory:
    run = make_run(folder, solver_events(), "solver")
    run.write(solver_run_json())
    return run


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(
    "make",
    [solver_run, make_foreign_run, make_series_run, make_crowded_run],
    ids=["solver", "foreign", "series", "crowded"],
)
def test_board_of_another_recipe(
    snap_compare: Compare, tmp_path: Path, make: Callable[[Path], RunDirectory], size: tuple[int, int]
):
    assert snap_compare(console(make(tmp_path)), terminal_size=size, run_before=after())


@pytest.mark.parametrize("theme", THEMES)
def test_theme(snap_compare: Compare, running: LiveRun, theme: str):
    assert snap_compare(console(running.run, theme=theme), terminal_size=SIZES[1], run_before=after())


def test_without_colour(snap_compare: Compare, running: LiveRun, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("NO_COLOR", "1")
    assert snap_compare(console(running.run), terminal_size=SIZES[1], run_before=after())


def test_filtered_log(snap_compare: Compare, running: LiveRun):
    app = console(running.run, settings=Settings())
    assert snap_compare(app, terminal_size=SIZES[1], run_before=after("/", *"checkpoint", "enter"))


def test_replayed_run_is_marked(snap_compare: Compare, tmp_path: Path):
    run = make_run(tmp_path, events_until_step(40))
    assert snap_compare(console(run, replay=True), terminal_size=SIZES[1], run_before=after())


async def stand_still(pilot: Pilot[None]) -> None:
    """Wait until what is shown no longer changes: threads have read what there is to read."""
    app = pilot.app
    seen: list[str] = []

    def same() -> bool:
        seen.append(text_of(app))
        return len(seen) > STILL and len(set(seen[-STILL:])) == 1

    await until(pilot, same)


def opened(*keys: str, screen: type[Screen[Any]]) -> Callable[[Pilot[None]], Awaitable[None]]:
    """Press keys one after another, and wait for a screen and for what it shows."""

    async def run_before(pilot: Pilot[None]) -> None:
        app = pilot.app
        assert isinstance(app, ConsoleApp)
        await until(pilot, lambda: app.session.known)
        for key in keys:
            await pilot.press(key)
            await stand_still(pilot)
        assert isinstance(app.screen, screen)

    return run_before


@pytest.mark.parametrize("size", SIZES)
def test_runs(snap_compare: Compare, runs: RunDirectory, size: tuple[int, int]):
    app = console(runs)
    assert snap_compare(app, terminal_size=size, run_before=opened("r", screen=RunsScreen))


@pytest.mark.parametrize("size", SIZES)
def test_comparison_of_two_runs(snap_compare: Compare, runs: RunDirectory, size: tuple[int, int]):
    app = console(runs)
    pressed = opened("r", "up", "c", screen=CompareRuns)
    assert snap_compare(app, terminal_size=size, run_before=pressed)


SWEEP = ("r", "a", "c")
"""Marks all runs and compares them."""


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> RunDirectory:
    """Six runs of a folder, two learning rates with three seeds each; the first of them."""
    monkeypatch.chdir(tmp_path)
    return make_sweep(Path("runs"))[0]


@pytest.mark.parametrize("size", SIZES)
def test_comparison_of_a_sweep(snap_compare: Compare, sweep: RunDirectory, size: tuple[int, int]):
    pressed = opened(*SWEEP, screen=CompareRuns)
    assert snap_compare(console(sweep), terminal_size=size, run_before=pressed)


@pytest.mark.parametrize("size", SIZES)
def test_comparison_of_each_run_of_a_sweep(snap_compare: Compare, sweep: RunDirectory, size: tuple[int, int]):
    pressed = opened(*SWEEP, "m", "down", *["left"] * 3, screen=CompareRuns)
    assert snap_compare(console(sweep), terminal_size=size, run_before=pressed)


@pytest.mark.parametrize("theme", THEMES)
def test_comparison_of_a_sweep_in_every_theme(snap_compare: Compare, sweep: RunDirectory, theme: str):
    pressed = opened(*SWEEP, "m", screen=CompareRuns)
    assert snap_compare(console(sweep, theme=theme), terminal_size=SIZES[1], run_before=pressed)


def test_comparison_of_a_sweep_without_colour(
    snap_compare: Compare, sweep: RunDirectory, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("NO_COLOR", "1")
    pressed = opened(*SWEEP, screen=CompareRuns)
    assert snap_compare(console(sweep), terminal_size=SIZES[1], run_before=pressed)


@pytest.mark.parametrize("size", SIZES)
def test_timeline(snap_compare: Compare, runs: RunDirectory, size: tuple[int, int]):
    app = console(runs)
    assert snap_compare(app, terminal_size=size, run_before=opened("k", screen=TimelineScreen))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize("key", ["question_mark", "e", "s"], ids=["help", "edit", "stop"])
def test_dialog_in_every_theme(snap_compare: Compare, running: LiveRun, key: str, theme: str):
    app = console(running.run, theme=theme)
    assert snap_compare(app, terminal_size=SIZES[1], run_before=after(key))


@pytest.mark.parametrize("theme", THEMES)
@pytest.mark.parametrize(
    ("keys", "screen"),
    [(["r"], RunsScreen), (["r", "up", "c"], CompareRuns), (["k"], TimelineScreen)],
    ids=["runs", "comparison", "checkpoints"],
)
def test_screen_in_every_theme(
    snap_compare: Compare, runs: RunDirectory, keys: list[str], screen: type[Screen[Any]], theme: str
):
    app = console(runs, theme=theme)
    assert snap_compare(app, terminal_size=SIZES[1], run_before=opened(*keys, screen=screen))
