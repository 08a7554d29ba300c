"""What the parts of a run do: judged for the pipeline, told by the run for others, nothing for the solver."""

from typing import Any

import pytest
from foreign_run import foreign_events, foreign_run_json
from raw_events import Line, typed
from recordings import console_run_json, events_until_step
from solver_run import solver_events, solver_run_json

from arc_core.run.evidence import Work
from arc_tui.runs.evidence import MOST_LINES, evidence_of
from arc_tui.runs.fixes import assess
from arc_tui.runs.history import History
from arc_tui.runs.outline import outline
from arc_tui.runs.state import reduce
from arc_tui.runs.view import RunView, facts


def view(events: list[Line], run_json: dict[str, Any]) -> RunView:
    known, read = facts("run", run_json), typed(events)
    history = History(known.declared)
    history.add(read)
    return RunView(reduce(read), history, 0.0, True, facts=known)


@pytest.mark.parametrize(
    ("events", "run_json", "count"),
    [
        (events_until_step(40), console_run_json(), 7),
        (solver_events(old=True), solver_run_json(), 0),
        (solver_events(old=False), solver_run_json(), 0),
        (foreign_events(), foreign_run_json(), 3),
    ],
    ids=["pipeline", "solver of earlier versions", "solver", "foreign"],
)
def test_a_healthy_run_has_nothing_failing(events: list[Line], run_json: dict[str, Any], count: int):
    found = evidence_of(view(events, run_json))
    assert len(found) == count
    assert Work.FAILING not in {line.work for line in found}


def test_the_pipeline_is_judged_by_its_numbers():
    shown = view(events_until_step(40), console_run_json())
    assert evidence_of(shown) == assess(shown)


def test_another_run_tells_its_own_evidence():
    assert [(line.number, line.name, line.work, line.evidence) for line in evidence_of(_foreign(10))] == [
        (1, "halting", Work.WORKING, "13 steps"),
        (2, "EMA", Work.IDLE, "0.999"),
        (3, "embedding", Work.FAILING, "1.111"),
    ]
    assert evidence_of(_foreign(9)) == ()


def _foreign(steps: int) -> RunView:
    return view(foreign_events(steps), foreign_run_json())


def test_a_resume_takes_evidence_back_that_came_after_its_checkpoint():
    events = foreign_events(15)
    last = max(line["seq"] for line in events)
    told = next(line["seq"] for line in events if line["type"] == "evidence")

    def resumed(counts: int) -> list[Line]:
        return [
            *events,
            {"type": "resumed", "seq": last + 1, "step": 5, "checkpoint": 0, "supersedes": counts},
        ]

    assert evidence_of(view(resumed(told), foreign_run_json())) != ()
    assert evidence_of(view(resumed(told - 1), foreign_run_json())) == ()


def test_of_evidence_told_again_and_again_the_outline_keeps_the_last():
    events = [line for line in foreign_events(19) if line["type"] in ("step", "evidence")] * 4
    read = typed([line | {"seq": seq} for seq, line in enumerate(events, 1)])
    assert len(outline(read)) <= 2
    assert reduce(outline(read)) == reduce(read)


@pytest.mark.parametrize(
    "lines",
    [None, 3, [7, None, {}], [{"name": 3, "work": ["x"], "value": {}, "reason": 1}], [{"name": "\x1b[2J"}]],
)
def test_damaged_evidence_is_read_as_far_as_it_goes(lines: object):
    found = evidence_of(view([{"type": "evidence", "step": 1, "lines": lines}], foreign_run_json()))
    assert {line.work for line in found} <= {Work.IDLE}
    assert "\x1b" not in "".join(line.name + line.evidence + line.reason for line in found)


def test_more_lines_than_a_panel_has_are_left_out():
    lines = [{"name": f"part {n}", "work": "working", "value": "1", "reason": ""} for n in range(40)]
    found = evidence_of(view([{"type": "evidence", "step": 1, "lines": lines}], foreign_run_json()))
    assert [line.name for line in found] == [f"part {n}" for n in range(MOST_LINES)]
