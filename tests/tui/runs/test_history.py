"""The bounded memory of a run: curves, marks, samples and log lines."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_events import counting, typed
from recordings import console_events

from arc_tui.runs.history import NEWEST_ENTRIES, NEWEST_MARKS, OLDER_MARKS, History
from arc_tui.runs.marks import MarkKind
from arc_tui.runs.samples import cell_accuracy, grid_of
from arc_tui.runs.thinned import Thinned

LOSS = "loss.combined"


def _events(*events: dict) -> list[dict]:
    return [{"seq": n, "time": 100.0 + n, **event} for n, event in enumerate(events, 1)]


def _step(step: int, loss: float | None = 1.0, **fields: object) -> dict:
    nonfinite = ["loss.combined"] if loss is None else []
    return {"type": "step", "step": step, "loss": {"combined": loss}, "nonfinite": nonfinite, **fields}


def _sample(step: int) -> dict:
    grid = [str(step % 10)]
    return {"type": "sample", "step": step, "task": f"t{step}", "pair": 0} | dict.fromkeys(
        ("input", "before", "after", "target"), grid
    )


def _history(events: list[dict]) -> History:
    history = History()
    history.add(typed(events))
    return history


def _content(history: History) -> dict:
    """Everything that can be asked of a history."""
    last = max(history.last_step, 1)
    windows = [history.window(name, 1, last, 40) for name in (LOSS, "reward.total", "grad_norm.lm")]
    return {
        "steps": (history.first_step, history.last_step),
        "low": [window.low.tolist() for window in windows],
        "count": [window.count.tolist() for window in windows],
        "bad": [window.bad.tolist() for window in windows],
        "marks": history.marks(),
        "mark steps": {kind: steps.tolist() for kind, steps in history.mark_steps(1, last).items()},
        "samples": [history.sample_at(step) for step in history.sample_steps],
        "entries": history.entries,
    }


def _same(one: dict, other: dict) -> None:
    for part in one:
        np.testing.assert_equal(one[part], other[part], part)


def _twice_resumed() -> list[dict]:
    """A run that was killed twice, the second time before it had come as far as the first."""
    validation = {"type": "validation", "exact": 1, "inputs": 2, "cell_accuracy": 0.5}
    change = {"type": "command_applied", "command": "set", "old": {}, "new": {"agent_lr": 0.5}}
    events: list[dict] = [{"type": "run_started", "step": 0}]
    for first, last, resumed in ((1, 40, None), (21, 30, 20), (11, 60, 10)):
        if resumed is not None:
            counts = next(at for at, event in enumerate(events, 1) if event.get("step") == resumed + 1) - 1
            events.append({"type": "resumed", "step": resumed, "checkpoint": 0, "supersedes": counts})
        for step in range(first, last + 1):
            events.append(_step(step, None if step % 13 == 0 else float(step + len(events)), rule=f"r{step}"))
            events += [_sample(step)] if step % 3 == 0 else []
            events += [validation | {"step": step}, change] if step % 7 == 0 else []
            events += [{"type": "checkpoint", "id": step, "step": step, "phase": "verified"}] * (
                step % 5 == 0
            )
    return _events(*events)


@settings(deadline=None, max_examples=40)
@given(
    cuts=st.lists(st.integers(0, 1000), max_size=8),
    data=st.data(),
    run=st.sampled_from([console_events, _twice_resumed]),
)
def test_any_stretches_of_a_run_with_resumes_give_the_history_of_what_counts(
    cuts: list[int], data: st.DataObject, run: Callable[[], list[dict]]
):
    events = run()
    bounds = sorted({0, len(events), *(cut % len(events) for cut in cuts)})
    stretches = [events[begin:end] for begin, end in itertools.pairwise(bounds)]
    low = high = data.draw(st.integers(0, len(stretches) - 1))
    history = _history(stretches[low])
    while low > 0 or high < len(stretches) - 1:
        if high < len(stretches) - 1 and (low == 0 or data.draw(st.booleans())):
            high += 1
            history.add(typed(stretches[high]))
        else:
            low -= 1
            history.add(typed(stretches[low]), older=True)
    expected, found = _content(_history(counting(events))), _content(history)
    entries, _ = found.pop("entries"), expected.pop("entries")
    _same(found, expected)
    assert entries == _history(events).entries  # the log still tells what was taken back


def test_recorded_run_is_told_as_it_was():
    events = counting(console_events())
    history = _history(console_events())
    steps = [event for event in events if event["type"] == "step"]
    losses = [event["loss"]["combined"] for event in steps]
    window = history.window(LOSS, 1, len(steps), len(steps))
    known = [math.nan if value is None else value for value in losses]
    np.testing.assert_allclose(window.mean, known, rtol=1e-12)
    assert window.bad.tolist() == [int(value is None) for value in losses]
    assert [mark.names for mark in history.marks(kinds=[MarkKind.NAN])] == [
        tuple(event["nonfinite"]) for event in steps if event["nonfinite"]
    ]
    for kind, event_type in ((MarkKind.VALIDATION, "validation"), (MarkKind.EPOCH, "epoch")):
        seqs = [event["seq"] for event in events if event["type"] == event_type]
        assert [mark.seq for mark in history.marks(kinds=[kind])] == seqs
    assert history.sample_steps == [event["step"] for event in events if event["type"] == "sample"]
    assert history.latest("reward.total") == pytest.approx(steps[-1]["reward"]["total"], rel=1e-6)


def test_steps_of_marks_are_those_of_the_marks_in_a_stretch():
    history = _history(console_events())
    for first, last in ((1, 60), (20, 40), (30, 30)):
        found = history.mark_steps(first, last)
        for kind in MarkKind:
            expected = sorted(mark.step for mark in history.marks(first, last, [kind]))
            assert found[kind].tolist() == expected
    history.add(
        typed([{"type": "warning", "seq": 10**6, "time": 1.0, "code": "x", "message": "", "advice": ""}])
    )
    assert history.mark_steps(60, 60)[MarkKind.WARNING].tolist()[-1:] == [60]


def test_rate_change_is_marked_at_the_step_before_it_even_if_that_comes_later():
    change = {
        "type": "command_applied",
        "command": "set",
        "old": {"agent_lr": 1e-4},
        "new": {"agent_lr": 0.5},
    }
    events = _events(_step(1), _step(2), change, _step(3))
    for history in (_history(events), _history(events[2:])):
        history.add(typed(events[:2]), older=True) if history.first_step == 3 else None
        (mark,) = history.marks()
        assert (mark.kind, mark.step, mark.text) == (MarkKind.RATE, 2, "agent_lr 0.0001 → 0.5")


def test_resume_takes_back_steps_samples_validations_and_later_checkpoints_but_not_commands():
    validation = {"type": "validation", "exact": 1, "inputs": 2, "cell_accuracy": 0.5}
    saved = {"type": "checkpoint", "phase": "verified"}
    history = _history(
        _events(
            _step(1, 5.0),
            saved | {"id": 0, "step": 1},
            _step(2, None),
            _sample(2),
            validation | {"step": 2},
            saved | {"id": 1, "step": 2},
            {"type": "warning", "code": "x", "message": "careful", "advice": ""},
        )
    )
    assert history.last_step == 2
    history.add(
        typed([{"type": "resumed", "seq": 8, "time": 1.0, "step": 1, "checkpoint": 0, "supersedes": 2}])
    )
    assert (history.last_step, history.latest(LOSS)) == (1, 5.0)
    assert [mark.kind for mark in history.marks()] == ["checkpoint", "warning", "resume"]
    assert history.last_sample is None
    history.add(typed([{**_step(2, 4.0), "seq": 9, "time": 2.0}]))
    assert history.window(LOSS, 1, 2, 2).mean.tolist() == [5.0, 4.0]


def test_event_that_a_resume_names_as_the_last_that_counts_does_count():
    steps = _events(_step(1, 5.0), _step(2, 6.0), _step(3, 7.0))
    resumed = {"type": "resumed", "seq": 4, "time": 1.0, "step": 2, "checkpoint": 0, "supersedes": 2}
    at_once, later, backwards = _history([*steps, resumed]), _history(steps), _history([resumed])
    later.add(typed([resumed]))
    backwards.add(typed(steps), older=True)
    for history in (at_once, later, backwards):
        assert history.window(LOSS, 1, 3, 3).count.tolist() == [1, 1, 0]


def test_steps_are_kept_one_by_one_as_far_back_whichever_way_a_run_with_a_resume_is_read():
    steps = _events(*(_step(n, float(n)) for n in range(1, 101)))
    after = [
        {"type": "resumed", "seq": 101, "time": 1.0, "step": 95, "checkpoint": 0, "supersedes": 95},
        {**_step(96, 96.0), "seq": 102, "time": 1.0},
    ]
    onwards, backwards = History(capacity=16), History(capacity=16)
    onwards.add(typed([*steps, *after]))
    backwards.add(typed(after))
    backwards.add(typed(steps), older=True)
    for step in (80, 84, 85, 96):
        found = [history.at(LOSS, step) for history in (onwards, backwards)]
        assert found[0].count.tolist() == found[1].count.tolist() == [4 if step < 85 else 1]


def test_resume_that_does_not_say_what_it_supersedes_takes_nothing_back():
    history = _history([*_events(_step(1), _step(2)), {"type": "resumed", "seq": 3, "step": 1}])
    assert history.last_step == 2


def test_samples_are_walked_through_by_step_and_know_their_rule():
    events = _events(_step(1, rule="mirror"), _sample(1), _step(5, rule="grow"), _sample(5), _sample(9))
    history = _history(events)
    assert [history.sample_at(step).task for step in (0, 1, 4, 5, 8, 100)] == [
        "t1",
        "t1",
        "t1",
        "t5",
        "t5",
        "t9",
    ]
    assert history.next_sample(1).task == "t5"
    assert history.next_sample(9) is None
    assert history.previous_sample(5).task == "t1"
    assert history.previous_sample(1) is None
    assert history.last_sample.task == "t9"
    assert [history.sample_at(step).rule for step in (1, 5, 9)] == ["mirror", "grow", None]
    empty = History()
    assert (empty.sample_at(3), empty.next_sample(0), empty.last_sample) == (None, None, None)


def test_rule_of_a_sample_whose_step_comes_later_is_known_then():
    events = _events(_step(4, rule="mirror"), _sample(4), _step(5, rule="grow"))
    history = _history(events[1:])
    assert history.last_sample.rule is None
    history.add(typed(events[:1]), older=True)
    assert history.last_sample.rule == "mirror"


def test_marks_samples_and_entries_stay_bounded_and_the_newest_are_kept():
    many = 4 * (NEWEST_MARKS + OLDER_MARKS)
    events = []
    for step in range(1, many + 1):
        events += [_step(step, None), _sample(step), {"type": "paused", "step": step}]
    history = _history(_events(*events))
    marks = history.marks(kinds=[MarkKind.NAN])
    assert len(marks) == NEWEST_MARKS + OLDER_MARKS
    assert [mark.step for mark in marks[-NEWEST_MARKS:]] == list(range(many - NEWEST_MARKS + 1, many + 1))
    assert len(history.sample_steps) < many / 4
    assert len(history.entries) == NEWEST_ENTRIES
    gaps = np.diff([mark.step for mark in marks[:OLDER_MARKS]])
    assert gaps.max() < 6 * gaps.mean()
    assert marks[OLDER_MARKS - 1].step - marks[0].step > 0.9 * (many - NEWEST_MARKS)


def test_clip_share_is_of_the_last_steps_with_a_finite_norm():
    norms = [5.0, 0.5, 2.0, None, 0.1]
    events = [_step(n, grad_norm={"lm": norm}) for n, norm in enumerate(norms, 1)]
    history = _history(_events(*events))
    assert history.clip_share("grad_norm.lm", 1.0) == 2 / 4
    assert history.clip_share("grad_norm.lm", 1.0, steps=3) == 1 / 2
    assert math.isnan(history.clip_share("grad_norm.agent", 1.0))
    assert math.isnan(History().clip_share("grad_norm.lm", 1.0))


def test_recent_values_are_one_for_each_step_while_there_are_few():
    history = _history(_events(*(_step(n, float(n)) for n in range(1, 6))))
    assert history.recent(LOSS, 100, 30).tolist() == [1, 2, 3, 4, 5]
    assert history.recent(LOSS, 2, 30).tolist() == [4, 5]
    assert len(history.recent(LOSS, 5, 3)) == 3
    assert len(History().recent(LOSS, 5, 3)) == 0


def test_value_at_a_step_is_the_steps_own_while_it_is_kept():
    history = _history(_events(*(_step(n, float(n)) for n in range(1, 50))))
    assert history.at(LOSS, 30).mean.tolist() == [30.0]
    assert history.at(LOSS, 300).count.tolist() == [0]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda event: event | {"step": "many"},
        lambda event: event | {"nonfinite": "all"},
        lambda event: event | {"nonfinite": [["\x1b[2J"]]},
        lambda event: event | {"rule": 7},
        lambda event: event | {"time": None},
        lambda event: event | {"old": 1, "new": [2], "command": "set"},
        lambda event: {"type": event["type"], "seq": event["seq"]},
        lambda event: event | {"input": "x", "before": [1, 2], "after": ["1" * 900] * 900, "target": None},
    ],
)
def test_damaged_fields_of_any_event_are_lived_with(spoil: Callable[[dict], dict]):
    history = _history([spoil(event) for event in console_events()])
    shown = [mark.text for mark in history.marks()] + [entry.text for entry in history.entries]
    shown += [str(history.sample_at(step)) for step in history.sample_steps]
    assert "\x1b" not in "".join(shown)


def test_grids_are_cut_to_what_arc_allows_and_hold_nothing_but_digits():
    assert grid_of(["12", "3"]) == ("12", "3?")
    assert grid_of(["1\x1b2"]) == ("1?2",)
    assert grid_of(["0" * 99] * 99) == ("0" * 30,) * 30
    assert grid_of([]) == grid_of("12") == grid_of(None) == ()


@pytest.mark.parametrize(
    ("grid", "target", "share"),
    [
        (("12", "34"), ("12", "34"), 1.0),
        (("12", "34"), ("12", "30"), 0.75),
        (("12",), ("12", "34"), 0.5),
        (("11",), ("1", "1"), 1 / 3),  # cells outside either grid are wrong, those outside both do not count
        ((), ("1",), 0.0),
    ],
)
def test_cell_accuracy_counts_cells_outside_either_grid_as_wrong(grid: tuple, target: tuple, share: float):
    assert cell_accuracy(grid, target) == share


@given(seqs=st.lists(st.integers(1, 10**9), unique=True, max_size=300), data=st.data())
def test_thinned_keeps_the_same_in_any_order_and_all_of_the_newest(seqs: list[int], data: st.DataObject):
    kept = []
    for order in (sorted(seqs), data.draw(st.permutations(seqs))):
        thinned = Thinned[int](10, 20)
        for seq in order:
            thinned.add(seq, seq)
        kept.append(thinned.items())
    assert kept[0] == kept[1]
    assert kept[0] == sorted(kept[0])
    assert set(kept[0]) >= set(sorted(seqs)[-10:])
    assert len(kept[0]) == min(len(seqs), 30)
