"""The screens of runs, of two runs compared, and of a run's checkpoints: what they show and how they end."""

import contextlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from foreign_run import FOREIGN, make_foreign_run
from piloting import console, text_of, until
from raw_events import PIPELINE, typed
from recordings import console_events, events_until_step, killed_events, make_run
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input

from arc_core.run.checkpoint_index import MANIFEST, STATE, FileEntry, digest, manifest_text, size_of
from arc_core.run.directory import RunDirectory, RunLock
from arc_tui.console.app import ConsoleApp
from arc_tui.console.compare import CompareRuns
from arc_tui.console.runs import RunChoice, RunsScreen, Wanted
from arc_tui.console.timeline import TimelineScreen
from arc_tui.runs.checkpoints import Standing, best_id, list_saved, verified
from arc_tui.runs.fields import size as size_text
from arc_tui.runs.history import History
from arc_tui.runs.marks import MarkKind
from arc_tui.runs.starting import Begin
from arc_tui.ui.chart import Chart
from arc_tui.ui.dialog import ConfirmScreen
from arc_tui.ui.list import LazyList

SIZES = [(80, 24), (120, 40), (200, 60)]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    make_run(folder, name="whole")
    make_run(folder, killed_events(), "killed", torn=True)
    half = make_run(folder, events_until_step(40), "half")
    content = half.read()
    content["config"]["hidden_dim"] = 128
    half.write(content)
    (folder / "\x1b]0;x\x07[red]stray").mkdir()
    return folder


def whole(runs: Path) -> RunDirectory:
    return RunDirectory((runs / "whole").absolute())


async def choose(pilot: Pilot[None], screen: RunsScreen, name: str) -> None:
    """Put the cursor on a run and wait for what is told of it."""
    choices = screen.query_one(LazyList)
    choices.choose(next(at for at, run in enumerate(screen._shown) if run.name == name))
    await until(pilot, lambda: screen.described == name)


async def open_runs(app: ConsoleApp, pilot: Pilot[None]) -> tuple[RunsScreen, list[RunChoice | None]]:
    """Open the screen of runs as the app does, noting what it ends with."""
    ended: list[RunChoice | None] = []
    screen = RunsScreen(app.options.runs_dir, app.session.run.name, read_only=app.options.read_only)
    app.push_screen(screen, ended.append)
    await until(pilot, lambda: len(screen._shown) == 4)
    await until(pilot, lambda: screen._state is not None)
    return screen, ended


@pytest.mark.parametrize("size", SIZES)
async def test_runs_are_listed_with_what_they_do_and_strays_said_to_be_no_run(
    runs: Path, size: tuple[int, int]
):
    async with console(whole(runs), size) as (app, pilot):
        await open_runs(app, pilot)
        shown = text_of(app)
    for words in ("whole", "◆ finished", "killed", "✗ crashed", "half", "it has no run.json", "0.3195"):
        assert words in shown
    assert "\x1b" not in shown
    assert "\\x1b" in shown


async def test_cursor_begins_at_the_run_shown_and_details_follow_it(runs: Path):
    async with console(whole(runs)) as (app, pilot):
        screen, _ = await open_runs(app, pilot)
        assert screen.chosen is not None
        assert screen.chosen.name == "whole"
        await choose(pilot, screen, "killed")
        await until(pilot, lambda: "✗ crashed  epoch 1, step 34" in text_of(app))
        await until(pilot, lambda: "00002 of step 30" in text_of(app))


async def test_enter_ends_with_the_chosen_run_and_escape_with_none(runs: Path):
    async with console(whole(runs)) as (app, pilot):
        screen, ended = await open_runs(app, pilot)
        await choose(pilot, screen, "half")
        await pilot.press("enter")
        await until(pilot, lambda: ended == [RunChoice(Wanted.ATTACH, "half")])
        _, ended = await open_runs(app, pilot)
        await pilot.press("escape")
        await until(pilot, lambda: ended == [None])


