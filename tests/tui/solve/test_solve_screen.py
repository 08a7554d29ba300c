"""A task on the screen while it is solved: keys pressed, and what is shown then."""

import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from piloting import text_of
from raw_events import read_lines, typed
from recordings import RECORDED
from textual.pilot import Pilot

from arc_core.base.errors import RunError
from arc_core.data.seen import choose_tasks
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.folder import TaskAnswer
from arc_core.run.event_forms import Event
from arc_tui.solve.app import SolveApp
from arc_tui.solve.screen import FitPart, GridsPart, LossPart, SolveScreen
from arc_tui.ui.framed import Framed
from arc_tui.ui.grid import GroupsView
from arc_tui.ui.help import HelpScreen

EVENTS = read_lines(RECORDED / "solve.jsonl")
ANSWER = TaskAnswer.from_json(json.loads((RECORDED / "solve_answer.json").read_text()), "recorded")
(TASK,) = choose_tasks(load_tasks("arcagi1").tasks, ids=[ANSWER.task])
SIZES = [(80, 24), (120, 40), (200, 60)]


class Script:
    """Stands for the solving process: what it has told so far is handed over when it is asked."""

    def __init__(self, events: int = len(EVENTS), *, answered: bool = False) -> None:
        self.waiting = typed(EVENTS[:events])
        self.answer = ANSWER if answered else None
        self.problem: RunError | None = None

    def __call__(self) -> tuple[list[Event], TaskAnswer | None]:
        if self.problem is not None:
            raise self.problem
        events, self.waiting = self.waiting, []
        return events, self.answer


def app_of(script: Script, theme: str = "arc-dark", note: str = "") -> SolveApp:
    return SolveApp(TASK, "arcagi1 training", script, theme, note=note)


@contextlib.asynccontextmanager
async def watching(
    script: Script, size: tuple[int, int] = (120, 40), **options: str
) -> AsyncIterator[tuple[SolveApp, Pilot]]:
    app = app_of(script, **options)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        app.look()
        await pilot.pause()
        yield app, pilot


async def press(pilot: Pilot, *keys: str) -> None:
    await pilot.press(*keys)
    await pilot.pause()


def shown(app: SolveApp) -> list[type[Framed]]:
    return [type(part) for part in app.screen.query(Framed) if part.display]


@pytest.mark.parametrize("size", SIZES)
async def test_every_pair_is_shown_while_it_converges(size: tuple[int, int]):
    async with watching(Script(6), size) as (app, pilot):
        text = text_of(app)
        for expected in ("00d62c1b", "● ADAPTING", "demonstration 0", "demonstration 3", "● live", "test 0"):
            if expected == "test 0" and size == SIZES[0]:
                assert app.screen.query_one(GroupsView).max_scroll_y > 0, "the rest is scrolled to"
                await press(pilot, "pagedown")
                text = text_of(app)
            assert expected in text


async def test_where_it_is_narrow_digits_switch_panels():
    async with watching(Script(6), SIZES[0]) as (app, pilot):
        assert shown(app) == [GridsPart]
        await press(pilot, "1")
        assert shown(app) == [LossPart]
        assert f"loss {EVENTS[5]['loss']:.4g}" in text_of(app)
        await press(pilot, "2")
        assert shown(app) == [FitPart]
        assert "votes are counted once" in text_of(app)
        await press(pilot, "3")
        assert shown(app) == [GridsPart]


async def test_where_it_is_wide_everything_is_shown_and_plus_enlarges_the_grids():
    async with watching(Script(6)) as (app, pilot):
        assert set(shown(app)) == {GridsPart, LossPart, FitPart}
        before = app.screen.query_one(GroupsView).size
        await press(pilot, "plus")
        assert shown(app) == [GridsPart]
        assert app.screen.query_one(GroupsView).size.height > before.height
        await press(pilot, "escape")
        assert set(shown(app)) == {GridsPart, LossPart, FitPart}


async def test_brackets_show_one_pair_alone_and_then_all_again():
    async with watching(Script(6)) as (app, pilot):
        await press(pilot, "right_square_bracket")
        assert "demonstration 0, 1 of 6" in text_of(app)
        await press(pilot, "left_square_bracket", "left_square_bracket")
        assert "test 0, 6 of 6" in text_of(app)
        await press(pilot, "right_square_bracket")
        assert "all pairs" in text_of(app)


