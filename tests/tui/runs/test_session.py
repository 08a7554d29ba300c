"""What a console knows of a run, without a screen."""

from pathlib import Path

import pytest
from foreign_run import FOREIGN, foreign_events, foreign_run_json, make_foreign_run
from live_run import LiveRun, living
from raw_events import Line, typed
from recordings import console_events, events_until_step, killed_events, make_run, paused_events

from arc_core.base.errors import ConfigError, RunError
from arc_core.run.declared import Declared
from arc_tui.runs.feed import Arrival
from arc_tui.runs.session import News, Session
from arc_tui.runs.state import Phase, initial, observed, reduce


def batch(session: Session, events: list[Line], *, alive: bool = True) -> Arrival:
    """A batch as the feed makes one, with the state that the whole log adds up to."""
    return Arrival(
        typed(events), complete=True, alive=alive, state=observed(session.state_after(events), alive=alive)
    )


class Known(Session):
    """A session that a test hands whole logs."""

    def __init__(self, *args: object, **options: object) -> None:
        super().__init__(*args, **options)  # type: ignore[arg-type]
        self._events: list[Line] = []

    def state_after(self, events: list[Line]):
        self._events += events
        return reduce(typed(self._events), initial(self.run.read()))

    def read(self, events: list[Line], *, alive: bool = True) -> News:
        return self.take(batch(self, events, alive=alive))


def step_of(number: int) -> Line:
    return events_until_step(number)[-1]


def test_whole_log_and_its_pieces_give_the_same_state(tmp_path: Path):
    events = console_events()
    run = make_run(tmp_path)
    whole, pieces = Known(run), Known(run)
    whole.read(events, alive=False)
    for at in range(0, len(events), 7):
        pieces.read(events[at : at + 7], alive=at + 7 < len(events))
    assert pieces.state == whole.state
    assert pieces.phase is Phase.FINISHED


def test_pause_is_shown_as_soon_as_it_is_sent(tmp_path: Path):
    with living(tmp_path) as live:
        session = Known(live.run)
        session.read(events_until_step(40))
        assert session.phase is Phase.RUNNING
        session.ask("pause")
        assert session.phase is Phase.PAUSING
        assert [command.command for command in live.commands()] == ["pause"]


def test_rejected_pause_no_longer_shows(tmp_path: Path):
    with living(tmp_path) as live:
        session = Known(live.run)
        session.read(events_until_step(40))
        request = session.ask("pause")
        news = session.read([live.emit("command_rejected", id=request.id, reason="No.")])
        assert session.phase is Phase.RUNNING
        assert [moved.line for moved in news.requests] == ["Pause rejected: No."]


def test_nothing_can_be_asked_of_a_run_without_a_process(tmp_path: Path):
    session = Known(make_run(tmp_path))
    session.read(console_events(), alive=False)
    with pytest.raises(RunError, match="No process trains recorded"):
        session.ask("pause")
    assert list(session.run.commands.iterdir()) == []


def test_value_out_of_range_is_refused_and_not_sent(tmp_path: Path):
    with living(tmp_path) as live:
        session = Known(live.run)
        session.read(events_until_step(40))
        with pytest.raises(ConfigError, match="agent_lr is 7"):
            session.ask("set", {"agent_lr": 7.0})
        assert live.commands() == []


def test_end_is_told_once_and_only_if_it_was_seen_to_come(tmp_path: Path):
    events = console_events()
    run = make_run(tmp_path)
    late = Known(run)
    assert late.read(events, alive=False).ended is None
    there = Known(run)
    there.read(events[:-1])
    assert there.read(events[-1:], alive=False).ended is Phase.FINISHED
    assert there.read([], alive=False).ended is None


def test_killed_process_is_told_as_crash(tmp_path: Path):
    session = Known(make_run(tmp_path, killed_events()))
    session.read(killed_events())
    assert session.read([], alive=False).ended is Phase.CRASHED