async def test_attaching_shows_the_other_run(runs: Path):
    async with console(whole(runs)) as (app, pilot):
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and len(app.screen._shown) == 4)
        assert isinstance(app.screen, RunsScreen)
        await choose(pilot, app.screen, "half")
        await pilot.press("enter")
        await until(pilot, lambda: app.session.run.name == "half" and app.session.state.step == 40)


async def test_going_on_asks_first_and_is_refused_for_a_finished_and_for_a_living_run(runs: Path):
    async with console(whole(runs)) as (app, pilot):
        screen, ended = await open_runs(app, pilot)
        await pilot.press("o")
        await until(pilot, lambda: "All epochs are trained" in text_of(app))
        await choose(pilot, screen, "killed")
        await pilot.press("o")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await pilot.press("n")
        await until(pilot, lambda: app.screen is screen)
        assert ended == []
        await pilot.press("o")
        await pilot.press("y")
        await until(pilot, lambda: ended == [RunChoice(Wanted.GO_ON, "killed")])

        with RunLock(RunDirectory(runs / "half")):
            screen, _ = await open_runs(app, pilot)
            await choose(pilot, screen, "half")
            await pilot.press("o")
            await until(pilot, lambda: "A process trains this run already" in text_of(app))


async def test_key_typed_twice_in_one_breath_leaves_the_screen_once(runs: Path):
    async with console(whole(runs)) as (app, pilot):
        screen, ended = await open_runs(app, pilot)
        await choose(pilot, screen, "half")
        for _ in range(2):
            screen.post_message(events.Key("enter", "\r"))
        await until(pilot, lambda: ended == [RunChoice(Wanted.ATTACH, "half")])
        await pilot.pause()
        assert app.screen_stack == [app.main]
        assert not app.failed


async def test_read_only_console_starts_nothing(runs: Path):
    async with console(whole(runs), read_only=True) as (app, pilot):
        screen, _ = await open_runs(app, pilot)
        assert "go on" not in text_of(app)
        await choose(pilot, screen, "killed")
        await pilot.press("o")
        await until(pilot, lambda: "Opened for reading only" in text_of(app))


async def test_console_may_begin_with_the_list_of_runs(runs: Path):
    async with console(whole(runs), choose=True) as (app, pilot):
        await until(pilot, lambda: isinstance(app.screen, RunsScreen) and "killed" in text_of(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.main)


async def test_filter_keeps_runs_whose_name_holds_the_word(runs: Path):
    async with console(whole(runs)) as (app, pilot):
        screen, ended = await open_runs(app, pilot)
        await pilot.press("slash", *"KILL")
        await until(pilot, lambda: [run.name for run in screen._shown] == ["killed"])
        await pilot.press("enter", "escape")
        await until(pilot, lambda: len(screen._shown) == 4)
        assert ended == []
        assert screen.query_one(Input).display is False


def histories(compared: CompareRuns) -> list[History]:
    return [run.history for run in compared.runs]


async def test_two_marked_runs_are_compared_on_one_chart(runs: Path):
    async with console(whole(runs)) as (app, pilot):
        screen, _ = await open_runs(app, pilot)
        for name in ("half", "killed"):
            await choose(pilot, screen, name)
            await pilot.press("space")
        await pilot.press("c")
        await until(pilot, lambda: isinstance(app.screen, CompareRuns))
        compared = app.screen
        assert isinstance(compared, CompareRuns)
        await until(pilot, lambda: [h.last_step for h in histories(compared)] == [40, 34])
        await until(pilot, lambda: "hidden_dim" in text_of(app))
        shown = text_of(app)
        row = next(line for line in shown.splitlines() if "hidden_dim" in line)
        assert row.split()[1:] == ["128", "64"]
        losses = [h.latest("loss.combined") for h in histories(compared)]
        row = next(line for line in shown.splitlines() if "loss.combined, last" in line)
        assert [float(word) for word in row.split()[2:]] == pytest.approx(losses, rel=1e-3)
        row = next(line for line in shown.splitlines() if "difference" in line)
        assert float(row.split()[1]) == pytest.approx(losses[1] - losses[0], rel=1e-3)

        await pilot.press("]", "]", "[")
        await until(pilot, lambda: compared.numbers[1] in text_of(app))
        await pilot.press("y")
        await until(pilot, lambda: "logarithmic" in text_of(app))
        await pilot.press("left", "left")
        await until(pilot, lambda: compared.query_one(Chart).cursor == compared._cursor is not None)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is screen)


