"""Keys that ask something of a run: what they send, what is shown at once, and what the answer changes."""

from pathlib import Path

import pytest
from live_run import LiveRun, living
from piloting import console, text_of, until
from recordings import events_until_step, killed_events, make_run, paused_events
from textual.pilot import Pilot
from textual.widgets import Input

from arc_core.run.commands import TOO_OLD, Command
from arc_tui.console.app import ConsoleApp
from arc_tui.console.dialogs import CrashScreen, EditScreen
from arc_tui.runs.state import Phase
from arc_tui.ui.dialog import ConfirmScreen
from arc_tui.ui.settings import Settings

STEP = events_until_step(40)[-1]


def shows(app: ConsoleApp, text: str) -> bool:
    return text in text_of(app)


def sent(live: LiveRun, command: str) -> Command:
    """The one command that a key press has put into the run's folder."""
    (found,) = live.commands()
    assert (found.command, found.reason) == (command, None)
    return found


def apply(live: LiveRun, command: Command) -> None:
    new = command.args or None
    old = dict.fromkeys(command.args, 0.5) or None
    live.emit("command_applied", id=command.id, command=command.command, old=old, new=new)


async def test_pause_shows_pausing_at_once_and_paused_when_the_run_says_so(tmp_path: Path):
    with living(tmp_path) as live:
        async with console(live.run) as (app, pilot):
            await pilot.press("p")
            await pilot.pause()
            assert app.session.phase is Phase.PAUSING
            assert shows(app, "◐ PAUSING")
            assert shows(app, "… Pause requested")
            apply(live, sent(live, "pause"))
            live.emit("paused", step=40)
            await until(pilot, lambda: shows(app, "‖ PAUSED at step 40"))
            assert shows(app, "✓ Paused at step 40")
            assert shows(app, "p go on")


async def test_same_key_goes_on(tmp_path: Path):
    with living(tmp_path, paused_events()) as live:
        async with console(live.run) as (app, pilot):
            await until(pilot, lambda: shows(app, "‖ PAUSED at step"))
            await pilot.press("p")
            await pilot.pause()
            apply(live, sent(live, "resume"))
            live.emit("unpaused", step=10)
            await until(pilot, lambda: app.session.phase is Phase.RUNNING)
            await until(pilot, lambda: not shows(app, "‖ PAUSED at"))
            assert shows(app, "✓ Going on at step 10")


async def test_checkpoint_is_followed_until_it_is_verified(tmp_path: Path):
    with living(tmp_path) as live:
        async with console(live.run) as (app, pilot):
            await pilot.press("c")
            await pilot.pause()
            assert shows(app, "… Checkpoint requested")
            apply(live, sent(live, "checkpoint"))
            for phase in ("requested", "saved", "verified"):
                live.emit(
                    "checkpoint", id=9, step=40, phase=phase, reason="command", bytes=1_200_000, seconds=0.5
                )
                await until(pilot, lambda phase=phase: shows(app, f"Checkpoint 00009 {phase}"))
            assert shows(app, "✓ Checkpoint 00009 verified at step 40 (1.2 MB, 0.50 s)")


async def test_rejected_command_shows_its_reason(tmp_path: Path):
    with living(tmp_path) as live:
        async with console(live.run) as (app, pilot):
            await pilot.press("v")
            await pilot.pause()
            command = sent(live, "validate")
            live.emit("command_rejected", id=command.id, reason="There is nothing to validate on.")
            await until(pilot, lambda: shows(app, "▲ Validation rejected: There is nothing to validate on."))


async def test_command_to_a_process_that_has_just_begun_is_sent_again(tmp_path: Path):
    with living(tmp_path) as live:
        async with console(live.run) as (app, pilot):
            await pilot.press("p")
            await pilot.pause()
            live.emit("command_rejected", id=sent(live, "pause").id, reason=TOO_OLD)
            again: list[Command] = []
            await until(pilot, lambda: bool(again.extend(live.commands()) or again))
            assert [command.command for command in again] == ["pause"]
            assert app.session.phase is Phase.PAUSING


async def test_edit_sends_only_what_was_changed(tmp_path: Path):
    with living(tmp_path) as live:
        async with console(live.run) as (app, pilot):
            await pilot.press("e")
            await until(pilot, lambda: isinstance(app.screen, EditScreen))
            now = app.session.state.settings["agent_lr"]
            assert app.screen.query_one("#field-agent_lr", Input).value == f"{now:g}"
            await pilot.press("down")
            await pilot.press("enter")
            await until(pilot, lambda: not isinstance(app.screen, EditScreen))
            command = sent(live, "set")
            assert command.args == {"agent_lr": pytest.approx(now / 2)}
            apply(live, command)
            await until(pilot, lambda: shows(app, "✓ agent_lr: 0.5 is now"))


async def test_edit_refuses_a_value_in_one_sentence_and_sends_nothing(tmp_path: Path):
    with living(tmp_path) as live:
        async with console(live.run) as (app, pilot):
            await pilot.press("e")
            await until(pilot, lambda: isinstance(app.screen, EditScreen))
            app.screen.query_one("#field-checkpoint_every", Input).value = "0"
            await pilot.press("enter")
            await until(pilot, lambda: shows(app, "checkpoint_every is 0, but must be a whole number from 1"))
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, EditScreen))
            assert live.commands() == []


