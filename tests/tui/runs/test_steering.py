"""Requests to a run: each is followed from the command to what came of it."""

import pytest
from raw_events import Line, typed

from arc_core.run.commands import TOO_OLD
from arc_tui.runs.steering import Request, Requests, RequestStage


def event(kind: str, **fields: object) -> Line:
    return {"type": kind, "seq": 1, "time": 0.0, **fields}


def applied(command: str, **fields: object) -> Line:
    return event("command_applied", id="a", command=command, old=None, new=None) | fields


def checkpoint(phase: str, identity: int = 7, reason: str | None = None) -> Line:
    return event("checkpoint", id=identity, step=5, phase=phase, reason=reason, bytes=54_800_000, seconds=0.2)


def followed(command: str, *events: Line) -> list[Request]:
    requests = Requests()
    requests.sent("a", command, {})
    return requests.take(typed(events))


def test_checkpoint_is_shown_requested_saved_and_verified():
    moved = followed(
        "checkpoint", applied("checkpoint"), *map(checkpoint, ("requested", "saved", "verified"))
    )
    assert [request.line for request in moved] == [
        "Checkpoint accepted",
        "Checkpoint 00007 requested",
        "Checkpoint 00007 saved at step 5 (54.8 MB, 0.20 s)",
        "Checkpoint 00007 verified at step 5 (54.8 MB, 0.20 s)",
    ]
    assert [request.stage for request in moved][-1] is RequestStage.DONE


def test_checkpoint_that_fails_says_why():
    moved = followed(
        "checkpoint", applied("checkpoint"), checkpoint("requested"), checkpoint("failed", reason="No space")
    )
    assert (moved[-1].stage, moved[-1].line) == (RequestStage.FAILED, "Checkpoint 00007 failed: No space")


def test_another_checkpoint_does_not_answer_the_request():
    moved = followed(
        "checkpoint", applied("checkpoint"), checkpoint("requested", 7), checkpoint("verified", 6)
    )
    assert moved[-1].stage is RequestStage.APPLIED


@pytest.mark.parametrize(
    ("command", "answer", "line"),
    [
        ("pause", event("paused", step=1412), "Paused at step 1,412"),
        ("resume", event("unpaused", step=1412), "Going on at step 1,412"),
        (
            "validate",
            event("validation", step=3, exact=2, inputs=64, cell_accuracy=0.5),
            "Validated: 2/64 exact, 0.5000 of cells",
        ),
        ("stop", event("run_finished", reason="stopped by a command"), "Ended: stopped by a command"),
    ],
)
def test_request_is_done_when_the_run_says_so(command: str, answer: Line, line: str):
    before, after = followed(command, applied(command), answer)
    assert before.stage is RequestStage.APPLIED
    assert (after.stage, after.line) == (RequestStage.DONE, line)


def test_changed_setting_shows_old_and_new():
    (moved,) = followed("set", applied("set", old={"agent_lr": 1e-4}, new={"agent_lr": 5e-5}))
    assert (moved.stage, moved.line) == (RequestStage.DONE, "agent_lr: 0.0001 is now 5e-05")


def test_rejection_shows_the_reason_as_text():
    rejected = event("command_rejected", id="a", reason="Training is paused already.\x1b[2J")
    (moved,) = followed("pause", rejected)
    assert moved.stage is RequestStage.REJECTED
    assert moved.line == "Pause rejected: Training is paused already.\\x1b[2J"


def test_answer_to_another_command_moves_nothing():
    assert followed("pause", event("command_applied", id="b", command="pause", old=None, new=None)) == []


def test_command_that_a_starting_process_rejects_is_sent_again_at_most_twice():
    requests = Requests()
    requests.sent("0", "pause", {})
    for number in range(2):
        assert requests.take(typed([event("command_rejected", id=str(number), reason=TOO_OLD)])) == []
        (again,) = requests.to_resend
        requests.resent(again, str(number + 1))
    (moved,) = requests.take(typed([event("command_rejected", id="2", reason=TOO_OLD)]))
    assert moved.stage is RequestStage.REJECTED
    assert requests.to_resend == []


def test_pause_that_someone_takes_back_is_told():
    moved = followed(
        "pause", applied("pause"), event("command_applied", id="b", command="resume", old=None, new=None)
    )
    assert (moved[-1].stage, moved[-1].line) == (RequestStage.FAILED, "Another command let it go on")


def test_requests_end_with_the_process():
    requests = Requests()
    requests.sent("a", "validate", {})
    (ended,) = requests.abandon()
    assert (ended.stage, ended.line) == (RequestStage.FAILED, "Validation: the process ended first")
    assert requests.open == ()
