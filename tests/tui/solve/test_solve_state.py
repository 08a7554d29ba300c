"""What is known of a task while it is solved, and how it is told."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raw_events import PIPELINE, read_lines, typed
from recordings import RECORDED

from arc_core.data.seen import choose_tasks
from arc_core.data.tasks import load_tasks
from arc_core.evaluation.folder import TaskAnswer
from arc_core.run.event_lines import validate_event
from arc_tui.drawing.groups import group_rows
from arc_tui.drawing.rows import plain
from arc_tui.solve.rows import Shown, alternatives, fit_rows, header_rows, headline, loss_points, pair_names
from arc_tui.solve.state import SolveStage, SolveState, changed_cells, look_of, take

EVENTS = read_lines(RECORDED / "solve.jsonl")
ANSWER = TaskAnswer.from_json(json.loads((RECORDED / "solve_answer.json").read_text()), "recorded")
(TASK,) = choose_tasks(load_tasks("arcagi1").tasks, ids=[ANSWER.task])
grids = st.integers(1, 6).flatmap(
    lambda n: st.lists(st.text("0123", min_size=n, max_size=n), min_size=1, max_size=6).map(tuple)
)


def shown(events: int = len(EVENTS), *, answered: bool = False, cursor: int | None = None) -> Shown:
    state = take(SolveState(), typed(EVENTS[:events]), ANSWER if answered else None)
    return Shown(TASK, state, cursor)


def text(rows) -> str:
    return "\n".join(map(plain, rows))


def test_the_recorded_events_have_their_form():
    assert [problem for event in EVENTS for problem in validate_event(event, PIPELINE)] == []


def test_stages_follow_what_is_known():
    assert shown(0).state.stage is SolveStage.STARTING
    assert shown(3).state.stage is SolveStage.ADAPTING
    assert shown().state.stage is SolveStage.VOTING
    assert shown(0, answered=True).state.stage is SolveStage.ANSWERED


def test_the_time_left_is_that_of_the_pace_so_far():
    first, last = EVENTS[0], EVENTS[4]
    pace = (last["seconds"] - first["seconds"]) / (last["step"] - first["step"])
    assert shown(5).state.eta == pytest.approx(pace * (last["steps"] - last["step"]))
    assert math.isnan(shown(1).state.eta)
    assert shown().state.eta == 0


@settings(max_examples=60)
@given(before=grids, after=grids)
def test_changed_cells_are_those_of_the_later_grid_that_differ(before, after):
    canvas = np.full((12, 12), "-")
    canvas[: len(before), : len(before[0])] = [list(row) for row in before]
    later = np.array([list(row) for row in after])
    assert changed_cells(before, after) == int((canvas[: later.shape[0], : later.shape[1]] != later).sum())


def test_a_damaged_event_is_told_as_far_as_it_goes():
    damaged = {"type": "adaptation", "step": "x", "loss": None, "demonstrations": [["1\x1b", 5], 3]}
    look = look_of(*typed([damaged]))
    assert (look.step, look.queries) == (0, ())
    assert math.isnan(look.loss)
    assert look.demonstrations == (("1?", "??"), ())
    state = take(SolveState(), typed([{"type": "adaptation"}, {"type": "step"}]), None)
    assert len(state.looks) == 1
    view = Shown(TASK, state)
    for group in alternatives(view)[0]:
        assert group.pictures
    assert "loss nan" in text(header_rows(view, "x", 80))


def test_while_it_adapts_demonstrations_are_judged_and_test_inputs_are_not():
    groups = {plain(list(group.title)).split("  ")[0]: group for group in alternatives(shown(6))[0]}
    assert list(groups) == pair_names(TASK)
    for number, pair in enumerate(TASK.train):
        names = [picture.name for picture in groups[f"demonstration {number}"].pictures]
        assert names == ["input", "now", "output"]
        now = groups[f"demonstration {number}"].pictures[1]
        assert now.target == tuple("".join(map(str, row)) for row in pair.output.tolist())
    assert [(p.name, p.target) for p in groups["test 0"].pictures] == [
        ("input", None),
        ("now", None),
    ]


def test_the_output_of_a_test_input_is_shown_only_once_it_is_answered():
    output = tuple("".join(map(str, row)) for row in TASK.test[0].output.tolist())

    def drawn(view: Shown) -> set:
        return {p.grid for groups in alternatives(view) for group in groups for p in group.pictures}

    assert output not in drawn(shown())
    assert output not in drawn(shown(answered=True, cursor=3))
    assert output in drawn(shown(answered=True))


def test_one_pair_alone_is_one_group():
    for number, name in enumerate(pair_names(TASK)):
        ((group,),) = alternatives(shown(4), number)
        assert plain(list(group.title)).startswith(name)


def test_the_cursor_shows_what_was_predicted_then():
    view = shown(answered=True, cursor=2)
    assert view.look is view.state.looks[2]
    assert f"step {EVENTS[2]['step']} ‖ past" in plain(headline(view, None))
    assert "● live" in plain(headline(shown(3), None))
    assert "◆ answers" in plain(headline(shown(answered=True), None))
    now = alternatives(view)[0][0].pictures[1].grid
    assert list(now) == EVENTS[2]["demonstrations"][0]


def test_fit_tells_the_share_of_right_cells_of_each_demonstration():
    rows = [plain(row).split() for row in fit_rows(shown(8), 60)]
    for number, pair in enumerate(TASK.train):
        found = np.array([list(map(int, row)) for row in EVENTS[7]["demonstrations"][number]])
        share = (found == pair.output).mean()
        assert rows[number][:2] == ["demonstration", str(number)]
        assert rows[number][3] == f"{math.floor(100 * share)}%"
    assert "votes are counted once" in text(fit_rows(shown(8), 60))


def test_votes_of_attempts_and_others_add_up():
    told = [plain(row).split() for row in fit_rows(shown(answered=True), 60)]
    votes = {" ".join(row[:-1]).rstrip(" ━╸"): row[-1] for row in told[-3:]}
    first, second = ANSWER.inputs[0].confidence
    assert votes == {
        "attempt 1": f"{first:.0%}",
        "attempt 2": f"{second:.0%}",
        "others": f"{1 - first - second:.0%}",
    }


def test_header_tells_step_loss_and_fit():
    told = text(header_rows(shown(6), "arcagi1 training", 100))
    event = EVENTS[5]
    assert f" {event['step']}/{event['steps']} " in told
    assert f"loss {event['loss']:.3g}" in told
    assert f"fits {sum(event['exact'])} of 5" in told
    assert "● ADAPTING" in told
    assert loss_points(shown(6).state)[-1] == (event["step"], event["loss"])


def test_header_and_headline_tell_which_start_of_several_it_is():
    later = [event | {"start": 2, "starts": 3} for event in EVENTS[:6]]
    view = Shown(TASK, take(SolveState(), typed(later), None))
    assert f" {later[-1]['step']}/{later[-1]['steps']}  start 2 of 3 " in text(header_rows(view, "x", 100))
    assert f"step {later[-1]['step']}, start 2 of 3 ● live" in plain(headline(view, None))
    assert "start" not in text(header_rows(shown(6), "x", 100)).lower()
    assert [problem for event in later for problem in validate_event(event, PIPELINE)] == []


def test_everything_is_drawn_before_the_first_prediction_and_without_any():
    for view in (shown(0), shown(0, answered=True)):
        assert "demonstration 4" in text(group_rows(alternatives(view), 200, 60))
        assert header_rows(view, "x", 80)
        assert fit_rows(view, 60)
