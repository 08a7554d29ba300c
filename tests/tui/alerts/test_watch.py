"""What of a run is told, and how often."""

from typing import Any

import pytest

from arc_core.run import event_forms as forms
from arc_core.run.event_lines import event_of
from arc_tui.alerts.message import Alert
from arc_tui.alerts.watch import STAYS_SECONDS, Watch
from arc_tui.runs.listing import STARTING_SECONDS
from arc_tui.runs.state import Phase, RunState

STALL = 900.0


def event(kind: str, **fields: Any) -> forms.Event:
    return event_of({"type": kind, "seq": 1, "time": 1.0, **fields})


def step(number: int) -> forms.Event:
    return event("step", step=number, epoch=0, batch=number)


def validated(step: int, exact: int) -> forms.Event:
    return event("validation", step=step, split="training", inputs=10, exact=exact, cell_accuracy=0.5)


def warned(code: str) -> forms.Event:
    return event("warning", code=code, message="The loss\x1b[2J is odd.", advice="See to it.")


class Watched:
    """A run that is looked at once a second; one with a past was alive before."""

    def __init__(self, *past: forms.Event) -> None:
        self.now = 0.0
        self.watch = Watch("demo", RunState(), STALL, 0.0)
        if past:
            self.look(*past)

    def look(self, *events: forms.Event, alive: bool = True, after: float = 1.0) -> list[str]:
        self.now += after
        self.told: list[Alert] = self.watch.take(events, alive=alive, now=self.now)
        return [alert.title for alert in self.told]


def test_the_end_of_a_run_is_told_with_its_best_validation():
    run = Watched(step(1), validated(1, 3))
    assert run.look(event("run_finished", reason="completed")) == ["demo has finished"]
    assert run.told[0].text == "Step 1, epoch 0. Best validation, at step 1: 3/10 exact, 0.5000 of cells."
    assert run.watch.ended
    stopped = Watched(step(7))
    assert stopped.look(event("run_finished", reason="stopped by a\x1b signal")) == ["demo has ended"]
    assert stopped.told[0].text == r"Stopped by a\x1b signal. Step 7, epoch 0."


def test_a_process_that_is_gone_without_a_word_is_a_crash():
    saved = event("checkpoint", id=3, step=1200, phase="verified", reason=None, bytes=1, seconds=1.0)
    run = Watched(step(1201), saved)
    assert run.look(alive=False) == ["demo has crashed"]
    assert "Its last checkpoint is that of step 1,200." in run.told[0].text
    assert run.watch.ended


def test_a_process_that_never_takes_its_run_up_is_told_once_its_time_is_over():
    run = Watched()
    assert run.look(alive=False) == []
    assert run.look(alive=False, after=STARTING_SECONDS) == ["demo has not begun"]


def test_a_run_that_was_stopped_and_is_resumed_has_not_ended():
    watch = Watch("demo", RunState(activity=Phase.STOPPED), STALL, 0.0)
    assert watch.take([], alive=True, now=1.0) == []
    assert watch.take([event("resumed", step=1, checkpoint=0, supersedes=1)], alive=True, now=2.0) == []
    assert not watch.ended


def test_a_run_that_says_nothing_has_stalled_once_until_it_goes_on():
    run = Watched(step(1))
    assert run.look(after=STALL - 1) == []
    assert run.look() == ["demo has stalled"]
    assert run.look(after=STALL) == []
    assert run.look(step(2)) == []
    assert run.look(after=STALL) == ["demo has stalled"]


def test_a_paused_run_does_not_stall():
    run = Watched(step(1), event("paused", step=1))
    assert run.look(after=10 * STALL) == []


def test_a_new_best_is_told_and_the_first_validation_and_a_worse_one_are_not():
    run = Watched(step(1))
    assert run.look(validated(1, 3)) == []
    assert run.look(validated(2, 2)) == []
    assert run.look(validated(3, 5)) == ["demo has a new best validation"]
    assert "at step 3: 5/10 exact" in run.told[0].text


def test_new_bests_in_quick_succession_are_told_once_a_minute_the_last_of_them():
    run = Watched(validated(1, 1))
    assert run.look(validated(2, 2)) == ["demo has a new best validation"]
    assert run.look(validated(3, 3)) == []
    assert run.look(validated(4, 4)) == []
    assert run.look(after=60) == ["demo has a new best validation"]
    assert "at step 4: 4/10 exact" in run.told[0].text
    assert run.look(after=60) == []


def test_a_warning_that_is_given_again_after_a_minute_stays_and_is_told_once():
    run = Watched()
    assert run.look(warned("odd"), warned("odd")) == []
    assert run.look(warned("odd")) == []
    assert run.look(warned("other"), after=STAYS_SECONDS) == []
    assert run.look(warned("odd")) == ["demo keeps giving a warning"]
    assert run.told[0].text.startswith(r"The loss\x1b[2J is odd. Advice: See to it.")
    assert run.look(warned("odd"), after=STAYS_SECONDS) == []


@pytest.mark.parametrize("name", ["x\x1b]0;y\x07", "a" * 500])
def test_a_hostile_name_reaches_no_terminal(name: str):
    watch = Watch(name, RunState(), STALL, 0.0)
    (told,) = watch.take([event("run_finished", reason="completed")], alive=True, now=1.0)
    assert told.title.isprintable()
    assert len(told.title) < 150
