"""What a headless run prints."""

import errno
import io
import math
import os

import pytest
from raw_events import PIPELINE, typed
from rich.console import Console

from arc_core.base.loose import number
from arc_core.pipeline.config import PipelineConfig
from arc_tui.commands.headless import (
    HeadlessReporter,
    PlainOutput,
    SurvivingOutput,
    TerminalOutput,
    open_output,
)
from arc_tui.commands.output import abandon
from arc_tui.looks.themes import load_theme
from arc_tui.runs.engine import follow
from arc_tui.runs.fields import duration, size
from arc_tui.runs.pace import TimeLeft
from arc_tui.runs.sentences import batch_line, checkpoint_line, epoch_lines

STATUS = load_theme("arc-dark").status
EPOCH = {
    "type": "epoch",
    "epoch": 0,
    "seconds": 456.32,
    "loss": {"efe_total": 3.234},
    "reward": {"total": 0.0234},
    "grad_norm": {"lm": 2.38e-4},
    "curriculum": {"size_weight": 1.0},
    "memory": {"threshold": 0.22},
}
VALIDATION = {
    "type": "validation",
    "step": 60,
    "inputs": 1920,
    "exact": 71,
    "tasks": 1000,
    "tasks_solved": 30,
    "cell_accuracy": 0.6,
    "size_accuracy": 0.7,
    "accuracy_delta": 0.0245,
    "copy_cell_accuracy": 0.55,
    "black_cell_accuracy": 0.4,
}


def _step(number: int = 1, **changes: object) -> dict:
    return {
        "type": "step",
        "step": number,
        "epoch": 0,
        "batch": number - 1,
        "elapsed_seconds": 0.5 * number,
        "pairs_per_second": 16.0,
        "loss": {"efe_total": 3.456},
        "reward": {"d_acc": 0.05},
        "grad_norm": {"lm": 2.34e-4},
        "hard_cells": {"mask_ratio": 0.347},
    } | changes


def _report(events: list[dict], planned: int | None = None, **config: object) -> list[str]:
    stream = io.StringIO()
    output, settings = PlainOutput(stream), PipelineConfig.from_mapping(config)
    reporter = HeadlessReporter(settings, output, lambda: planned, lambda: PIPELINE)
    reporter.handle(typed(events))
    reporter.close()
    return stream.getvalue().splitlines()


def test_batch_line_is_the_seeds():
    line = "[Batch   50] EFE_Loss: 3.456 | d_acc: +0.050 | Qwen_grad: 2.34e-04 | Mask: 0.347"
    assert batch_line(*typed([_step(50)]), PIPELINE) == line


def test_nonfinite_number_is_shown_as_nan():
    assert "EFE_Loss: nan |" in batch_line(*typed([_step(50, loss={"efe_total": None})]), PIPELINE)


def test_epoch_summary_is_the_seeds_with_the_baselines_beside_it():
    assert epoch_lines(*typed([EPOCH, VALIDATION]), PIPELINE) == [
        "[Epoch 0 Summary]",
        "  Average EFE Loss: 3.234",
        "  Average RL Reward: +0.0234",
        "",
        "  LM Gradient Norm: 2.38e-04",
        "  Size Warmup Weight: 1.000",
        "  Memory Threshold: 0.2200",
        "",
        "  Validation Accuracy: 0.0370 (71/1920 correct)",
        "  Tasks Solved: 30/1000",
        "  Cell Accuracy: 0.6000 (copy 0.5500, black 0.4000)",
        "  Size Accuracy: 0.7000",
        "  Accuracy Delta: +0.0245",
        "  Time: 456.32s",
    ]


@pytest.mark.parametrize(
    ("planned", "batches"), [(404, [50, 100]), (None, [50, 100]), (60, [*range(10, 101, 10)])]
)
def test_batch_lines_come_every_fiftieth_or_in_a_short_epoch_every_tenth(
    planned: int | None, batches: list[int]
):
    lines = _report([_step(n) for n in range(1, 101)], planned)
    assert [int(line[7:12].strip("] ")) for line in lines] == batches


def test_max_batches_stands_for_the_plan_until_it_is_known():
    assert len(_report([_step(n) for n in range(1, 61)], None, max_batches=60)) == 6


def test_plan_is_looked_for_once_a_start_and_not_at_every_step():
    asked: list[None] = []
    output, settings = PlainOutput(io.StringIO()), PipelineConfig.from_mapping({})
    reporter = HeadlessReporter(settings, output, lambda: asked.append(None), lambda: PIPELINE)
    begun = {"type": "run_started", "seq": 1, "time": 0.0, "step": 0}
    reporter.handle(typed([begun, *(_step(n) for n in range(1, 20)), begun, _step(20), _step(21)]))
    assert len(asked) == 2


