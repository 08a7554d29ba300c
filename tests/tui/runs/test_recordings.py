"""The recorded run holds what the console's tests rely on, in the events' exact form."""

from raw_events import PIPELINE, counting, read_lines, typed
from recordings import CONSOLE_RUN, console_events, console_run_json, killed_events, make_run

from arc_core.pipeline.config import PipelineConfig
from arc_core.run.event_forms import EVENT_TYPES
from arc_core.run.event_lines import validate_event
from arc_tui.runs.state import Phase, observed, reduce


def test_every_event_has_its_form_and_every_type_is_there():
    events = console_events()
    assert [problem for event in events for problem in validate_event(event, PIPELINE)] == []
    # A solver is adapted to one task, not trained as a run; the pipeline's evidence is judged by the console,
    # and its declaration does not change.
    of_others = {"adaptation", "evidence", "declared"}
    assert {event["type"] for event in events} == set(EVENT_TYPES) - of_others
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert CONSOLE_RUN.stat().st_size < 400_000


def test_steps_that_count_are_1_to_60_and_some_were_taken_back():
    events = console_events()
    kept = [event["step"] for event in counting(events) if event["type"] == "step"]
    assert kept == list(range(1, 61))
    assert sum(event["type"] == "step" for event in events) > 60


def test_one_step_is_not_finite_and_one_checkpoint_fails():
    events = console_events()
    wrong = [event for event in events if event["type"] == "step" and event["nonfinite"]]
    assert [event["step"] for event in wrong] == [44]
    assert wrong[0]["loss"]["combined"] is None
    failed = [event for event in events if event["type"] == "checkpoint" and event["phase"] == "failed"]
    assert len(failed) == 1
    assert {event["code"] for event in events if event["type"] == "warning"} >= {
        "nonfinite",
        "checkpoint_failed",
    }


def test_killed_run_is_seen_as_crashed_and_the_whole_one_as_finished(tmp_path):
    run = make_run(tmp_path, killed_events(), torn=True)
    assert observed(reduce(typed(read_lines(run.events))), alive=False).phase is Phase.CRASHED
    assert reduce(typed(console_events())).phase is Phase.FINISHED


def test_run_json_is_a_configuration_without_paths_of_any_machine():
    content = console_run_json()
    assert PipelineConfig.from_mapping(content["config"]).epochs == 3
    assert all(not word.startswith("/") for word in content["argv"])