async def test_runs_of_two_recipes_are_compared_by_the_numbers_of_both(runs: Path):
    foreign = make_foreign_run(runs)
    async with console(whole(runs)) as (app, pilot):
        compared = CompareRuns(whole(runs), foreign)
        app.push_screen(compared)
        await until(pilot, lambda: [h.last_step for h in histories(compared)] == [60, 60])
        assert compared.numbers[:4] == ["accuracy.exact", "loss.combined", "reward.total", "loss.total"]
        assert compared.numbers.index("amp.scale") < compared.numbers.index("loss.risk")  # which both have
        assert {*PIPELINE.names, *FOREIGN.names} < {*compared.numbers}
        await pilot.press("]", "]", "]")
        await until(pilot, lambda: "loss.total, last" in text_of(app))
        row = next(line for line in text_of(app).splitlines() if "loss.total, last" in line)
        assert row.split()[2:] == ["-", "0.4245"]
        await pilot.press("[", "[", "[", "[")
        await until(pilot, lambda: f"{compared.numbers[-1]}, last" in text_of(app))


def test_runs_of_pipeline_and_solver_are_compared_by_what_both_have_first(runs: Path):
    solver = make_run(runs, name="solver")
    solver.write(solver.read() | {"config": {"recipe": "solver"}})
    found = CompareRuns(whole(runs), solver).numbers
    assert found[:3] == ["loss.efe_total", "accuracy.cell", "accuracy.exact"]


async def test_keys_typed_faster_than_they_are_answered_keep_their_order(runs: Path):
    async with console(whole(runs)) as (app, pilot):
        screen, _ = await open_runs(app, pilot)
        usable = [run.problem is None for run in screen._shown]
        first = next(at for at in range(3) if usable[at] and usable[at + 1])
        for key in ("home", *["down"] * first, "space", "down", "space"):
            app.post_message(events.Key(key, None))
        await until(pilot, lambda: len(screen._marked) == 2)
        assert screen._marked == [run.name for run in screen._shown[first : first + 2]]


async def test_run_is_not_compared_with_itself(runs: Path):
    async with console(whole(runs)) as (app, pilot):
        screen, _ = await open_runs(app, pilot)
        await pilot.press("c")
        await until(pilot, lambda: "Mark two runs" in text_of(app))
        assert app.screen is screen


# Checkpoints


def make_checkpoint(run: RunDirectory, number: int, step: int) -> Path:
    """A checkpoint as the training process leaves it, with one small file."""
    folder = run.checkpoints / f"checkpoint_{number:05d}"
    folder.mkdir(parents=True)
    (folder / "agent.safetensors").write_bytes(bytes(1000 * number))
    state: dict[str, Any] = {
        "epoch": step // 20,
        "batch": step % 20,
        "saved_at": 1795527067.0 + step,
        "metrics": {"step": step, "best_validation_exact": 0.0, "best_validation_cell_accuracy": 0.3},
    }
    (folder / STATE).write_text(json.dumps(state))
    files = sorted(folder.iterdir())
    entries = [FileEntry(path.name, path.stat().st_size, digest(path)) for path in files]
    (folder / MANIFEST).write_bytes(manifest_text(entries))
    return folder


@pytest.fixture
def saved(runs: Path) -> RunDirectory:
    """The killed run with the checkpoints of steps 20 and 30; that of step 11 is pruned."""
    run = RunDirectory((runs / "killed").absolute())
    for number, step in ((1, 20), (2, 30)):
        make_checkpoint(run, number, step)
    (run.checkpoints / "best").write_text("checkpoint_00001\n")
    return run


