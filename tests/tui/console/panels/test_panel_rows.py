"""What the panels write, from events: numbers, signs and words, without a screen."""

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from raw_events import typed
from recordings import console_events, console_run_json, events_until_step

from arc_core.pipeline.declared import LOSS_TERMS, declared_by
from arc_core.run.declared import NumberGroup
from arc_tui.console.banner import banner_rows
from arc_tui.console.header import header_rows
from arc_tui.console.machine import Gpu, MachineSample
from arc_tui.console.panels.evidence import evidence_rows, strip_row
from arc_tui.console.panels.groups import group_rows
from arc_tui.console.panels.log import log_rows
from arc_tui.console.panels.machine import machine_rows, past_rows
from arc_tui.console.panels.norms import precision_row
from arc_tui.console.panels.plans import planned_rows
from arc_tui.console.panels.validation import validation_row
from arc_tui.console.steering import offered
from arc_tui.drawing.rows import Row, plain, width
from arc_tui.runs.fixes import assess
from arc_tui.runs.history import History
from arc_tui.runs.sentences import LogEntry
from arc_tui.runs.state import Phase, RunState, Warned, initial, reduce
from arc_tui.runs.view import Facts, RunView, facts
from arc_tui.ui.keys import keymap
from arc_tui.ui.screen import key_row

KEYS = keymap({})
EVENTS = events_until_step(40)
STEP = EVENTS[-1]
MACHINE = MachineSample(0.38, 16, 21 * 10**9, 128 * 10**9, 10**12, 4.2, 9 * 10**9)


def view(events: list[dict[str, Any]] | None = None, **changes: Any) -> RunView:
    """The recorded run after step 40, or after other events."""
    run_json = console_run_json()
    events = typed(EVENTS if events is None else events)
    state, history = reduce(events, initial(run_json)), History()
    history.add(events)
    made = RunView(state, history, 0.0, True, facts=facts("recorded", run_json), phase=state.phase)
    return dataclasses.replace(made, **changes)


def with_step(**groups: dict[str, Any]) -> RunView:
    """The run with other numbers in its last step."""
    step = STEP | {name: STEP[name] | values for name, values in groups.items()}
    return view([*EVENTS[:-1], step])


def lines(rows: list[Row]) -> list[str]:
    return [plain(row).rstrip() for row in rows]


def groups(view: RunView, *names: str) -> list[NumberGroup]:
    return [view.declared.by_name[name] for name in names]


def contribution_rows(view: RunView, cells: int, height: int) -> list[Row]:
    return group_rows(view, groups(view, "loss"), cells, height)


def reward_rows(view: RunView, cells: int, height: int) -> list[Row]:
    return group_rows(view, groups(view, "reward"), cells, height, below=[validation_row(view)])


def curriculum_rows(view: RunView, cells: int, height: int) -> list[Row]:
    return group_rows(view, groups(view, "curriculum", "memory"), cells, height)


def gradient_rows(view: RunView, cells: int, height: int) -> list[Row]:
    return group_rows(view, groups(view, "grad_norm"), cells, height, below=[precision_row(view)])


PANELS = {
    "loss": contribution_rows,
    "reward": reward_rows,
    "curriculum": curriculum_rows,
    "fixes": lambda v, cells, height: evidence_rows(assess(v), cells, height),
    "gradients": gradient_rows,
    "machine": lambda v, cells, height: machine_rows(v, MACHINE, cells),
    "log": lambda v, cells, height: log_rows(v.history.entries, cells),
    "header": lambda v, cells, height: header_rows(v, cells),
    "strip": lambda v, cells, height: [strip_row(assess(v), cells, seven=True)],
}
WEIGHTS = view().declared.by_name["curriculum"].ahead
LEAST_USUAL = dict.fromkeys(PANELS, 38) | {"header": 76, "strip": 76}
"""Width of the narrowest panel of three columns; header and strip are as wide as the screen."""

RECORDED, EMPTY = view(), RunView(RunState(), History(), 0.0, True)


@pytest.mark.parametrize("name", PANELS)
@given(cells=st.integers(1, 220), height=st.integers(1, 60))
def test_every_size_can_be_drawn_and_usual_ones_need_no_cutting(name: str, cells: int, height: int):
    for known in (RECORDED, EMPTY):
        rows = PANELS[name](known, cells, height)
        if cells >= LEAST_USUAL[name]:
            assert max(map(width, rows), default=0) <= cells


def test_contributions_are_the_components_and_add_up():
    rows = lines(contribution_rows(view(), 60, 10))
    values = [float(row[14:23]) for row in rows[:8]]
    assert tuple(row[:14].strip().replace(" ", "_") for row in rows[:8]) == LOSS_TERMS
    assert sum(values) == pytest.approx(float(rows[8][14:23]), abs=1e-3)
    assert rows[8].startswith("= EFE total")
    assert rows[9].startswith("combined")


