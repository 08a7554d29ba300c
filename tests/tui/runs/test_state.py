"""The reducer: what a run's events add up to."""

import dataclasses
import json
from pathlib import Path

import pytest
from raw_events import counting, read_lines, typed

from arc_core.run.event_forms import Event
from arc_tui.runs.state import Phase, RunState, apply, initial, observed, reduce

RECORDED = Path(__file__).parents[2] / "recorded" / "short_run.jsonl"
"""A real run: paused, given another rate, killed in its third epoch, resumed and stopped."""

STARTED = {"type": "run_started", "step": 0}


def _events(*events: dict) -> list[Event]:
    return typed({"seq": n, "time": 100.0 + n, **event} for n, event in enumerate(events, 1))


def _phases(*events: dict) -> list[str]:
    state, phases = RunState(), []
    for event in _events(*events):
        state = apply(state, event)
        phases.append(state.phase.value)
    return phases


def _step(number: int) -> dict:
    return {"type": "step", "step": number, "epoch": 0, "batch": number - 1}


def _checkpoint(phase: str, number: int = 0, step: int = 1) -> dict:
    return {"type": "checkpoint", "id": number, "step": step, "phase": phase, "bytes": 5}


def _validation(step: int, exact: int, cells: float | None) -> dict:
    return {"type": "validation", "step": step, "exact": exact, "inputs": 9, "cell_accuracy": cells}


def _command(command: str, **new: object) -> dict:
    return {"type": "command_applied", "id": "x", "command": command, "old": None, "new": new or None}


def test_phase_follows_the_life_of_a_run():
    assert RunState().phase is Phase.STARTING
    events = [
        STARTED,
        _step(1),
        _command("pause"),
        {"type": "paused", "step": 1},
        _checkpoint("requested"),
        _checkpoint("saved"),
        _checkpoint("verified"),
        {"type": "unpaused", "step": 1},
        _checkpoint("requested"),
        _checkpoint("failed"),
        {"type": "run_finished", "reason": "completed"},
    ]
    expected = "running running pausing paused saving saving paused running saving running finished"
    assert _phases(*events) == expected.split()


@pytest.mark.parametrize(
    ("reason", "phase"), [("completed", Phase.FINISHED), ("stopped by a signal", Phase.STOPPED)]
)
def test_reason_tells_a_finished_run_from_a_stopped_one(reason: str, phase: Phase):
    state = reduce(_events(STARTED, {"type": "run_finished", "reason": reason}))
    assert (state.phase, state.reason) == (phase, reason)


def test_pause_that_is_taken_back_before_it_began_leaves_the_run_running():
    assert _phases(STARTED, _command("pause"), _command("resume"))[-1] == "running"


def test_lock_and_log_together_tell_a_crash_and_a_new_start():
    running = reduce(_events(STARTED, _step(1), _checkpoint("requested")))
    assert observed(running, alive=True) == running
    assert observed(running, alive=False).phase is Phase.CRASHED
    stopped = apply(running, *typed([{"type": "run_finished", "seq": 9, "time": 9.0, "reason": "completed"}]))
    assert observed(stopped, alive=False) == stopped
    assert observed(stopped, alive=True).phase is Phase.STARTING


def test_resume_takes_back_what_it_supersedes():
    state = reduce(
        _events(
            STARTED,
            _step(1),
            _validation(1, 1, 0.5),
            _checkpoint("verified", 0, 1),
            _step(2),
            _validation(2, 8, 0.9),
            _checkpoint("verified", 1, 2),
            _step(3),
            {"type": "resumed", "step": 1, "checkpoint": 0, "supersedes": 4},
        )
    )
    assert (state.step, state.last_step, state.starts) == (1, None, 2)
    assert state.best_validation is not None
    assert (state.best_validation.step, state.best_validation.exact) == (1, 1)
    assert state.last_validation is not None
    assert state.last_validation.step == 1
    assert state.last_checkpoint is not None
    assert (state.last_checkpoint.id, state.last_checkpoint.step) == (0, 1)