def test_process_just_started_counts_as_alive_before_it_holds_the_lock(tmp_path: Path):
    session = Known(make_run(tmp_path, killed_events()))
    session.expected_alive, session.awaited_since = lambda: True, killed_events()[-1]["time"] + 5
    session.read(killed_events(), alive=False)
    assert session.phase is Phase.STARTING


def test_process_started_again_is_starting_until_its_first_word(tmp_path: Path):
    with living(tmp_path, killed_events()) as live:
        session = Known(live.run)
        session.awaited_since = killed_events()[-1]["time"] + 0.5
        session.read(killed_events())
        assert session.phase is Phase.STARTING
        session.read([live.emit("resumed", step=30, checkpoint=2, supersedes=killed_events()[-1]["seq"])])
        assert session.phase is Phase.RUNNING
        assert session.state.step == 30


def test_process_that_dies_before_its_first_word_has_crashed(tmp_path: Path):
    session = Known(make_run(tmp_path, killed_events()))
    session.awaited_since = killed_events()[-1]["time"] + 5
    session.read(killed_events(), alive=False)
    assert session.phase is Phase.CRASHED


def test_better_validation_is_news_and_an_equal_one_is_not(tmp_path: Path):
    def validation(exact: int) -> Line:
        return live.emit("validation", step=40, split="t", inputs=9, exact=exact, cell_accuracy=0.9)

    with living(tmp_path) as live:
        session = Known(live.run)
        session.read(events_until_step(40))
        assert session.read([validation(3)]).best
        assert not session.read([validation(3)]).best
        assert not session.read([validation(2)]).best
        assert session.read([validation(4)]).best


def test_warning_stays_until_it_is_seen_and_comes_back_when_it_is_given_again(tmp_path: Path):
    with living(tmp_path) as live:
        session = Known(live.run)
        session.read(events_until_step(40))
        session.mark_seen()
        assert session.unseen == ()
        session.read([warn(live, "first"), warn(live, "second")])
        assert [warned.message for warned in session.unseen] == ["second"]
        session.mark_seen()
        session.read([live.step(step_of(40), step=41)])
        assert session.unseen == ()
        session.read([warn(live, "third")])
        assert [warned.message for warned in session.unseen] == ["third"]


def warn(live: LiveRun, message: str) -> Line:
    return live.emit("warning", code="reward_low", message=message, advice="Check the prompt.")


def test_time_left_follows_the_pace_of_the_steps(tmp_path: Path):
    session = Known(make_run(tmp_path))
    steps = [dict(step_of(40), seq=number, step=number, batch=number - 21) for number in range(31, 41)]
    for number, event in enumerate(steps):
        event["elapsed_seconds"] = 100.0 + 2.0 * number
    session.read(steps)
    view = session.view()
    assert view.epoch_seconds == pytest.approx(2.0 * (20 - 20))
    assert view.run_seconds == pytest.approx(2.0 * (60 - 40))


def test_paused_run_knows_since_when(tmp_path: Path):
    session = Known(make_run(tmp_path))
    events = paused_events()
    session.read(events)
    assert session.phase is Phase.PAUSED
    assert session.state.paused_at == events[-1]["time"]


def test_replay_takes_no_commands(tmp_path: Path):
    session = Known(make_run(tmp_path), replay=True)
    session.read(events_until_step(40))
    with pytest.raises(RunError, match="A replay takes no commands"):
        session.ask("pause")


def test_what_a_run_declares_while_it_is_shown_is_read_again(tmp_path: Path):
    first = Declared(groups=FOREIGN.groups[:1])
    run = make_foreign_run(tmp_path, [], declared=first)
    session = Known(run)
    assert session.view().declared == first
    session.read(foreign_events(3))
    run.write(foreign_run_json())
    session.read([{"type": "step", "seq": 90, "time": 1.0, "step": 4, "nonfinite": []}])
    assert session.view().declared == first
    session.read([{"type": "declared", "seq": 91, "time": 1.0, "step": 4}])
    assert session.view().declared == FOREIGN
    assert session.view().facts.claims == FOREIGN.claims