def test_shares_are_of_all_contributions_together():
    rows = lines(contribution_rows(view(), 60, 10))[:8]
    assert sum(int(row[23:28].strip("% ")) for row in rows) == pytest.approx(100, abs=4)


def test_contributions_that_do_not_add_up_are_marked():
    assert lines(contribution_rows(with_step(loss={"risk": 5.0}), 60, 10))[8].startswith("≠ EFE total")


def test_number_that_is_not_finite_is_told_as_such():
    row = contribution_rows(with_step(loss={"risk": None}), 60, 10)[0]
    assert ("      nan", "mark.nan") in row


def test_few_lines_show_the_largest_contributions_first():
    rows = lines(contribution_rows(view(), 80, 4))
    largest = max(LOSS_TERMS, key=lambda name: STEP["loss"][name])
    assert rows[0].startswith(largest)
    assert len(rows) == 4


def test_rewards_point_left_and_right_of_zero():
    rows = lines(reward_rows(with_step(reward={"d_acc": 0.5, "d_size": -0.5, "total": 0.1}), 60, 6))
    zero = rows[0].index("│")
    assert "━" in rows[1][zero:]
    assert "━" not in rows[1][:zero]
    assert "━" in rows[2][:zero]
    assert "+0.5000" in rows[1]
    assert "-0.5000" in rows[2]


def test_validation_stands_beside_its_baseline():
    told = plain(validation_row(view(console_events())))
    last = [event for event in console_events() if event["type"] == "validation"][-1]
    assert f"{last['cell_accuracy']:.1%} (copy {last['copy_cell_accuracy']:.1%})" in told
    assert f"{last['exact']}/{last['inputs']} exact" in told


def test_first_validation_is_announced_with_its_time():
    before = view(events_until_step(3), epoch_seconds=240.0)
    assert plain(validation_row(before)).endswith("the first one follows epoch 1, in about 0:04:00")


def test_schedule_has_now_under_the_present_epoch():
    weights, now = lines(planned_rows(("size weight", ""), WEIGHTS, 1, 20, 60))
    assert weights.split() == [
        "size",
        "weight",
        "1.000",
        "0.833",
        "0.667",
        "0.500",
        "0.500",
        "0.500",
        "0.500",
        "0.500",
    ]
    assert now.index("▲") in range(weights.index("0.833"), weights.index("0.833") + 5)


def test_schedule_moves_with_a_late_epoch():
    weights, now = lines(planned_rows(("size weight", ""), WEIGHTS, 17, 20, 40))
    assert "▲ now" in now
    assert weights.split()[2:] == ["0.500"] * 4


def test_memory_that_is_off_says_so():
    config = {"memory": False}
    off = view(facts=Facts("r", config, declared=declared_by(config)))
    assert "the memory is turned off" in lines(curriculum_rows(off, 60, 10))


def test_gradients_show_norm_clip_share_and_rate():
    rows = lines(gradient_rows(view(), 60, 7))
    norms = [event["grad_norm"]["agent"] for event in EVENTS if event["type"] == "step"]
    agent = rows[1]
    assert agent.startswith("agent")
    assert f"{STEP['grad_norm']['agent']:.1e}" in agent
    assert f"{STEP['learning_rate']['agent']:.1e}" in agent
    assert (" 100%!" in agent) == (min(norms) > console_run_json()["config"]["clip_norm"])


def test_silent_language_model_stands_out():
    rows = gradient_rows(with_step(grad_norm={"lm": 0.0}), 60, 7)
    assert (f"{0.0:8.1e} ", "fix.failing") in rows[2]


def test_skipped_steps_are_counted():
    rows = lines(gradient_rows(with_step(amp={"skipped_steps": 3, "scale": 1024.0}), 60, 7))
    assert rows[-1] == "amp      scale 1024  3 steps skipped"


def test_fixes_have_sign_number_and_evidence():
    rows = lines(evidence_rows(assess(view()), 40, 7))
    assert [row[0] for row in rows] == list("1234567")
    assert all(row[2] == "●" for row in rows)


def test_fixes_tell_their_reasons_where_there_is_room():
    assert "    The size term weighs 0.833" in "\n".join(lines(evidence_rows(assess(view()), 60, 40)))


def test_header_shows_state_progress_and_time_left():
    first, second = lines(header_rows(view(epoch_seconds=250.0, run_seconds=3700.0), 140))
    assert first.startswith(" recorded  ● RUNNING ")
    assert "pairs/s" in first
    assert first.endswith("tiny  cpu")
    assert "epoch 2/3" in second
    assert "20/20 eta 0:04:10" in second
    assert "40/60 eta 1:01:40" in second