def test_best_validation_has_most_exact_inputs_then_most_cells():
    state = reduce(_events(_validation(1, 2, 0.9), _validation(2, 3, 0.1), _validation(3, 3, None)))
    assert state.best_validation is not None
    assert state.best_validation.step == 2


def test_settings_start_from_run_json_and_what_it_got_later_wins():
    run_json = {
        "config": {"agent_lr": 0.5, "checkpoint_every": 50, "epochs": 3},
        "changes": [{"time": 150.0, "key": "agent_lr", "old": 0.1, "new": 0.5}],
    }
    state = initial(run_json)
    assert state.settings == {"agent_lr": 0.5, "checkpoint_every": 50}
    before = reduce(_events(_command("set", agent_lr=0.2, checkpoint_every=7)), state)
    assert before.settings == {"agent_lr": 0.5, "checkpoint_every": 7}
    after = apply(before, *typed([{"seq": 2, "time": 151.0, **_command("set", agent_lr=0.3)}]))
    assert after.settings["agent_lr"] == 0.3
    assert before.settings["agent_lr"] == 0.5, "a state is never changed"


def test_warnings_are_escaped_and_only_the_last_are_kept():
    warning = {"type": "warning", "code": "c", "message": "a\x1b[2J", "advice": "b"}
    state = reduce(_events(*[warning] * 60))
    assert len(state.warnings) == 50
    assert state.warnings[-1].message == "a\\x1b[2J"


@pytest.mark.parametrize(
    "event",
    [
        {"type": "dance"},
        {"type": "step", "step": "x", "epoch": None},
        {"type": "step", "step": 10**400},
        {"type": "checkpoint", "phase": ["saved"]},
        {"type": "resumed", "step": None, "checkpoint": "../x"},
        {"type": "command_applied", "command": "set", "new": 3},
        {"type": "command_applied", "command": ["set"], "new": {}},
        {"type": "validation"},
        {"type": "run_finished", "reason": None},
    ],
)
def test_malformed_event_is_taken_without_a_crash(event: dict):
    state = apply(reduce(_events(STARTED, _step(1))), *typed([{"seq": 3, "time": None, **event}]))
    assert (state.seq, state.updated) == (3, 102.0)


def test_recorded_run_adds_up():
    events = read_lines(RECORDED)
    state = reduce(typed(events), initial({"config": {"agent_lr": 1e-4}}))
    assert (state.phase, state.reason) == (Phase.STOPPED, "stopped by a command")
    assert (state.step, state.epoch, state.starts) == (9, 2, 2)
    assert state.settings == {"agent_lr": 5e-5}
    assert state.last_step is not None
    assert state.last_step.number("learning_rate.agent") == 5e-5
    assert state.last_checkpoint is not None
    assert (state.last_checkpoint.step, state.last_checkpoint.verified) == (9, True)
    validated = [e["step"] for e in counting(events) if e["type"] == "validation"]
    assert [found.step for found in state.validations] == validated == [3, 6, 9]


def test_recorded_run_reduced_bit_by_bit_passes_through_every_phase_once_reached():
    state, seen = RunState(), []
    for line in RECORDED.read_text(encoding="ascii").splitlines():
        state = apply(state, *typed([json.loads(line)]))
        if not seen or seen[-1] != state.phase:
            seen.append(state.phase)
    assert {Phase.RUNNING, Phase.PAUSING, Phase.PAUSED, Phase.SAVING} <= set(seen)
    assert seen[-1] is Phase.STOPPED
    assert dataclasses.replace(state) == reduce(typed(read_lines(RECORDED)))


def test_best_validation_on_other_inputs_does_not_count_until_the_run_goes_back_before_it():
    reset = {"type": "warning", "code": "best_reset", "message": "Other inputs.", "advice": "None."}
    told = _events(STARTED, _validation(1, 5, 0.9), reset, _validation(2, 1, 0.2))
    state = reduce(told)
    assert state.best_validation is not None
    assert state.best_validation.step == 2
    resumed = {"seq": 5, "time": 105.0, "type": "resumed", "step": 1, "checkpoint": 0, "supersedes": 2}
    state = apply(state, *typed([resumed]))
    assert state.best_validation is not None
    assert state.best_validation.step == 1