def history(events: list[dict]) -> History:
    found = History()
    found.add(typed(events))
    return found


def test_saved_pruned_and_failed_checkpoints_are_told_apart(runs: Path):
    run = whole(runs)
    make_checkpoint(run, 6, 60)
    damaged = make_checkpoint(run, 7, 70)
    (damaged / "state.json").write_text("{")
    marks = history(console_events()).marks(kinds=(MarkKind.CHECKPOINT, MarkKind.CHECKPOINT_FAILED))
    found = list_saved(run.checkpoints, marks)
    assert [(one.step, one.standing) for one in found if one.standing is not Standing.DAMAGED] == [
        (11, Standing.PRUNED),
        (20, Standing.PRUNED),
        (30, Standing.PRUNED),
        (40, Standing.PRUNED),
        (50, Standing.PRUNED),
        (55, Standing.FAILED),
        (60, Standing.SAVED),
    ]
    assert [one.id for one in found if one.standing is Standing.DAMAGED] == [7]


def test_best_is_the_one_that_the_hint_names(saved: RunDirectory):
    assert best_id(saved.checkpoints) == 1
    (saved.checkpoints / "best").write_text("../../elsewhere")
    assert best_id(saved.checkpoints) is None
    (saved.checkpoints / "best").unlink()
    assert best_id(saved.checkpoints) is None


def test_changed_file_of_a_checkpoint_is_told(saved: RunDirectory):
    folder = saved.checkpoints / "checkpoint_00002"
    assert verified(folder) == "✓ All 2 files are as they were written"
    (folder / "agent.safetensors").write_bytes(b"\1" + bytes(1999))
    assert verified(folder).startswith("✗ agent.safetensors is damaged")


async def open_timeline(app: ConsoleApp, pilot: Pilot[None]) -> tuple[TimelineScreen, list[Begin | None]]:
    ended: list[Begin | None] = []
    screen = TimelineScreen(app.session.run, app.session.view, read_only=app.options.read_only)
    app.push_screen(screen, ended.append)
    await until(pilot, lambda: len(screen._saved) == 3)
    return screen, ended


@pytest.mark.parametrize("size", SIZES)
async def test_checkpoints_stand_along_the_loss_with_the_cursor_at_the_newest(
    saved: RunDirectory, size: tuple[int, int]
):
    async with console(saved, size) as (app, pilot):
        screen, _ = await open_timeline(app, pilot)
        shown = text_of(app)
        assert screen.chosen is not None
        assert (screen.chosen.id, screen.query_one(Chart).cursor) == (2, 30)
        weight = size_text(size_of(saved.checkpoints / "checkpoint_00002"))
        for words in ("00001", "best so far", "00002", "epoch 1 at 10", weight, "0 exact, 0.3000 of cells"):
            assert words in shown
        await pilot.press("up")
        await until(pilot, lambda: screen.query_one(Chart).cursor == 20)
        await pilot.press("right")
        await until(pilot, lambda: (screen.query_one(Chart).cursor or 0) > 20)
        assert screen.chosen.id == 1


async def test_v_verifies_the_chosen_checkpoint(saved: RunDirectory):
    async with console(saved) as (app, pilot):
        await open_timeline(app, pilot)
        await pilot.press("v")
        await until(pilot, lambda: "✓ All 2 files are as they were written" in text_of(app))
        (saved.checkpoints / "checkpoint_00002" / "agent.safetensors").unlink()
        await pilot.press("v")
        await until(pilot, lambda: "✗ agent.safetensors is missing" in text_of(app))