@pytest.mark.parametrize(("processes", "told"), [(None, "tiny  cpu"), (1, "tiny  cpu"), (2, "tiny  2 x cpu")])
def test_header_shows_how_many_processes_train(processes: int | None, told: str):
    made = view()
    known = dataclasses.replace(made.facts, processes=processes)
    first, _ = lines(header_rows(dataclasses.replace(made, facts=known), 140))
    assert first.endswith(told)


def test_message_takes_the_place_of_the_device():
    first, _ = lines(header_rows(view(), 100, ("✓ Paused at step 40", "good")))
    assert first.endswith("✓ Paused at step 40")
    assert "cpu" not in first


@pytest.mark.parametrize("phase", list(Phase))
def test_every_state_has_a_sign_and_a_style_of_its_own(phase: Phase):
    row = header_rows(view(phase=phase), 100)[0]
    text, style = row[1]
    assert text.strip().split()[1] == phase.value.upper()
    assert style == f"state.{phase.value}"


def test_header_tells_what_is_missing_of_the_log():
    first, _ = lines(header_rows(view(complete=False, damaged=3), 120))
    assert "reading history …  3 damaged lines" in first


def test_banner_is_empty_while_there_is_nothing_to_tell():
    assert banner_rows(view(), (), KEYS, 80) == []


def test_banner_of_a_paused_run_names_the_key():
    (row,) = lines(banner_rows(view(phase=Phase.PAUSED), (), KEYS, 80))
    assert row == "  ‖ PAUSED at step 40: p goes on"


@pytest.mark.parametrize("cells", [30, 80, 200])
def test_banner_fills_its_lines_and_tells_the_newest_warning(cells: int):
    warned = [Warned(1.0, "a", "old", ""), Warned(2.0, "b", "LM gradient is zero.", "Check qwen_lr.")]
    rows = banner_rows(view(), warned, KEYS, cells)
    assert all(width(row) == cells for row in rows)
    assert "LM gradient is zero." in " ".join(lines(rows))
    assert lines(rows)[-1].endswith("1 more, w seen")


def test_footer_leaves_out_what_cannot_be_done():
    def words(v: RunView, *, read_only: bool = False) -> str:
        return plain(key_row(offered(v, read_only=read_only), KEYS, 200)[0])

    assert " p pause " in words(view())
    assert " p go on " in words(view(phase=Phase.PAUSED))
    assert " p " not in words(view(), read_only=True)
    crashed = dataclasses.replace(view().state, activity=Phase.CRASHED)
    assert " p start again " in words(view(phase=Phase.CRASHED, state=crashed))
    assert " c checkpoint " not in words(view(console_events()))


@given(st.integers(1, 250))
def test_footer_keeps_the_most_wanted_keys(cells: int):
    row, spans = key_row(offered(RECORDED, read_only=False), KEYS, cells)
    assert width(row) <= cells
    text = plain(row)
    assert all(text[first:last].strip().endswith(action.label) for first, last, action in spans)
    if cells >= 80:
        assert {"pause", "checkpoint", "validate", "help", "detach"} <= {action.id for _, _, action in spans}


def test_log_marks_warnings_by_a_sign_and_filters_in_either_case():
    entries = [
        LogEntry(1, math.nan, "warning", "warning", "Reward low"),
        LogEntry(2, 0.0, "x", "text", "Paused"),
    ]
    assert lines(log_rows(entries, 40))[0] == "--:--:-- ▲ Reward low"
    assert len(log_rows(entries, 40, "rEWARD")) == 1


def test_long_log_lines_go_on_below():
    rows = lines(log_rows([LogEntry(1, math.nan, "x", "text", "word " * 20)], 30))
    assert len(rows) > 3
    assert all(row.startswith(" " * 9) for row in rows[1:])


def test_disk_that_holds_few_checkpoints_is_a_warning():
    small = dataclasses.replace(MACHINE, disk_free=2 * console_run_json()["plan"]["checkpoint_bytes"])
    (row,) = (row for row in machine_rows(view(), small, 60) if plain(row).startswith("disk"))
    assert plain(row).endswith("2 checkpoints")
    assert row[1][1] == "warning"
    assert "▲" in plain(row)


def test_gpu_says_what_its_driver_does_not_tell():
    gpus = (Gpu(0, "NVIDIA \x1b[31mX", None, None, None, None, None),)
    rows = lines(machine_rows(view(), dataclasses.replace(MACHINE, gpus=gpus), 60))
    assert "not told" in rows[0]
    assert "\\x1b[31mX" in rows[0]


def test_past_of_the_machine_has_a_line_for_each_gpu():
    gpu = Gpu(0, "X", 0.5, 1, 2, None, None)
    samples = [dataclasses.replace(MACHINE, cpu=n / 8, gpus=(gpu,)) for n in range(8)]
    rows = lines(past_rows(samples, 40))
    assert rows[1].startswith("cpu      ▁")
    assert rows[2].startswith("gpu 0")
