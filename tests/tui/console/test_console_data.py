"""The benchmark of long histories measures what it says."""

from pathlib import Path

from raw_events import PIPELINE, read_lines

from arc_core.run.directory import create_run
from arc_core.run.event_lines import validate_event
from arc_tui.runs.marks import MarkKind
from benchmarks.console_data import NOT_FINITE_EVERY, attach, filled_history
from benchmarks.long_log import CHECKPOINT_EVERY, write_log


def test_generated_log_is_one_of_a_real_run_and_is_read_whole(tmp_path: Path):
    run = create_run(tmp_path, "long", {"created": 0.0})
    size = write_log(run.events, 3300)
    events = read_lines(run.events)
    assert [problem for event in events for problem in validate_event(event, PIPELINE)] == []
    assert {"step", "sample", "validation", "checkpoint"} <= {event["type"] for event in events}
    assert size / 3300 > 1000  # full-size steps
    found, history = attach(run)
    assert (history.first_step, history.last_step) == (1, 3300)
    assert history.window("loss.combined", 1, 3300, 3300).count.tolist() == [1] * 3300
    assert 0 < found.first_seconds < found.whole_seconds


def test_filled_history_holds_every_step_and_its_marks():
    history = filled_history(60_000)
    assert history.window("loss.combined", 1, 60_000, 10).count.sum() == 60_000
    steps = history.mark_steps(1, 60_000)
    assert set(steps[MarkKind.CHECKPOINT] % CHECKPOINT_EVERY) == {0}
    assert set(steps[MarkKind.NAN] % NOT_FINITE_EVERY) == {0}
    assert len(steps[MarkKind.NAN]) == 60_000 // NOT_FINITE_EVERY