@pytest.mark.parametrize("read_only", [False, True])
async def test_enter_lends_the_terminal_to_the_browser_and_comes_back(
    saved: RunDirectory, monkeypatch: pytest.MonkeyPatch, read_only: bool
):
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: commands.append(command))
    async with console(saved, read_only=read_only) as (app, pilot):
        monkeypatch.setattr(app, "suspend", contextlib.nullcontext)
        screen, _ = await open_timeline(app, pilot)
        await pilot.press("enter")
        await until(pilot, lambda: bool(commands))
        asked = commands[0][commands[0].index("inspect") :]
        where = ["--checkpoint", "2", "--runs-dir", str(saved.path.parent)]
        assert asked == ["inspect", "checkpoint", saved.name, *where, *["--read-only"] * read_only]
        assert app.screen is screen


async def test_terminal_that_cannot_be_lent_is_told(saved: RunDirectory):
    async with console(saved) as (app, pilot):
        await open_timeline(app, pilot)
        await pilot.press("enter")
        await pilot.press("escape")
        await until(pilot, lambda: "cannot be lent to the browser" in text_of(app))


async def test_going_on_from_a_checkpoint_asks_first_and_says_what_no_longer_counts(saved: RunDirectory):
    async with console(saved) as (app, pilot):
        screen, ended = await open_timeline(app, pilot)
        await pilot.press("up", "o")
        await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
        await until(pilot, lambda: "the 14 steps after it no longer count" in " ".join(text_of(app).split()))
        await pilot.press("n")
        await until(pilot, lambda: app.screen is screen)
        assert ended == []
        await pilot.press("o", "y")
        await until(pilot, lambda: ended == [Begin(saved.name, 1)])


async def test_branch_asks_for_a_name_that_is_allowed(saved: RunDirectory):
    async with console(saved) as (app, pilot):
        screen, ended = await open_timeline(app, pilot)
        await pilot.press("b")
        field = screen.query_one(Input)
        await until(pilot, lambda: field.value == "killed-30")
        field.value = "../up"
        await pilot.press("enter")
        await until(pilot, lambda: "path separators are not allowed" in text_of(app))
        field.value = "other"
        await pilot.press("enter")
        await until(pilot, lambda: ended == [Begin(saved.name, 2, "other")])


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        (["up", "up", "o"], "That checkpoint is pruned"),
        (["up", "up", "enter"], "There are no files of this one"),
    ],
)
async def test_pruned_checkpoint_cannot_be_gone_back_to(saved: RunDirectory, keys: list[str], told: str):
    async with console(saved) as (app, pilot):
        await open_timeline(app, pilot)
        await pilot.press(*keys)
        await until(pilot, lambda: told in text_of(app))


async def test_living_run_cannot_be_taken_back(saved: RunDirectory):
    with RunLock(saved):
        async with console(saved) as (app, pilot):
            await open_timeline(app, pilot)
            await pilot.press("o")
            await until(pilot, lambda: "stop it first, or branch" in text_of(app))


async def test_new_checkpoint_appears_by_itself(saved: RunDirectory):
    with RunLock(saved):
        async with console(saved) as (app, pilot):
            screen, _ = await open_timeline(app, pilot)
            make_checkpoint(saved, 3, 34)
            line = {"type": "checkpoint", "seq": 9_999, "time": 1795527100.0, "id": 3, "step": 34}
            line |= {"phase": "verified", "reason": "command", "bytes": 3000, "seconds": 0.1}
            text = saved.events.read_bytes().rpartition(b"\n")[0] + b"\n" + json.dumps(line).encode() + b"\n"
            saved.events.write_bytes(text)
            await until(pilot, lambda: [one.step for one in screen._saved] == [11, 20, 30, 34])
            assert screen.chosen is not None
            assert screen.chosen.step == 30


async def test_run_without_a_checkpoint_says_so(runs: Path):
    run = make_run(runs, [], "fresh")
    async with console(run) as (app, pilot):
        await pilot.press("k")
        await until(pilot, lambda: "no checkpoint yet" in text_of(app))
        shutil.rmtree(run.checkpoints)
        await pilot.press("o")
        assert isinstance(app.screen, TimelineScreen)
