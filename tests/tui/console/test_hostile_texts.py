"""Whatever a run's texts hold, every screen and panel shows them as texts."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hostile import COUNT, hostile_events, hostile_run, hostile_texts, obeyed
from piloting import console, text_of, until
from raw_events import typed

from arc_core.run.directory import RunDirectory, RunLock
from arc_core.run.event_forms import Event
from arc_tui.console.compare import CompareRuns
from arc_tui.console.dialogs import CrashScreen, EditScreen, confirm_start, confirm_stop
from arc_tui.console.runs import RunsScreen
from arc_tui.console.timeline import TimelineScreen
from arc_tui.runs.engine import last_lines
from arc_tui.runs.feed import Arrival
from arc_tui.runs.starting import command_line
from arc_tui.ui.actions import PANEL_NAMES

TEXTS = hostile_texts()
IN_A_ROUND = 25


class ByHand:
    """A source of events that a test hands over itself."""

    def __init__(self, run: RunDirectory, on_batch: Callable[[Arrival], None]) -> None:
        del run
        self.on_batch = on_batch

    def start(self) -> None:
        self.give([])

    def stop(self) -> None:
        pass

    def give(self, events: list[Event]) -> None:
        self.on_batch(Arrival(events, complete=True, alive=True))


def in_rounds() -> list[list[str]]:
    return [TEXTS[at : at + IN_A_ROUND] for at in range(0, COUNT, IN_A_ROUND)]


def test_there_are_five_hundred_texts_and_most_would_be_obeyed():
    assert len(TEXTS) == COUNT
    assert sum(bool(obeyed(text)) for text in TEXTS) > COUNT / 2


@pytest.mark.parametrize(("size", "rounds"), [((200, 60), COUNT // IN_A_ROUND), ((80, 24), 2)])
async def test_every_panel_shows_every_text_as_text(tmp_path: Path, size: tuple[int, int], rounds: int):
    """At 200x60 all panels are on the screen at once; at 80x24 one after the other."""
    run = hostile_run(tmp_path, TEXTS)
    sources: list[ByHand] = []

    def source(of: RunDirectory, on_batch: Callable[[Arrival], None]) -> ByHand:
        sources.append(ByHand(of, on_batch))
        return sources[-1]

    seen = ""
    async with console(run, size, source=source) as (app, pilot):
        last = 0
        for texts in in_rounds()[:rounds]:
            events = [event | {"seq": last + at} for at, event in enumerate(hostile_events(texts), start=1)]
            last = events[-1]["seq"]
            before = app.session.history.revision
            sources[-1].give(typed(events))
            await until(pilot, lambda before=before: app.session.history.revision > before)
            for digit in PANEL_NAMES if size[0] < 100 else (8,):
                app.main.action_panel(digit)
                await pilot.pause()
                shown = text_of(app)
                assert obeyed(shown) == set()
                seen += shown
    assert "\\x1b]52;c;" in seen, "the texts were on the screen, spelled out"
    assert "[/" in seen or size[0] < 100


async def test_every_screen_shows_hostile_texts_as_texts(tmp_path: Path):
    for at, texts in enumerate(in_rounds()[:4]):
        hostile_run(tmp_path, texts, f"run{at}")
    run = hostile_run(tmp_path, TEXTS)
    (tmp_path / "\x1b]0;x\x07\u202e[bold").mkdir()
    async with console(run, (160, 46)) as (app, pilot):
        state = app.session.state
        screens = [
            RunsScreen(str(tmp_path), run.name),
            CompareRuns(run, RunDirectory(tmp_path / "run1")),
            CompareRuns(run, *(RunDirectory(tmp_path / f"run{at}") for at in range(4))),
            TimelineScreen(run, app.session.view),
            EditScreen(dict.fromkeys(state.settings, TEXTS[0])),
            confirm_stop(run.name, state, TEXTS[0]),
            confirm_start(run.name, state),
        ]
        again = command_line(TEXTS[1], "train", "--resume", TEXTS[3])
        screens.append(CrashScreen(TEXTS[0], last_lines(run), again, read_only=False))
        for screen in screens:
            app.push_screen(screen)
            await until(pilot, lambda screen=screen: app.screen is screen)
            if isinstance(screen, RunsScreen):
                await until(pilot, lambda screen=screen: screen.described is not None)
            if isinstance(screen, CompareRuns):
                await until(pilot, lambda screen=screen: all(of.state for of in screen.runs))
            await pilot.pause()
            assert obeyed(text_of(app)) == set(), type(screen).__name__
            app.pop_screen()
        await pilot.press("ctrl+p")
        await pilot.press(*"sample")
        await pilot.pause()
        assert obeyed(text_of(app)) == set()


async def test_hostile_answers_to_commands_stay_texts(tmp_path: Path):
    run = hostile_run(tmp_path, TEXTS)
    run.events.write_bytes(b"")
    with RunLock(run):
        async with console(run) as (app, pilot):
            for text in TEXTS[:40]:
                app.main.tell(text)
                await pilot.pause()
                assert obeyed(text_of(app)) == set(), repr(text)