@pytest.mark.parametrize("events", [[EPOCH, VALIDATION], [VALIDATION, EPOCH]])
def test_summary_holds_the_validation_on_whichever_side_it_comes(events: list[dict]):
    lines = epoch_lines(*typed([EPOCH, VALIDATION]), PIPELINE)
    assert _report([_step(), *events, _step(2)]) == ["", *lines, ""]


def test_summary_without_validation_is_not_held_back_for_ever():
    assert _report([EPOCH, _step()]) == ["", *epoch_lines(*typed([EPOCH]), None, PIPELINE), ""]
    assert _report([EPOCH], validate_on="none") == ["", *epoch_lines(*typed([EPOCH]), None, PIPELINE), ""]


def test_validation_asked_for_within_an_epoch_stands_alone():
    assert _report([_step(), VALIDATION, _step(2)])[0] == "[Validation at step 60]"


def test_checkpoint_is_reported_once_and_its_failure_always():
    saved = {"type": "checkpoint", "id": 3, "step": 50, "reason": None, "bytes": 12_345_678, "seconds": 0.8}
    phases = [saved | {"phase": phase} for phase in ("requested", "saved", "verified")]
    assert _report(phases) == ["Checkpoint 00003 saved at step 50 (12.3 MB, 0.80 s)"]
    failed = saved | {"phase": "failed", "reason": "no space\x1b[2J"}
    assert checkpoint_line(*typed([failed])) == "Checkpoint 00003 failed: no space\\x1b[2J"


def test_strings_of_a_run_are_printed_as_text():
    event = {"type": "warning", "code": "x", "message": "[red]\x1b]0;own\x07\u202e", "advice": "a\nb"}
    assert _report([event]) == ["Warning: [red]\\x1b]0;own\\x07\\u202e Advice: a\\nb"]


def test_terminal_keeps_markup_of_a_run_as_text():
    stream = io.StringIO()
    output = TerminalOutput(Console(file=stream, force_terminal=True, width=100), STATUS)
    output.line("Warning: [red]:smile: [/nothing]", "warning")
    output.close()
    assert "Warning: [red]:smile: [/nothing]" in stream.getvalue()


def test_terminal_shows_progress_rate_and_time_left():
    stream = io.StringIO()
    output = TerminalOutput(Console(file=stream, force_terminal=True, width=120), STATUS)
    reporter = HeadlessReporter(PipelineConfig(epochs=2), output, lambda: 404, lambda: PIPELINE)
    reporter.handle(typed(_step(n) for n in range(1, 5)))
    output._bar.refresh()
    reporter.close()
    for words in ("Epoch 0", "4/404", "16.0 pairs/s", "eta epoch 0:03:20", "run 0:06:42"):
        assert words in stream.getvalue()


def test_output_that_is_no_terminal_gets_plain_lines():
    assert isinstance(open_output(STATUS, io.StringIO()), PlainOutput)


def test_pace_predicts_constant_steps_exactly_and_starts_unknown():
    pace = TimeLeft()
    assert math.isnan(pace.remaining(10))
    for n in range(1, 4):
        pace.update(*typed([_step(n)]))
    assert pace.remaining(10) == pytest.approx(5.0)


def test_lost_output_is_told_once_and_left_alone():
    reading, writing = os.pipe()
    os.close(reading)
    told: list[OSError] = []
    with os.fdopen(writing, "w") as stream:
        output = SurvivingOutput(PlainOutput(stream), lambda error: (told.append(error), abandon(stream)))
        output.line("lost")
        output.line("silent")
        output.close()
        assert os.path.samestat(os.fstat(stream.fileno()), os.stat(os.devnull))  # noqa: PTH116
    assert [error.errno for error in told] == [errno.EPIPE]


def test_following_ends_only_when_the_writer_has_and_all_is_read():
    batches = [[{"type": "a"}], [], [{"type": "b"}], []]
    ended = iter([False, False, True, True])
    naps: list[float] = []

    class Reader:
        def poll(self) -> list[dict]:
            return batches.pop(0)

    got = list(follow(Reader(), lambda: next(ended), naps.append))  # pyright: ignore[reportArgumentType]
    assert [len(batch) for batch in got] == [1, 0, 1, 0]
    assert len(naps) == 1


def test_sizes_durations_and_missing_numbers():
    assert [size(n) for n in (5, 1500, 3.09e9, math.nan)] == ["5 B", "1.5 kB", "3.1 GB", "size unknown"]
    assert [duration(s) for s in (0, 250.4, 7265, math.nan)] == ["0:00:00", "0:04:10", "2:01:05", "-:--:--"]
    assert math.isnan(number({"a": [1]}, "a.b.c"))