async def test_edit_offers_the_rates_that_the_run_itself_has(tmp_path: Path):
    with living(tmp_path) as live:
        live.run.update(config={"recipe": "no.longer:There", "ema_lr": 0.01, "checkpoint_every": 5})
        async with console(live.run) as (app, pilot):
            await pilot.press("e")
            await until(pilot, lambda: isinstance(app.screen, EditScreen))
            fields = [field.id for field in app.screen.query(Input)]
            assert fields[0] == "field-ema_lr"
            assert "field-qwen_lr" not in fields
            await pilot.press("down", "enter")
            await until(pilot, lambda: not isinstance(app.screen, EditScreen))
            assert sent(live, "set").args == {"ema_lr": 0.005}


@pytest.mark.parametrize("key", ["n", "escape", "q"])
async def test_stop_asks_first_and_no_leaves_the_run_alone(tmp_path: Path, key: str):
    with living(tmp_path) as live:
        async with console(live.run) as (app, pilot):
            await pilot.press("s")
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            await until(pilot, lambda: shows(app, "All checkpoints, events and samples are kept"))
            await until(pilot, lambda: shows(app, "arc-tui resume recorded"))
            await pilot.press(key)
            await until(pilot, lambda: not isinstance(app.screen, ConfirmScreen))
            assert live.commands() == []
            assert app.is_running


async def test_stop_is_sent_once_it_is_confirmed(tmp_path: Path):
    with living(tmp_path) as live:
        async with console(live.run) as (app, pilot):
            await pilot.press("s")
            await until(pilot, lambda: isinstance(app.screen, ConfirmScreen))
            await pilot.press("y")
            await until(pilot, lambda: not isinstance(app.screen, ConfirmScreen))
            apply(live, sent(live, "stop"))
            await until(pilot, lambda: shows(app, "Stopping: the run is saved first"))


@pytest.mark.parametrize("key", ["q", "d", "ctrl+q", "ctrl+c"])
async def test_leaving_asks_nothing_and_sends_nothing(tmp_path: Path, key: str):
    with living(tmp_path) as live:
        async with console(live.run) as (app, pilot):
            await pilot.press(key)
            await until(pilot, lambda: not app.is_running)
            assert live.commands() == []
        assert not app.failed


@pytest.mark.parametrize("key", ["p", "c", "v", "e", "s"])
async def test_reader_steers_nothing(tmp_path: Path, key: str):
    with living(tmp_path) as live:
        async with console(live.run, read_only=True) as (app, pilot):
            assert not shows(app, "p pause")
            await pilot.press(key)
            await until(pilot, lambda: shows(app, "▲ Opened for reading only"))
            assert live.commands() == []


async def test_run_without_a_process_is_not_asked(tmp_path: Path):
    async with console(make_run(tmp_path)) as (app, pilot):
        await pilot.press("c")
        await until(pilot, lambda: shows(app, "▲ No process trains this run"))
        await pilot.press("p")
        await until(pilot, lambda: shows(app, "▲ All epochs are trained: nothing is left to do"))


async def crash(app: ConsoleApp, pilot: Pilot[None]) -> CrashScreen:
    await until(pilot, lambda: isinstance(app.screen, CrashScreen))
    screen = app.screen
    assert isinstance(screen, CrashScreen)
    return screen


async def test_crash_shows_the_last_lines_and_the_command_that_resumes(tmp_path: Path):
    with living(tmp_path) as live:
        async with console(live.run) as (app, pilot):
            rang: list[bool] = []
            app.bell = lambda: rang.append(True)  # type: ignore[method-assign]
            app._terminal._ring = app.bell
            live.release()
            await crash(app, pilot)
            await until(pilot, lambda: shows(app, "an engine speaks"))
            assert shows(app, "arc-tui train --resume recorded")
            assert rang == [True]
            await pilot.press("escape")
            await until(pilot, lambda: shows(app, "✗ CRASHED: the training process has ended unexpectedly"))
            assert shows(app, "✗ CRASHED ")


async def test_bell_on_crash_can_be_turned_off(tmp_path: Path):
    with living(tmp_path) as live:
        async with console(live.run, settings=Settings(on_crash=False)) as (app, pilot):
            rang: list[bool] = []
            app._terminal._ring = lambda: rang.append(True)
            live.release()
            await crash(app, pilot)
            assert rang == []


async def test_attaching_to_a_crashed_run_tells_it_without_a_dialog(tmp_path: Path):
    async with console(make_run(tmp_path, killed_events())) as (app, pilot):
        await until(pilot, lambda: shows(app, "✗ CRASHED ") and shows(app, "p start again"))
        assert not isinstance(app.screen, CrashScreen)


async def test_new_best_validation_rings_and_is_told(tmp_path: Path):
    with living(tmp_path) as live:
        async with console(live.run) as (app, pilot):
            rang: list[bool] = []
            app._terminal._ring = lambda: rang.append(True)
            live.emit(
                "validation", step=40, split="training", inputs=12, exact=12, tasks=9, tasks_solved=9,
                cell_accuracy=1.0, accuracy_delta=0.0, size_accuracy=1.0, copy_cell_accuracy=0.3,
                black_cell_accuracy=0.3,
            )  # fmt: skip
            await until(pilot, lambda: shows(app, "✓ Best validation so far"))
            assert rang == [True]