async def test_arrows_go_through_what_was_predicted_and_l_follows_again():
    script = Script(6)
    async with watching(script) as (app, pilot):
        await press(pilot, "left", "left")
        assert f"step {EVENTS[3]['step']} ‖ past" in text_of(app)
        script.waiting = typed(EVENTS[6:8])
        app.look()
        await pilot.pause()
        assert f"step {EVENTS[3]['step']} ‖ past" in text_of(app), "what is new does not move the cursor"
        await press(pilot, "right")
        assert f"step {EVENTS[4]['step']} ‖ past" in text_of(app)
        await press(pilot, "l")
        assert f"step {EVENTS[7]['step']} ● live" in text_of(app)
        await press(pilot, "home")
        assert f"step {EVENTS[0]['step']} ‖ past" in text_of(app)


async def test_answers_are_judged_and_the_course_stays_to_be_looked_at():
    script = Script()
    async with watching(script) as (app, pilot):
        assert "◐ VOTING" in text_of(app)
        script.answer = ANSWER
        app.look()
        await pilot.pause()
        text = text_of(app)
        for expected in ("◆ ANSWERED", "✗ not solved", "attempt 2", "output 20x20", "others"):
            assert expected in text
        await press(pilot, "left")
        assert f"step {EVENTS[-1]['step']} ‖ past" in text_of(app)
        await press(pilot, "right")
        assert "◆ answers" in text_of(app)
        await press(pilot, "q")
    assert app.return_value is ANSWER


async def test_leaving_early_gives_no_answer():
    async with watching(Script(2)) as (app, pilot):
        await press(pilot, "q")
    assert app.return_value is None
    assert app.problem is None


async def test_a_failure_ends_the_screen_and_is_kept():
    script = Script(2)
    async with watching(script) as (app, _):
        script.problem = RunError("The weights are gone.")
        app.look()
    assert str(app.problem) == "The weights are gone."


async def test_before_the_first_prediction_the_task_is_shown_and_what_is_waited_for():
    async with watching(Script(0), note="The weights were trained on it.") as (app, _):
        text = text_of(app)
        for expected in ("◌ STARTING", "measuring the pace", "demonstration 4", "▲ The weights were trained"):
            assert expected in text


async def test_keys_are_listed_and_the_scale_of_the_loss_is_told():
    async with watching(Script(6)) as (app, pilot):
        assert " log " in text_of(app)
        await press(pilot, "y")
        assert " linear " in text_of(app)
        await press(pilot, "question_mark")
        assert isinstance(app.screen, HelpScreen)
        assert "Show what was predicted earlier." in text_of(app)


Compare = Callable[..., bool]


@pytest.fixture
def _same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", "/nonexistent")


def after(*keys: str) -> Callable[[Pilot], Awaitable[None]]:
    async def before(pilot: Pilot) -> None:
        app = pilot.app
        assert isinstance(app, SolveApp)
        await pilot.pause()
        app.look()
        await press(pilot, *keys)
        assert isinstance(app.screen, SolveScreen)
        app.screen.redraw()
        await pilot.pause()

    return before


@pytest.mark.usefixtures("_same_everywhere")
@pytest.mark.parametrize("size", SIZES)
def test_adapting(snap_compare: Compare, size: tuple[int, int]):
    assert snap_compare(app_of(Script(8)), terminal_size=size, run_before=after())


@pytest.mark.usefixtures("_same_everywhere")
@pytest.mark.parametrize("size", SIZES)
def test_answered(snap_compare: Compare, size: tuple[int, int]):
    assert snap_compare(app_of(Script(answered=True)), terminal_size=size, run_before=after())


@pytest.mark.usefixtures("_same_everywhere")
@pytest.mark.parametrize("digit", ["1", "2"])
def test_panel_alone_on_a_narrow_screen(snap_compare: Compare, digit: str):
    app = app_of(Script(answered=True))
    assert snap_compare(app, terminal_size=SIZES[0], run_before=after(digit))


@pytest.mark.usefixtures("_same_everywhere")
def test_one_pair_with_digits_at_an_earlier_step(snap_compare: Compare):
    keys = ["left_square_bracket"] * 2 + ["g", "left", "left"]
    assert snap_compare(app_of(Script(8)), terminal_size=SIZES[1], run_before=after(*keys))


@pytest.mark.usefixtures("_same_everywhere")
@pytest.mark.parametrize("theme", ["arc-light", "plain"])
def test_theme(snap_compare: Compare, theme: str):
    app = app_of(Script(answered=True), theme)
    assert snap_compare(app, terminal_size=SIZES[1], run_before=after())
